"""What the figures were measured on: processor, load, versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Final

import msgspec

PACKAGES: Final = ("andon", "numpy", "scipy", "onnxruntime", "paho-mqtt", "msgspec")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine of a run. load: of the last minute, at the begin and at the end."""

    processor: str
    cores: int
    memory_gb: float
    system: str
    python: str
    versions: dict[str, str]
    load_begin: float
    load_end: float


def look(*, load_begin: float | None = None) -> Machine:
    """Look at this machine; `load_begin` is what it was before, if anybody looked."""
    now = os.getloadavg()[0]
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions={name: _version(name) for name in PACKAGES},
        load_begin=now if load_begin is None else load_begin,
        load_end=now,
    )


def _processor() -> str:
    """As the kernel calls it; ARM has no name there."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        told = ""
    names = [line.partition(":")[2].strip() for line in told.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
