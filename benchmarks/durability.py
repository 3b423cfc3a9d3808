"""What nothing lost costs: journal and checkpoints of a large plant, as a share of one core.

    python -m benchmarks.durability [--assets 1000] [--rate 100000] [--batch-rows 1]

Real messages are written to a real journal in groups of 20 ms, and checkpoints of an engine whose
histories are full are taken as often as a gateway takes them. Shares are processor time, user and
system, of all threads, of the time in which the plant sends as much. Bytes are what the process
gave to the disk, page by page (/proc/self/io), so that small synced writes count as what they
cost. The last line is JSON. Exit code 1 when the default settings need more than 10 % of a core.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.many_assets import ask_for_load, bundle_of, lived, load_of, messages
from benchmarks.plant import MILLISECOND_NS, Load
from edge.caps import RING_SAMPLES
from edge.gateway.checkpoint_due import EVERY_S_MIN
from edge.gateway.saving import ASSETS_A_TURN
from edge.records import MessageReceived, TickDue
from edge.storage.apart import Copied
from edge.storage.asset_states import LINKS_MAX
from edge.storage.checkpoint import Checkpoint, Packer, write
from edge.storage.journal import Position
from edge.storage.journal_writer import DAY_S, JournalWriter

if TYPE_CHECKING:
    from edge.assembly.assembly import Assembly

SHARE_MAX: Final = 0.10
GROUP_S: Final = 0.02
TICK_S: Final = 0.1
SECONDS: Final = 5.0  # of the plant, for each setting
ROUNDS: Final = 3
CHECKPOINTS: Final = 2 * LINKS_MAX + 1  # twice around: whole states and what follows them
CHECKPOINT_S: Final = EVERY_S_MIN  # as often as a busy plant has them
DEFAULT: Final = "5"
SYNCS: Final = ("strict", "0.2", "1", "5", "60", "5, not packed")


def main() -> int:
    """Measure and print; returns the exit code."""
    options = _options()
    load = load_of(options, batches=0)
    rows = max(
        load.batch_rows, int(SECONDS * 1000 / load.period_ms) // load.batch_rows * load.batch_rows
    )
    sent = messages(load, first_ns=1, rows=rows)
    seconds = rows * load.period_ms / 1000
    with tempfile.TemporaryDirectory(prefix="andon-durability-", dir=options.dir) as scratch:
        folder = Path(scratch)
        journal = {sync: _journal(sent, seconds, sync, folder / sync) for sync in SYNCS}
        checkpoint = _checkpoints(load, folder / "checkpoints")
    told = _told(load, sent, seconds, journal, checkpoint)
    _show(load, told, Console())
    sys.stdout.write(json.dumps(told) + "\n")
    return 0 if told["share_default"] < SHARE_MAX else 1


def _options() -> Any:  # noqa: ANN401 - argparse's namespace
    parser = argparse.ArgumentParser(prog="python -m benchmarks.durability", description=__doc__)
    ask_for_load(parser, rate=100_000)
    parser.add_argument("--dir", type=Path, help="on the disk that is meant; a temporary one")
    return parser.parse_args()


def _journal(
    sent: list[MessageReceived], seconds: float, sync: str, folder: Path
) -> dict[str, float]:
    """Processor share, bytes of the journal and bytes to the disk a second: of the middle round."""
    groups = round(seconds / GROUP_S)
    size = -(-len(sent) // groups)
    found: list[dict[str, float]] = []
    for i in range(ROUNDS):
        strict, packed = sync == "strict", "packed" not in sync
        writer = JournalWriter(folder / str(i), sync_s=1e9, strict=strict, compress=packed)
        sync_groups = 1 if strict else max(1, round(float(sync.partition(",")[0]) / GROUP_S))
        before_s, before = time.process_time(), _disk_bytes()
        for group in range(groups):
            now_ns = 1_790_000_000_000_000_000 + group
            part = sent[group * size : (group + 1) * size]
            entries: list[Any] = [(now_ns, message) for message in part]
            if group % round(TICK_S / GROUP_S) == 0:
                entries.append((now_ns, TickDue()))
            writer.append(entries)
            if group % sync_groups == sync_groups - 1 and not strict:
                writer.sync()
        share = (time.process_time() - before_s) / seconds
        disk = (_disk_bytes() - before) / seconds
        kept = writer.bytes_kept() / seconds
        writer.close()
        found.append({"share": share, "journal_bytes_per_s": kept, "disk_bytes_per_s": disk})
    return sorted(found, key=lambda one: one["share"])[ROUNDS // 2]


def _checkpoints(load: Load, folder: Path) -> dict[str, float]:
    """Processor time and bytes of one checkpoint, and for how long a turn stands still for it."""
    bundle = bundle_of(load)
    assembly, now_ns = lived(bundle, load, rows=RING_SAMPLES + 64)
    packer = Packer(folder)
    rows = max(1, round(CHECKPOINT_S * 1000 / load.period_ms))
    stalls, copies, costs, sizes, disks = [], [], [], [], []
    for i in range(CHECKPOINTS):
        now_ns = _go_on(assembly, load, rows, now_ns)
        before = _disk_bytes()
        begin_s = time.process_time()
        copied = Copied()
        copying, state = assembly.engine.copied(copied.keep)
        kept = Checkpoint(
            position=Position(1, 8 + i),
            fingerprint="f",
            state=state,
            written_by="0",
        )
        made = packer.begun(kept, copied)
        spent = [time.process_time() - begin_s]
        while copying.left:  # a turn of the loop each
            turn_s = time.process_time()
            copying.more(ASSETS_A_TURN)
            spent.append(time.process_time() - turn_s)
        write(made)
        costs.append(time.process_time() - begin_s)
        stalls.append(max(spent))
        copies.append(sum(spent))
        link = made.path.parent / made.links[-1]
        history = made.path.parent / made.names[-1]
        sizes.append(sum(path.stat().st_size for path in (made.path, history, link)))
        disks.append(_disk_bytes() - before)
    return {
        "stall_ms_first": 1000 * stalls[0],
        "stall_ms": 1000 * sorted(stalls[1:])[len(stalls[1:]) // 2],
        "copy_ms": 1000 * sorted(copies[1:])[len(copies[1:]) // 2],
        "stall_ms_max": 1000 * max(stalls[1:]),
        "cpu_ms": 1000 * sum(costs[1:]) / len(costs[1:]),
        "bytes_first": sizes[0],
        "bytes": sum(sizes[1:]) / len(sizes[1:]),
        "disk_bytes": sum(disks[1:]) / len(disks[1:]),
    }


def _go_on(assembly: Assembly, load: Load, rows: int, now_ns: int) -> int:
    """Let every asset send some more rows, in blocks."""
    blocks = msgspec.structs.replace(load, batch_rows=min(rows, 64))
    first_ns = now_ns + load.period_ms * MILLISECOND_NS
    for message in messages(
        blocks, first_ns=first_ns, rows=rows // blocks.batch_rows * blocks.batch_rows
    ):
        if message.received_ns > now_ns:
            assembly.engine.handle(TickDue(), now_ns=now_ns)
            now_ns = message.received_ns
        assembly.engine.handle(message, now_ns=now_ns)
    assembly.engine.handle(TickDue(), now_ns=now_ns)
    return now_ns


def _disk_bytes() -> int:
    """What this process has given to the disk so far; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def _told(
    load: Load,
    sent: list[MessageReceived],
    seconds: float,
    journal: dict[str, dict[str, float]],
    checkpoint: dict[str, float],
) -> dict[str, Any]:
    payload = sum(len(message.payload) for message in sent) / seconds
    of_checkpoints = checkpoint["cpu_ms"] / 1000 / CHECKPOINT_S
    bytes_of_checkpoints = checkpoint["bytes"] / CHECKPOINT_S
    rows = {}
    for sync, one in journal.items():
        disk = one["disk_bytes_per_s"] + checkpoint["disk_bytes"] / CHECKPOINT_S
        rows[sync] = {
            "journal_share": round(one["share"], 4),
            "share": round(one["share"] + of_checkpoints, 4),
            "gb_per_day": round(
                (one["journal_bytes_per_s"] + bytes_of_checkpoints) * DAY_S / 1e9, 1
            ),
            "disk_gb_per_day": round(disk * DAY_S / 1e9, 1),
            "write_amplification": round(disk / payload, 2),
        }
    return {
        "assets": load.assets,
        "values_per_s": load.values_per_s,
        "messages_per_s": round(len(sent) / seconds),
        "payload_gb_per_day": round(payload * DAY_S / 1e9, 1),
        "checkpoint": {key: round(value, 1) for key, value in checkpoint.items()},
        "checkpoint_share": round(of_checkpoints, 4),
        "sync_s": rows,
        "share_default": rows[DEFAULT]["share"],
    }


def _show(load: Load, told: dict[str, Any], console: Console) -> None:
    console.print(
        f"{load.assets} assets, {load.values_per_s:.0f} values/s in {told['messages_per_s']}"
        f" messages/s; payloads {told['payload_gb_per_day']} GB a day",
        highlight=False,
    )
    one = told["checkpoint"]
    console.print(
        f"checkpoint every {CHECKPOINT_S:g} s: {one['cpu_ms']:.0f} ms of processor time, the loop"
        f" gives {one['copy_ms']:.0f} ms of them, at most {one['stall_ms']:.1f} ms at once"
        f" (first {one['stall_ms_first']:.0f} ms, then at most {one['stall_ms_max']:.0f} ms),"
        f" {one['bytes'] / 1e6:.1f} MB"
        f" (first {one['bytes_first'] / 1e6:.1f} MB)",
        highlight=False,
    )
    table = Table("sync_s", "journal", "with checkpoints", "GB a day", "to the disk", "amplified")
    for sync, row in told["sync_s"].items():
        table.add_row(
            sync,
            f"{row['journal_share']:.1%}",
            f"{row['share']:.1%}",
            f"{row['gb_per_day']:.1f}",
            f"{row['disk_gb_per_day']:.1f}",
            f"x{row['write_amplification']:.2f}",
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
