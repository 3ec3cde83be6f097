#!/usr/bin/env python3
"""Checks that rows.md and the traces belong together.

usage: rows_test.py [--unrecorded]

Every row but those in "Rows without a trace" is named by a trace; traces name rows that exist; every
trace has its header and its comment; every operation has a result. --unrecorded: results may be missing.
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
HEADERS = ("trace", "machine", "row", "recorded")


def read_rows(path):
    """The ids of rows that need a trace, and of those that have a reason for none."""
    wanted, excused, complaints = [], [], []
    section = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        heading = re.match(r"## (.*)", line)
        if heading:
            section = heading[1]
            continue
        row = re.match(r"\| (\d+(?:\.\d+)+) \|", line)
        if not row:
            continue
        where = f"{path.name}:{number}"
        without_trace = section == "Rows without a trace"
        if row[1] in wanted + excused:
            complaints.append(f"{where}: row {row[1]} is there twice")
        if not without_trace and not row[1].startswith(section.split()[0] + "."):
            complaints.append(f"{where}: row {row[1]} is not of section {section}")
        (excused if without_trace else wanted).append(row[1])
    return wanted, excused, complaints


def read_trace(path):
    """The rows that a trace names, how many operations lack a result, and what is wrong with it."""
    rows, lacking, complaints = [], 0, []
    lines = path.read_text().splitlines()
    name = path.relative_to(HERE)
    said = [line for line in lines if line.strip() and not line.startswith("#")]
    if not said or said[0].strip() != "trace 1":
        complaints.append(f"{name}: does not begin with `trace 1`")
    if not any(re.match(r"#\s*\S", line) for line in lines):
        complaints.append(f"{name}: no comment says what it proves")
    operations = 0
    for line in said:
        word = line.split()[0]
        if word == "row":
            rows += line.split()[1:]
        if word in HEADERS:
            if operations:
                complaints.append(f"{name}: `{word}` comes after the first operation")
            continue
        operations += 1
        if " -> " not in line:
            lacking += 1
        elif "nonsense" in line.rsplit(" -> ", 1)[1]:
            complaints.append(f"{name}: nonsense: {line}")
    if not any(line.startswith("machine ") for line in said):
        complaints.append(f"{name}: no machine")
    if not operations:
        complaints.append(f"{name}: no operation")
    if not rows and path.parent.name != "found":  # the fuzzer knows no rows
        complaints.append(f"{name}: names no row")
    return rows, lacking, complaints


def main():
    arguments = sys.argv[1:]
    if arguments not in ([], ["--unrecorded"]):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    wanted, excused, complaints = read_rows(HERE / "rows.md")
    traces = sorted((HERE / "traces").rglob("*.trace"))
    proven, lacking, unfinished = set(), 0, 0
    for path in traces:
        rows, without_result, wrong = read_trace(path)
        complaints += wrong
        for row in rows:
            if row in excused:
                complaints.append(f"{path.relative_to(HERE)}: row {row} is listed as without a trace")
            elif row not in wanted:
                complaints.append(f"{path.relative_to(HERE)}: no row {row}")
        proven.update(rows)
        lacking += without_result
        unfinished += without_result > 0
    complaints += [f"rows.md: no trace proves row {row}" for row in wanted if row not in proven]
    if lacking and not arguments:
        complaints.append(f"{lacking} operations in {unfinished} traces have no result")
    for complaint in complaints:
        print(complaint)
    print(f"checked {len(wanted) + len(excused)} rows, {len(traces)} traces")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
