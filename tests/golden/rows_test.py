#!/usr/bin/env python3
"""Checks that rows.md and the traces belong together.

usage: rows_test.py [--unrecorded]

Every row but those in "Rows without a trace" is named by a trace; traces name rows that exist; every
trace has its header and its comment; every operation has a result. --unrecorded: results may be missing.
What Linux 6.12 answers otherwise is in `older` with the rows and a reason, and in traces-6.12.
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


def without_answers(path):
    lines = (line.rsplit(" -> ", 1)[0] for line in path.read_text().splitlines())
    return [line for line in lines if not line.startswith("recorded ")]


def answers(path):
    return [line.rsplit(" -> ", 1)[1] for line in path.read_text().splitlines() if " -> " in line]


def check_older():
    """What is wrong with the list and the traces of the older kernel."""
    complaints = []
    traces = {str(path.relative_to(HERE / "traces-6.12")): path
              for path in (HERE / "traces-6.12").rglob("*.trace")}
    lines = [line.split(None, 2) for line in (HERE / "older").read_text().splitlines()
             if not line.startswith("#")]
    listed = {line[0]: line[1:] for line in lines}
    if list(listed) != sorted(listed) or len(lines) != len(listed):
        complaints.append("older: not sorted, or a trace is there twice")
    for name in sorted(traces.keys() ^ listed.keys()):
        complaints.append(f"older: {name} is {'not listed' if name in traces else 'not in traces-6.12'}")
    for name in sorted(traces.keys() & listed.keys()):
        newest, older = HERE / "traces" / name, traces[name]
        if not newest.exists() or without_answers(newest) != without_answers(older):
            complaints.append(f"traces-6.12/{name}: not the operations of traces/{name}")
        elif answers(newest) == answers(older):
            complaints.append(f"traces-6.12/{name}: answered as by the newest kernel")
        elif listed[name][:1] != [",".join(read_trace(newest)[0]) or "-"] or len(listed[name]) != 2:
            complaints.append(f"older: {name} has other rows, or no reason")
    return complaints


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
    complaints += check_older()
    if lacking and not arguments:
        complaints.append(f"{lacking} operations in {unfinished} traces have no result")
    for complaint in complaints:
        print(complaint)
    print(f"checked {len(wanted) + len(excused)} rows, {len(traces)} traces")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
