"""Parts of `andon bench speed`: how they are called, and what they refuse to tell."""

from __future__ import annotations

import importlib
import inspect

import pytest

from benchmarks.gateway_load import Heard
from benchmarks.speed import latency
from benchmarks.speed import run as speed_run
from benchmarks.speed.figure import Figure
from benchmarks.speed.part import measured
from benchmarks.speed.parts import PARTS, Part
from benchmarks.speed.run import run


def told_of(name: str) -> Figure:
    """A figure of an id."""
    return Figure(id=name, figure=1.0, unit="ms", ratio=1.0, against="x")


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.module)
@pytest.mark.parametrize("quick", [False, True])
def test_every_part_can_be_called_both_ways(part: Part, *, quick: bool) -> None:
    """Whatever a module has that a part is asked for takes what it is asked with."""
    module = importlib.import_module(f"benchmarks.speed.{part.module}")
    asked = [name for name in ("measure", "plots", "shares") if hasattr(module, name)]
    for name in asked:
        inspect.signature(getattr(module, name)).bind(quick=quick)
    if "measure" in asked:
        assert not part.quick, "nobody reads these arguments"
    else:
        inspect.signature(module.figures).bind(**dict(part.quick) if quick else {})


def test_a_part_says_why_it_could_not_measure_a_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot be measured takes no other with it, though it is of the same part."""

    def late(*_: object, **__: object) -> Figure:
        raise RuntimeError("the load was not reached")

    monkeypatch.setattr(latency, "lateness_p999", late)
    monkeypatch.setattr(latency, "publish_to_alert_p99", lambda *_, **__: told_of(latency.ALERT))
    monkeypatch.setattr(latency, "retrieval_p99", lambda *_, **__: told_of(latency.RETRIEVAL))
    found = measured("latency", quick=True)
    monkeypatch.setattr(speed_run, "_measured", lambda *_, **__: found)
    part = next(one for one in PARTS if one.module == "latency")
    told = run(quick=True, parts=[part], progress=lambda *_: None)
    assert [one.id for one in told.figures] == [latency.ALERT, latency.RETRIEVAL]
    assert told.not_measured == {latency.LATENESS: "the load was not reached"}


@pytest.mark.parametrize(
    ("rate", "before", "now", "said"),
    [
        (29_000.0, {}, {}, ""),
        (
            28_000.0,
            {},
            {},
            (
                "the load was not reached: 28,000 of 30,000 messages/s were taken; measure"
                " `--parts latency` again when this machine does nothing else"
            ),
        ),
        (30_000.0, {"drops": {"shed": 2}}, {"drops": {"shed": 2}}, ""),
        (30_000.0, {}, {"drops": {"shed": 2}}, "not all of the load was taken: shed 2"),
        (30_000.0, {}, {"counts": {"late": 1}}, "not all of the load was taken: late 1"),
    ],
)
def test_lateness_is_told_of_the_whole_load_alone(
    rate: float, before: dict[str, object], now: dict[str, object], said: str
) -> None:
    """A loop that was given less, or gave something up, is not in time because of that."""
    told = Heard(health={"messages_per_s": rate, **now}, first_health={"uptime_s": 1.0, **before})
    assert latency.shortfall(told, rate=30_000.0) == said
