"""Where the benchmark books the time of a gateway: every module has its place."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from benchmarks.speed.places import AFTER, EXPLICIT, LOOP, PLACES, SCORING
from benchmarks.speed.sampler import Sampler

ROOT: Final = Path(__file__).resolve().parent.parent
# What needs a score before it can be. Whoever adds to it says why in `places`.
NEED_SCORES: Final = (
    "edge/alerts/", "edge/verdicts/", "edge/knowledge/re", "edge/samples/drift", "kb/retrieval/",
    "models/fitting/drift", "models/heads/",
)  # fmt: skip


def placed(file: str) -> str:
    """The part under which a look at a thread in such a file is booked."""
    found = Sampler(PLACES)._place_of(file)
    assert found is not None
    return found


def test_every_module_of_a_gateway_has_a_place_that_somebody_chose() -> None:
    """A module that is new is not booked by where it happens to fall."""
    modules = [
        str(file.relative_to(ROOT))
        for package in ("edge", "models", "kb")
        for file in sorted((ROOT / package).rglob("*.py"))
    ]
    assert len(modules) > 300
    assert [one for one in modules if not any(one.startswith(piece) for piece in EXPLICIT)] == []


def test_every_place_is_of_something_that_is_there() -> None:
    """No name outlives its module."""
    assert [piece for piece in EXPLICIT if not (ROOT / piece).exists()] == []


def test_only_modules_by_name_follow_from_scores() -> None:
    """No folder counts there whole, and nothing that works before there is a score."""
    after = [piece for piece, part in EXPLICIT.items() if part == AFTER]
    assert len(after) > 30
    assert [piece for piece in after if not piece.endswith(".py")] == []
    assert [piece for piece in after if not piece.startswith(NEED_SCORES)] == []


@pytest.mark.parametrize(
    "file",
    [
        "edge/asset.py", "edge/engine.py", "edge/taking.py", "edge/alerts/annunciate.py",
        "edge/samples/usual.py", "edge/verdicts/timeline.py", "edge/work/jobs.py",
        "edge/work/set_aside.py", "models/features/spectra.py", "models/fitting/health.py",
        "models/fitting/mode_track.py",
    ],
)  # fmt: skip
def test_what_works_before_there_is_a_score_counts_to_the_ring(file: str) -> None:
    """Neither scoring nor what follows."""
    assert placed(str(ROOT / file)) not in {SCORING, AFTER}


def test_what_nobody_has_placed_counts_to_the_ring() -> None:
    """A module of ours that is not known, wherever it lies; another's file says nothing."""
    assert placed(str(ROOT / "edge" / "new.py")) == LOOP
    assert placed(str(ROOT / "edge" / "verdicts" / "new.py")) == LOOP
    assert placed(str(ROOT / "models" / "new" / "one.py")) == LOOP
    assert Sampler(PLACES)._place_of("/opt/edge/lib/numpy/core.py") is None
