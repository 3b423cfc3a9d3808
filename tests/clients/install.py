"""`make clients`: real Node-RED, FUXA and Home Assistant in .clients, for tests/clients.

Only the standard library, so that it may run beside the making of our own environment. Versions
are exact and stand in packages/; a second call finds them installed. What is missing is said, with
the reason; the tests that need it are then listed under NOT RUN.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = Path(__file__).resolve().parent / "packages"
CLIENTS: Final = ROOT / ".clients"
NODE_MAJOR_MIN: Final = 18
INSTALL_S_MAX: Final = 900
HOME_ASSISTANT_PYTHON: Final = "python3.11"  # newer releases need newer Pythons, and other packages
LINES_SAID: Final = 12  # of what an installer said last


class MissingError(Exception):
    """Something could not be installed; the message says why and what to do."""


def npm_package(name: str, proof: str) -> None:
    """Install one tree of npm packages by its lock; `proof` is JavaScript that has to run there."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise MissingError(f"needs node {NODE_MAJOR_MIN} or newer, and npm; neither may be missing")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.removeprefix("v").partition(".")[0]) < NODE_MAJOR_MIN:
        raise MissingError(f"needs node {NODE_MAJOR_MIN} or newer, found {version.strip()}")
    source, place = PACKAGES / name, CLIENTS / name
    files = [source / "package.json", source / "package-lock.json"]
    if _installed(place, files):
        return
    place.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copy(file, place / file.name)
    _run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], place)
    _run([node, "-e", proof], place)
    _note(place, files)


def home_assistant() -> None:
    """Install Home Assistant in an environment of its own."""
    python = shutil.which(HOME_ASSISTANT_PYTHON)
    if python is None:
        raise MissingError(f"needs {HOME_ASSISTANT_PYTHON}, which is not on PATH")
    pins, place = PACKAGES / "home-assistant.txt", CLIENTS / "home-assistant"
    if _installed(place, [pins]):
        return
    _run([python, "-m", "venv", "--clear", str(place)], ROOT)
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "-q"]
    _run([*pip, "--disable-pip-version-check", "--no-deps", "-r", str(pins)], place)
    _run([str(place / "bin" / "hass"), "--version"], place)
    _note(place, [pins])


def _digest(files: list[Path]) -> str:
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _installed(place: Path, files: list[Path]) -> bool:
    stamp = place / "installed"
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == _digest(files)


def _note(place: Path, files: list[Path]) -> None:
    (place / "installed").write_text(_digest(files), encoding="utf-8")


def _run(command: list[str], directory: Path) -> None:
    """Run it to its end; its last lines are the reason where it fails."""
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_S_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"{command[0]} took more than {INSTALL_S_MAX} s") from error
    if done.returncode:
        said = "\n    ".join(done.stdout.splitlines()[-LINES_SAID:])
        raise MissingError(f"{' '.join(command[:4])} ended with {done.returncode}:\n    {said}")


def main() -> int:
    """Install all side by side; 0 even where some are missing: their tests say so."""
    wanted = {
        "Node-RED": lambda: npm_package("node-red", "require.resolve('node-red/red.js')"),
        "FUXA": lambda: npm_package("fuxa", "require('sqlite3')"),
        "Home Assistant": home_assistant,
    }
    with concurrent.futures.ThreadPoolExecutor(len(wanted)) as pool:
        running = {name: pool.submit(install) for name, install in wanted.items()}
    for name, done in running.items():
        try:
            done.result()
            outcome = f"in {CLIENTS.name}"
        except (MissingError, OSError, subprocess.SubprocessError) as error:
            outcome = f"NOT INSTALLED, its tests will not run: {error}"
        sys.stdout.write(f"{name}: {outcome}\n")
    for program, package in (
        ("chromium", "chromium"),
        ("prometheus", "prometheus"),
        ("prometheus-alertmanager", "prometheus-alertmanager"),
    ):
        found = shutil.which(program)
        missing = f"missing; on Debian: apt-get install {package}"
        sys.stdout.write(f"{program}: {found or missing}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
