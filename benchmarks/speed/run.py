"""All parts of the benchmark, one after another, each in a process of its own.

A part that fails, hangs or is not there takes no other with it: its ids are told as not measured,
with the reason.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from benchmarks.speed.figure import Curve, Figure, Measured, Shares
from benchmarks.speed.machine import Machine, look
from benchmarks.speed.parts import ASKED, PART_S_MAX, PARTS, PEER_IDS, Part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Pools of threads are never what is compared, and would escape the core that a part is pinned to.
ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
ERROR_CHARS_MAX: Final = 300  # of the last line that something which failed has said


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """One program beside ours. values_per_s: of a processor second; NaN where it did not run."""

    name: str
    version: str
    values_per_s: float
    times: dict[str, float]  # our loop by name -> how many times as fast it was
    rss_mb: float
    computes: str
    error: str = ""


class Run(msgspec.Struct, kw_only=True):
    """All that one run of the benchmark has to tell. not_measured: id or part -> why not."""

    machine: Machine
    seconds: float
    quick: bool
    figures: list[Figure] = []
    curves: list[Curve] = []
    shares: list[Shares] = []
    peers: list[Peer] | None = None  # None: nobody asked for them
    not_measured: dict[str, str] = {}

    def take(self, told: Measured) -> None:
        """Add what a part has told."""
        self.figures += map(_as_asked, told.figures)
        self.curves += told.curves
        self.shares += told.shares

    def rows(self) -> list[dict[str, Any]]:
        """The figures as `--json` lists them; NaN, where nothing stands beside one, is null."""
        rows: list[dict[str, Any]] = []
        for figure in self.figures:
            row = msgspec.to_builtins(figure) | {"reached": figure.reached}
            rows.append(row)
        return rows


def _as_asked(figure: Figure) -> Figure:
    """With the target of its figure, where there is one."""
    if figure.id not in ASKED:
        return figure
    at_least, at_most = ASKED[figure.id]
    return msgspec.structs.replace(figure, at_least=at_least, at_most=at_most, of_figure=True)


def run(
    *,
    quick: bool = False,
    parts: Sequence[Part] = PARTS,
    peers: Callable[[Run, Callable[[str], object]], None] | None = None,
    progress: Callable[[str, int, int], object],
) -> Run:
    """Measure every part; `peers` adds what it measures to the run, and says what it does.

    progress: what is measured now, how many parts are done, of how many.
    """
    begin_s, before = time.monotonic(), look()
    total = len(parts) + (peers is not None)
    told = Run(machine=before, seconds=0.0, quick=quick)
    for done, part in enumerate(parts):
        progress(part.about, done, total)
        _part(part, told)
    if peers is not None:
        try:
            peers(told, lambda said: progress(said, total - 1, total))
        except Exception as error:  # noqa: BLE001 - whatever it is, the parts were measured
            there = {figure.id for figure in told.figures} | set(told.not_measured)
            why = f"{type(error).__name__}: {error}"
            told.not_measured |= {one: why for one in PEER_IDS if one not in there}
    told.machine = look(load_begin=before.load_begin)
    told.seconds = time.monotonic() - begin_s
    return told


def _part(part: Part, told: Run) -> None:
    try:
        found = _measured(part.module, quick=told.quick)
    except (OSError, RuntimeError, msgspec.MsgspecError) as error:
        told.not_measured |= dict.fromkeys(part.ids or (part.module,), str(error))
        return
    told.take(found)
    there = {figure.id for figure in found.figures}
    told.not_measured |= {
        one: found.not_measured.get(one, f"{part.module} did not tell it")
        for one in (*part.ids, *found.not_measured)
        if one not in there
    }


def _measured(module: str, *, quick: bool) -> Measured:
    """What a part has told. Raises RuntimeError where it has not."""
    with tempfile.TemporaryDirectory(prefix="andon-speed-", ignore_cleanup_errors=True) as folder:
        out = Path(folder) / "told"
        command = [sys.executable, "-m", "benchmarks.speed.part", module, str(out)]
        with (Path(folder) / "said").open("w+b") as said:
            child = subprocess.Popen(  # noqa: S603 - this interpreter and our own modules
                [*command, *(["--quick"] if quick else [])],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                env=os.environ | ONE_THREAD | {"TMPDIR": folder},  # and what it leaves goes too
                start_new_session=True,  # so that what it has started ends with it
            )
            try:
                child.wait(PART_S_MAX)
            except subprocess.TimeoutExpired:
                raise RuntimeError(f"took more than {PART_S_MAX:.0f} s") from None
            finally:
                _end(child)
            if child.returncode or not out.is_file():
                said.seek(0)
                last = last_line(said.read().decode(errors="replace"))
                raise RuntimeError(f"exit code {child.returncode}: {last}")
        return msgspec.msgpack.decode(out.read_bytes(), type=Measured)


def last_line(said: str) -> str:
    """What a process that failed said last: of a traceback, the error."""
    lines = said.strip().splitlines()
    return lines[-1][:ERROR_CHARS_MAX] if lines else "nothing was said"


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a part and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
