"""A box without internet: what is installed there is what was locked, and it runs."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from supply.locked import ROOT, RUNTIME, pins
from supply.size import MEGABYTES_MAX, whole
from supply.wheelhouse import DEPLOY, SUMS, platforms

if TYPE_CHECKING:
    from pathlib import Path

HERE: Final = platform.machine()
PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
# nothing of this environment, and no index: neither by option nor by configuration
EMPTY: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PIP_NO_INDEX": "1", "HOME": "/nowhere"}


def made(architecture: str) -> Path:
    """A wheelhouse that `make wheelhouse` has made; without one the test is named as not run."""
    path = ROOT / "build" / f"wheelhouse-{architecture}"
    if not path.is_dir():
        pytest.skip(f"needs `make wheelhouse ARCH={architecture}` first, as .ci/run calls it")
    return path


def installed(house: Path, target: Path | str, **env: str) -> subprocess.CompletedProcess[str]:
    """What install.sh says."""
    return subprocess.run(
        ["sh", str(house / "install.sh"), str(target)],
        env={**EMPTY, "PYTHON": sys.executable, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A wheelhouse of nothing, for this machine and this Python."""
    house = tmp_path / "house"
    (house / "wheels").mkdir(parents=True)
    for path in DEPLOY.iterdir():
        shutil.copy2(path, house)
    (house / "requirements.txt").write_text("")
    (house / "made-for").write_text(f"ARCH={HERE}\nPYTHON_VERSION={PYTHON}\n")
    _sum(house)
    return house


def _sum(house: Path) -> None:
    files = [path for path in sorted(house.rglob("*")) if path.is_file() and path.name != SUMS]
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(house)}\n"
        for path in files
    ]
    (house / SUMS).write_text("".join(lines))


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
def test_it_holds_a_wheel_of_every_locked_package(architecture: str) -> None:
    """Each of the locked files, for that architecture, and our own."""
    house = made(architecture)
    locked = pins(RUNTIME)
    hashes = {one for pin in locked for one in pin.hashes}
    wheels = sorted((house / "wheels").glob("*.whl"))
    ours = [path for path in wheels if path.name.startswith("andon-")]
    assert len(wheels) == len(locked) + 1
    assert [path.name.rpartition("-")[2] for path in ours] == ["any.whl"]
    for path in set(wheels) - set(ours):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert digest in {one.removeprefix("sha256:") for one in hashes}, path.name
        tags = path.stem.rpartition("-")[2].split(".")
        assert set(tags) & set(platforms(architecture)), path.name


def test_it_is_installed_without_an_index_and_the_demo_runs(tmp_path: Path) -> None:
    """In an empty environment, from any folder, in less than the disk that is promised."""
    house, target = made(HERE), tmp_path / "andon"
    done = installed(house, target)
    assert done.returncode == 0, done.stderr
    megabytes = whole(target) / 1e6
    print(f"installed: {megabytes:.0f} MB")  # noqa: T201 - a figure to read
    assert megabytes < MEGABYTES_MAX
    demo = subprocess.run(
        [target / "bin" / "andon", "demo", "--seconds", "3", "--hours", "3", "--robots", "2"],
        cwd=tmp_path,
        env={**EMPTY, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "This shift:" in demo.stdout


def test_what_was_changed_is_not_installed(small: Path, tmp_path: Path) -> None:
    """By one byte, or by a file that is missing."""
    for change in ("changed", None):
        path = small / "requirements.txt"
        path.write_text(change) if change else path.unlink()
        done = installed(small, tmp_path / "to")
        assert done.returncode == 1
        assert "not what it was" in done.stderr
        assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (f"ARCH=vax\nPYTHON_VERSION={PYTHON}", "This is for vax"),
        (f"ARCH={HERE}\nPYTHON_VERSION=2.7", "these wheels are for 2.7"),
    ],
)
def test_another_machine_is_told_what_it_needs(
    small: Path, tmp_path: Path, line: str, says: str
) -> None:
    """Before anything is written."""
    (small / "made-for").write_text(f"{line}\n")
    _sum(small)
    done = installed(small, tmp_path / "to")
    assert done.returncode == 1
    assert says in done.stderr
    assert not (tmp_path / "to").exists()


def test_nothing_is_written_over(small: Path, tmp_path: Path) -> None:
    """A folder that is there stays as it is; without one it says what it wants."""
    (tmp_path / "to").mkdir()
    assert "is there already" in installed(small, tmp_path / "to").stderr
    assert not list((tmp_path / "to").iterdir())
    assert "Where to?" in installed(small, "").stderr


@pytest.mark.not_counted
def test_what_could_not_be_installed_is_taken_away_again(small: Path, tmp_path: Path) -> None:
    """Half an environment would look like a whole one."""
    (small / "requirements.txt").write_text(f"andon==9 --hash=sha256:{'0' * 64}\n")
    _sum(small)
    done = installed(small, tmp_path / "to")
    assert done.returncode == 1
    assert "taken away again" in done.stderr
    assert not (tmp_path / "to").exists()
