"""A plant's folder of texts, made up: the same numbers give the same bytes.

Manuals with sections, orders of many assets, shift logs and a scope table; words are drawn from
parts, symptoms and actions, so that questions have answers. Machines of one type have a copy of the
same manual each, as in a plant, and people write the same few lines: so 20,000 passages have about
a thousand different texts, and the folder can be embedded while one waits.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

ASSETS: Final = tuple(f"r{i}" for i in range(1, 101))
CHANNELS: Final = ("Pressure", "CO2 Weld Flow", "Feed", "Current", "Voltage")
BEGIN: Final = datetime(2026, 1, 5, 6, tzinfo=UTC)
ROWS: Final = 500  # orders a table, lines a log
COPIES: Final = 80  # of each manual
LINES: Final = 150  # that people write, and words of orders
_PARTS: Final = (
    *("wire feeder", "liner", "contact tip", "gas nozzle", "regulator", "solenoid valve"),
    *("torch neck", "spindle bearing", "coolant pump", "impeller", "mechanical seal"),
    *("encoder", "gearbox", "drive belt", "clamp cylinder", "proximity switch", "filter"),
    *("hose", "earth cable", "power source", "tool changer", "check valve", "strainer"),
)
_SIGNS: Final = (
    *("flow too low", "pressure above its range", "current drops", "vibration rises"),
    *("temperature too high", "arc unstable", "feed stutters", "voltage falls", "noise"),
    *("signal stuck at its last value", "leak at the fitting", "slow response after a stop"),
)
_ACTIONS: Final = (
    *("clean and blow out", "replace", "tighten", "measure with the reference gauge"),
    *("adjust against the nominal value", "inspect for wear", "grease", "flush", "align"),
)
_KINDS: Final = ("calibration", "cleaning", "verification", "function_test")
_PLACES: Final = ("on the left side", "behind the guard", "at the manifold", "near the cabinet")


def write_folder(folder: Path, *, documents: int, passages: int, seed: int = 1) -> Path:
    """Write about so many documents and passages; a fifth of the passages are rows."""
    rng = random.Random(seed)  # noqa: S311 - seeded, on purpose
    rows = passages // 5
    tables = max(2, rows // ROWS)
    manuals = documents - tables - 1
    sections = (passages - rows) / manuals
    for i in range(manuals):
        path = folder / "manuals" / f"{i // 100:03d}" / f"m{i:05d}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        count = int(sections * (i + 1)) - int(sections * i)
        same = random.Random(f"{seed} {i // COPIES}")  # noqa: S311 - seeded, on purpose
        path.write_text(manual(same, i, max(1, count)), encoding="utf-8")
    for i in range(tables):
        text, path = (
            (_orders(rng, i), folder / "orders" / f"o{i:03d}.csv")
            if i % 2 == 0
            else (_log(rng, i), folder / "logs" / f"l{i:03d}.log")
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (folder / "scope.csv").write_text(_scope(), encoding="utf-8")
    return folder


def manual(rng: random.Random, number: int, sections: int) -> str:
    """One manual; two thirds are of one asset."""
    part = rng.choice(_PARTS)
    title = f"{part.title()} {number // COPIES}"
    head = ["---", f"doc_id: MAN-{number}", "kind: manual", f"title: {title}"]
    if number % 3:
        head.append(f"assets: [{ASSETS[number % len(ASSETS)]}]")
    lines = [*head, "---", f"# {title}", ""]
    for section in range(sections):
        other, sign = rng.choice(_PARTS), rng.choice(_SIGNS)
        lines += [f"## {other.title()}, step {section + 1}", ""]
        for _ in range(4):
            lines.append(
                f"When {rng.choice(_SIGNS)} or {sign}, {rng.choice(_ACTIONS)} the"
                f" {rng.choice(_PARTS)} {rng.choice(_PLACES)} and {rng.choice(_ACTIONS)} the"
                f" {other}; allow {rng.randrange(2, 90)} minutes and note"
                f" {rng.randrange(100, 999)} in the book."
            )
        lines.append("")
    return "\n".join(lines)


def orders_table(rng: random.Random, first: int, count: int) -> str:
    """Orders with real times, a tenth of them called off."""
    lines = ["order_id,asset,kind,instrument,status,start,end,recorded_at,approved_by,description"]
    for i in range(first, first + count):
        begin = BEGIN + timedelta(minutes=rng.randrange(120 * 1440))
        end = begin + timedelta(minutes=rng.randrange(10, 200), seconds=rng.randrange(60))
        asset = ASSETS[i % len(ASSETS)]
        kind = _KINDS[i % len(_KINDS)]
        status = "CAN" if rng.random() < 0.1 else "APPR"
        lines.append(
            f"WO-{i:06d},{asset},{kind},gas_flow,{status},{begin.isoformat()},"
            f"{end.isoformat()},{(begin - timedelta(days=2)).isoformat()},planner,"
            f"{_ACTIONS[i % 4]} {_PARTS[i % 4]}"
        )
    return "\n".join(lines) + "\n"


def _orders(rng: random.Random, table: int) -> str:
    return orders_table(rng, table * ROWS, ROWS)


def _log(rng: random.Random, table: int) -> str:
    lines = ["# zone: Europe/Berlin"]
    at = BEGIN.replace(tzinfo=None) + timedelta(days=table)
    for _ in range(ROWS):
        at += timedelta(minutes=rng.randrange(1, 20))
        few = random.Random(rng.randrange(LINES))  # noqa: S311 - seeded, on purpose
        asset = few.choice(ASSETS).upper()
        said = few.choice(
            (
                f"{asset} {few.choice(_SIGNS)}, {few.choice(_ACTIONS)} {few.choice(_PARTS)}",
                f"{asset} gas flow cal done, JT",
                f"WO-{few.randrange(500):06d} not done, {asset} next shift",
            )
        )
        lines.append(f"{at:%Y-%m-%d %H:%M} {said}")
    return "\n".join(lines) + "\n"


def _scope() -> str:
    head = (
        "kind,asset,instrument,channels,expected_effect,duration_min_max,settle_s,"
        "approved_by,approved_at\n"
    )
    return head + "".join(
        f"{kind},{asset},gas_flow,CO2 Weld Flow;Pressure,0.5,240,240,engineer,"
        "2026-01-02T08:00:00Z\n"
        for asset in ASSETS
        for kind in _KINDS
    )
