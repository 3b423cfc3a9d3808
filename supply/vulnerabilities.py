"""`make vulnerabilities`: what is known against the locked packages, where it can be asked.

Exit code 0: none known. 1: some are. 3: nobody could be asked, so nothing is known either way.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Final

from supply.locked import RUNTIME, pins

UNKNOWN_EXIT: Final = 3
SERVICES: Final = ("pypi", "osv")
SECONDS_MAX: Final = 300.0
CAUSE_CHARS_MAX: Final = 300


def ask(service: str, seconds_max: float) -> tuple[dict[str, list[str]] | None, str]:
    """Ids of advisories by package; None where it could not be asked, with the cause."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(RUNTIME)]
    command += ["--require-hashes", "--disable-pip", "--no-deps", "--progress-spinner", "off"]
    command += ["--vulnerability-service", service, "--format", "json", "--timeout", "15"]
    try:
        done = subprocess.run(  # noqa: S603 - our own command
            command, capture_output=True, text=True, check=False, timeout=seconds_max
        )
    except subprocess.TimeoutExpired:
        return None, f"no answer within {seconds_max:.0f} s"
    return read(done.stdout, done.stderr)


def read(said: str, complained: str) -> tuple[dict[str, list[str]] | None, str]:
    """What pip-audit answered: only one that names every locked package has looked."""
    try:
        found = {
            one["name"]: [advisory["id"] for advisory in one["vulns"]]
            for one in json.loads(said)["dependencies"]
            if "vulns" in one
        }
    except (ValueError, KeyError, TypeError):
        return None, (complained.strip().splitlines() or ["no answer"])[-1][:CAUSE_CHARS_MAX]
    asked = {pin.name for pin in pins()}
    if left := sorted(asked - found.keys()):
        return None, f"nothing is told of {len(left)} packages, such as {left[0]}"
    return found, ""


def main(arguments: list[str] | None = None) -> int:
    """Print what is known; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS_MAX)
    seconds_max = parser.parse_args(arguments).seconds
    causes = []
    for service in SERVICES:
        found, cause = ask(service, seconds_max)
        if found is None:
            causes.append(f"{service}: {cause}")
            continue
        known = {name: ids for name, ids in sorted(found.items()) if ids}
        for name, ids in known.items():
            sys.stdout.write(f"{name}: {', '.join(ids)}\n")
        sys.stdout.write(f"{len(found)} packages, {len(known)} with known vulnerabilities\n")
        return 1 if known else 0
    sys.stdout.write("No index of advisories could be asked; nothing is known either way.\n")
    for cause in causes:
        sys.stdout.write(f"  {cause}\n")
    sys.stdout.write("Run it where one is reachable, with the requirements/ of this version.\n")
    return UNKNOWN_EXIT


if __name__ == "__main__":
    sys.exit(main())
