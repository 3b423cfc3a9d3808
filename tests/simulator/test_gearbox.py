"""The gearbox cell: faults act in the waveform, and what its monitor publishes tells them apart."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from models.features.features import as_levels, condition_features, feature_names
from simulator.cells import CELLS
from simulator.cells.gearbox import GEARBOX, INSIDE, GearboxFault
from simulator.cells.gearbox_signals import CHANNEL_NAMES, PERIOD_S, normal, stricken
from simulator.cells.gearbox_waves import SPEC, Defect, drawn_build, waves
from simulator.cells.gearbox_windows import CLASSES, UNSEEN, labelled_blocks
from simulator.faults import PlannedFault, fault_marks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulator.cells.signals import Course

    F64 = NDArray[np.float64]

NAMES: Final = feature_names(SPEC)
HOUR_S: Final = 3600
BEGIN_S: Final = 1203  # within rows
END_S: Final = 3007


def _levels(defect: Defect | None, severity: float, machine: int) -> F64:
    """Median levels (f,) over speeds and loads of one machine."""
    rng = np.random.default_rng(machine)
    build, b = drawn_build(rng), 12
    rpm, load = rng.uniform(1200.0, 1800.0, b), rng.uniform(0.3, 1.0, b)
    ill = {} if defect is None else {defect: np.full(b, severity)}
    blocks = waves(build, rng, rpm=rpm, load=load, severity=ill)
    levels = as_levels(condition_features(blocks, spec=SPEC, speed_rpm=rpm), SPEC)
    return np.asarray(np.median(levels, axis=0))


@pytest.mark.parametrize(
    ("defect", "feature"),
    [
        (Defect.OUTER_RACE, "envelope_de_bpfo"),
        (Defect.INNER_RACE, "envelope_de_bpfi"),
        (Defect.GEAR_TOOTH, "envelope_shaft0"),
        (Defect.MISALIGNMENT, "shaft0_2x"),
        (Defect.IMBALANCE, "shaft0_1x"),
    ],
)
def test_each_defect_moves_its_own_feature_most_and_more_the_worse_it_is(
    defect: Defect, feature: str
) -> None:
    """On most machines; of lines of shafts and envelopes, in dB against the healthy machine."""
    own = [k for k, name in enumerate(NAMES) if name.startswith(("envelope_", "shaft0_"))]
    named = 0
    for machine in range(6):
        healthy = _levels(None, 0.0, machine)
        shifts = [_levels(defect, size, machine) - healthy for size in (0.4, 1.0)]
        k = NAMES.index(feature)
        assert shifts[1][k] > shifts[0][k] > 0.0
        named += NAMES[own[int(np.argmax(shifts[1][own]))]] == feature
    assert named >= 4


def test_a_block_is_made_for_its_own_speed_and_noise_stays_with_a_defect() -> None:
    """Healthy and ill blocks differ by what the defect adds; without severity by nothing."""
    rpm, load, size = np.full(3, 1500.0), np.full(3, 0.7), np.array([0.0, 0.5, 0.0])
    made = [
        waves(
            drawn_build(np.random.default_rng(1)),
            np.random.default_rng(2),
            rpm=rpm,
            load=load,
            severity=severity,
            hits_rng=np.random.default_rng(3),
        )
        for severity in ({}, {Defect.OUTER_RACE: size})
    ]
    assert made[0].shape == (3, SPEC.block)
    assert made[0].dtype == np.float32
    apart = np.abs(made[0] - made[1]).max(axis=1)
    assert apart[1] > 1.0
    assert apart[0] < 1e-4 * np.abs(made[0]).max() > apart[2]


# --- the cell ---


@cache
def _hour(kind: GearboxFault | None, size: float = 5.0) -> Course:
    faults = []
    if kind is not None:
        marks = fault_marks(
            kind,
            channels=CHANNEL_NAMES,
            size=size,
            begin_s=BEGIN_S,
            end_s=END_S,
            rng=np.random.default_rng(0),
            forms=GEARBOX.forms,
        )
        fault = PlannedFault(
            fault_id="F", robot=1, kind=kind, situation="alone",
            begin_s=BEGIN_S, end_s=END_S, size=size, marks=marks,
        )  # fmt: skip
        faults = [fault]
    calm = ((0, HOUR_S),)
    return stricken(4, 1, n=HOUR_S, calm=calm, renewed=(), faults=faults)


def test_without_faults_an_hour_is_the_normal_one_and_a_longer_one_begins_alike() -> None:
    """A row every ten seconds; more hours only add."""
    bare = _hour(None)
    assert len(bare.values) == HOUR_S // PERIOD_S
    again = normal(4, 1, phase=0, n=HOUR_S, calm=((0, HOUR_S),))
    longer = normal(4, 1, phase=0, n=HOUR_S + 2400, calm=((0, HOUR_S),))
    assert np.array_equal(bare.values, again.values)
    same = slice(0, HOUR_S // PERIOD_S - 7)  # the medians at the end have other neighbours
    assert np.array_equal(longer.running[same], bare.running[same])
    assert np.allclose(longer.values[same, 3:], bare.values[same, 3:])


@pytest.mark.parametrize("kind", sorted(INSIDE))
def test_a_fault_has_its_size_on_its_first_channel_and_ends_when_it_ends(
    kind: GearboxFault,
) -> None:
    """Five sigmas over both setpoints were asked for, at either it may be half or twice that.

    Of what is not mechanical nothing moves, and nothing before.
    """
    from simulator.cells.cell import reference  # noqa: PLC0415 (heavy, this test only)

    shift = (_hour(kind).values - _hour(None).values) / reference(GEARBOX, 4, 1)[1]
    first, last = -(-BEGIN_S // PERIOD_S), -(-END_S // PERIOD_S)
    k = CHANNEL_NAMES.index(GEARBOX.forms[kind].signs[0][0])
    late = slice(first + 70, last)  # a ramp has reached its size
    assert 2.5 < np.median(shift[late, k]) < 10.0
    assert np.abs(shift[:first]).max() < 0.01
    assert np.abs(shift[last + 7 :]).max() < 0.01
    assert np.array_equal(shift[:, :3], np.zeros_like(shift[:, :3]))


def test_rows_come_every_ten_seconds_with_what_a_gateway_must_know() -> None:
    """One machine for half an hour, as it is written; the source may be silent for 30 s."""
    scenario = CELLS["gearbox"](seed=2, assets=1, hours=0.5)
    assert scenario.period_ns == PERIOD_S * 10**9
    assert scenario.rows == 180
    messages = list(scenario.messages())
    assert len(messages) >= 180  # a row leaves when it is made
    assert "interval_ms_max = 30000" in scenario.gateway
    values = scenario.values["g1"]
    assert values.shape == (180, len(CHANNEL_NAMES))
    assert np.isfinite(values).all()
    assert scenario.values.keys() == {"g1"}


# --- windows with labels ---


def test_windows_are_the_same_again_and_more_only_adds() -> None:
    """By seed and fleet; labels count from 0 in the order of the classes."""
    few, labels = labelled_blocks(5, 3, CLASSES[:2])
    more, _ = labelled_blocks(5, 7, CLASSES[:2])
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert few.shape == (6, len(NAMES))
    assert np.array_equal(few[:3], more[:3])
    assert np.array_equal(few[3:], more[7:10])
    other, _ = labelled_blocks(5, 3, CLASSES[:2], fleet="test")
    assert not np.isin(other, few).any()
    with pytest.raises(ValueError, match="no class 'rust'"):
        labelled_blocks(1, 1, ("rust",))
    with pytest.raises(ValueError, match="expected train or test"):
        labelled_blocks(1, 1, fleet="mine")


def _discriminant(features: F64, labels: NDArray[np.int64], asked: F64) -> NDArray[np.int64]:
    """Nearest class mean in the metric of the scatter within classes, shrunk to its diagonal."""
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-9
    z, q = (features - mean) / spread, (asked - mean) / spread
    means = np.stack([z[labels == c].mean(axis=0) for c in range(labels.max() + 1)])
    within = np.cov((z - means[labels]).T, bias=True)
    inverse = np.linalg.inv(0.8 * within + 0.2 * np.eye(len(within)))
    apart = q[:, None] - means
    distance = np.einsum("mcf,fg,mcg->mc", apart, inverse, apart)
    return np.asarray(distance.argmin(axis=1))


def test_a_plain_classifier_names_faults_of_machines_that_it_never_saw() -> None:
    """Twenty windows a class are enough for a linear rule to be right far beyond chance."""
    known, labels = labelled_blocks(21, 20)
    asked, truth = labelled_blocks(22, 20, fleet="test")
    found = _discriminant(as_levels(known, SPEC), labels, as_levels(asked, SPEC))
    ill = truth > 0
    named = ill & (found > 0)
    assert (found == truth).mean() > 0.75
    assert (found == truth)[named].mean() > 0.85
    assert UNSEEN not in CLASSES
