"""How tightly a journal's groups are packed: by how much comes, and by what they hold."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from edge.records import MessageReceived
from edge.storage.disk import Clock
from edge.storage.journal import read_journal
from edge.storage.journal_records import bodies, body_at, of_packed, record
from edge.storage.journal_writer import JournalWriter
from edge.storage.packing import EASY_BYTES_PER_S, LEVEL, Packing, Way
from edge.wire.block import encode_block

if TYPE_CHECKING:
    from pathlib import Path

    from edge.records import Stimulus

TAGS: Final = [f"c{i}" for i in range(8)]


class Hand(Clock):
    """Moves when it is told."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def monotonic_s(self) -> float:
        """Seconds since some time."""
        return self.at_s


def tight(whole: bytes) -> bytes:
    """As every journal is packed of which little comes."""
    return of_packed(whole, zlib.compress(whole, LEVEL))


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


def group(form: str, *, first: int = 0, messages: int = 12) -> bytes:
    """A group of records of messages of one form."""
    return b"".join(record(MADE[form](seed)) for seed in range(first, first + messages))


def fed(form: str, *, bytes_per_s: float, seconds: float = 3.0) -> tuple[Packing, bytes]:
    """Packing that such groups came to for so long, and what it makes of one more."""
    clock = Hand()
    packing, one = Packing(clock), group(form)
    for _ in range(int(seconds * bytes_per_s / len(one))):
        clock.at_s += len(one) / bytes_per_s
        packing.packed(one)
    return packing, packing.packed(group(form, first=50))


@pytest.mark.parametrize("form", MADE)
def test_where_little_comes_all_is_packed_tightly(form: str) -> None:
    """As it always was, to the byte."""
    packing, made = fed(form, bytes_per_s=EASY_BYTES_PER_S * 0.9)
    assert packing.way is Way.TIGHT
    assert made == tight(group(form, first=50))


@pytest.mark.parametrize(
    ("form", "way"),
    [("columns", Way.CODES), ("block", Way.PLAIN), ("singles", Way.TIGHT)],
)
def test_where_much_comes_a_way_must_be_worth_its_time(form: str, way: Way) -> None:
    """Digits repeat nothing, binary numbers hardly shrink, names come again and again."""
    packing, made = fed(form, bytes_per_s=EASY_BYTES_PER_S * 4)
    assert packing.way is way
    whole = group(form, first=50)
    if way is Way.PLAIN:
        assert made == whole
    else:
        assert len(made) < 1.1 * len(tight(whole)), "hardly larger than the tightest"
        body = body_at(made, 0)
        assert body is not None
        assert b"".join(map(record, bodies(body))) == whole


def test_ways_are_tried_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group of plain numbers costs no packing at all but then."""
    packing, _ = fed("block", bytes_per_s=EASY_BYTES_PER_S * 4)
    tries = 0

    def counted(data: bytes, level: int) -> bytes:
        nonlocal tries
        tries += 1
        return real(data, level)

    real = zlib.compress
    monkeypatch.setattr(zlib, "compress", counted)
    clock, one = Hand(), group("block")
    packing = Packing(clock)
    packing.way = Way.PLAIN
    step_s = 1 / 128
    for _ in range(2 * 128 + 1):
        clock.at_s += step_s
        packing.packed(one)
    assert tries == 2


def test_what_comes_changes_and_the_way_with_it() -> None:
    """Within two seconds."""
    clock = Hand()
    packing, ways = Packing(clock), []
    for form in ("columns", "singles", "columns"):
        one = group(form, messages=12 if form == "columns" else 100)
        for _ in range(int(2.5 * 4 * EASY_BYTES_PER_S / len(one))):
            clock.at_s += len(one) / (4 * EASY_BYTES_PER_S)
            packing.packed(one)
        ways.append(packing.way)
    assert ways == [Way.CODES, Way.TIGHT, Way.CODES]


def test_a_journal_reads_back_whatever_way_its_groups_were_packed(tmp_path: Path) -> None:
    """Every stimulus, in order, over all ways."""
    clock = Hand()
    writer = JournalWriter(tmp_path, compress=True, clock=clock)
    sent: list[tuple[int, Stimulus]] = []
    for form in ("singles", "columns", "block", "columns"):
        for i in range(60):
            clock.at_s += 0.05
            payloads = [MADE[form](seed) for seed in range(i, i + 12)]
            entries: list[tuple[int, Stimulus]] = [
                (len(sent) + k, MessageReceived(topic=f"plant/{form}", payload=one, received_ns=i))
                for k, one in enumerate(payloads)
            ]
            sent += entries
            writer.append(entries)
    writer.close()
    read = [(entry.now_ns, entry.stimulus) for entry in read_journal(tmp_path)]
    assert read == sent
