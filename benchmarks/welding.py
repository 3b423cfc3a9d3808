"""Welding recordings: fit on the good weld, then the defects and the good rows held back, honestly.

    python -m benchmarks.welding DIR

Only rows with the arc on are used: without a run-state tag its end would be the first anomaly.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.assembly.assembly import Assembly
from edge.bundles.training import fit_bundle, table_samples
from edge.recordings.recording import read_table, table_messages
from edge.replays.backtest import Backtest, with_ticks
from edge.replays.backtest_command import table_settings

if TYPE_CHECKING:
    from edge.assessment.assess import Episode
    from models.bundles.bundle import Bundle

ARC_A: Final = 60.0  # primary current with the arc on
RAMP_ROWS: Final = 20  # after ignition and before the end, both transients of their own
TRAINING: Final = 0.65  # of the good weld's arc


def arc_rows(path: Path) -> tuple[int, int]:
    """The longest stretch of rows with the arc on, without its ramps."""
    table = read_table(path)
    names = [channel.name for channel in table.channels]
    on = np.flatnonzero(table.values[:, names.index("Primary Weld Current")] > ARC_A)
    return int(on[0]) + RAMP_ROWS, int(on[-1]) - RAMP_ROWS // 4


def events(path: Path, bundle: Bundle, rows: tuple[int, int]) -> list[Episode]:
    """Events of the engine over some rows."""
    table = read_table(path, rows=rows)
    backtest = Backtest(Assembly(table_settings(table), bundle=bundle, snapshot=None).engine)
    backtest.run(with_ticks(table_messages(table)))
    return backtest.episodes()


def row_of(path: Path, t_ns: int) -> int:
    """The row of a recording at a time."""
    return int(np.searchsorted(read_table(path).t_ns, t_ns))


def main() -> int:
    """Print a line a recording."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="folder with the welding CSV files")
    folder = parser.parse_args().directory
    good = next(folder.glob("good*.csv"))
    first, last = arc_rows(good)
    split = first + int((last - first) * TRAINING)
    samples = table_samples(good, rows=f"{first}:{split}", mapping=None, asset="")
    bundle = fit_bundle([(samples, "rows")])
    held_back = events(good, bundle, (split, last))
    print(f"good, rows {split}:{last} held back: {len(held_back)} events")
    found = 0
    defects = [path for path in sorted(folder.glob("*.csv")) if path != good]
    for path in defects:
        rows = arc_rows(path)
        opened = events(path, bundle, rows)
        found += bool(opened)
        begins = ", ".join(f"row {row_of(path, e.begin_ns)} {e.top_channel}" for e in opened)
        print(f"{path.stem}: rows {rows[0]}:{rows[1]}: {begins or 'nothing'}")
    print(f"found: {found} of {len(defects)}; events on held-back good rows: {len(held_back)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
