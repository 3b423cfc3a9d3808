"""What a box remembers of itself and its site: who it is, a key, which scope tables counted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from edge.boxes.fence_key import FILE as KEY_FILE
from edge.boxes.fence_key import FRESH, KEY_BYTES, FenceKey, keep_key, read_key
from edge.boxes.fencing import Fence
from edge.boxes.identity import FILE as BOX_FILE
from edge.boxes.identity import Box, Fenced, Rank, read_box, write_box
from edge.errors import ConfigError
from edge.knowledge.scope_book import FILE as BOOK_FILE
from edge.knowledge.scope_book import ScopeBook, read_book, write_book
from edge.wire.fence import FENCE_SCHEMA, FencePayload
from edge.wire.topics import Topics
from kb.records import Citation, ScopeRow, WorkKind
from tests.fuzz.files import file_target
from tests.fuzz.mutate import mixed, mutate_bytes, mutate_json, mutate_text
from tests.fuzz.shapes import MS, START, S

if TYPE_CHECKING:
    from pathlib import Path

TOPICS: Final = Topics("andon", "s")
KEY: Final = FenceKey(secret=bytes(KEY_BYTES), fresh=True)  # else no claim of anybody would count
OURS: Final = Box(box="ab" * 8, generation=2, since_ms=MS)


def claim_of(box: str, *, generation: int, run: str) -> FencePayload:
    """What a box says on `fence`, without a proof."""
    return FencePayload(
        schema=FENCE_SCHEMA,
        box=box,
        generation=generation,
        since_ms=MS,
        run=run,
        run_ms=MS,
        ts_ms=MS,
    )


def _read_identity(path: Path) -> bool:
    box = read_box(path.parent)
    assert box is not None
    assert write_box(path.parent, box) == read_box(path.parent) == box
    try:
        Fence(TOPICS, box, path.parent, KEY)
    except Fenced:
        assert box.fenced_by is not None
    return True


def identities() -> list[bytes]:
    """Of a box that speaks, and of one that gave way."""
    fenced = msgspec.structs.replace(
        OURS, fenced_by=Rank(generation=3, since_ms=MS, box="cd" * 8), claimed=True
    )
    return [msgspec.json.encode(one) for one in (OURS, fenced)]


def _read_key(path: Path) -> bool:
    """What is taken proves claims, those of this key alone, and is kept as it was read."""
    key = read_key(path.parent)
    assert key is not None
    assert keep_key(path.parent, key) == key
    heard = replace(key, fresh=not key.fresh)
    assert keep_key(path.parent, heard) == read_key(path.parent) == heard
    sealed = key.sealed(TOPICS.fence, claim_of("cd" * 8, generation=3, run="r"))
    assert key.made(TOPICS.fence, sealed)
    assert not key.made(TOPICS.fence + "/x", sealed)
    assert key.secret == KEY.secret or not KEY.made(TOPICS.fence, sealed)
    return True


def _keys() -> list[bytes]:
    return [b"5a" * KEY_BYTES + b"\n", b"a5" * KEY_BYTES + b"\n" + FRESH.encode() + b"\n"]


def _read_book(path: Path) -> bool:
    """What is taken is kept, and judges and learns: a row older than what was in use is refused."""
    book = read_book(path.parent)
    write_book(path.parent, book)
    assert read_book(path.parent) == book
    row = ScopeRow(
        scope_id="one",
        kind=WorkKind.CALIBRATION,
        asset="r1",
        instrument="",
        channels=("Flow",),
        expected_effect=0.5,
        duration_s_max=60,
        settle_s=0,
        recorded_at_ns=START,
        approved_by="engineer",
        citation=Citation(
            doc_id="scope.jsonl", revision="1", chunk_id=0, start=0, end=1, sha256="", quote="c"
        ),
    )
    learnt = book.learnt("ab" * 32, {"cd" * 32: (row,)}, now_ns=START)
    write_book(path.parent, learnt)
    assert read_book(path.parent) == learnt
    assert learnt.in_use == "ab" * 32
    older = msgspec.structs.replace(row, recorded_at_ns=START - 1)
    refused = learnt.refused("ef" * 32, {"12" * 32: (older,)}, anew=True)
    assert refused or "one" in learnt.judged["ab" * 32], "an older scope table counts again"
    return True


def _books() -> list[bytes]:
    row = {"calibration\nr1\n": START - S}
    book = ScopeBook(
        newest=row,
        tables={"cd" * 32: tuple(row)},
        gone=("ef" * 32,),
        judged={"ab" * 32: {"two": "its table was replaced by another signed one"}},
        in_use="ab" * 32,
    )
    return [msgspec.json.encode(one) for one in (ScopeBook(), book)]


TARGETS: Final = (
    file_target(
        "identity",
        _read_identity,
        refusals=(ConfigError,),
        seeds=identities,
        mutate=mutate_json,
        file=BOX_FILE,
    ),
    file_target(
        "fence-key",
        _read_key,
        refusals=(ConfigError,),
        seeds=_keys,
        mutate=mixed(mutate_text, mutate_bytes),
        file=KEY_FILE,
    ),
    file_target(
        "scope-book",
        _read_book,
        refusals=(ConfigError,),
        seeds=_books,
        mutate=mixed(mutate_json, mutate_bytes),
        file=BOOK_FILE,
    ),
)
