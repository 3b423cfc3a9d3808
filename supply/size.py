"""`make size`: how much disk an installed gateway takes, package by package, without torch.

What counts is an environment that `install.sh` of a wheelhouse has made; another one holds compiled
files of modules that nothing uses, and whatever else is installed there.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from pathlib import Path
from typing import Final

from supply.locked import ROOT, RUNTIME, pins

BLOCK: Final = 4096  # a file takes whole blocks of most disks
MEGABYTES_MAX: Final = 540.0


def sizes(environment: Path) -> dict[str, int]:
    """Bytes of each locked package, and of Andon, in an environment; compiled files included."""
    (site,) = environment.glob("lib/python3.*/site-packages")
    wanted = {pin.name for pin in pins(RUNTIME)} | {"andon"}
    found: dict[str, int] = {}
    for package in importlib.metadata.distributions(path=[str(site)]):
        name = package.metadata["Name"].lower().replace("_", "-").replace(".", "-")
        if name in wanted:
            places = {Path(str(package.locate_file(one))) for one in package.files or ()}
            found[name] = sum(map(_bytes, places))
    return found


def whole(environment: Path) -> int:
    """Bytes of everything in an environment, whoever brought it, links aside."""
    paths = (path for path in environment.rglob("*") if not path.is_symlink() and path.is_file())
    return sum(map(_bytes, paths))


def _bytes(path: Path) -> int:
    try:
        return -(-path.stat().st_size // BLOCK) * BLOCK
    except OSError:  # it names a file that it does not have, such as a cached one
        return 0


def main() -> int:
    """Print the largest, and the sum. Exit code 1 where all of it is more than is promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", type=Path, default=ROOT / ".venv")
    parser.add_argument("--whole", action="store_true", help="all of it counts; 1 above 540 MB")
    told = parser.parse_args()
    found = sizes(told.environment)
    for name, size in sorted(found.items(), key=lambda one: -one[1])[:12]:
        sys.stdout.write(f"{size / 1e6:8.1f} MB  {name}\n")
    total = sum(found.values()) / 1e6
    sys.stdout.write(f"{total:8.1f} MB  {len(found)} packages\n")
    if told.whole:
        total = whole(told.environment) / 1e6
        sys.stdout.write(
            f"{total:8.1f} MB  all of {told.environment}, of at most {MEGABYTES_MAX:.0f} MB\n"
        )
    return int(told.whole and total > MEGABYTES_MAX)


if __name__ == "__main__":
    sys.exit(main())
