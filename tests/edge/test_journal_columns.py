"""Messages of a group by columns: the very records come out, and few bytes go in."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.records import MessageReceived, TickDue
from edge.storage import journal_columns, journal_writer
from edge.storage.journal import Position, read_journal, segments
from edge.storage.journal_columns import JOINED_MIN, joined, parted
from edge.storage.journal_records import COLUMNS, HEAD, MAGIC, bodies
from edge.storage.journal_tail import JournalTail, mid_of
from edge.storage.journal_writer import JournalWriter
from edge.storage.packing import packed

if TYPE_CHECKING:
    from pathlib import Path

    from edge.records import Stimulus

NOW = 1_760_000_000_123_456_789
LARGE = 1 << 30
encode = msgspec.msgpack.encode
MESSAGES = st.builds(
    MessageReceived,
    topic=st.sampled_from(["plant/a", "plant/b", "plant/ä"]) | st.text(max_size=9),
    payload=st.binary(max_size=30),
    received_ns=st.sampled_from([NOW - 7, NOW]) | st.integers(-(2**63), 2**63 - 1),
    qos=st.integers(0, 2),
    retain=st.booleans(),
    dup=st.booleans(),
    mid=st.just(0) | st.integers(0, 65_535),
)


def group(size: int, *, qos: int = 0) -> list[tuple[int, Stimulus]]:
    """Single values, of eight sensors each asset."""
    return [
        (
            NOW,
            MessageReceived(
                topic=f"plant/asset-{k // 8:03d}",
                payload=b'{"ts":1760000000123,"tag":"T%d","value":%.3f}' % (k % 8, k / 7),
                received_ns=NOW - 5 - k % 2,
                qos=qos,
                mid=qos and k + 250,
            ),
        )
        for k in range(size)
    ]


@given(st.lists(MESSAGES, min_size=JOINED_MIN, max_size=40))
def test_the_records_that_were_joined_come_out_to_the_bit(messages: list[MessageReceived]) -> None:
    """And no more of them than may be."""
    data = joined([(NOW, one) for one in messages], bytes_max=LARGE)
    assert data is not None
    size_bytes = sum(len(encode((NOW, one))) for one in messages)
    assert parted(data, bytes_max=LARGE) == [encode((NOW, one)) for one in messages]
    with pytest.raises(ValueError, match="too large"):  # what it bounds is what comes out
        parted(data, bytes_max=size_bytes - 1)
    assert joined([(NOW, one) for one in messages], bytes_max=size_bytes - 1) is None


def test_other_groups_stay_records_of_their_own() -> None:
    """Few of them, other stimuli, and other times."""
    usual = group(JOINED_MIN)
    assert joined(usual, bytes_max=LARGE) is not None
    assert joined(usual[1:], bytes_max=LARGE) is None
    assert joined([*usual, (NOW, TickDue())], bytes_max=LARGE) is None
    assert joined([*usual, (NOW + 1, usual[0][1])], bytes_max=LARGE) is None


@pytest.mark.parametrize("qos", [0, 1])
def test_a_journal_has_them_by_columns_and_tells_each_message(tmp_path: Path, qos: int) -> None:
    """With its place, and its id for whoever looks only at the end."""
    groups: list[list[tuple[int, Stimulus]]] = [
        group(100, qos=qos),
        [(NOW, TickDue())],
        group(64, qos=qos),
    ]
    writer = JournalWriter(tmp_path, compress=True)
    for some in groups:
        writer.append(some)
    end = writer.position
    writer.close()
    ((_, path),) = segments(tmp_path)
    assert path.read_bytes()[len(MAGIC) + HEAD.size :].startswith(COLUMNS)
    found = list(read_journal(tmp_path))
    assert [(one.now_ns, one.stimulus) for one in found] == [e for some in groups for e in some]
    assert found[-1].position == end
    assert found[-2].position < end  # of a group only the last one has a place behind it
    assert list(read_journal(tmp_path, after=found[100].position)) == found[101:]
    mids = [mid_of(body) for body in JournalTail(tmp_path).records()]
    told = [getattr(stimulus, "mid", 0) for some in groups for _, stimulus in some]
    assert mids == told[::-1]


def test_single_values_take_a_third_of_the_bytes_and_one_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many bytes as messages by columns have, not as their records."""
    some = group(400)
    records = b"".join(HEAD.pack(len(b), zlib.crc32(b)) + b for b in map(encode, some))
    writer = JournalWriter(tmp_path, compress=True)
    summed: list[int] = []
    crc32 = zlib.crc32

    def counted(data: bytes) -> int:
        summed.append(len(data))
        return crc32(data)

    monkeypatch.setattr(zlib, "crc32", counted)
    monkeypatch.setattr(journal_writer, "_crc32", counted)
    writer.append(some)
    writer.close()
    assert len(summed) == 1
    columns = joined(some, bytes_max=LARGE)
    assert columns is not None
    assert len(columns) < len(records) * 0.4
    assert writer.position.offset - len(MAGIC) < len(packed(records)) * 0.8


def test_what_is_odd_is_told_and_costs_nothing() -> None:
    """A file that was changed asks for no more memory than one that was not."""
    alike = [["plant/a"], []], [[NOW], []], [[(0, False, False)], []]
    whole = [NOW, *alike, [b"1", b"2"], []]
    assert len(parted(encode(whole), bytes_max=LARGE)) == 2
    odd: tuple[list[object], ...] = (
        [NOW, [["a"], [0, 1]], *alike[1:], [b"1", b"2"], []],  # no such topic
        [NOW, [["a"], [0, -1]], *alike[1:], [b"1", b"2"], []],
        [NOW, [["a"], [0]], *alike[1:], [b"1", b"2"], []],  # one has none
        [NOW, [[], []], *alike[1:], [b"1", b"2"], []],
        [NOW, *alike, [b"1", b"2"], [7]],
        [NOW, [["a" * 100_000], []], *alike[1:], [b""] * 100_000, []],  # 10 GB of topics
        [NOW, *alike, [], []],
        [NOW],
        [NOW, [["a", "b", "c"], [0, 1]], *alike[1:], [b"1", b"2"], []],  # one of nobody
        [NOW, *alike[:2], [[(0, False, False)] * 3, []], [b"1", b"2"], []],
        [NOW, *alike[:2], [[(0, False, False)] * (1 << 20), []], [b""], []],  # 80 MB of kinds
    )
    for columns in odd:
        with pytest.raises(ValueError, match="joined messages"):
            parted(encode(columns), bytes_max=4 << 20)
    with pytest.raises(ValueError, match="joined messages"):
        parted(b"", bytes_max=4 << 20)
    with pytest.raises(ValueError, match="unpack"):
        bodies(COLUMNS + b"no stream")


def test_a_journal_of_before_goes_on_in_a_new_segment(tmp_path: Path) -> None:
    """Format 2: groups of records, packed. It is read as it was, and written no more."""
    before = group(20)
    records = b"".join(HEAD.pack(len(b), zlib.crc32(b)) + b for b in map(encode, before))
    body = b"\xc1" + zlib.compress(records, 1)
    old = b"ANDONJ2\n" + HEAD.pack(len(body), zlib.crc32(body)) + body
    (tmp_path / "00000001.journal").write_bytes(old)
    writer = JournalWriter(tmp_path, compress=True)
    assert writer.position == Position(2, len(MAGIC))
    writer.append(group(30))
    writer.close()
    assert (tmp_path / "00000001.journal").read_bytes() == old
    found = [(one.now_ns, one.stimulus) for one in read_journal(tmp_path)]
    assert found == [*before, *group(30)]


def test_the_bound_of_a_records_bytes_holds() -> None:
    """With the longest numbers."""
    largest = MessageReceived(
        topic="", payload=b"", received_ns=2**63 - 1, qos=2, retain=True, dup=True, mid=65_535
    )
    # the head of a text or of bytes is up to five more
    assert len(encode((2**63 - 1, largest))) + 2 * 4 <= journal_columns.RECORD_BYTES
