"""An environment of its own for every peer, made once and used again.

None of them is a dependency of ours, and no two of them share one: what one needs, another refuses.
"""

from __future__ import annotations

import os
import subprocess
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

INSTALL_S_MAX: Final = 1_200.0
MADE: Final = "andon-peer.txt"  # written last: what was installed
PIP: Final = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")


class PeerError(RuntimeError):
    """A peer cannot be installed or run; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What is installed for a peer: one call of pip after another."""

    name: str
    steps: tuple[tuple[str, ...], ...]


ENVIRONMENTS: Final = {
    one.name: one
    for one in (
        Environment(name="river", steps=(("river==0.26.1",),)),
        Environment(name="pysad", steps=(("pysad==0.7.0",),)),
        Environment(name="pyod", steps=(("pyod==3.6.7",),)),
        # Its own bounds and those of torch shut each other out, and lightning is not among what it
        # asks for; one after another they are installed, and run.
        Environment(
            name="numalogic",
            steps=(("torch==2.13.0",), ("numalogic==0.13.2",), ("pytorch-lightning",)),
        ),
        Environment(name="stumpy", steps=(("stumpy==1.14.1",),)),
        Environment(name="bytewax", steps=(("bytewax==0.21.1", "numpy"),)),
    )
}


def default_directory() -> Path:
    """Where environments of peers are kept: the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "andon" / "peers"


def python_of(name: str, directory: Path) -> Path:
    """The interpreter of a peer's environment, made where it is not there. Raises PeerError."""
    wanted = ENVIRONMENTS[name]
    where = directory / name
    python = where / "bin" / "python"
    pins = "\n".join(" ".join(step) for step in wanted.steps) + "\n"
    made = where / MADE
    if made.is_file() and made.read_text(encoding="utf-8") == pins and python.exists():
        return python
    try:
        venv.create(where, with_pip=True, clear=True)
        for step in wanted.steps:
            _install(python, step)
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerError(f"{name}: no environment in {where}: {error}") from error
    made.write_text(pins, encoding="utf-8")
    return python


def _install(python: Path, packages: tuple[str, ...]) -> None:
    done = subprocess.run(  # noqa: S603 - pinned packages, by the interpreter just made
        [str(python), *PIP, *packages],
        capture_output=True,
        text=True,
        timeout=INSTALL_S_MAX,
        check=False,
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        said = " ".join(errors or done.stderr.split("\n")[-3:])
        raise PeerError(f"{' '.join(packages)} cannot be installed: {said[:300]}")
