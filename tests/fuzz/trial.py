"""One input, tried: taken, refused as documented, or a failure with where it began; in bounds."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from tests.fuzz.target import Read, Target

ROOT: Final = Path(__file__).resolve().parent.parent.parent
SECONDS_MAX: Final = 2.0  # of processor time for one input
ALARM_S: Final = 20.0  # of processor time, after which an input is given up
GROWTH_BYTES_MAX: Final = 768 << 20  # of the process, by one input
ADDRESSES_MAX: Final = 8 << 30  # of the process altogether: beyond it is MemoryError
MEMORY_BYTES_MIN: Final = 1 << 30  # free, to work in it
DETAIL_CHARS_MAX: Final = 300


class TooSlowError(BaseException):
    """An input took so long that it was given up; no reader may catch it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong. place: the innermost line of ours, by which failures are told apart."""

    kind: str
    place: str
    detail: str

    @property
    def key(self) -> str:
        """The same for the same fault."""
        return f"{self.kind} {self.place}"


@dataclass(slots=True)
class Trial:
    """A reader at work in this process."""

    target: Target
    scratch: Path
    read: Read | None = None
    seconds: float = 0.0  # of processor time, of the newest input
    accepted: bool = field(default=False)
    reason: str = ""  # why the newest input was refused, as it is published

    def __post_init__(self) -> None:
        self.read = self.target.begin(self.scratch)

    def renew(self) -> None:
        """Another reader, which has seen nothing."""
        self.read = self.target.begin(self.scratch)

    def run(self, data: bytes) -> Failure | None:
        """Try one input; None: it was taken with its promise, or refused as documented."""
        assert self.read is not None
        self.accepted, self.reason = False, ""
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, ALARM_S)
        failure = None
        try:
            self.accepted = self.read(data)
        except self.target.refusals as error:
            self.reason = getattr(error, "reason", type(error).__name__)
        except (Exception, TooSlowError) as error:  # noqa: BLE001 - whatever it is, it is told
            failure = _failure(error)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0.0)
        self.seconds = time.process_time() - begun
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
        if failure is None and self.seconds > SECONDS_MAX:
            failure = Failure(kind="slow", place="", detail=f"{self.seconds:.1f} s")
        if failure is None and grown > GROWTH_BYTES_MAX:
            failure = Failure(kind="memory", place="", detail=f"{grown >> 20} MiB more")
        return failure


def workplace(otherwise: Path) -> Path:
    """Where readers have their files: in memory where there is room, for no disk is tried here."""
    memory = Path("/dev/shm")  # noqa: S108 - the directory made there is our own
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > MEMORY_BYTES_MIN:
        return Path(tempfile.mkdtemp(prefix="andon-fuzz-", dir=memory))
    return otherwise


def bound_process() -> None:
    """From now on this process has bounded memory, and hears the alarm."""
    signal.signal(signal.SIGPROF, _alarm)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES_MAX, ADDRESSES_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _alarm(_number: int, _frame: FrameType | None) -> None:
    raise TooSlowError


def _failure(error: BaseException) -> Failure:
    trace = error.__traceback__
    slow = isinstance(error, TooSlowError)
    return Failure(
        kind="hang" if slow else type(error).__name__,
        place="" if slow else _place(trace),
        detail=f"{_place(trace)} " * slow + " ".join(str(error).split())[:DETAIL_CHARS_MAX],
    )


def _place(trace: TracebackType | None) -> str:
    """The innermost line of ours that is no test, else the innermost of all."""
    frames = traceback.extract_tb(trace)
    ours = [
        f for f in frames if Path(f.filename).is_relative_to(ROOT) and "/tests/" not in f.filename
    ]
    frame = (ours or frames)[-1]
    path = Path(frame.filename)
    name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name
    return f"{name}:{frame.lineno}"
