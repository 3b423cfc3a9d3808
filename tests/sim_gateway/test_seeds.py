"""The gateway in a simulated world: seeds that must pass, the same run twice, and planted bugs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest import mock

import pytest

from tests.sim_gateway.life import live
from tests.sim_gateway.mutations import FIRST, MUTATIONS
from tests.sim_gateway.mutations import main as mutations
from tests.sim_gateway.world import SIZES, SimulatedWorld

if TYPE_CHECKING:
    from edge.assembly.assembly import Assembly
    from edge.configuration.config import GatewayConfig

ROOT: Final = Path(__file__).resolve().parents[2]
SEEDS: Final = 500
PART: Final = 50
NOTICED_WITHIN: Final = 60  # seeds; how many it takes is drawn anew with every change of the world
# Planted bugs that a few seeds notice; `python -m tests.sim_gateway.mutations` plants all of them.
QUICK: Final = (
    "acked before it is journaled",
    "outbox before the journal is synced",
    "a checkpoint ahead of the journal",
    "audited behind the alert",
    "audit not synced",
    "replay skips a record",
    "nothing said again",
    "an older word said again",
    "a clause is passed over",
    "two revisions in flight",
    "shed and not acknowledged",
    "shed and not counted",
    "a row behind a late one is lost",
    "no old segment is dropped",
)


@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_whatever_befalls_it_every_promise_is_kept(first: int) -> None:
    """No sample unscored, no alert lost, no key with two contents, nothing quiet for nothing."""
    failed = [
        f"make sim SEEDS={outcome.seed}:{outcome.seed + 1}   {outcome.problem[:300]}"
        for outcome in map(live, range(first, first + PART))
        if outcome.problem
    ]
    assert not failed, "\n".join(failed)


def test_what_a_world_draws_of_the_gateway_is_put_back_behind_it() -> None:
    """Other tests run in the same process, and count on what is shipped."""
    before = [vars(module)[name] for module, name, _ in SIZES]
    drawn = set()

    class Noted(SimulatedWorld):
        def assembled(self, config: GatewayConfig) -> Assembly:
            made = super().assembled(config)
            drawn.add(tuple(vars(module)[name] for module, name, _ in SIZES))
            return made

    with mock.patch("tests.sim_gateway.life.SimulatedWorld", Noted):
        for seed in range(3):
            live(seed)
    assert drawn - {tuple(before)}, "none was drawn"
    assert [vars(module)[name] for module, name, _ in SIZES] == before


def test_a_seed_is_one_run_bit_for_bit() -> None:
    """Also in another process, whose sets and dictionaries have another order."""
    said = "from tests.sim_gateway.life import live as one; print(one(3).digest, one(8).digest)"
    here = [live(seed).digest for seed in (3, 8)]
    assert [live(seed).digest for seed in (3, 8)] == here
    found = subprocess.run(
        [sys.executable, "-c", said],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert found.stdout.split() == here


def test_seeds_reach_what_they_are_for() -> None:
    """Kills, power cuts, refused starts, suppressions and lost writes, all within a few seeds."""
    seen: dict[str, int] = {}
    for seed in range(60):
        for name, count in live(seed).seen.items():
            seen[name] = seen.get(name, 0) + count
    for name in ("kills", "power cuts", "faults", "suppressed", "lapses", "shed", "heard alert"):
        assert seen.get(name, 0) >= 3, f"{name}: {seen}"


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_noticed(name: str) -> None:
    """A check that nothing fails is worth what it notices."""
    (planted,) = [one for one in MUTATIONS if one.name == name]
    count, problem = planted.seeds(NOTICED_WITHIN)
    assert count, f"{name}: {NOTICED_WITHIN} seeds passed"
    assert not live(FIRST + count).problem, "without it, that seed passes"
    assert problem


def test_every_bug_can_be_planted() -> None:
    """What it replaces is still there: the rest of them are only planted by hand."""
    for one in MUTATIONS:
        real = getattr(one.holder, one.attribute)
        with one.planted():
            assert getattr(one.holder, one.attribute) is not real


@pytest.mark.parametrize("asked", ["5", "5:5", "7:3", "a:b", ""])
def test_seeds_are_asked_for_as_a_range(asked: str) -> None:
    """Anything else is an error that says how."""
    found = subprocess.run(
        [sys.executable, "-m", "tests.sim_gateway", asked],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert found.returncode == 2
    assert "FIRST:END" in found.stderr


def test_the_last_line_says_how_many_passed() -> None:
    """As a script reads it; the exit code is 0 when all did."""
    found = subprocess.run(
        [sys.executable, "-m", "tests.sim_gateway", "0:5", "--processes", "2"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert found.returncode == 0
    assert found.stdout.splitlines()[-1] == "5 passed, 0 failed"


def _with_seed_3(does: str) -> subprocess.CompletedProcess[str]:
    """Seeds 0 to 7, of which one does something; the others are not run."""
    said = f"""
import os, sys
from tests.sim_gateway import __main__ as sim
from tests.sim_gateway.life import Outcome

def live(seed):
    {does}
    return Outcome(seed, "", "", {{"lives": 1}})

sim.live = live
sys.exit(sim.main(["0:8", "--processes", "2"]))
"""
    return subprocess.run(
        [sys.executable, "-c", said],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_seed_that_fails_is_told_with_the_line_that_repeats_it() -> None:
    """And counted in the last line; the others go on."""
    found = _with_seed_3('if seed == 3: return Outcome(seed, "planted", "")')
    assert found.returncode == 1
    assert found.stdout.splitlines()[:2] == ["seed 3: planted", "  make sim SEEDS=3:4"]
    assert found.stdout.splitlines()[-1] == "7 passed, 1 failed"


def test_a_process_that_dies_fails_the_seeds_that_it_ran() -> None:
    """With the one that ran beside it at most; the rest is run by another one."""
    found = _with_seed_3("seed == 3 and os._exit(9)")
    *told, last = found.stdout.splitlines()
    failed = [line for line in told if "died" in line]
    assert found.returncode == 1
    assert 1 <= len(failed) <= 2
    assert any(line.startswith("seed 3: ") for line in failed)
    assert "  make sim SEEDS=3:4" in told
    assert last == f"{8 - len(failed)} passed, {len(failed)} failed"


def test_a_bug_that_there_is_not_is_not_planted(capsys: pytest.CaptureFixture[str]) -> None:
    """It is an error that names those that there are."""
    assert mutations(["zzz"]) == 2
    told = capsys.readouterr()
    assert not told.out
    assert all(one.name in told.err for one in MUTATIONS)
