"""How much is written, how long it is kept, and how long a flash lasts under it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from edge.storage.asset_states import LINKS_MAX
from edge.storage.checkpoint import KEPT
from edge.storage.journal_writer import DAY_S

if TYPE_CHECKING:
    from collections.abc import Iterable

TICK_BYTES: Final = 36  # of a record that holds a tick
MESSAGE_BYTES: Final = 125  # of a record that holds a message, without its values
VALUE_BYTES: Final = 12.5  # of a value with its name, as JSON
NAMES_BYTES: Final = 28  # more in a message of one value, which spells out what it holds
PACKED: Final = 4.0  # times as small are packed groups of a plant's JSON, at 20 messages a group
PACKED_SINGLE: Final = 9.0  # of messages of one value, which are more alike
FLASH_WRITES: Final = 3_000  # erase cycles of cheap flash
FLASH_GB: Final = 32
YEARS_TOLD_MAX: Final = 99
PAGE_BYTES: Final = 4_096
GROUPS_PER_S: Final = 50  # a group is written within 20 ms
# Of an asset in a packed checkpoint, once it has run for a while, beside its history; of a channel.
ASSET_BYTES: Final = 900
CHANNEL_BYTES: Final = 550
SAMPLE_BYTES: Final = 9  # in a history, beside four a channel
# Of a state that follows one shortly before: what changes with every checkpoint, and its samples.
CHANGED: Final = 0.06
WINDOW_SAMPLES: Final = 128


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes a day, what is kept of them, and what a power cut may take, under some settings.

    days_kept: of the journal. years: until the flash has been written FLASH_WRITES times. lost_s:
    of what a power cut may take; replay_s: of plant time that a restart takes again, at most.
    """

    journal_bytes_per_day: float
    checkpoint_bytes_per_day: float
    kept_bytes: float
    days_kept: float
    years: float
    lost_s: float
    replay_s: float


def bytes_per_day(
    values_per_s: float,
    *,
    values_per_message: float,
    ticks_per_s: float = 0.0,
    compress: bool = False,
) -> float:
    """Roughly what a plant's messages and the engine's ticks take on disk a day.

    Numbers as JSON text, names once a message: a plant of a message a value, `values_per_message`
    1, writes several times what one of a message a row does.
    """
    per_message = max(values_per_message, 1.0)
    single = per_message < 2.0
    bytes_per_message = MESSAGE_BYTES + VALUE_BYTES * per_message + NAMES_BYTES * single
    smaller = (PACKED_SINGLE if single else PACKED) if compress else 1.0
    messages = values_per_s / per_message * bytes_per_message / smaller
    return (messages + ticks_per_s * TICK_BYTES) * DAY_S


def state_bytes(channels: Iterable[int]) -> float:
    """Roughly what a checkpoint has without histories, of assets with so many channels each."""
    return float(sum(ASSET_BYTES + CHANNEL_BYTES * count for count in channels))


def of_states(of_state: float, *, samples: float) -> float:
    """Bytes of the states of a checkpoint in the mean, whole ones and those that follow them.

    of_state: of a whole one; samples: of an asset from one checkpoint to the next.
    """
    followed = min(1.0, CHANGED + samples / WINDOW_SAMPLES)
    return of_state * (1 + (LINKS_MAX - 1) * followed) / LINKS_MAX


def volume(
    *,
    journal_bytes_per_day: float,
    of_state: float,
    history_bytes_per_s: float,
    bytes_max: float,
    days_max: float,
    checkpoint_s: float,
    lost_s: float,
) -> Volume:
    """What some settings come to.

    of_state: bytes of a checkpoint without histories, in the mean. history_bytes_per_s: of these,
    each written twice, once as it comes and once with the whole. lost_s: 0 syncs each group.
    """
    checkpoints = DAY_S * (of_state / max(checkpoint_s, 0.1) + 2 * history_bytes_per_s)
    kept = min(bytes_max, journal_bytes_per_day * days_max)
    syncs_per_s = 1.0 / max(lost_s, 1.0 / GROUPS_PER_S)
    pages = syncs_per_s * PAGE_BYTES * DAY_S  # the last page of the journal, once more each time
    per_day = journal_bytes_per_day + checkpoints + pages
    return Volume(
        journal_bytes_per_day=journal_bytes_per_day,
        checkpoint_bytes_per_day=checkpoints,
        kept_bytes=kept + KEPT * of_state,
        days_kept=min(days_max, bytes_max / max(journal_bytes_per_day, 1.0)),
        years=min(YEARS_TOLD_MAX, FLASH_GB * 1e9 * FLASH_WRITES / max(per_day, 1.0) / 365),
        lost_s=lost_s,
        replay_s=checkpoint_s,
    )
