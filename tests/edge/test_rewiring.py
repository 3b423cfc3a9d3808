"""What a plant has renamed, rescaled or re-typed, judged against plants of known truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.rewiring.differences import Difference, Kind, differences
from edge.rewiring.expected import Usual, expected_of
from edge.rewiring.heard import NUMBERS_MAX, TAGS_MAX, Heard, Level, Values
from edge.rewiring.names import alike
from edge.rewiring.scales import between, canonical, explained
from edge.settings import Source
from tests.edge.rewired_plants import (
    BEGIN_NS,
    CHANNELS,
    NAMES,
    RENAMES,
    RESCALES,
    Plant,
    bundle,
    settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 90
SEEDS = range(12)
MEASURED = NAMES[:-1]  # without the door


def heard_of(plant: Plant, rows: int = ROWS, tags_max: int = TAGS_MAX) -> Heard:
    """What is heard of it through the gateway's own sources."""
    heard = Heard([Source()], expected_of(settings(), bundle()), tags_max=tags_max)
    for topic, payload, at_ns in plant.messages(rows):
        heard.take(topic, payload, received_ns=at_ns, retained=False)
    return heard


def found_in(plant: Plant, rows: int = ROWS) -> list[Difference]:
    """Differences of a plant."""
    expected = expected_of(settings(), bundle())
    return differences(expected, heard_of(plant, rows), seconds=float(rows))


@pytest.mark.parametrize("seed", range(40))
def test_a_plant_that_nobody_changed_differs_in_nothing(seed: int) -> None:
    """Also in half a minute, in which no tag shows all that it may."""
    assert found_in(Plant(seed)) == []
    assert found_in(Plant(seed), rows=30) == []


@pytest.mark.parametrize("style", RENAMES)
@pytest.mark.parametrize("name", MEASURED)
def test_a_renamed_tag_is_proposed(name: str, style: str) -> None:
    """Alone of all: its new name, why, and what to write; beside tags that are new and not it."""
    new = RENAMES[style](name)
    plant = Plant(seed=3, new={f"{name}_SP": (5.0, 0.0), "Heap": (71_233.0, 12.0)})
    plant.names[name] = new
    if new == name:
        return
    (one,) = found_in(plant)
    assert (one.kind, one.tag, one.to, one.sure) == (Kind.RENAMED, name, new, "likely")
    assert one.found.startswith(f"{name} -> {new}, same statistics")
    assert f'"{new}" = "{name}"' in one.do


@pytest.mark.parametrize("seed", SEEDS)
def test_all_tags_renamed_at_once_are_told_apart(seed: int) -> None:
    """Each has its own new name, in a style of its own, and no two the same."""
    rng = np.random.default_rng(seed)
    plant = Plant(seed)
    for name in MEASURED:
        plant.names[name] = RENAMES[str(rng.choice(list(RENAMES)))](name)
    found = {one.tag: one for one in found_in(plant)}
    changed = {name: new for name, new in plant.names.items() if name != new}
    assert {tag: one.to for tag, one in found.items()} == changed
    assert {one.kind for one in found.values()} == {Kind.RENAMED}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_name_that_says_nothing_is_at_most_a_maybe(seed: int) -> None:
    """By its values alone; the missing one may stay missing, and nothing else is said."""
    rng = np.random.default_rng(seed)
    name = str(rng.choice(MEASURED))
    plant = Plant(seed)
    plant.names[name] = "DB12_DBD40"
    (one,) = found_in(plant)
    assert one.tag == name
    if one.kind is Kind.RENAMED:
        assert (one.to, one.sure) == ("DB12_DBD40", "maybe")
    else:
        assert one.kind is Kind.MISSING


def test_two_as_good_are_both_named() -> None:
    """Who has two sensors at one place is not told which of them it is."""
    plant = Plant(seed=1, new={"PT101_B": (6.2, 0.15)})
    plant.names["PT_101"] = "PT101_A"
    (one,) = found_in(plant)
    assert one.kind is Kind.RENAMED
    assert one.sure == "maybe"
    assert {"PT101_A", "PT101_B"} <= set(one.found.replace(",", " ").split())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("said", [False, True], ids=["silently", "with its unit"])
def test_a_rescaled_tag_is_explained(seed: int, *, said: bool) -> None:
    """By the change that was made, or with it among those that are as good; or by its unit."""
    for name, unit, *_ in CHANNELS:
        for to, gain, offset in RESCALES.get(unit, ()):
            if said and to.startswith("/"):
                continue
            plant = Plant(seed)
            plant.change[name] = lambda value, a=gain, b=offset: a * value + b  # type: ignore[misc]
            if said:
                plant.units[name] = to
            (one,) = found_in(plant)
            assert (one.kind, one.tag) == (Kind.RESCALED, name)
            assert to in (one.found if one.sure == "maybe" else one.to), one
            if said:
                assert one.sure == "likely"


@pytest.mark.parametrize("power", [10.0, 100.0, 1000.0])
@pytest.mark.parametrize("name", MEASURED)
def test_a_decimal_point_that_moved_is_found(name: str, power: float) -> None:
    """Its factor is said, whether a unit explains it or not."""
    plant = Plant(seed=5, change={name: lambda value: value * power})
    (one,) = found_in(plant)
    assert (one.kind, one.tag) == (Kind.RESCALED, name)
    assert f"x{power:.4g}" in one.to + one.found


RETYPED: dict[str, Callable[[float], Any]] = {
    "text": lambda value: f"{value:.2f}",
    "words": lambda value: "OK" if value > 0 else "LOW",
    "bit": lambda value: int(value > 1e9),
    "whole": int,
}


@pytest.mark.parametrize("how", ["text", "words"])
@pytest.mark.parametrize("name", MEASURED)
def test_a_tag_that_became_text_is_told(name: str, how: str) -> None:
    """With an example, and whether it would be a number."""
    (one,) = found_in(Plant(seed=7, change={name: RETYPED[how]}))
    assert (one.kind, one.tag) == (Kind.RETYPED, name)
    assert ("would be numbers" in one.found) == (how == "text")


@pytest.mark.parametrize("name", ["PT_101", "FT_201", "MotorCurrent", "VIB_X", "TT_101"])
def test_a_tag_that_became_an_integer_or_a_bit_is_told(name: str) -> None:
    """One that used to move between whole numbers; a bit that never changes is elsewhere."""
    (one,) = found_in(Plant(seed=7, change={name: RETYPED["bit"]}))
    assert one.tag == name
    assert one.kind in (Kind.RETYPED, Kind.ELSEWHERE)
    plant = Plant(seed=7, change={name: RETYPED["whole"]})
    (one,) = found_in(plant)
    assert one.tag == name
    assert one.kind in (Kind.RETYPED, Kind.ELSEWHERE)


def test_null_and_nothing_are_missing() -> None:
    """A tag whose sender says null, one that is gone, one that comes only retained."""
    plant = Plant(seed=2, change={"PT_101": lambda _: None})
    del plant.names["TT_101"]
    del plant.names["VIB_X"]
    heard = heard_of(plant)
    kept = b'{"tag": "VIB_X", "value": 1.9, "ts": %d}' % (BEGIN_NS // 10**6)
    heard.take("plant/press4", kept, received_ns=BEGIN_NS, retained=True)
    found = {
        one.tag: one
        for one in differences(expected_of(settings(), bundle()), heard, seconds=float(ROWS))
    }
    assert set(found) == {"PT_101", "TT_101", "VIB_X"}
    assert {one.kind for one in found.values()} == {Kind.MISSING}
    assert "null" in found["PT_101"].found
    assert "retains" in found["VIB_X"].found
    assert "retains" not in found["TT_101"].found


def test_a_whole_asset_under_another_name() -> None:
    """The machine, not each of its tags, is proposed."""
    (one,) = found_in(Plant(seed=2, asset="Line3-Press4"))
    assert (one.kind, one.asset, one.to) == (Kind.ASSET, "press4", "Line3-Press4")
    assert 'asset = "press4"' in one.do
    silent = Heard([Source()], expected_of(settings(), bundle()))
    (one,) = differences(expected_of(settings(), bundle()), silent, seconds=60.0)
    assert (one.kind, one.to) == (Kind.ASSET, "")


def test_time_in_which_the_machine_stands_says_nothing_of_levels() -> None:
    """All values are zero then, and no zero is compared."""
    assert found_in(Plant(seed=4, standing=frozenset(range(20, 60)))) == []
    assert found_in(Plant(seed=4, standing=frozenset(range(ROWS)))) == []


def test_what_is_heard_has_bounds() -> None:
    """Beyond them values are counted and not kept; what cannot be read has its reason."""
    heard = heard_of(Plant(seed=1), tags_max=4)
    assert sum(map(len, heard.assets.values())) == 4
    assert heard.beyond == ROWS * (len(NAMES) + 1 - 4)
    heard.take("plant/press4", b"{", received_ns=BEGIN_NS, retained=False)
    heard.take("elsewhere/press4", b"{", received_ns=BEGIN_NS, retained=False)
    assert sum(heard.refused.values()) == 1
    values = Values()
    for start in range(0, 5 * NUMBERS_MAX, 100):
        values.take(np.arange(start, start + 100, dtype=np.float64), np.ones(100, bool))
    assert sorted(values.numbers.tolist()) == list(range(values.count - NUMBERS_MAX, values.count))


# --- properties ---


@given(st.sampled_from(["bar", "degC", "l/min", "rpm", "A", "V", "kW", "mm", "mm/s", "N", "kg"]))
def test_units_there_and_back_are_the_same(unit: str) -> None:
    """A conversion and its inverse leave any level where it was."""
    level = Level(3.0, 2.0, 4.0, 0.5)
    for other in (
        "kPa",
        "psi",
        "degF",
        "K",
        "m3/h",
        "Hz",
        "mA",
        "kV",
        "hp",
        "in",
        "in/s",
        "lbf",
        "g",
    ):
        there, back = between(unit, other), between(other, unit)
        assert (there is None) == (back is None)
        if there is not None and back is not None:
            assert back.undone(there.undone(level)) == pytest.approx(level, rel=1e-6)


@given(
    st.sampled_from(list(RESCALES)),
    st.floats(1.0, 1e4),
    st.floats(1e-3, 0.2),
    st.data(),
)
def test_a_change_is_explained_by_itself_unless_nothing_shows(
    unit: str, center: float, spread: float, data: st.DataObject
) -> None:
    """Whatever level and spread: what was done is among what explains it, or it looks as before."""
    sigma = spread * center
    usual = Usual(center=center, sigma=sigma, low=center - 2.3 * sigma, high=center + 2.3 * sigma)
    to, gain, offset = data.draw(st.sampled_from(RESCALES[unit]))
    told = [gain * v + offset for v in (center, center - 2 * sigma, center + 2 * sigma)]
    level = Level(told[0], told[1], told[2], gain * sigma)
    scales = explained(level, usual, unit=unit)
    assert not scales or any(canonical(to) in scale.says for scale in scales)
    if abs(told[0] - center) > 3 * 4.6 * sigma:
        assert scales


@given(st.text(max_size=30), st.text(max_size=30))
def test_names_are_alike_both_ways_and_within_bounds(one: str, other: str) -> None:
    """A name is itself; likeness has no direction that matters, and lies from 0 to 1."""
    assert 0.0 <= alike(one, other) <= 1.0
    if one.strip("_ .-/") and any(c.isalnum() for c in one):
        assert alike(one, one) >= 0.99


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("PT_101", "PT101_PV", True),
        ("PT_101", "PT-101", True),
        ("MotorCurrent", "motor_current", True),
        ("MotorCurrent", "Line3.Press4.MotorCurrent", True),
        ("PT_101", "PT_102", False),
        ("PT_101", "PT_101_SP", False),
        ("TankLevel", "TankLevelMax", False),
        ("VIB_X", "PT_101", False),
    ],
)
def test_names_of_the_field(one: str, other: str, *, same: bool) -> None:
    """What joins words does not matter; numbers and words of another quantity do."""
    assert (alike(one, other) >= 0.6) == same
