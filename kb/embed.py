"""Text to unit vectors with the int8 model that ships; the only user of its libraries in kb.

One text at a time: dynamic int8 is not batch-invariant (the same text alone and in a padded batch
differ down to a cosine of 0.985), and one at a time is no slower on one thread. So an index is
bit-reproducible. The tokenizer file asks for padding to 128 and truncation at 128; on load these
become none and 256.
"""

from __future__ import annotations

import functools
import hashlib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import onnxruntime
import tokenizers

from kb.errors import KnowledgeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL_NAME: Final = "all-MiniLM-L6-v2-int8"
MODEL_FILE: Final = "model.onnx"
TOKENIZER_FILE: Final = "tokenizer.json"
MANIFEST_FILE: Final = "manifest.json"
DIMENSION: Final = 384
TOKENS_MAX: Final = 256  # what the model was trained for; [CLS] and [SEP] are among them
TEXT_CHARS_MAX: Final = 16_384  # more hardly changes 256 tokens, and tokenizing costs time

assert TEXT_CHARS_MAX >= TOKENS_MAX * 16, "long words must not be cut off before the token cap"


class _Files(msgspec.Struct, frozen=True):
    """manifest.json of the text model, as far as it is checked."""

    format: int
    name: str
    dimension: int
    files: dict[str, str]  # name -> sha256


class Embedder:
    """The text model, loaded and checked. Safe to call from several threads."""

    def __init__(self, directory: Path | None = None) -> None:
        """Load the model of `directory`, by default the one that ships.

        Raises KnowledgeError when a file is missing or its hash differs from the manifest.
        """
        place = directory or shipped_model()
        listed = _read_manifest(place)
        content = {name: _verified(place / name, listed) for name in (MODEL_FILE, TOKENIZER_FILE)}
        self.sha256: str = _identity(listed)
        self._tokenizer = tokenizers.Tokenizer.from_str(content[TOKENIZER_FILE].decode("utf-8"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(TOKENS_MAX)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the other core belongs to the hot loop
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            content[MODEL_FILE], options, providers=["CPUExecutionProvider"]
        )

    def embed(self, text: str) -> NDArray[np.float32]:
        """Return the unit vector (d,) float32 of a text; only its first 256 tokens count."""
        ids = self._tokenizer.encode(text[:TEXT_CHARS_MAX]).ids
        tokens = np.array([ids], dtype=np.int64)  # (1, s)
        feeds = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        vector: NDArray[np.float32] = self._session.run(None, feeds)[0][0]
        assert vector.shape == (DIMENSION,)
        return vector


@functools.cache
def shipped_embedder() -> Embedder:
    """The text model that is installed, loaded at the first call. Raises KnowledgeError."""
    return Embedder()


def shipped_model() -> Path:
    """Directory of the text model that is installed with this package. Raises KnowledgeError."""
    place = resources.files("models").joinpath("artifacts", MODEL_NAME)
    if not isinstance(place, Path) or not place.is_dir():
        raise KnowledgeError(f"the text model {MODEL_NAME} is not installed; install Andon again")
    return place


def _read_manifest(place: Path) -> _Files:
    file = place / MANIFEST_FILE
    try:
        listed = msgspec.json.decode(file.read_bytes(), type=_Files)
    except OSError as error:
        raise KnowledgeError(f"{file}: cannot read the text model: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise KnowledgeError(f"{file}: not a manifest of a text model: {error}") from error
    if listed.format != 1 or listed.dimension != DIMENSION:
        raise KnowledgeError(f"{file}: expected format 1 with dimension {DIMENSION}")
    return listed


def _verified(file: Path, listed: _Files) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise KnowledgeError(f"{file}: cannot read the text model: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != listed.files.get(file.name):
        raise KnowledgeError(f"{file}: hash differs from {MANIFEST_FILE}; install the model again")
    return content


def _identity(listed: _Files) -> str:
    """One hash for model and tokenizer together: vectors of two identities do not compare."""
    joined = "\n".join(
        f"{name} {listed.files.get(name, '')}" for name in (MODEL_FILE, TOKENIZER_FILE)
    )
    return hashlib.sha256(joined.encode()).hexdigest()
