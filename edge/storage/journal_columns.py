"""Messages of a journal's group by columns: what they have alike stands once.

    msgpack [now_ns, topics, received_ns, kinds, payloads, mids]

Topics, times and kinds, which are [qos, retain, dup], are [what occurs, which of it each message
has]; the latter is empty where all have the same. `mids` is empty where all are 0. The records that
were joined so come out of it to the bit. Where messages are of one value each, it has less than
half of their bytes, and is made and packed in 0.7 of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeVar

import msgspec

from edge.records import MessageReceived

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.records import Stimulus

T = TypeVar("T")
JOINED_MIN: Final = 8  # messages: fewer have little alike
RECORD_BYTES: Final = 128  # of a message's record without topic and payload, at most
MESSAGES_MAX: Final = 1 << 15  # of a group: records of 4 MiB at least
_MANY: Final = msgspec.Meta(max_length=MESSAGES_MAX)
_Places = Annotated[list[Annotated[int, msgspec.Meta(ge=0)]], _MANY]


class _Columns(NamedTuple):
    """As they stand in a journal, in this order."""

    now_ns: int
    topics: tuple[Annotated[list[str], _MANY], _Places]
    received_ns: tuple[Annotated[list[int], _MANY], _Places]
    kinds: tuple[Annotated[list[tuple[int, bool, bool]], _MANY], _Places]
    payloads: Annotated[list[bytes], _MANY]
    mids: Annotated[list[int], _MANY]


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Columns)


def joined(entries: Sequence[tuple[int, Stimulus]], *, bytes_max: int) -> bytes | None:
    """(now_ns, stimulus) as columns.

    None where they are no messages of one time, few, or more than `bytes_max` as records.
    """
    if len(entries) < JOINED_MIN:
        return None
    now_ns = entries[0][0]
    messages = [one for at_ns, one in entries if at_ns == now_ns and type(one) is MessageReceived]
    if len(messages) < len(entries):
        return None
    topics, payloads = _numbered([m.topic for m in messages]), [m.payload for m in messages]
    if _recorded_bytes(topics[0], payloads) > bytes_max:
        return None
    mids = [m.mid for m in messages]
    columns = _Columns(
        now_ns,
        topics,
        _numbered([m.received_ns for m in messages]),
        _numbered([(m.qos, m.retain, m.dup) for m in messages]),
        payloads,
        mids if any(mids) else [],
    )
    return _ENCODER.encode(columns)


def parted(data: bytes, *, bytes_max: int) -> list[bytes]:
    """The bodies of the records that were joined. Raises ValueError."""
    try:
        return _records(_DECODER.decode(data), bytes_max=bytes_max)
    except (msgspec.MsgspecError, IndexError, ValueError) as error:
        raise ValueError(f"joined messages that do not come apart: {error}") from error


def _records(told: _Columns, *, bytes_max: int) -> list[bytes]:
    """Raises IndexError or ValueError."""
    size = len(told.payloads)
    if not size or _recorded_bytes(told.topics[0], told.payloads) > bytes_max:
        raise ValueError("they are none, or too large")
    columns = zip(
        _each(told.topics, size),
        told.payloads,
        _each(told.received_ns, size),
        _each(told.kinds, size),
        told.mids or [0] * size,
        strict=True,
    )
    return [
        _ENCODER.encode(
            (
                told.now_ns,
                MessageReceived(
                    topic=topic, payload=payload, received_ns=received_ns,
                    qos=qos, retain=retain, dup=dup, mid=mid,
                ),
            )
        )
        for topic, payload, received_ns, (qos, retain, dup), mid in columns
    ]  # fmt: skip


def _recorded_bytes(topics: Sequence[str], payloads: Sequence[bytes]) -> int:
    """How many bytes records of such topics have at most; each character may be four."""
    each = RECORD_BYTES + 4 * max(map(len, topics), default=0)
    return each * len(payloads) + sum(map(len, payloads))


def _numbered(values: list[T]) -> tuple[list[T], list[int]]:
    """What occurs, and which of it each one is."""
    numbers = dict.fromkeys(values)
    if len(numbers) == 1:
        return values[:1], []
    found = [*numbers]
    which = dict(zip(found, range(len(found)), strict=True))
    return found, [which[value] for value in values]


def _each(column: tuple[list[T], list[int]], size: int) -> list[T]:
    found, which = column
    if len(found) > size:
        raise ValueError("more occurs than there are messages")
    return [found[n] for n in which] if which else [found[0]] * size
