"""Packing: what is read is what was packed, by this version or by one before."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.records import MessageReceived
from edge.storage.asset_states import Link
from edge.storage.checkpoint import Checkpoint, Packer, newest, pack, write
from edge.storage.formats import HISTORY, LINK, STATE, magic
from edge.storage.journal import Position, read_journal, segments
from edge.storage.journal_records import (
    PACKED,
    PACKED_BYTES_MIN,
    as_one,
    bodies,
    body_at,
    header_format,
    record,
)
from edge.storage.journal_writer import JournalWriter
from edge.storage.packing import packed, unpacked
from edge.wire.block import encode_block
from tests.edge.rig import Rig

if TYPE_CHECKING:
    from pathlib import Path

    from edge.records import Stimulus

TAGS: Final = [f"c{i}" for i in range(8)]
ENOUGH: Final = 1 << 20


def zlib_like(data: bytes, like: bytes) -> bytes:
    """As versions packed that knew zlib alone."""
    maker = zlib.compressobj(1, zdict=like) if like else zlib.compressobj(1)
    return maker.compress(data) + maker.flush()


# of a few letters, so that there is something to pack, and long enough for a dictionary
BYTES: Final = st.lists(st.sampled_from([b"a", b"bcd", b"\0" * 40]), max_size=60).map(b"".join)


@given(data=BYTES, like=BYTES)
def test_what_was_packed_is_read_whoever_packed_it(data: bytes, like: bytes) -> None:
    """Alone, or with what it resembles."""
    for stream in (packed(data, like=like), zlib_like(data, like)):
        for given_as in (stream, memoryview(stream)):
            assert unpacked(given_as, bytes_max=len(data), like=like) == data


@given(data=st.binary(min_size=1, max_size=3_000), at=st.integers(min_value=0))
def test_what_is_cut_or_too_much_is_refused(data: bytes, at: int) -> None:
    """A part of what was packed never passes for all of it."""
    for stream in (packed(data), zlib_like(data, b"")):
        with pytest.raises(ValueError, match="not whole, or of more"):
            unpacked(stream, bytes_max=len(data) - 1)
        with pytest.raises(ValueError, match=r"not whole|does not unpack"):
            unpacked(stream[: at % len(stream)], bytes_max=ENOUGH)


def test_a_frame_that_asks_for_much_memory_is_refused() -> None:
    """However little is in it: its reader would keep as much of it as the frame says."""
    body = (1 | 4 << 3).to_bytes(3, "little") + b"abcd"  # the last block, as it is, of four bytes
    frames = {log: b"\x28\xb5\x2f\xfd\0" + bytes([(log - 10) << 3]) + body for log in (20, 27)}
    assert unpacked(frames[20], bytes_max=ENOUGH) == b"abcd"
    with pytest.raises(ValueError, match="does not unpack"):
        unpacked(frames[27], bytes_max=ENOUGH)


def rows(seed: int) -> np.ndarray:
    """Readings of three decimals (100, 8)."""
    return np.round(np.random.default_rng(seed).normal(50.0, 9.0, (100, 8)), 3)


def columns(seed: int) -> bytes:
    """A message of columns."""
    return json.dumps({"t0": 10**12, "dt_ms": 8, "tags": TAGS, "v": rows(seed).tolist()}).encode()


def block(seed: int) -> bytes:
    """The same as a binary block."""
    t_ns = 10**18 + 8_000_000 * np.arange(100)
    return encode_block(TAGS, t_ns, rows(seed), exact=False)


def singles(seed: int) -> bytes:
    """Messages of one value each."""
    told = rows(seed)[0].tolist()
    return b"".join(
        json.dumps({"ts": 10**12, "asset": "m1", "tag": tag, "value": value}).encode()
        for tag, value in zip(TAGS, told, strict=True)
    )


MADE: Final = {"columns": columns, "block": block, "singles": singles}


def group(form: str, messages: int = 12) -> bytes:
    """A group of records of messages of one form."""
    return b"".join(record(MADE[form](seed)) for seed in range(messages))


@pytest.mark.parametrize(("form", "times"), [("columns", 1.0), ("singles", 1.0), ("block", 1.2)])
def test_a_group_becomes_one_record_about_as_small_as_zlib_made_it(form: str, times: float) -> None:
    """Text smaller, numbers hardly larger; every byte of it comes back."""
    whole = group(form)
    made = as_one(whole)
    assert made is not None
    body = body_at(made, 0)
    assert body is not None
    assert len(body) <= times * len(zlib.compress(whole, 1))
    assert b"".join(map(record, bodies(body))) == whole


def test_what_would_not_become_smaller_stays_as_it_is() -> None:
    """Noise, and a group of few bytes."""
    noise = record(np.random.default_rng(0).bytes(4_000))
    few = record(b"a" * (PACKED_BYTES_MIN - 9))
    assert as_one(noise) is None
    assert as_one(few) is None
    assert as_one(few + record(b"a")) is not None


def told(first: int, form: str) -> list[tuple[int, Stimulus]]:
    """Some messages of a form."""
    return [
        (first + k, MessageReceived(topic=f"plant/{form}", payload=MADE[form](k), received_ns=k))
        for k in range(12)
    ]


def test_a_journal_that_was_packed_with_zlib_goes_on(tmp_path: Path) -> None:
    """All of it is read; what follows stands in a segment of its own, of the present format."""
    before = [told(12 * i, form) for i, form in enumerate(MADE)]
    records = (b"".join(record(msgspec.msgpack.encode(e)) for e in one) for one in before)
    groups = [record(PACKED + zlib.compress(one, 1)) for one in records]
    (tmp_path / "00000001.journal").write_bytes(b"ANDONJ2\n" + b"".join(groups))
    writer = JournalWriter(tmp_path, compress=True)
    writer.append(after := told(100, "columns"))
    writer.close()
    found = segments(tmp_path)
    assert [header_format(path.read_bytes()) for _, path in found] == [2, 4]
    read = [(entry.now_ns, entry.stimulus) for entry in read_journal(tmp_path)]
    assert read == [entry for one in (*before, after) for entry in one]


def test_a_checkpoint_that_was_packed_with_zlib_is_read(tmp_path: Path) -> None:
    """Its states too, each packed with the one before."""
    rig, packer, before = Rig(), Packer(tmp_path), dict[str, bytes]()
    for offset in (8, 9):
        rig.run(40)
        at = Position(1, offset)
        state = rig.engine.state
        made = packer.packed(Checkpoint(position=at, fingerprint="f", state=state))
        write(made)
        _as_second(tmp_path, before)
    found, troubles = newest(tmp_path, fingerprint="f")
    assert not troubles
    assert found is not None
    assert pack(found.state) == pack(rig.engine.state)


def _as_second(folder: Path, before: dict[str, bytes]) -> None:
    """Rewrite the newest files of a folder in format 2. before: states of the link before."""
    seal = 8 + 4
    for suffix, name in (("history", HISTORY), ("assets", LINK), ("checkpoint", STATE)):
        path = max(folder.glob(f"*.{suffix}"))
        body = path.read_bytes()[seal:]
        if name == STATE:
            end = 4 + int.from_bytes(body[:4], "little")
            body = body[:end] + zlib_like(unpacked(body[end:], bytes_max=ENOUGH), b"")
        if name == LINK:
            link = msgspec.msgpack.decode(body, type=Link)
            last = {} if link.whole else before.copy()
            before.clear()
            before.update(
                {
                    asset: unpacked(one, bytes_max=ENOUGH, like=last.get(asset, b""))
                    for asset, one in link.states.items()
                }
            )
            states = {asset: zlib_like(one, last.get(asset, b"")) for asset, one in before.items()}
            body = msgspec.msgpack.encode(Link(whole=link.whole, states=states))
        path.write_bytes(magic(name, 2) + zlib.crc32(body).to_bytes(4, "little") + body)
