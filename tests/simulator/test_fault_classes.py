"""Faults of gearboxes named on machines that were never seen: the whole way, at small size."""

from __future__ import annotations

import numpy as np

from simulator.cells.gearbox_windows import (
    CLASSES,
    HEALTHY,
    UNSEEN,
    USUAL_BLOCKS,
    labelled_blocks,
    labelled_machine,
    row_channels,
)
from simulator.fault_classes import figures, name_faults


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
