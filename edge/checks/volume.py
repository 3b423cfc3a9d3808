"""What `andon check` says of the disk: bytes a day, flash, and what other settings come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from rich.table import Column, Table

from edge.configuration.sections import JournalConfig
from edge.gateway.checkpoint_due import every_s
from edge.gateway.pace import ticks_per_s_max
from edge.samples.waveforms import block_bytes_per_day
from edge.storage.volume import (
    FLASH_GB,
    FLASH_WRITES,
    SAMPLE_BYTES,
    Volume,
    bytes_per_day,
    of_states,
    state_bytes,
    volume,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.configuration.config import GatewayConfig
    from models.bundles.bundle import Bundle


@dataclass(frozen=True, slots=True)
class FoundVolume:
    """One line, a table of other settings, and the bytes that are kept."""

    detail: str
    traded: Table
    kept: float


def volume_of(config: GatewayConfig, bundle: Bundle) -> FoundVolume:
    """What is written a day, what is kept, and what that means for a small flash."""
    made = {name for a in config.asset for form in a.waveform for name in form.named.values()}
    values_per_s = sum(
        sum(channel.name not in made for channel in m.channels) * 1e9 / m.period_ns
        for m in bundle.assets
    )
    history = sum((SAMPLE_BYTES + 4 * len(m.channels)) * 1e9 / m.period_ns for m in bundle.assets)
    blocks = sum(block_bytes_per_day(form) for one in config.asset for form in one.waveform)

    of_row = max(len(model.channels) for model in bundle.assets)
    rows_per_s = sum(1e9 / m.period_ns for m in bundle.assets)

    def under(values_per_message: float = of_row, **change: float | bool) -> Volume:
        """What other settings of the journal, or other messages, would come to."""
        kept = msgspec.structs.replace(config.journal, **change)
        messages_per_s = rows_per_s * of_row / values_per_message
        ticks_per_s = ticks_per_s_max(config.engine.tick_ms, messages_per_s=messages_per_s)
        apart_s = every_s(
            kept,
            messages_per_s=messages_per_s,
            assets=len(bundle.assets),
            ticks_per_s=ticks_per_s,
        )
        fastest_s = min(m.period_ns for m in bundle.assets) / 1e9
        whole = state_bytes(len(model.channels) for model in bundle.assets)
        written = bytes_per_day(
            values_per_s,
            values_per_message=values_per_message,
            ticks_per_s=ticks_per_s,
            compress=kept.compress,
        )
        return volume(
            journal_bytes_per_day=written + blocks,
            of_state=of_states(whole, samples=apart_s / fastest_s),
            history_bytes_per_s=history,
            bytes_max=kept.bytes_max,
            days_max=kept.days_max,
            checkpoint_s=apart_s,
            lost_s=0.0 if kept.strict else kept.sync_s,
        )

    now = under()
    kept = now.kept_bytes
    detail = (
        f"{values_per_s:.0f} values/s{_of_blocks(blocks)}: journal"
        f" {now.journal_bytes_per_day / 1e6:.0f} MB a day, checkpoints"
        f" {now.checkpoint_bytes_per_day / 1e6:.0f} MB a day, one about every"
        f" {now.replay_s:.3g} s; keeps {kept / 1e6:.0f} MB, of the"
        f" journal {now.days_kept:.1f} days; a {FLASH_GB} GB flash of {FLASH_WRITES} cycles lasts"
        f" about {_years(now)}{_of_singles(under(1.0)) if of_row > 1 else ''}; a power cut may take"
        f" {_lost(now)}"
    )
    return FoundVolume(detail, _trade(config, under), kept)


def _trade(config: GatewayConfig, under: Callable[..., Volume]) -> Table:
    """What other settings of the journal would come to, the present one first."""
    names = (
        "sync_s", "checkpoint_s", "replay_s", "compress", "MB a day", "flash", "power cut takes",
        "taken again",
    )  # fmt: skip
    # Whole words, also in 80 columns: a key that is cut cannot be looked up.
    columns = (Column(one, min_width=max(map(len, one.split()))) for one in names)
    table = Table(*columns, box=None, pad_edge=False, padding=(0, 1))
    now = config.journal
    others: list[dict[str, float | bool]] = [
        {},
        {"strict": True},
        {"strict": False, "sync_s": 1.0},
        {"strict": False, "sync_s": 60.0},
        {"checkpoint_s": 2.0},
        {"checkpoint_s": 60.0},
        {"replay_s": 0.0 if now.replay_s else JournalConfig().replay_s},
        {"compress": not now.compress},
    ]
    for change in others:
        one, made = msgspec.structs.replace(now, **change), under(**change)
        written = made.journal_bytes_per_day + made.checkpoint_bytes_per_day
        table.add_row(
            ("strict" if one.strict else f"{one.sync_s:g}") + ("" if change else " (now)"),
            f"{one.checkpoint_s:g}",
            f"{one.replay_s:g}" if one.replay_s else "no",
            "yes" if one.compress else "no",
            f"{written / 1e6:.0f}",
            _years(made),
            _lost(made),
            f"{made.replay_s:.3g} s",
        )
    return table


def _years(one: Volume) -> str:
    return f"{one.years:.0f} years" if one.years >= 2 else f"{12 * one.years:.0f} months"


def _lost(one: Volume) -> str:
    return f"{one.lost_s:g} s" if one.lost_s else "nothing that was acknowledged"


def _of_singles(one: Volume) -> str:
    """What it is where the plant sends a message a value, which nobody knows before it does."""
    return (
        f" (where each value is a message, not each row: {one.journal_bytes_per_day / 1e6:.0f} MB a"
        f" day, {one.days_kept:.1f} days, {_years(one)})"
    )


def _of_blocks(bytes_per_day: float) -> str:
    """What waveforms add, in words; "" without any."""
    if not bytes_per_day:
        return ""
    return f" and waveforms of {bytes_per_day / 1e6:.0f} MB a day"
