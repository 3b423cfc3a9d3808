"""Texts of a cell: manuals with limits from the channel table, papers, settings of a gateway."""

from __future__ import annotations

import json
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Final

from simulator.cells.engineering import failure_mode_table, limit_table, sensor_table
from simulator.cells.messy_papers import messy_logs, order_export
from simulator.cells.paperwork import order_table, schedule_table, scope_table, shift_logs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from simulator.cells.cell import CellType
    from simulator.cells.plan import Plan
    from simulator.cells.signals import ChannelForm
    from simulator.jobs import Work

USUAL_SIGMA: Final = 3.0
LIMIT_SIGMA: Final = 5.0
TRIP_SIGMA: Final = 8.0


def knowledge(
    cell: CellType, seed: int, *, machines: int, begin_ns: int, n: int, plan: Plan
) -> dict[str, str]:
    """Every text of the cell: path -> text. n: seconds of the scenario."""
    texts = manuals(cell)
    texts["orders.csv"] = order_table(cell, seed, machines, begin_ns, plan.jobs, plan.faults)
    texts["schedule.csv"] = schedule_table(cell, seed, machines, begin_ns, plan.jobs)
    texts |= shift_logs(cell, seed, machines, begin_ns, n, plan.jobs, plan.faults)
    return texts | approved_tables(cell, seed, machines=machines, begin_ns=begin_ns)


def messy_knowledge(
    cell: CellType, seed: int, *, machines: int, begin_ns: int, n: int, plan: Plan
) -> dict[str, str]:
    """Every text of a messy cell: what few planned orders are left, an export of the others, logs.

    n: seconds of the scenario.
    """
    planned = [job for job in plan.jobs if job.witness == "order"]
    texts = manuals(cell)
    texts["orders.csv"] = order_table(cell, seed, machines, begin_ns, planned, ())
    texts["export.csv"] = order_export(cell, seed, machines=machines, begin_ns=begin_ns, plan=plan)
    texts |= messy_logs(cell, seed, machines=machines, begin_ns=begin_ns, n=n, plan=plan)
    return texts | approved_tables(cell, seed, machines=machines, begin_ns=begin_ns)


def approved_tables(cell: CellType, seed: int, *, machines: int, begin_ns: int) -> dict[str, str]:
    """What engineers have approved: scope, failure modes, sensors, limits."""
    return {
        "scope.csv": scope_table(cell, machines, begin_ns),
        "failure_modes.csv": failure_mode_table(cell),
        "sensors.csv": sensor_table(cell, machines),
        "limits.csv": limit_table(cell, seed, machines, begin_ns),
    }


# --- documents ---


def manuals(cell: CellType) -> dict[str, str]:
    """Manuals, procedures and policies with their limits filled in."""
    by_name = {channel.name: channel for channel in cell.channels}
    limits = {
        field: _limit_table(by_name[name] for name in names)
        for field, names in cell.limit_groups.items()
    }
    root = resources.files("simulator").joinpath("texts", cell.name)
    texts = {}
    for folder in ("manuals", "policies", "procedures"):
        for file in sorted(root.joinpath(folder).iterdir(), key=lambda entry: entry.name):
            if file.name.endswith(".md"):
                text = file.read_text(encoding="utf-8")
                texts[f"{folder}/{file.name}"] = Template(text).substitute(limits)
    return texts


def _limit_table(chosen: Iterable[ChannelForm]) -> str:
    head = "| channel | unit | LL | L | usual | H | HH |\n|---|---|---|---|---|---|---|"
    return "\n".join([head, *(_limit_row(channel) for channel in chosen)])


def _limit_row(channel: ChannelForm) -> str:
    def at(sigmas: float) -> str:
        by = channel.swing * (1.0 if sigmas > 0 else -1.0) + sigmas * channel.noise
        return f"{max(0.0, channel.level + by):.{channel.decimals}f}"

    limits = [at(s) for s in (-TRIP_SIGMA, -LIMIT_SIGMA, LIMIT_SIGMA, TRIP_SIGMA)]
    usual = f"{at(-USUAL_SIGMA)} to {at(USUAL_SIGMA)}"
    cells = (channel.name, channel.unit, limits[0], limits[1], usual, limits[2], limits[3])
    return f"| {' | '.join(cells)} |"


# --- settings of a gateway ---


def gateway_toml(
    cell: CellType, *, site: str, wired: Mapping[int, Work], waves: bool = False
) -> str:
    """Settings that run a gateway over the scenario; paths are relative to the file.

    wired: number of each machine -> the work that its function-check bit means. waves: waveforms
    are sent instead of what the cell makes of them.
    """
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
interval_ms_max = {max(20_000, 3_000 * cell.period_s)}
"""
    toml = cell.waves.toml if waves and cell.waves is not None else ""
    return "\n".join([head, *(_asset_toml(cell, n, work) + toml for n, work in wired.items())])


def _asset_toml(cell: CellType, number: int, work: Work) -> str:
    witness = f'role = "witness", kind = "{work.kind.value}", instrument = "{work.instrument}"'
    units = ", ".join(f'"{c.name}" = "{c.unit}"' for c in cell.channels)
    place = cell.place
    return f"""[[asset]]
id = "{cell.asset(number)}"
functional_location = "{place.functional_location.format(n=number)}"
area = "{place.area}"
consequence = "{place.consequence}"
cause = "{place.cause}"
action = "{place.action.format(n=number)}"
respond_min = 15
severity = 600
units = {{ {units} }}
context = [
  {{ tag = "run_state", role = "run", running = [1.0] }},
  {{ tag = "cal_mode", {witness} }},
  {{ tag = "{cell.mode_tag}", role = "info" }},
]
"""
