"""Texts of a weld cell: manuals with limits from the channel table, settings of a gateway."""

from __future__ import annotations

import json
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Final

from simulator.cells.weld_records import order_table, schedule_table, scope_table, shift_logs
from simulator.cells.weld_signals import (
    CHANNELS,
    CURRENT,
    DEVIATION,
    FEED,
    FLOW,
    JOINT,
    PRESSURE,
    VOLTAGE,
    WIRE,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from simulator.faults import PlannedFault
    from simulator.jobs import PlannedJob, Work

LIMIT_GROUPS: Final = {
    "limits_arc": (CURRENT, VOLTAGE),
    "limits_gas": (FLOW, PRESSURE),
    "limits_feed": (FEED, WIRE),
    "limits_arm": (JOINT, DEVIATION),
    "limits_all": range(len(CHANNELS)),
}
USUAL_SIGMA: Final = 3.0
LIMIT_SIGMA: Final = 5.0
TRIP_SIGMA: Final = 8.0


def knowledge(
    *,
    seed: int,
    robots: int,
    begin_ns: int,
    n: int,
    jobs: Sequence[PlannedJob],
    faults: Sequence[PlannedFault],
) -> dict[str, str]:
    """Every text of the cell: path -> text. n: seconds of the scenario."""
    texts = manuals()
    texts["orders.csv"] = order_table(seed, robots, begin_ns, jobs, faults)
    texts["schedule.csv"] = schedule_table(seed, robots, begin_ns, jobs)
    texts["scope.csv"] = scope_table(robots, begin_ns)
    texts |= shift_logs(seed, robots, begin_ns, n, jobs, faults)
    return texts


# --- documents ---


def manuals() -> dict[str, str]:
    """Manuals, procedures and policies with their limits filled in."""
    limits = {name: _limit_table(chosen) for name, chosen in LIMIT_GROUPS.items()}
    root = resources.files("simulator").joinpath("texts", "weld")
    texts = {}
    for folder in ("manuals", "policies", "procedures"):
        for file in sorted(root.joinpath(folder).iterdir(), key=lambda entry: entry.name):
            if file.name.endswith(".md"):
                text = file.read_text(encoding="utf-8")
                texts[f"{folder}/{file.name}"] = Template(text).substitute(limits)
    return texts


def _limit_table(chosen: Iterable[int]) -> str:
    head = "| channel | unit | LL | L | usual | H | HH |\n|---|---|---|---|---|---|---|"
    return "\n".join([head, *(_limit_row(k) for k in chosen)])


def _limit_row(k: int) -> str:
    channel = CHANNELS[k]

    def at(sigmas: float) -> str:
        return f"{max(0.0, channel.level + sigmas * channel.noise):.{channel.decimals}f}"

    limits = [at(s) for s in (-TRIP_SIGMA, -LIMIT_SIGMA, LIMIT_SIGMA, TRIP_SIGMA)]
    usual = f"{at(-USUAL_SIGMA)} to {at(USUAL_SIGMA)}"
    cells = (channel.name, channel.unit, limits[0], limits[1], usual, limits[2], limits[3])
    return f"| {' | '.join(cells)} |"


# --- settings of a gateway ---


def gateway_toml(*, site: str, wired: Mapping[str, Work]) -> str:
    """Settings that run a gateway over the scenario; paths are relative to the file."""
    head = f"""site = {json.dumps(site)}
clock = "plant"

[mqtt]
host = "127.0.0.1"
port = 1883

[model]
bundle = "bundle"

[kb]
snapshot = "snapshot"

[journal]
dir = "journal"

[[source]]
topic = "plant/{{asset}}"
interval_ms_max = 20000
"""
    return "\n".join([head, *(_asset_toml(asset, work) for asset, work in wired.items())])


def _asset_toml(asset: str, work: Work) -> str:
    robot = asset.removeprefix("r")
    witness = f'role = "witness", kind = "{work.kind.value}", instrument = "{work.instrument}"'
    units = ", ".join(f'"{c.name}" = "{c.unit}"' for c in CHANNELS)
    return f"""[[asset]]
id = "{asset}"
functional_location = "WC1-ROB{robot}"
area = "weld cell 1"
consequence = "porosity, lack of fusion or bead beside the joint; parts go to rework"
cause = "arc, shielding gas, wire feed, tool centre point, or a sensor of these"
action = "compare the channel with the display of robot {robot}, then what the manual lists first"
respond_min = 15
severity = 600
units = {{ {units} }}
context = [
  {{ tag = "run_state", role = "run", running = [1.0] }},
  {{ tag = "cal_mode", {witness} }},
  {{ tag = "recipe", role = "info" }},
]
"""
