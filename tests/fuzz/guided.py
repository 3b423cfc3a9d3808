"""Inputs guided by the code that they reach, where atheris is installed.

Our own mutations of the seeds take turns with those of libFuzzer, so that structure is kept.
"""

from __future__ import annotations

import importlib
import random
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.fuzz.slices import Board, Tally, _count, _found
from tests.fuzz.target import corpus
from tests.fuzz.trial import Trial

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fuzz.target import Target

CRASHED: Final = "taken-down-"
BYTES_MAX: Final = 1 << 16
OURS: Final = 0.4  # share of inputs that are changed by our own mutations
INSTRUMENTED: Final = ("edge", "kb", "models", "tomllib", "icalendar", "openpyxl", "docx", "pypdf")


def _atheris() -> Any:  # noqa: ANN401 - it has no types
    try:
        return importlib.import_module("atheris")
    except ImportError:
        raise SystemExit(
            "ENGINE=atheris needs atheris, which is not part of the locked requirements:"
            " pip install atheris, or leave ENGINE away"
        ) from None


def instrument() -> None:
    """From now on modules count what of them is reached."""
    hook = _atheris().instrument_imports(include=list(INSTRUMENTED))
    hook.__enter__()


def run_guided(target: Target, *, seed: int, first: int, end: int, home: Path) -> None:
    """So many inputs; as `run_slice`, but their numbers do not give them again: they are kept."""
    atheris = _atheris()
    board, tally = Board(home / "board"), Tally()
    scratch, stored = home / "scratch", home / "corpus"
    scratch.mkdir()
    stored.mkdir()
    for k, one in enumerate(corpus(target)):
        (stored / f"seed-{k}").write_bytes(one)
    trial = Trial(target, scratch)
    seen: set[str] = set()
    out = (home / "failures.jsonl").open("ab")

    def one_input(data: bytes) -> None:
        tally.at = first + tally.done
        board.put(tally)
        if target.span and tally.done % target.span == 0 and tally.done:
            trial.renew()
        failure = trial.run(data)
        _count(tally, trial, failure, tally.at)
        if failure is not None:
            trial.renew()
        if failure is not None and failure.key not in seen:
            seen.add(failure.key)
            found = msgspec.structs.replace(_found(target, seed, -1, failure, data))
            out.write(msgspec.json.encode(found) + b"\n")
            out.flush()
        if tally.done >= end - first:
            tally.at = -1
        board.put(tally)

    def mutated(data: bytes, size_max: int, chosen: int) -> bytes:
        chance = random.Random(chosen)
        if chance.random() < OURS:
            try:
                return target.mutate(chance, data)[:size_max]
            except Exception:  # noqa: BLE001, S110 - ours need what is of its form
                pass
        changed: bytes = atheris.Mutate(data, size_max)
        return changed

    words = ["fuzz", str(stored), f"-runs={end - first}", f"-max_len={BYTES_MAX}", f"-seed={seed}"]
    words += ["-timeout=60", "-rss_limit_mb=6000", "-print_final_stats=0", "-verbosity=0"]
    words.append(f"-artifact_prefix={home}/{CRASHED}")  # what took the process down is kept there
    atheris.Setup(words, one_input, custom_mutator=mutated)
    atheris.Fuzz()
