"""`make wheelhouse`: everything that a gateway installs, in a folder that needs no index.

The locked run-time set as wheels of one architecture and one version of Python, our own wheel
beside them, a lock that names the hash of each, sums of all files, a script that installs from it,
and what else a box without internet has no other way to: units, broker files and the pages. The
sets of x86_64 and aarch64 can be made on either.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Final

from supply.locked import DEV, ROOT, RUNTIME, pins

ARCHITECTURES: Final = ("x86_64", "aarch64")
# The oldest C library that all of the wheels agree on comes first; older ones run there too.
GLIBC: Final = ("2_28", "2_27", "2_26", "2_24", "2_17", "2_12", "2_5")
LEGACY: Final = ("manylinux2014", "manylinux2010", "manylinux1")
DEPLOY: Final = ROOT / "deploy" / "wheelhouse"
SUMS: Final = "SHA256SUMS"
LDAP: Final = ("ldap3", "pyasn1")  # the extra `ldap`, as it is locked for our tests


class WheelhouseError(Exception):
    """It cannot be made; the message says why, and what to do."""


def platforms(architecture: str) -> list[str]:
    """The platform tags whose wheels run on an architecture with glibc 2.28."""
    told = [f"manylinux_{one}_{architecture}" for one in GLIBC]
    return [*told, *(f"{one}_{architecture}" for one in LEGACY), "any"]


def make(*, architecture: str, python: str, out: Path) -> Path:
    """Make a wheelhouse; what is at `out` is replaced. Returns the packed one.

    Raises WheelhouseError, and leaves nothing half made.
    """
    if architecture not in ARCHITECTURES:
        expected = " or ".join(ARCHITECTURES)
        raise WheelhouseError(f"ARCH={architecture}: expected {expected}")
    made = out.with_name(f"{out.name}.part")
    shutil.rmtree(made, ignore_errors=True)
    wheels = made / "wheels"
    wheels.mkdir(parents=True)
    beside = made / "ldap.txt"
    beside.write_text(_lines_of(LDAP), encoding="utf-8")
    for wanted in (RUNTIME, beside):
        _download(wheels, wanted, architecture=architecture, python=python)
    own = _own_wheel(wheels)
    lock = RUNTIME.read_text("utf-8")
    (made / "requirements.txt").write_text(f"{lock}\n{own}\n", encoding="utf-8")
    (made / "made-for").write_text(f"ARCH={architecture}\nPYTHON_VERSION={python}\n", "utf-8")
    _beside(made)
    files = sorted(path for path in made.rglob("*") if path.is_file())
    sums = [f"{_sha256(path)}  {path.relative_to(made).as_posix()}\n" for path in files]
    (made / SUMS).write_text("".join(sums), encoding="utf-8")
    shutil.rmtree(out, ignore_errors=True)
    made.rename(out)
    return _packed(out)


def _lines_of(names: tuple[str, ...]) -> str:
    """A lock of some of the packages that our tests need, with the hashes that stand there."""
    found = {pin.name: pin for pin in pins(DEV)}
    return "".join(
        f"{name}=={found[name].version}"
        + "".join(f" --hash=sha256:{one}" for one in found[name].hashes)
        + "\n"
        for name in names
    )


def _download(wheels: Path, lock: Path, *, architecture: str, python: str) -> None:
    """Wheels of all packages of a lock, and of nothing else; hashes are those of the lock."""
    before = len(list(wheels.iterdir()))
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--only-binary", ":all:", "--no-deps", "--require-hashes", "--dest", str(wheels)),
        *("--implementation", "cp", "--python-version", python),
        *(f"--abi=cp{python.replace('.', '')}", "--abi=abi3", "--abi=none"),
        *(f"--platform={one}" for one in platforms(architecture)),
        *("--requirement", str(lock)),
    ]
    if subprocess.run(command, check=False).returncode:  # noqa: S603 - made of constants above
        raise WheelhouseError(
            f"not every locked package has a wheel for {architecture} and Python {python}, or the"
            " index cannot be reached; what pip says of it stands above"
        )
    there = len(list(wheels.iterdir())) - before
    minor = int(python.partition(".")[2])
    wanted = (
        len(LDAP)
        if lock != RUNTIME
        else sum(not pin.python_below or minor < pin.python_below for pin in pins(RUNTIME))
    )
    if there != wanted:
        raise WheelhouseError(f"{there} wheels for {wanted} locked packages")


def _beside(made: Path) -> None:
    """What a box needs besides the program: its script, units, broker files and the pages.

    They stand as in a copy of the sources, so that the commands of the pages work in both.
    """
    for path in sorted(DEPLOY.iterdir()):
        shutil.copy2(path, made / path.name)
    shutil.copy2(ROOT / "LICENSE", made)
    for folder in ("deploy", "docs"):
        left_out = shutil.ignore_patterns("__pycache__", DEPLOY.name)
        shutil.copytree(ROOT / folder, made / folder, ignore=left_out)


def _own_wheel(wheels: Path) -> str:
    """Our own wheel, which runs anywhere; the line that locks it."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    command = [
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(ROOT)),
    ]
    if subprocess.run(command, check=False).returncode:  # noqa: S603 - made of constants above
        raise WheelhouseError("our own wheel could not be built; what pip says stands above")
    wheel = wheels / f"andon-{version}-py3-none-any.whl"
    if not wheel.is_file():
        raise WheelhouseError(f"{wheel.name} was not built: it is to run on any architecture")
    return f"andon=={version} --hash=sha256:{_sha256(wheel)}"


def _packed(folder: Path) -> Path:
    """The folder as one file, for a medium that holds files alone."""
    target = folder.with_name(f"{folder.name}.tar")  # wheels are packed already
    with tarfile.open(target, "w") as tar:
        tar.add(folder, arcname=folder.name)
    return target


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> int:
    """Make one and say what it holds. Exit code 1 where it cannot be made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", default=platform.machine(), help="x86_64 or aarch64")
    parser.add_argument("--python", default="3.11", help="of the box: 3.11, 3.12 or 3.13")
    parser.add_argument("--out", type=Path, help="folder; build/wheelhouse-ARCH by default")
    told = parser.parse_args()
    out = told.out or ROOT / "build" / f"wheelhouse-{told.arch}"
    try:
        packed = make(architecture=told.arch, python=told.python, out=out)
    except WheelhouseError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    megabytes = packed.stat().st_size / 1e6
    count = len(list((out / "wheels").iterdir()))
    sys.stdout.write(f"{out}: {count} wheels for {told.arch}, Python {told.python}\n")
    sys.stdout.write(f"{packed}: {megabytes:.0f} MB; on the box: sh install.sh /opt/andon\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
