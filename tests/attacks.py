"""`make attacks`: every attack case by name, and the message that refused it.

Each is a test of the suite, run against the real thing: a mosquitto, an engine, a reader of files.
A test counts as an attack where it names what refused it (`tests.told`). The last line says how
many were refused; the exit code is 1 where one was not, could not be run, or has gone. With
arguments for pytest, which may choose some of them, none is missed.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import Final

import pytest

from tests.told import TOLD

# family -> where its attacks are
FAMILIES: Final = {
    "transport": ("tests/broker/test_attacks_transport.py",),
    "rights": ("tests/broker/test_attacks_rights.py",),
    "commands": ("tests/edge/test_command_attacks.py", "tests/edge/test_audit_budget.py"),
    "boxes": ("tests/edge/test_fence_proof.py", "tests/edge/test_backup_attacks.py"),
    "artifacts": (
        "tests/models/test_graph_safety.py",
        "tests/kb/test_snapshot_safety.py",
        "tests/edge/test_older_tables.py",
        "tests/edge/test_outbox.py",
    ),
}
# Cases of each: more may come. Whoever takes one away says so here.
CASES_MIN: Final = {"transport": 14, "rights": 38, "commands": 88, "boxes": 41, "artifacts": 21}
SHOWN_CHARS: Final = 150  # of a message


@dataclass(slots=True, eq=False)  # pytest keeps plugins by identity
class Watch:
    """What became of each test: a plugin of pytest."""

    outcomes: dict[str, str] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A part of a test is over; the worst of them counts."""
        if report.when == "call" or not report.passed:
            before = self.outcomes.get(report.nodeid, "passed")
            self.outcomes[report.nodeid] = report.outcome if before == "passed" else before


def family_of(test: str) -> str:
    """To which family a test belongs."""
    file = test.partition("::")[0]
    return next((name for name, files in FAMILIES.items() if file in files), "")


def name_of(test: str) -> str:
    """What an attack is called: the test and its case."""
    told = test.partition("::")[2].removeprefix("test_")
    function, _, case = told.partition("[")
    case = re.sub(r"[^ -~]", "?", case.removesuffix("]"))
    return f"{function.replace('_', ' ')}: {case}" if case else function.replace("_", " ")


def table(outcomes: dict[str, str]) -> tuple[list[str], dict[str, int], int]:
    """Lines to print, attacks refused of each family, and how many were not or did not run."""
    lines: list[str] = []
    refused: dict[str, int] = {}
    bad = 0
    for family in FAMILIES:
        tests = [test for test in outcomes if family_of(test) == family]
        attacks = [test for test in tests if TOLD.get(test) and outcomes[test] == "passed"]
        wrong = [test for test in tests if outcomes[test] != "passed"]
        lines.append(f"{family}: {len(attacks)} refused" + f", {len(wrong)} NOT" * bool(wrong))
        lines += [f"  {name_of(test)}\n    {TOLD[test][0][:SHOWN_CHARS]}" for test in attacks]
        lines += [f"  {outcomes[test].upper()} {name_of(test)}" for test in wrong]
        refused[family], bad = len(attacks), bad + len(wrong)
    return lines, refused, bad


def gone(refused: dict[str, int]) -> list[str]:
    """A line for each family of which there were more cases once."""
    return [
        f"{family}: {least} cases were there, {refused.get(family, 0)} are left"
        for family, least in CASES_MIN.items()
        if refused.get(family, 0) < least
    ]


def main(arguments: list[str]) -> int:
    """Run them; arguments go to pytest. Returns the exit code."""
    watch = Watch()
    files = [file for some in FAMILIES.values() for file in some]
    pytest.main([*files, "-qq", "--no-header", "-p", "no:cacheprovider", *arguments], [watch])
    lines, refused, bad = table(watch.outcomes)
    missed = [] if arguments else gone(refused)
    count = sum(refused.values())
    last = f"{count} attack cases refused, each with its message; {bad} not refused or not run"
    sys.stdout.write("\n".join(["", *lines, *missed, last, ""]))
    return int(bad > 0 or bool(missed) or not count)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
