"""`make attacks` misses a case that has gone, however well the others do."""

from __future__ import annotations

from typing import Final

import pytest

from tests import attacks
from tests.attacks import CASES_MIN, FAMILIES, gone, table
from tests.told import TOLD

WANTED: Final = 24  # cases, of every family


def test_every_family_has_a_number_of_cases() -> None:
    """As many as were asked for, together."""
    assert list(CASES_MIN) == list(FAMILIES)
    assert min(CASES_MIN.values()) > 0
    assert sum(CASES_MIN.values()) >= WANTED


@pytest.mark.parametrize("lost", ["", *FAMILIES])
def test_a_case_that_has_gone_fails_the_run(
    lost: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever family it was of; also where its test still runs, and names no refusal any more."""
    ran = {
        f"{files[0]}::test_a[{i}]": family
        for family, files in FAMILIES.items()
        for i in range(CASES_MIN[family])
    }
    told = {test: ["refused"] for test in ran}
    if lost:
        del told[next(test for test, family in ran.items() if family == lost)]

    def run(_arguments: list[str], plugins: list[attacks.Watch]) -> None:
        plugins[0].outcomes.update(dict.fromkeys(ran, "passed"))

    monkeypatch.setattr(attacks, "TOLD", told)
    monkeypatch.setattr("tests.attacks.pytest.main", run)
    assert attacks.main([]) == bool(lost)
    said = capsys.readouterr().out
    least = CASES_MIN.get(lost)
    assert (f"{lost}: {least} cases were there" in said) == bool(lost)
    assert attacks.main(["-k", "a[1]"]) == 0, "whoever chooses some misses none"


def test_what_is_counted_is_what_names_its_refusal() -> None:
    """A test without one proves what attacks rest on, and is no case."""
    (file, *_) = FAMILIES["rights"]
    one, other = f"{file}::test_counted", f"{file}::test_not_counted"
    TOLD[one].append("refused")
    try:
        _, refused, bad = table({one: "passed", other: "passed"})
    finally:
        del TOLD[one]
    assert (refused["rights"], bad) == (1, 0)
    assert len(gone(refused)) == len(FAMILIES)
