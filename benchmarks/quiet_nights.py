"""Nights, weekends and stops of a plant in which nothing breaks: what rings, and what is found.

    python -m benchmarks.quiet_nights --seeds 1:4 [--days 42] [--learn 14] [--sizes 1,0.5]

Each seed is a machine of its own: fitted on the days before, through the gateway at its defaults,
with tags that report by exception. Then faults are put into copies of some of its days, at full
size and half of it. Exit code 1 where anything rang in the weeks without a fault.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import TYPE_CHECKING, Final

from simulator.calm_plant import SECOND_NS
from simulator.quiet_nights import (
    FAULTS,
    LEARN_DAYS,
    MOMENTS,
    NIGHTS_DAYS,
    first_sample_at,
    found,
    quiet_bundle,
    told,
    weeks_after,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

DAYS_MIN: Final = 9  # a day before the week in which faults are, and one into which they last


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line a seed, each alert, and the sums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="1:4", help="half-open range, a:b")
    parser.add_argument("--days", type=int, default=NIGHTS_DAYS, help="without a fault")
    parser.add_argument("--learn", type=int, default=LEARN_DAYS, help="days to fit on")
    parser.add_argument("--sizes", default="1,0.5", help="of the faults; empty: none are tried")
    options = parser.parse_args(arguments)
    first, last = map(int, options.seeds.split(":"))
    sizes = [float(size) for size in options.sizes.split(",") if size]
    if sizes and options.days < DAYS_MIN:
        parser.error(
            f"faults are put into a week of days after the first: --days {DAYS_MIN} or more"
        )
    alerts = 0
    hits = dict.fromkeys(sizes, 0)
    moments = [(fault, day, hour) for fault in FAULTS for day, hour in MOMENTS]
    for seed in range(first, last):
        bundle = quiet_bundle(seed, days=options.learn)
        plant = weeks_after(seed, days=options.days, learned=options.learn)
        rang = told(bundle, plant)
        alerts += len(rang)
        on = bundle.assets[0].threshold_on
        print(
            f"seed {seed}: threshold {on:.2f}, {len(rang)} alerts in {options.days} days",
            flush=True,
        )
        for one in rang:
            minute = (one.begin_ns - plant.begin_ns) // (60 * SECOND_NS)
            print(f"  day {minute // 1440}, {minute % 1440 / 60:.1f} h: {one.track} {one.message}")
        for size in sizes:
            missed = [
                fault.name
                for fault, day, hour in moments
                if not found(bundle, plant, fault, at=first_sample_at(plant, day, hour), size=size)
            ]
            hits[size] += len(moments) - len(missed)
            print(f"  faults of size {size:g}: {len(missed)} of {len(moments)} missed", flush=True)
            for name, times in Counter(missed).items():
                print(f"    {times} times: {name}")
    tried = (last - first) * len(moments)
    print(f"{alerts} alerts in {last - first} times {options.days} days")
    for size, n in hits.items():
        print(f"faults of size {size:g}: {n} of {tried} found")
    return int(alerts > 0)


if __name__ == "__main__":
    sys.exit(main())
