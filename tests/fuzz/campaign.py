"""Many stretches in a few processes, watched from outside; a table and one JSON line at the end."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tests.fuzz import guided
from tests.fuzz.slices import REASONS, Board, Found, Tally
from tests.fuzz.target import BYTES
from tests.fuzz.trial import workplace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fuzz.target import Target

# Inputs of a stretch: a process takes seconds of processor time to begin.
SLICE_BYTES: Final = 250_000  # of decoders of bytes
SLICE_FILES: Final = 10_000
HANG_S: Final = 60.0  # of processor time without a step: the machine may be busy
PROGRESS_S: Final = 30.0
LOOK_S: Final = 0.2
HEX_BYTES: Final = 64  # of an input that failed, shown
CRASHES_MAX: Final = 20  # of one target
ALONE: Final = ("crash", "hang", "slow", "memory")  # which are not tried again in small steps


@dataclass(slots=True)
class Stretch:
    """Inputs [first, end) of a target, and the process that tries them."""

    target: Target
    first: int
    end: int
    home: Path
    process: subprocess.Popen[bytes] | None = None
    at: int = -2
    moved_s: float = 0.0


@dataclass(slots=True)
class Campaign:
    """What is to be done, what goes on, what was found."""

    seed: int
    engine: str
    results: Path
    shrink_s: float
    waiting: list[Stretch] = field(default_factory=list)
    going: list[Stretch] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=dict)
    found: dict[tuple[str, str], Found] = field(default_factory=dict)
    crashes: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, Counter[str]] = field(default_factory=dict)  # of refusals, by target

    def turn(self, processes: int) -> bool:
        """Begin what can begin, look at what goes on; False: all is done."""
        for stretch in list(self.going):
            self._look(stretch)
        while self.waiting and len(self.going) < processes:
            self._begin(self.waiting.pop(0))
        return bool(self.going)

    def tally(self, name: str) -> Tally:
        """What was counted of a target, with what goes on."""
        total = Tally()
        total.add(self.tallies.setdefault(name, Tally()))
        for stretch in self.going:
            if stretch.target.name == name:
                total.add(_board(stretch))
        return total

    def stop(self) -> None:
        """End what goes on; what was counted until then counts."""
        for stretch in self.going:
            assert stretch.process is not None
            stretch.process.kill()
            stretch.process.wait()

    def _begin(self, stretch: Stretch) -> None:
        shutil.rmtree(stretch.home, ignore_errors=True)
        stretch.home.mkdir(parents=True)
        Board(stretch.home / "board").close()
        words = [sys.executable, "-m", "tests.fuzz", "--targets", stretch.target.name]
        words += ["--seed", str(self.seed), "--engine", self.engine]
        words += ["--slice", str(stretch.first), str(stretch.end), str(stretch.home)]
        with (stretch.home / "said").open("wb") as said:
            stretch.process = subprocess.Popen(words, stdout=said, stderr=said)
        self.going.append(stretch)

    def _look(self, stretch: Stretch) -> None:
        assert stretch.process is not None
        tally, now_s = _board(stretch), _processor_s(stretch.process.pid)
        if tally.at != stretch.at or tally.at == -1:
            stretch.at, stretch.moved_s = tally.at, now_s
        hangs = now_s - stretch.moved_s > HANG_S and stretch.process.poll() is None
        if hangs:
            stretch.process.kill()
            stretch.process.wait()
        if stretch.process.poll() is None:
            return
        self.going.remove(stretch)
        ended = tally.at == -1 and stretch.process.returncode == 0
        if not ended and tally.at == -1 and not tally.done:
            raise SystemExit((stretch.home / "said").read_text(errors="replace"))
        if not ended:
            self._crashed(stretch, tally, hangs=hangs)
        self.tallies.setdefault(stretch.target.name, Tally()).add(tally)
        if (stretch.home / REASONS).exists():  # else it fell before its end
            told = msgspec.json.decode((stretch.home / REASONS).read_bytes(), type=dict[str, int])
            self.reasons.setdefault(stretch.target.name, Counter()).update(told)
        for line in (stretch.home / "failures.jsonl").read_bytes().splitlines():
            self._take(msgspec.json.decode(line, type=Found))
        shutil.rmtree(stretch.home, ignore_errors=True)

    def _crashed(self, stretch: Stretch, tally: Tally, *, hangs: bool) -> None:
        """The process is gone: the input that it had is a failure, and the rest goes on."""
        assert stretch.process is not None
        name = stretch.target.name
        tally.done += 1
        tally.failures += 1
        said = (stretch.home / "said").read_text(errors="replace").strip()[-300:]
        self._take(
            Found(
                target=name,
                seed=self.seed,
                index=tally.at if self.engine == "plain" else -1,
                kind="hang" if hangs else "crash",
                place="" if hangs else f"exit {stretch.process.returncode}",
                detail=said,
                data=self._data_of(stretch, tally.at),
            )
        )
        self.crashes[name] += 1
        if (
            self.crashes[name] < CRASHES_MAX
            and tally.at + 1 < stretch.end
            and self.engine == "plain"
        ):
            home = stretch.home.with_name(f"{name}-{tally.at + 1}")
            self.waiting.insert(0, Stretch(stretch.target, tally.at + 1, stretch.end, home))

    def _data_of(self, stretch: Stretch, at: int) -> bytes:
        """The input that took a process down, b"" where nobody kept it."""
        if self.engine == "plain":
            return stretch.target.input_of(self.seed, at)
        kept = sorted(stretch.home.glob(f"{guided.CRASHED}*"))
        return kept[0].read_bytes() if kept else b""

    def _take(self, found: Found) -> None:
        if self.found.setdefault((found.target, found.key), found) is found:
            sys.stderr.write(f"{found.target} {found.index}: {found.key}: {found.detail[:120]!r}\n")
            (self.results / f"{found.target}-{found.index}.bin").write_bytes(found.data)


def run(
    targets: Sequence[Target],
    *,
    seed: int,
    inputs: int,
    processes: int,
    engine: str,
    results: Path,
    first: int = 0,
    shrink_s: float = 60.0,
) -> int:
    """Try every target; 0: nothing failed."""
    results.mkdir(parents=True, exist_ok=True)
    work = Campaign(seed=seed, engine=engine, results=results, shrink_s=shrink_s)
    place = workplace(results / "work")
    for target in targets:
        end = first + (inputs or target.count)
        step = SLICE_BYTES if target.count == BYTES else SLICE_FILES
        step = end - first if engine == "atheris" else step
        step = -(-step // target.span) * target.span if target.span else step
        work.waiting += [
            Stretch(target, at, min(at + step, end), place / f"{target.name}-{at}")
            for at in range(first, end, step)
        ]
    told_s = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while work.turn(processes):
            time.sleep(LOOK_S)
            if time.monotonic() - told_s > PROGRESS_S:
                told_s = time.monotonic()
                _progress(work)
    except KeyboardInterrupt:  # what was tried until then is told
        work.stop()
    shutil.rmtree(place, ignore_errors=True)
    _report(work, targets)
    return 1 if work.found else 0


def _board(stretch: Stretch) -> Tally:
    board = Board(stretch.home / "board")
    try:
        return board.get()
    finally:
        board.close()


def _processor_s(pid: int) -> float:
    """Processor time that a process has taken; 0.0 once it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _progress(work: Campaign) -> None:
    names = sorted({stretch.target.name for stretch in work.going})
    said = ", ".join(f"{name} {work.tally(name).done:,}" for name in names)
    sys.stderr.write(f"{said}; {len(work.waiting)} stretches wait, {len(work.found)} failures\n")


def _report(work: Campaign, targets: Sequence[Target]) -> None:
    rows = {target.name: work.tally(target.name) for target in targets}
    out = [
        (
            f"{'target':24} {'inputs':>10} {'taken':>10} {'refused':>10} {'failed':>7}"
            f" {'worst ms':>9} {'processor s':>11}"
        )
    ]
    out += [
        f"{name:24} {t.done:>10,} {t.accepted:>10,} {t.refused:>10,} {t.failures:>7,}"
        f" {t.worst_ns / 1e6:>9.1f} {t.processor_s:>11.1f}"
        for name, t in rows.items()
    ]
    sys.stdout.write("\n".join(out) + f"\nseed {work.seed}; refused, by reason:\n")
    for name, reasons in work.reasons.items():
        counted = ", ".join(f"{reason} {n:,}" for reason, n in reasons.most_common())
        sys.stdout.write(f"{name:24} {counted}\n" if counted else "")
    by_name = {target.name: target for target in targets}
    for found in work.found.values():
        path = _kept(found, by_name[found.target], work)
        again = f"ONLY={found.index}" if found.index >= 0 else f"INPUT={path}"
        sys.stdout.write(
            f"FAILED {found.target}: {found.key}: {found.detail[:160]!r}; smallest in {path};"
            f" again: make fuzz TARGETS={found.target} SEED={found.seed} {again}\n"
            f"  begins with {found.data[:HEX_BYTES].hex(' ')}\n"
        )
    told = {
        "seed": work.seed,
        "engine": work.engine,
        "inputs": sum(t.done for t in rows.values()),
        "accepted": sum(t.accepted for t in rows.values()),
        "refused": sum(t.refused for t in rows.values()),
        "failures": sum(t.failures for t in rows.values()),
        "processor_s": round(sum(t.processor_s for t in rows.values()), 1),
        "targets": {
            name: {
                "inputs": t.done,
                "accepted": t.accepted,
                "refused": t.refused,
                "reasons": dict(work.reasons.get(name, {})),
                "failures": t.failures,
                "worst_ms": round(t.worst_ns / 1e6, 3),
                "worst_index": t.worst_index,
                "processor_s": round(t.processor_s, 1),
            }
            for name, t in rows.items()
        },
    }
    line = msgspec.json.encode(told).decode()
    sys.stdout.write(f"{line}\n")
    with (work.results / "runs.jsonl").open("a", encoding="utf-8") as kept:
        kept.write(f"{line}\n")


def _kept(found: Found, target: Target, work: Campaign) -> Path:
    """The input of a failure in a file, made as small as a minute allows."""
    word = "".join(c if c.isalnum() else "-" for c in f"{found.kind}-{found.place}")[:80]
    path = work.results / f"{found.target}-{word}.bin"
    path.write_bytes(found.data)
    if not work.shrink_s or found.kind in ALONE or target.span or len(found.data) < 2:
        return path
    words = [sys.executable, "-m", "tests.fuzz.again", found.target, str(path), found.key]
    try:
        subprocess.run(words, timeout=work.shrink_s, check=False, capture_output=True)
    except subprocess.TimeoutExpired:
        sys.stderr.write(f"not made smaller in time: {shlex.join(words)}\n")
    return path
