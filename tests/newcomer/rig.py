"""Steps that are timed, and the processes that they start: none outlives the run.

It imports nothing of ours: whoever has just cloned has no environment yet.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

WORK: Final = "work"  # the machine is busy, or the product is
WAIT: Final = "wait"  # as long as was asked for: in a plant longer
PLANT: Final = "plant"  # what a plant has already: no time of a newcomer
SAID_CHARS: Final = 1_500  # of what a failed command said
STOP_S: Final = 15.0
# Of the caller's environment: none of it may lead the clone back to where it was cloned from, and
# what a `make` that calls us was told (it exports ARGS) is not for the one that we call.
_STRANGE: Final = (
    *("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"),
    *("ARGS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"),
)


class StepError(Exception):
    """A step that did not do what it should; the message says what and what to do."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step that was done. seconds: by the wall clock; trouble: why it failed, else empty."""

    name: str
    command: str
    kind: str
    seconds: float
    trouble: str = ""


def environment_of(clone: Path) -> dict[str, str]:
    """What a newcomer's shell has, with the clone's own `andon` first on the path."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key not in _STRANGE and not key.startswith(("GIT_", "ANDON_"))
    }
    path = [str(clone / ".venv" / "bin"), kept.get("PATH", os.defpath)]
    return kept | {
        "PATH": os.pathsep.join([*path, "/usr/local/sbin", "/usr/sbin"]),
        "COLUMNS": "120",
    }


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens_on(port: int) -> bool:
    """Whether somebody takes connections on this loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5.0).close()
    except OSError:
        return False
    return True


@dataclass(slots=True)
class Rig:
    """Times steps in a folder. A context manager: at its end all that it started is gone."""

    folder: Path
    environment: dict[str, str]
    out: IO[str] = field(default_factory=lambda: sys.stderr)
    steps: list[Step] = field(default_factory=list)
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in reversed(self._children):
            _end(child)

    @contextmanager
    def step(self, name: str, command: str, kind: str = WORK) -> Iterator[None]:
        """Time what is inside. Raises what it raises, and remembers why."""
        self.out.write(f"{len(self.steps) + 1:2d}. {name}: {command}\n")
        self.out.flush()
        begin_s = time.monotonic()
        trouble = ""
        try:
            yield
        except BaseException as error:
            trouble = str(error) or type(error).__name__
            raise
        finally:
            seconds = time.monotonic() - begin_s
            self.steps.append(Step(name, command, kind, seconds, trouble))
            self.out.write(f"    {'FAILED after ' if trouble else ''}{seconds:.1f} s\n")
            self.out.flush()

    def run(self, command: Sequence[str], *, cwd: Path | None = None, seconds_max: float) -> str:
        """Run to its end, and give what it printed. Raises StepError where it fails or hangs."""
        child = subprocess.Popen(
            command,
            cwd=cwd or self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            output, _ = child.communicate(timeout=seconds_max)
        except subprocess.TimeoutExpired:
            _end(child)
            output, _ = child.communicate()  # what it said until then is kept over the timeout
            message = f"no end after {seconds_max:.0f} s; it said:\n{_tail(output)}"
            raise StepError(message) from None
        except BaseException:
            _end(child)
            raise
        if child.returncode:
            message = f"exit code {child.returncode}, expected 0; it said:\n{_tail(output)}"
            raise StepError(message)
        return output.decode("utf-8", "replace")

    def start(
        self, command: Sequence[str], *, log: str, cwd: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start what is to go on, with a pipe as its standard input. log: a file in the folder."""
        with (self.folder / log).open("wb") as said:
            child = subprocess.Popen(
                command,
                cwd=cwd or self.folder,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children.append(child)
        return child

    def still_there(self, child: subprocess.Popen[bytes], *, log: str) -> None:
        """Raise StepError, with what it said, where a process has ended that was to go on."""
        if child.poll() is not None:
            said = _tail((self.folder / log).read_bytes())
            message = f"it ended with exit code {child.returncode}; it said:\n{said}"
            raise StepError(message)


def _tail(output: bytes) -> str:
    return output.decode("utf-8", "replace")[-SAID_CHARS:].strip()


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask a process and those that it started to end, then make them."""
    if child.stdin:
        with suppress(OSError):
            child.stdin.close()
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(STOP_S if number == signal.SIGTERM else None)


def table(steps: Sequence[Step]) -> str:
    """Steps, commands and seconds as a table of Markdown, with the sums below it."""
    lines = ["| | step | command | seconds | |", "|---|---|---|---|---|"]
    for number, one in enumerate(steps, 1):
        mark = "**failed**" if one.trouble else one.kind
        lines.append(f"| {number} | {one.name} | `{one.command}` | {one.seconds:.1f} | {mark} |")
    sums = ", ".join(
        f"{kind} {sum(one.seconds for one in steps if one.kind == kind):.0f} s"
        for kind in (WORK, WAIT, PLANT)
    )
    lines += ["", f"total {sum(one.seconds for one in steps):.0f} s: {sums}"]
    return "\n".join(lines)
