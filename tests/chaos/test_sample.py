"""A handful of kills of `make chaos`, and whether its places to kill are still there."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.broker.conftest import MOSQUITTO
from tests.chaos.__main__ import main
from tests.chaos.plan import POINTS, SWAP_POINTS
from tests.chaos.rig import POINTS_FOLDER, ROOT
from tests.chaos.test_last_line import KEYS

if TYPE_CHECKING:
    from pathlib import Path

STALLED_S = "25"  # what a stop may take on a machine on which much else runs


@pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto, which is not installed")
def test_a_few_kills_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By a fixed seed: a kill in a write, in mid-start, a broker that forgets, a takeover."""
    options = ["--stop-seconds", STALLED_S, "--directory", str(tmp_path)]
    assert main(["--kills", "6", "--seed", "12", *options]) == 0
    said = capsys.readouterr()
    more, figures = [msgspec.json.decode(line) for line in said.out.splitlines()]
    assert tuple(figures) == KEYS
    assert figures["kills"] == 6
    assert more["stops"] > 0
    assert more["stop_s_max"] > 0
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
