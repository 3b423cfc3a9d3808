"""What is fuzzed: a reader, the errors that it documents, sound inputs to begin with, a promise."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

Read = Callable[[bytes], bool]  # True: taken, and its promise holds; False: refused without error
Begin = Callable[[Path], Read]  # given a directory of its own
Mutate = Callable[[random.Random, bytes], bytes]

BYTES: Final = 1_000_000  # inputs of a long run: of a decoder of bytes,
FILE: Final = 10_000  # and of a reader of files
AS_IT_IS: Final = 0.01  # share of inputs that are a seed without a change


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One reader.

    begin: makes the reader, which asserts the promise of what it takes; refusals: the documented
    errors. count: inputs of a long run. span: inputs that one reader takes before another is made,
    for readers that remember; what fails may then need those before it.
    """

    name: str
    count: int
    begin: Begin
    refusals: tuple[type[BaseException], ...]
    seeds: Callable[[], Sequence[bytes]]
    mutate: Mutate
    span: int = 0

    def input_of(self, seed: int, index: int) -> bytes:
        """The input of a number: the same for the same seed, whatever was asked before."""
        told = hashlib.blake2b(f"{seed}:{self.name}:{index}".encode(), digest_size=8).digest()
        chance = random.Random(int.from_bytes(told, "little"))
        stored = corpus(self)
        one = stored[chance.randrange(len(stored))]
        return one if chance.random() < AS_IT_IS else self.mutate(chance, one)


@cache
def corpus(target: Target) -> tuple[bytes, ...]:
    """The seeds of a target, made once."""
    return tuple(target.seeds())
