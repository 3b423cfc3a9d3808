"""A channel that the plant renamed, rescaled or re-typed is masked, and the others go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from edge.records import MessageReceived
from tests.edge.rig import CHANNELS, START, Rig, S, bundle, normal, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CHANGED: Final = "c1"
OTHER: Final = "c3"
Row = dict[str, Any]


def gone(row: Row) -> None:
    """Nobody sends it any more."""
    del row[CHANGED]


def renamed(row: Row) -> None:
    """It comes under another name."""
    row["c1_PV"] = row.pop(CHANGED)


def text(row: Row) -> None:
    """It comes as text, as from a tag that was made a string."""
    row[CHANGED] = f"{row[CHANGED]:.3f} bar"


def null(row: Row) -> None:
    """Its sender knows it and no value."""
    row[CHANGED] = None


def unit(row: Row) -> None:
    """Its sender says that it is of another unit, and scales it."""
    row[CHANGED] *= 100.0
    row["units"] = {CHANGED: "kPa"}


def scale(row: Row) -> None:
    """It is scaled, and nobody says so."""
    row[CHANGED] *= 100.0


class Rewired(Rig):
    """A plant of which c1 of r1 is changed from some second on."""

    change: Callable[[Row], None] | None = None

    def _rows(self, asset: str, n: int, shift: Mapping[str, float], stuck: Sequence[str]) -> None:
        if asset != "r1" or self.change is None:
            super()._rows(asset, n, shift, stuck)
            return
        rows = normal(asset)[self.at : self.at + n].copy()
        for name, sigmas in shift.items():
            i = CHANNELS.index(name)
            rows[:, i] += sigmas * bundle().assets[0].sigma[i]
        for k, values in enumerate(rows.tolist()):
            t_ns = START + (self.at + k) * S
            row: Row = dict(zip(CHANNELS, values, strict=True)) | self.context
            self.change(row)
            payload = msgspec.json.encode({"ts": t_ns // 1_000_000, **row})
            self.give(MessageReceived(topic="plant/r1", payload=payload, received_ns=t_ns))


@pytest.mark.parametrize("change", [gone, renamed, text, null, unit])
def test_the_others_go_on(change: Callable[[Row], None]) -> None:
    """A sensor alert names it, no process alert comes of it, and a fault elsewhere still rings."""
    rig = Rewired()
    rig.run(300)
    assert rig.said() == rig.said(track="sensor") == []
    rig.change = change
    rig.run(900)
    assert rig.said() == []
    goes_on(rig)
    rig.change = None
    rig.run(600)
    assert not rig.events(track="sensor")[-1]["active"]


def test_one_that_nobody_said_was_scaled_rings_until_it_is_taken_out() -> None:
    """As the process, since it may be the process; what `andon wire diff` says masks it."""
    rig = Rewired()
    rig.run(300)
    rig.change = scale
    rig.run(60)
    assert rig.said() == ["ALERT"]
    assert rig.events()[-1]["top_channel"] == CHANGED
    rig.settings = settings(r1={"tags": {CHANGED: f"{CHANGED}-rescaled"}})
    rig.restart()
    rig.run(900)
    assert not rig.events()[-1]["active"]
    before = len(rig.events())
    goes_on(rig)
    assert len(rig.events()) > before


def goes_on(rig: Rewired) -> None:
    """A sensor alert stands for what is masked, and a fault of another channel rings."""
    (told,) = rig.events(track="sensor")
    assert told["active"]
    assert CHANGED in told["message"]
    rig.run(60, {OTHER: 12.0})
    alert = rig.events()[-1]
    assert alert["active"]
    assert alert["decision"] == "ALERT"
    assert alert["top_channel"] == OTHER
    assert CHANGED not in {part["channel"] for part in alert["contributions"]}
