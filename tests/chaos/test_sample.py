"""A handful of kills of `make chaos`, and whether its places to kill are still there."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.broker.conftest import MOSQUITTO
from tests.chaos.__main__ import main
from tests.chaos.plan import POINTS, SWAP_POINTS
from tests.chaos.rig import POINTS_FOLDER, ROOT

if TYPE_CHECKING:
    from pathlib import Path

KEYS = (
    "kills", "samples_sent", "samples_scored", "alerts_expected", "alerts_lost", "ids_doubled",
)  # fmt: skip


@pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto, which is not installed")
def test_a_few_kills_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By a fixed seed: a kill in a write, in mid-start, a broker that forgets, a takeover."""
    assert main(["--kills", "6", "--seed", "12", "--directory", str(tmp_path)]) == 0
    said = capsys.readouterr()
    figures: dict[str, Any] = msgspec.json.decode(said.out.splitlines()[-1])
    assert tuple(figures)[:6] == KEYS
    assert figures["kills"] == 6
    assert figures["samples_sent"] == figures["samples_scored"] > 1_000
    assert figures["alerts_expected"] > 10
    assert (figures["alerts_lost"], figures["ids_doubled"]) == (0, 0)
    assert "SEED=12" in said.err
    assert not list(tmp_path.iterdir()), "what went well leaves nothing behind"


def test_every_place_of_a_kill_is_there() -> None:
    """Code moves; a campaign must not lose a place without a word."""
    places = [f"{place}:1" for place in (*POINTS, *SWAP_POINTS)]
    program = f"import sitecustomize as s\nfor place in {places}: s.arm(place)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(POINTS_FOLDER), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
