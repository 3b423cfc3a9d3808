"""A box without internet: what is installed there is what was locked, and it runs."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Final

import pytest

from supply.locked import DEV, ROOT, RUNTIME, pins
from supply.size import MEGABYTES_MAX, whole
from supply.wheelhouse import DEPLOY, LDAP, SUMS, _beside, _lines_of, platforms

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
    house = tmp_path / "a house"  # people have such folders
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
    extra = [pin for pin in pins(DEV) if pin.name in LDAP]
    assert len(extra) == len(LDAP)
    locked = [*pins(RUNTIME), *extra]
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
    page = (ROOT / "docs" / "installation.md").read_text("utf-8")
    stated = re.search(r"^\| disk \| (\d+) MB", page, re.MULTILINE)
    assert stated is not None
    assert megabytes == pytest.approx(float(stated[1]), rel=0.05), "docs/installation.md"
    link = tmp_path / "link"
    link.symlink_to(target.name)  # the version that counts, as docs/how-to/upgrade.md has it
    demo = subprocess.run(
        [link / "bin" / "andon", "demo", "--seconds", "3", "--hours", "3", "--robots", "2"],
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


def test_what_does_not_run_is_taken_away_again(small: Path, tmp_path: Path) -> None:
    """All hashes are right, and it cannot be imported: such as a C library that is too old."""
    done = installed(small, tmp_path / "the plant" / "to")
    assert done.returncode == 1
    assert "No module named 'edge'" in done.stderr
    assert "taken away again" in done.stderr
    assert not (tmp_path / "the plant" / "to").exists()


def test_nothing_is_run_before_its_hash_is_known(small: Path, tmp_path: Path) -> None:
    """What is told of the machine is read as text."""
    with (small / "made-for").open("a") as file:
        file.write(f"touch '{tmp_path / 'ran'}'\n")
    assert "not what it was" in installed(small, tmp_path / "to").stderr
    assert not (tmp_path / "ran").exists()


def test_what_lies_elsewhere_does_not_count_as_installed(small: Path, tmp_path: Path) -> None:
    """A box with a PYTHONPATH would else lack what was found there, once it runs without."""
    told = tmp_path / "elsewhere" / "thing-1.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1\n")
    (small / "requirements.txt").write_text(f"thing==1 --hash=sha256:{'0' * 64}\n")
    _sum(small)
    done = installed(small, tmp_path / "to", PYTHONPATH=str(told.parent))
    assert "No matching distribution found for thing==1" in done.stderr


def test_settings_of_pip_send_nothing_elsewhere(small: Path, tmp_path: Path) -> None:
    """Neither by a variable nor by a file."""
    wheel = small / "wheels" / "thing-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("thing.py", "")
        packed.writestr(
            "thing-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1\n"
        )
        packed.writestr("thing-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        packed.writestr("thing-1.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (small / "requirements.txt").write_text(f"thing==1 --hash=sha256:{digest}\n")
    _sum(small)
    away = tmp_path / "away"
    pip_conf = tmp_path / "pip.conf"
    pip_conf.write_text(f"[install]\ntarget = {away}\n")
    for env in ({"PIP_TARGET": str(away)}, {"PIP_CONFIG_FILE": str(pip_conf)}):
        done = installed(small, tmp_path / "to", **env)
        assert "No module named 'edge'" in done.stderr, "the wheel itself was taken"
        assert not away.exists()


def test_other_users_may_read_what_was_installed(small: Path, tmp_path: Path) -> None:
    """As a service of systemd is one: root's own mask, 0077 on many a box, does not count."""
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\numask >> "{tmp_path}/masks"\nexec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    before = os.umask(0o077)
    try:
        installed(small, tmp_path / "to", PYTHON=str(wrapper))
    finally:
        os.umask(before)
    assert set((tmp_path / "masks").read_text().split()) == {"0022"}


def test_it_brings_what_a_box_without_internet_cannot_fetch(tmp_path: Path) -> None:
    """Every file that a page or the script tells to copy, where the command looks for it."""
    _beside(tmp_path)
    told = [tmp_path / "README.txt", *(tmp_path / "docs").rglob("*.md")]
    named = {
        one.rstrip("/.")
        for page in told
        for one in re.findall(r"\bdeploy/[A-Za-z0-9_./-]+", page.read_text("utf-8"))
    }
    assert {"deploy/andon.service", "deploy/andon-page.service", "deploy/mosquitto"} <= named
    assert not {one for one in named if not (tmp_path / one).exists()}
    pages = set(re.findall(r"\bdocs/[a-z-]+\.md", (tmp_path / "README.txt").read_text("utf-8")))
    assert pages
    assert not {one for one in pages if not (tmp_path / one).is_file()}


def test_what_the_directory_needs_is_asked_for(small: Path, tmp_path: Path) -> None:
    """With its hashes, and only then: nothing can be added later."""
    (small / "ldap.txt").write_text(_lines_of(LDAP))
    _sum(small)
    assert "ldap3" not in installed(small, tmp_path / "to").stderr
    done = installed(small, tmp_path / "to", LDAP="yes")
    assert "No matching distribution found for ldap3==" in done.stderr
    lines = _lines_of(LDAP).splitlines()
    assert [line.partition("==")[0] for line in lines] == list(LDAP)
    assert all("--hash=sha256:" in line for line in lines)
