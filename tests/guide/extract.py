#!/usr/bin/env python3
"""Prints the one code block of a language that a guide has, so that a test can build and run it.

usage: extract.py GUIDE.md [LANGUAGE]     LANGUAGE: cpp (default), python, json ...
"""
import re
import sys
from pathlib import Path


def blocks(text, language):
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    guide = Path(sys.argv[1])
    language = sys.argv[2] if len(sys.argv) == 3 else "cpp"
    found = blocks(guide.read_text(encoding="utf-8"), language)
    if len(found) != 1:
        sys.exit(f"{guide}: {len(found)} blocks of {language}; there must be exactly one")
    sys.stdout.write(found[0])


if __name__ == "__main__":
    main()
