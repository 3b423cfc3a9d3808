"""The two disturbances that the demo shows beside each other: what is drawn of each."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from rich.console import Console

from models.bundles.bundle import Channel
from simulator import demo_screen as screen
from tests.simulator.test_demo_screen import SHIFT, cell, event


def test_what_is_drawn_is_what_the_words_below_it_are_of() -> None:
    """The channel that the event names, also where the fault moved another one more."""
    plain = cell()
    both = replace(
        plain,
        channels=(*plain.channels, Channel(name="Pressure", unit="bar")),
        values={asset: np.hstack([v, v / 10]) for asset, v in plain.values.items()},
        level={asset: np.array([13.0, 1.3]) for asset in plain.values},
        sigma={asset: np.array([1.0, 0.1]) for asset in plain.values},
    )
    console = Console(record=True, width=80, file=io.StringIO())
    screen.show_twins(both, [event(2010, top_channel="Pressure"), SHIFT[2]], console)
    grey, amber = console.export_text().split("a fault of r1")
    assert "Pressure, bar, while running" in amber
    assert "Flow, l/min, while running" in grey
