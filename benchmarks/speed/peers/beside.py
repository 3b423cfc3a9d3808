"""Peers and our loops on one core, in turn: how many times as fast, by processor seconds.

All of them are ready before the first round. A round gives each the same time, one after another,
and every ratio is of two figures of the same round, so that a busy machine slows both.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
import numpy as np

from benchmarks.speed.figure import Figure
from benchmarks.speed.peers import worker
from benchmarks.speed.peers.environments import ENVIRONMENTS, PeerError, python_of
from benchmarks.speed.peers.stream import recorded
from benchmarks.speed.peers.table import OURS, PEERS, Entry
from benchmarks.speed.run import ONE_THREAD, Peer, Run, last_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROUNDS: Final = 7
ROUND_S: Final = 0.5
ANSWER_S_MAX: Final = 120.0


class Worker:
    """A process that works when told to. A context manager."""

    def __init__(self, command: list[str], said: Path) -> None:
        self._said = said
        self.versions: dict[str, str] = {}
        self.rss_mb = 0.0
        with said.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - interpreters that we chose
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | ONE_THREAD,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for end in (self._process.stdin, self._process.stdout):
            assert end is not None, "both were asked for"
            end.close()

    def ready(self) -> None:
        """Wait until it is. Raises PeerError."""
        told = self._answer()
        self.versions, self.rss_mb = told["versions"], told["rss_mb"]

    def values_per_s(self, seconds: float) -> float:
        """Let it work so long; values that it took in a processor second. Raises PeerError."""
        assert self._process.stdin is not None, "it was asked for"
        try:
            self._process.stdin.write(b"%f\n" % seconds)
            self._process.stdin.flush()
        except OSError as error:
            raise PeerError(self._last_words()) from error
        told = self._answer()
        return float(told["values"]) / float(told["cpu_s"])

    def _answer(self) -> dict[str, Any]:
        out = self._process.stdout
        assert out is not None, "it was asked for"
        ready, _, _ = select.select([out], [], [], ANSWER_S_MAX)
        line = out.readline() if ready else b""
        if not line:
            raise PeerError(self._last_words())
        told: dict[str, Any] = msgspec.json.decode(line)
        return told

    def _last_words(self) -> str:
        text = self._said.read_text(encoding="utf-8", errors="replace")
        return f"it ended or did not answer: {last_line(text)}"


def measure(
    run: Run, *, directory: Path, say: Callable[[str], object], entries: Sequence[Entry] = PEERS
) -> None:
    """Install what is not there, run all in turn, and add what came of it to the run.

    directory: of environments, kept   say: hears what is done now
    Raises RuntimeError where our own loops do not run.
    """
    errors: dict[str, str] = {}
    pythons: dict[str, Path] = {}
    for environment in dict.fromkeys(entry.environment for entry in entries):
        say(f"peers: {environment} in {directory}")
        try:
            pythons[environment] = python_of(environment, directory)
        except PeerError as error:
            errors[environment] = str(error)
    with tempfile.TemporaryDirectory(prefix="andon-peers-") as name, ExitStack() as stack:
        folder = Path(name)
        np.save(folder / "stream.npy", recorded())
        given = [str(folder / "stream.npy"), str(max(os.sched_getaffinity(0)))]
        workers = {
            one: stack.enter_context(Worker([*command, *given], folder / one))
            for one, command in _commands(entries, pythons).items()
        }
        rates, failed = _in_turn(workers, rounds=3 if run.quick else ROUNDS, say=say)
    run.peers = [_ourselves(one, rates, workers[one], failed) for one in OURS]
    for entry in entries:
        why = errors.get(entry.environment) or failed.get(entry.worker, "")
        _tell(entry, rates, workers.get(entry.worker), why, run)
    if missing := [one for one in OURS if one not in rates]:
        raise RuntimeError("; ".join(f"our loop {one}: {failed[one]}" for one in missing))


def _commands(entries: Sequence[Entry], pythons: Mapping[str, Path]) -> dict[str, list[str]]:
    """What is started for each of our loops, and for each peer whose environment is there."""
    ours = {one: [sys.executable, "-m", "benchmarks.speed.peers.ours", one] for one in OURS}
    return ours | {
        entry.worker: [str(pythons[entry.environment]), "-I", worker.__file__, entry.worker]
        for entry in entries
        if entry.environment in pythons
    }


def _in_turn(
    workers: dict[str, Worker], *, rounds: int, say: Callable[[str], object]
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Values a processor second of each in every round; and what failed, with its last words."""
    failed: dict[str, str] = {}
    rates: dict[str, list[float]] = {name: [] for name in workers}

    def take(name: str, act: Callable[[], object]) -> None:
        if name not in failed:
            try:
                act()
            except PeerError as error:
                failed[name] = str(error)

    for name, one in workers.items():
        take(name, one.ready)
    for k in range(rounds):
        say(f"peers: round {k + 1} of {rounds}")
        for name, one in workers.items():
            take(name, partial(_round, one, rates[name]))
    return {name: seen for name, seen in rates.items() if name not in failed}, failed


def _round(one: Worker, seen: list[float]) -> None:
    seen.append(one.values_per_s(ROUND_S))


def _ourselves(
    name: str, rates: dict[str, list[float]], of: Worker, failed: dict[str, str]
) -> Peer:
    """One of our loops, as a row among peers."""
    mine = np.array(rates.get(name, [np.nan]))
    times = {
        one: float(np.median(np.array(rates[one]) / mine))
        for one in OURS
        if name in rates and one in rates
    }
    return Peer(
        name=f"Andon, {name}",
        version=of.versions.get("andon", ""),
        values_per_s=float(np.median(mine)),
        times=times,
        rss_mb=of.rss_mb,
        computes=OURS[name],
        error=failed.get(name, ""),
    )


def _tell(
    entry: Entry,
    rates: dict[str, list[float]],
    of: Worker | None,
    error: str,
    run: Run,
) -> None:
    """Add one peer to the run, with its figure where one is asked for."""
    theirs = np.array(rates.get(entry.worker, [np.nan]))
    times = {
        one: float(np.median(np.array(rates[one]) / theirs)) for one in OURS if one in rates
    } if entry.worker in rates else {}  # fmt: skip
    assert run.peers is not None, "the run has a list by now"
    version = of.versions.get(entry.environment, "") if of is not None else ""
    run.peers.append(
        Peer(
            name=entry.name,
            version=version or ENVIRONMENTS[entry.environment].steps[-1][0],
            values_per_s=float(np.median(theirs)),
            times=times,
            rss_mb=of.rss_mb if of is not None else float("nan"),
            computes=entry.computes,
            error=error,
        )
    )
    if not entry.id:
        return
    if entry.beside not in times:
        run.not_measured[entry.id] = error or f"our loop {entry.beside} did not run"
        return
    run.figures.append(
        Figure(
            id=entry.id,
            figure=float(np.median(rates[entry.beside])) / 1e6,
            unit="M values/s",
            ratio=times[entry.beside],
            against=f"{entry.name} ({version}): {np.median(theirs) / 1e6:.3g} M values/s",
            note=f"ours: {entry.beside}; {entry.computes}",
            at_least=entry.at_least,
        )
    )
