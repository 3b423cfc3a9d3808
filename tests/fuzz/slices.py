"""A stretch of inputs of one target in a process of its own, which tells how far it has come.

What it has counted stands in a small file that both processes see, so that nothing is lost when a
reader takes the whole process down with it.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from tests.fuzz.trial import Trial

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fuzz.target import Target
    from tests.fuzz.trial import Failure

TALLY: Final = struct.Struct("<7qd")
REASONS: Final = "reasons.json"  # how often each reason to refuse was told, at a stretch's end
FAILURES_MAX: Final = 200  # of one stretch: beyond it nothing new is learned


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A failure as it is handed on. index: of the input, -1: of one that no number gives."""

    target: str
    seed: int
    index: int
    kind: str
    place: str
    detail: str
    data: bytes = b""

    @property
    def key(self) -> str:
        """The same for the same fault."""
        return f"{self.kind} {self.place}"


@dataclass(slots=True)
class Tally:
    """What was counted. at: the index in work, -1 none; worst_ns: the slowest, and which it was.

    processor_s: of the process, with its start and its children.
    """

    done: int = 0
    accepted: int = 0
    refused: int = 0
    failures: int = 0
    at: int = -1
    worst_ns: int = 0
    worst_index: int = -1
    processor_s: float = 0.0

    def add(self, other: Tally) -> None:
        """Count what another stretch counted."""
        self.done += other.done
        self.accepted += other.accepted
        self.refused += other.refused
        self.failures += other.failures
        self.processor_s += other.processor_s
        if other.worst_ns > self.worst_ns:
            self.worst_ns, self.worst_index = other.worst_ns, other.worst_index


class Board:
    """The file in which a stretch stands."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(TALLY.pack(0, 0, 0, 0, -1, 0, -1, 0.0))
        with path.open("r+b") as file:
            self._seen = mmap.mmap(file.fileno(), TALLY.size)

    def put(self, tally: Tally) -> None:
        """Tell how far it is."""
        TALLY.pack_into(
            self._seen, 0, tally.done, tally.accepted, tally.refused, tally.failures, tally.at,
            tally.worst_ns, tally.worst_index, sum(os.times()[:4]),
        )  # fmt: skip

    def get(self) -> Tally:
        """How far it is."""
        return Tally(*TALLY.unpack_from(self._seen, 0))

    def close(self) -> None:
        """Let go of the file."""
        self._seen.close()


def run_slice(target: Target, *, seed: int, first: int, end: int, home: Path) -> None:
    """Try the inputs [first, end); home: a directory of its own, where the board and failures are.

    A reader that remembers is made anew every `span` inputs, counted from 0.
    """
    board, tally = Board(home / "board"), Tally()
    scratch = home / "scratch"
    scratch.mkdir(exist_ok=True)
    trial = Trial(target, scratch)
    seen: set[str] = set()
    reasons: Counter[str] = Counter()
    with (home / "failures.jsonl").open("ab") as out:
        for index in range(first, end):
            if target.span and index % target.span == 0 and index != first:
                trial.renew()
            data = target.input_of(seed, index)
            tally.at = index
            board.put(tally)
            failure = trial.run(data)
            _count(tally, trial, failure, index)
            if trial.reason:
                reasons[trial.reason] += 1
            if failure is not None and failure.key not in seen:
                seen.add(failure.key)
                out.write(msgspec.json.encode(_found(target, seed, index, failure, data)) + b"\n")
                out.flush()
            if failure is not None:
                trial.renew()
                if tally.failures >= FAILURES_MAX:
                    break
    (home / REASONS).write_bytes(msgspec.json.encode(reasons))
    tally.at = -1
    board.put(tally)


def _count(tally: Tally, trial: Trial, failure: Failure | None, index: int) -> None:
    tally.done += 1
    tally.failures += failure is not None
    tally.accepted += failure is None and trial.accepted
    tally.refused += failure is None and not trial.accepted
    took_ns = int(trial.seconds * 1e9)
    if took_ns > tally.worst_ns:
        tally.worst_ns, tally.worst_index = took_ns, index


def _found(target: Target, seed: int, index: int, failure: Failure, data: bytes) -> Found:
    return Found(
        target=target.name,
        seed=seed,
        index=index,
        kind=failure.kind,
        place=failure.place,
        detail=failure.detail,
        data=data,
    )
