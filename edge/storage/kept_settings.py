"""Settings by their hash, so that what a journal was taken with can be looked at later.

A journal says the hash of the settings with which each process, and each reload, began.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from edge.assembly.identity import settings_sha256
from edge.errors import UNREADABLE
from edge.settings import GatewaySettings

if TYPE_CHECKING:
    from pathlib import Path

FOLDER: Final = "settings"  # in a gateway's state
KEPT_MAX: Final = 200  # files; those that began longest ago go first


def keep(state: Path, settings: GatewaySettings) -> None:
    """Write the settings under their hash, as the newest. Raises OSError."""
    folder = state / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{settings_sha256(settings)}.json"
    aside = path.with_suffix(".new")
    aside.write_bytes(msgspec.json.encode(settings))
    aside.replace(path)
    by_age = sorted(folder.glob("*.json"), key=lambda one: (one == path, one.stat().st_mtime_ns))
    for old in by_age[:-KEPT_MAX]:
        old.unlink()


def kept(state: Path, sha256: str) -> GatewaySettings | None:
    """The settings of a hash; None: they are not kept, or the file holds something else."""
    try:
        content = (state / FOLDER / f"{sha256}.json").read_bytes()
        found = msgspec.json.decode(content, type=GatewaySettings)
    except (OSError, *UNREADABLE):
        return None
    return found if settings_sha256(found) == sha256 else None
