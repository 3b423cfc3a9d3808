"""A sample of `make fuzz` in every run of the tests, and that it finds what it is there for."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from tests.fuzz import campaign
from tests.fuzz.mutate import mutate_bytes
from tests.fuzz.shrink import smallest
from tests.fuzz.slices import Board, run_slice
from tests.fuzz.target import BYTES, FILE, Target
from tests.fuzz.targets import TARGETS
from tests.fuzz.trial import Trial, workplace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fuzz.target import Read

SEED: Final = 7
# Inputs of the sample; what opens archives, pages and graphs takes longer for each.
MANY: Final = 1_500
FEW: Final = 60
SLOW: Final = (
    "document", "bundle", "snapshot", "foreign", "waveforms", "outbox", "trail", "restore",
    "backup", "retired-alert", "kept", "recording-any",
)  # fmt: skip
NATIVE: Final = ("bundle", "foreign", "snapshot")  # whose inputs onnxruntime and faiss get to see
# Not ours, never told, or of a bundle that is not there.
NEVER_TAKEN: Final = ("readings-other", "signature", "recording-any")
BY_NAME: Final = {target.name: target for target in TARGETS}


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory, where there is such a place: disks sync slowly."""
    place = workplace(tmp_path)
    yield place
    shutil.rmtree(place)


@pytest.mark.parametrize("name", [name for name in BY_NAME if not name.startswith(NATIVE)])
def test_only_documented_errors_come_out_and_promises_hold(name: str, scratch: Path) -> None:
    """The same inputs in every run; whichever fails is repeated by the line that it prints.

    What takes more than its two seconds of processor time is left to `make fuzz`.
    """
    target = BY_NAME[name]
    trial = Trial(target, scratch)
    count = FEW if name.startswith(SLOW) else MANY if target.count == BYTES else FEW * 4
    for index in range(count):
        failure = trial.run(target.input_of(SEED, index))
        again = f"make fuzz TARGETS={name} SEED={SEED} ONLY={index}"
        assert failure is None or failure.kind == "slow", f"{failure}; {again}"


@pytest.mark.parametrize("name", [name for name in BY_NAME if name.startswith(NATIVE)])
def test_what_libraries_run_can_only_take_a_child_down(name: str, scratch: Path) -> None:
    """Each in a fork: a new interpreter for each takes longer than what it tries."""
    Board(scratch / "board").close()
    child = os.fork()
    if child == 0:
        ended = 1
        try:
            run_slice(BY_NAME[name], seed=SEED, first=0, end=FEW, home=scratch)
            ended = 0
        finally:
            os._exit(ended)
    _, status = os.waitpid(child, 0)
    tally = Board(scratch / "board").get()
    again = f"make fuzz TARGETS={name} SEED={SEED} ONLY="
    assert status == 0, f"the child fell: {again}{tally.at}"
    assert tally.done == FEW
    told = (scratch / "failures.jsonl").read_bytes().splitlines()
    failed = [one for one in (msgspec.json.decode(line) for line in told) if one["kind"] != "slow"]
    assert not failed, f"{failed[0]}; {again}{failed[0]['index']}"


def test_a_campaign_counts_every_input_of_its_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In processes of their own, which is how `make fuzz` goes about it."""
    campaign.run(
        [BY_NAME["foreign-model"]],
        seed=SEED,
        inputs=FEW,
        processes=1,
        engine="plain",
        results=tmp_path,
        shrink_s=0.0,
    )
    told = msgspec.json.decode(capsys.readouterr().out.splitlines()[-1])
    assert told["inputs"] == told["accepted"] + told["refused"] + told["failures"] == FEW
    assert told["processor_s"] > 0


@pytest.mark.parametrize("name", sorted(BY_NAME.keys() - set(NEVER_TAKEN)))
def test_what_mutations_begin_with_is_taken(name: str, scratch: Path) -> None:
    """Else only the first check of a reader would ever be tried."""
    target = BY_NAME[name]
    read = target.begin(scratch)

    def taken(data: bytes) -> bool:
        try:
            return read(data)
        except target.refusals:
            return False

    assert any(taken(seed) for seed in target.seeds())


def _planted(_scratch: Path) -> Read:
    def read(data: bytes) -> bool:
        if data.count(b"X") > 1:
            raise KeyError("planted")
        if data.startswith(b"refuse"):
            raise ValueError("documented")
        return True

    return read


PLANTED: Final = Target(
    name="planted",
    count=FILE,
    begin=_planted,
    refusals=(ValueError,),
    seeds=lambda: [b"refuse this", b"take this X and that Y"],
    mutate=mutate_bytes,
)


def test_a_planted_fault_is_found_counted_and_made_small(tmp_path: Path) -> None:
    """Every input is counted once, the fault is found, and little of its input is left."""
    run_slice(PLANTED, seed=1, first=0, end=3_000, home=tmp_path)
    tally = Board(tmp_path / "board").get()
    assert tally.done == tally.accepted + tally.refused + tally.failures == 3_000
    assert tally.failures
    assert tally.refused
    assert b"KeyError" in (tmp_path / "failures.jsonl").read_bytes()
    trial = Trial(PLANTED, tmp_path)
    found = smallest(b"take this X and that X", lambda data: trial.run(data) is not None)
    assert found == b"XX"


def test_an_input_has_one_content_for_its_seed_and_number() -> None:
    """So that one line repeats a failure, whatever was tried before it."""
    for target in TARGETS[:8]:
        assert target.input_of(3, 41) == target.input_of(3, 41)
        assert {target.input_of(3, i) for i in range(20)} != {
            target.input_of(4, i) for i in range(20)
        }
