"""The shipped text model: its numbers, its files, and what it does not need."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from kb.errors import KnowledgeError
from kb.retrieval.embed import DIMENSION, Embedder, shipped_embedder, shipped_model

if TYPE_CHECKING:
    from pathlib import Path

GOLDEN = (
    ("R1 gas flow cal done, JT", (-0.0997, 0.0254, 0.0003, -0.0134)),
    ("The contact tip is worn.", (-0.1155, -0.0007, 0.0163, -0.0358)),
)


@pytest.mark.parametrize(("text", "first"), GOLDEN)
def test_vectors_are_those_of_the_shipped_model(text: str, first: tuple[float, ...]) -> None:
    """Unit length and known numbers; int8 kernels differ a little between processors."""
    vector = shipped_embedder().embed(text)
    assert vector.dtype == np.float32
    assert vector.shape == (DIMENSION,)
    assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(vector[:4], first, atol=0.02)


def test_like_is_near_and_unlike_is_far() -> None:
    """Sense, not words, decides."""
    embed = shipped_embedder().embed
    fault = embed("shielding gas pressure is too low")
    assert fault @ embed("not enough argon at the nozzle") > fault @ embed("holiday plans") + 0.2


def test_texts_beyond_the_cap_are_cut_not_refused() -> None:
    """Only the first 256 tokens count; 128, which the tokenizer file asks for, would be too few."""
    embed = shipped_embedder().embed
    np.testing.assert_array_equal(embed("flow " * 400), embed("flow " * 300))
    assert not np.array_equal(embed("flow " * 150 + "arc " * 50), embed("flow " * 150))
    assert np.isfinite(embed("")).all()


def test_a_changed_model_file_is_refused(tmp_path: Path) -> None:
    """The manifest's hashes are checked on load."""
    place = tmp_path / "model"
    shutil.copytree(shipped_model(), place)
    with (place / "tokenizer.json").open("ab") as file:
        file.write(b" ")
    with pytest.raises(KnowledgeError, match="hash differs"):
        Embedder(place)
    with pytest.raises(KnowledgeError, match="cannot read"):
        Embedder(tmp_path)


def test_a_search_loads_no_training_library() -> None:
    """Torch and its family stay out of the process that embeds."""
    code = (
        "import sys, kb.snapshots.build, kb.snapshots.snapshot, kb.commands\n"
        "from kb.retrieval.embed import shipped_embedder\n"
        "shipped_embedder().embed('x')\n"
        "print([m for m in ('torch', 'transformers', 'sentence_transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
