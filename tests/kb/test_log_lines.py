"""Lines of many shop floors, labelled: what is proposed is right, and most of it is found.

Thirteen styles: American, British, Indian, German and French English, exports of order systems,
aircraft logbooks, process plants, handovers, chat, slips of the keyboard, metrology, utilities. The
file `held_back` was written and frozen before the reader, and looked at in total figures only.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Final

import msgspec
import pytest

from kb.wording.asset_names import asset_words
from kb.wording.shopfloor import Said, work_said

LINES: Final = Path(__file__).parent / "lines"
DAY: Final = datetime(2026, 3, 10)  # noqa: DTZ001 - a wall clock, as lines have it
ROBOTS: Final = ("R11", "R12", "R21", "R22")
OF_ROBOT: Final = ("gas_flow", "tcp", "wire_feed", "current", "voltage", "joint_temp")
OF_PUMP: Final = ("flow", "suction_pressure", "discharge_pressure", "vibration")
OF_PRESS: Final = ("ram_pressure", "oil_temp", "load_cell")
INSTRUMENTS: Final = {
    **dict.fromkeys(ROBOTS, OF_ROBOT),
    **dict.fromkeys(("P-101A", "P-101B"), OF_PUMP),
    **dict.fromkeys(("PRESS-07", "PRESS-08"), OF_PRESS),
    "MILL3": ("spindle_load", "vibration", "coolant_temp", "probe"),
    "CV04": ("belt_speed",),
    "OVEN2": ("zone1_temp", "zone2_temp"),
    "CH6": ("supply_temp", "condenser_flow"),
}
ALIASES: Final = {
    **{r: {f"#{r[1:]}", f"Rob.{r[1:]}", f"WC1-ROB{r[1:]}"} for r in ROBOTS},
    "PRESS-07": {"press 7", "Presse 7", "hyd press 07"},
    "PRESS-08": {"press 8", "Presse 8"},
    "MILL3": {"mill 3", "VMC 3", "Fräse 3"},
    "P-101A": {"pump 101A", "PT-101A"},
    "P-101B": {"pump 101B"},
    "CV04": {"conveyor 4", "belt 4"},
    "OVEN2": {"oven 2", "Ofen 2", "TC1"},
    "CH6": {"chiller 6"},
}
ASSETS: Final = asset_words(INSTRUMENTS, ALIASES)
SHIFTS: Final = {
    "early": (time(6), time(14)),
    "late": (time(14), time(22)),
    "night": (time(22), time(6)),
}
PRECISION_MIN: Final = 0.97
RECALL_MIN: Final = 0.85
STAGES_MIN: Final = 0.95
TIMES_MIN: Final = 0.9


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """One label: what a line says of work."""

    asset: str
    kinds: tuple[str, ...]
    stage: str = "?"
    begin: str = ""
    end: str = ""
    may_be: bool = False

    def is_of(self, said: Said) -> bool:
        """Whether this is the work that was read."""
        return said.asset == self.asset and (self.kinds == ("?",) or said.kind in self.kinds)

    @property
    def timed(self) -> bool:
        """Whether its begin is judged."""
        return bool(self.begin) and "?" not in (self.begin, self.end)


class _Figures(msgspec.Struct):
    """Counts over a file of lines."""

    right: int = 0
    missed: int = 0
    wrong: int = 0
    stages: int = 0
    stages_right: int = 0
    times: int = 0
    times_right: int = 0

    def count(self, told: _Told, said: Said | None) -> None:
        """One label, and what was read for it."""
        if told.may_be:
            return
        if said is None:
            self.missed += 1
            return
        self.right += 1
        if told.stage not in ("?", "*"):
            self.stages += 1
            self.stages_right += said.stage == told.stage
        if told.timed:
            self.times += 1
            end = _clock(told.end)
            right = said.begin == _clock(told.begin) and end in (None, said.end)
            self.times_right += right


def _clock(text: str) -> datetime | None:
    if not text:
        return None
    hour, _, minute = text.removeprefix("+").partition(":")
    return DAY + timedelta(days=text.startswith("+"), hours=int(hour), minutes=int(minute))


def _label(text: str) -> _Told:
    words = text.strip().removeprefix("~").split()
    span = words[3] if len(words) > 3 else ""
    begin, _, end = span.partition("-") if not span.startswith("-") else ("?", "", "?")
    return _Told(
        asset=words[0],
        kinds=tuple(words[1].split("|")),
        stage=words[2] if len(words) > 2 else "?",
        begin=begin,
        end=end,
        may_be=text.strip().startswith("~"),
    )


def _figures(name: str) -> _Figures:
    figures = _Figures()
    for line in (LINES / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        _, written, said, labels = line.split(" | ")
        read = work_said(
            said,
            assets=ASSETS,
            instruments=INSTRUMENTS,
            written=_clock(written),
            shifts=SHIFTS,
        )
        for told in [] if labels == "-" else map(_label, labels.split(";")):
            found = next((one for one in read if told.is_of(one)), None)
            figures.count(told, found)
            read = [one for one in read if one is not found]
        figures.wrong += len(read)
    return figures


@pytest.mark.parametrize("name", ["looked_at.txt", "held_back.txt"])
def test_lines_of_many_floors_are_read_right(name: str) -> None:
    """Precision, recall, stages and times are bounded from below."""
    figures = _figures(name)
    assert figures.right / (figures.right + figures.wrong) >= PRECISION_MIN, figures
    assert figures.right / (figures.right + figures.missed) >= RECALL_MIN, figures
    assert figures.stages_right / figures.stages >= STAGES_MIN, figures
    assert figures.times_right / figures.times >= TIMES_MIN, figures
