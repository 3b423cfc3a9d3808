"""Faults of gearboxes named on machines that were never seen: the whole way, at small size."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from benchmarks.fault_classes import reached
from simulator.cells.gearbox_windows import (
    CLASSES,
    HEALTHY,
    UNSEEN,
    USUAL_BLOCKS,
    labelled_blocks,
    labelled_machine,
    row_channels,
)
from simulator.fault_classes import ClassFigures, figures, name_faults


@pytest.mark.not_counted
def test_a_few_machines_teach_to_name_faults_of_others() -> None:
    """Three machines a class are fifteen windows; what nobody labelled is not called a fault."""
    trials = name_faults(41, labels=(15,), left_out=(UNSEEN,), test_machines=2, processes=1)
    assert [(trial.labels, trial.draw) for trial in trials] == [(15, 0)]
    (told,) = figures(trials)
    assert told.fault_right > 0.7
    assert told.named_right > 0.9
    assert told.unseen_silent > 0.7
    assert told.trials == 1
    assert told.fault_right == told.fault_right_worst == trials[0].fault_right


def row(**more: float) -> ClassFigures:
    """A row that just reaches what is promised with 100 labels, but for `more`."""
    body = {"labels": 100, "left_out": UNSEEN, "trials": 3, "fault_right": 0.9, "named_right": 0.95}
    rest = dict.fromkeys(set(ClassFigures.__struct_fields__) - set(body), 0.8)
    return msgspec.convert(body | rest | more, ClassFigures)


@pytest.mark.parametrize("labels", [20, 100])
def test_what_is_refused_instead_of_named_counts_against_the_promise(labels: int) -> None:
    """A head that names next to nothing, but that right, is no good one."""
    assert reached(row(labels=labels))
    assert not reached(row(labels=labels, fault_right=0.79, named_right=1.0))
    assert not reached(row(labels=labels, named_right=0.79))
    assert not reached(row(labels=labels, unseen_abstained=0.79))


def test_more_labels_are_asked_for_more() -> None:
    """Nine of ten of all windows, and of those named 95 of 100."""
    assert not reached(row(fault_right=0.89))
    assert not reached(row(named_right=0.94))
    assert reached(row(labels=20, fault_right=0.8, named_right=0.8))


def test_a_labelled_machine_is_that_of_the_labelled_blocks() -> None:
    """Its windows are the rows of which the blocks are medians, beside its own usual record."""
    machine = labelled_machine(5, CLASSES[1], 0)
    blocks, _ = labelled_blocks(5, 5, (CLASSES[1],))
    names = [name for name, _ in row_channels()]
    assert machine.usual.shape == (USUAL_BLOCKS, len(names))
    speed = names.index("rms")
    medians = [np.median(window[:, speed]) for window in machine.windows]
    assert np.allclose(medians, 20.0 * np.log10(blocks[:, 0]), atol=0.05)
    healthy = labelled_machine(5, HEALTHY, 0)
    level = names.index("envelope_de_bpfo")
    ill, well = (np.median(np.concatenate(m.windows)[:, level]) for m in (machine, healthy))
    assert ill > np.median(machine.usual[:, level]) + 1.0
    assert abs(well - np.median(healthy.usual[:, level])) < 1.0
