"""What the gateway is made of is known: every file by its hash, every licence by its name."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import tomllib
from typing import Final

import pytest
from packaging.requirements import Requirement

from supply import vulnerabilities
from supply.licences import LIST, fits, judged
from supply.locked import ROOT, Package, licence_of, pins, unlike

LOCKS: Final = sorted((ROOT / "requirements").glob("*.txt"))
ALLOWED: Final = {"MIT", "BSD-3-Clause", "Apache-2.0"}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_locked_requirement_is_pinned_with_hashes(lock: object) -> None:
    """Of every line that installs something, and no index is named."""
    (path,) = (one for one in LOCKS if one == lock)
    text = path.read_text(encoding="utf-8")
    found = pins(path)
    assert len(found) == len(re.findall(r"^[a-zA-Z]", text, re.MULTILINE))
    assert all(pin.hashes for pin in found)
    assert len({pin.name for pin in found}) == len(found)
    assert "://" not in text
    assert "--" not in re.sub(r"--hash=sha256:[0-9a-f]{64}\b", "", text)


def test_the_locks_agree_with_each_other_and_with_the_project() -> None:
    """A package has one version in what runs and in what tests it; each demand is met."""
    runtime, dev, tools = (
        {pin.name: pin for pin in pins(ROOT / "requirements" / f"{name}.txt")}
        for name in ("runtime", "dev", "tools")
    )
    assert {name: dev[name] for name in runtime} == runtime
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = tuple((line, runtime) for line in project["dependencies"])
    wanted += tuple((line, dev) for line in project["optional-dependencies"]["dev"])
    listed = (ROOT / "requirements" / "tools.in").read_text(encoding="utf-8").splitlines()
    wanted += tuple((line, tools) for line in listed)
    for line, lock in wanted:
        demand = Requirement(line)
        assert demand.specifier.contains(lock[demand.name].version), line


@pytest.mark.parametrize(
    ("expression", "met"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("MIT AND (Apache-2.0 OR GPL-3.0-only)", True),
        ("MIT AND (GPL-3.0-only OR SSPL-1.0)", False),
        ("MIT OR GPL-3.0-only AND SSPL-1.0", True),
        ("Apache-2.0 WITH LLVM-exception", False),
        ("", False),
        ("(MIT", False),
        ("MIT MIT", False),
    ],
)
def test_an_expression_is_met_by_what_is_allowed(expression: str, *, met: bool) -> None:
    """One of a choice, and all of a sum; what cannot be read is not met."""
    assert fits(expression, ALLOWED) is met


def test_a_licence_that_nobody_allowed_or_can_read_is_a_fault() -> None:
    """By name; one that was read by hand counts as it was read."""
    packages = [
        Package(name=name, version="1", licence=licence, summary="")
        for name, licence in (("a", "MIT"), ("b", "SSPL-1.0"), ("c", ""), ("d", ""))
    ]
    listed = {"allowed": dict.fromkeys(ALLOWED, "because"), "read": {"d": "MIT"}}
    assert [line.split()[0] for line in judged(packages, listed)] == ["b", "c"]


def test_each_allowed_licence_has_its_reason() -> None:
    """A row without one would be waved through."""
    listed = tomllib.loads(LIST.read_text(encoding="utf-8"))
    assert all(reason.strip() for reason in listed["allowed"].values())


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        (("MIT OR Apache-2.0", "", []), "MIT OR Apache-2.0"),
        (("", "MIT License", []), "MIT"),
        (("", "", ["License :: OSI Approved :: BSD License"]), "BSD-3-Clause"),
        (("", "Copyright (c) 2001 somebody and so on", ["License :: Other"]), ""),
        (("", "Dual License", ["License :: OSI Approved :: MIT License"]), "MIT"),
        (("", "", []), ""),
    ],
)
def test_what_a_package_says_of_its_licence(said: tuple[str, str, list[str]], licence: str) -> None:
    """By expression, text or classifiers, in this order."""
    assert licence_of(*said) == licence


def test_an_environment_that_is_not_the_locked_one_is_told() -> None:
    """Another version, or none."""
    first, second, third = pins()[:3]
    there = {
        one.name: Package(name=one.name, version=version, licence="MIT", summary="")
        for one, version in ((first, first.version), (second, "0"))
    }
    assert [line.split(":")[0] for line in unlike([first, second, third], there)] == [
        second.name,
        third.name,
    ]
    for below, told in ((sys.version_info.minor, 0), (sys.version_info.minor + 1, 1)):
        brought = dataclasses.replace(third, python_below=below)
        assert len(unlike([brought], there)) == told, "newer ones bring it themselves"


def test_only_an_answer_on_every_package_is_one() -> None:
    """A mirror without advisories tells nothing of a package, and that is not "none known"."""
    whole = [{"name": pin.name, "version": pin.version, "vulns": []} for pin in pins()]
    found, cause = vulnerabilities.read(json.dumps({"dependencies": whole}), "")
    assert found is not None
    assert not cause
    skipped = [*whole[1:], {"name": whole[0]["name"], "skip_reason": "not there"}]
    for said in (json.dumps({"dependencies": skipped}), "", "{}", "[]", '{"dependencies": 3}'):
        assert vulnerabilities.read(said, "cannot resolve")[0] is None
