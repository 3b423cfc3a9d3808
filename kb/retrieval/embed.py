"""Text to unit vectors with the int8 model that ships; the only user of its libraries in kb.

One text at a time: dynamic int8 is not batch-invariant (the same text alone and in a padded batch
differ down to a cosine of 0.985), and one at a time is no slower on one thread. So an index is
bit-reproducible. The tokenizer file asks for padding to 128 and truncation at 128; on load these
become none and 256.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from kb.errors import UNREADABLE, KnowledgeError

if TYPE_CHECKING:
    import onnxruntime
    import tokenizers
    from numpy.typing import NDArray

MODEL_NAME: Final = "all-MiniLM-L6-v2-int8"
MODEL_FILE: Final = "model.onnx"
TOKENIZER_FILE: Final = "tokenizer.json"
MANIFEST_FILE: Final = "manifest.json"
DIMENSION: Final = 384
DIMENSION_MAX: Final = 4096
PAIR_TOKENS_MAX: Final = 512  # of a question and a passage together
TOKENS_MAX: Final = 256  # what the model was trained for; [CLS] and [SEP] are among them
TEXT_CHARS_MAX: Final = 16_384  # more hardly changes 256 tokens, and tokenizing costs time

assert TEXT_CHARS_MAX >= TOKENS_MAX * 16, "long words must not be cut off before the token cap"


class _Files(msgspec.Struct, frozen=True):
    """manifest.json of a text model, as far as it is checked.

    Some models want a word before a question, and another before a passage.
    """

    format: int
    name: str
    dimension: int
    files: dict[str, str]  # name -> sha256
    question_prefix: str = ""
    passage_prefix: str = ""
    tokens_max: int = TOKENS_MAX


class Embedder:
    """The text model, checked. Safe to call from several threads."""

    def __init__(self, directory: Path | None = None) -> None:
        """Check the model of `directory`, and try it; by default take the one that ships.

        That one is known to work, so it is made ready by its first text, or by `warm`. Raises
        KnowledgeError when a file is missing or its hash differs from the manifest.
        """
        self._place = directory or shipped_model()
        listed = _read_manifest(self._place)
        self._content = {
            name: _verified(self._place / name, listed) for name in (MODEL_FILE, TOKENIZER_FILE)
        }
        self.sha256: str = _identity(listed)
        self.dimension: int = listed.dimension
        self._tokens_max = listed.tokens_max
        self._prefixes = (listed.question_prefix, listed.passage_prefix)
        self._alone = threading.Lock()
        self._ready: tuple[tokenizers.Tokenizer, onnxruntime.InferenceSession] | None = None
        if directory is not None:
            self.warm()

    def warm(self) -> None:
        """Have it ready before a text comes: a sixth of a second. Raises KnowledgeError."""
        self._model()

    def embed(self, text: str, *, question: bool = False) -> NDArray[np.float32]:
        """Return the unit vector (d,) float32 of a text; only its first 256 tokens count.

        `question`: with the prefix that the model wants before a question, else before a passage.
        """
        prefix = self._prefixes[0 if question else 1]
        return _vector(*self._model(), prefix + text[:TEXT_CHARS_MAX])

    def _model(self) -> tuple[tokenizers.Tokenizer, onnxruntime.InferenceSession]:
        """Tokenizer and session, made by whoever asks first."""
        with self._alone:
            if self._ready is None:
                tokenizer = _tokenizer(self._content[TOKENIZER_FILE], self._tokens_max)
                session = _session(self._content[MODEL_FILE])
                if _vector(tokenizer, session, "x").shape != (self.dimension,):
                    raise KnowledgeError(
                        f"{self._place}: the model's output is no vector of the manifest's"
                        f" {self.dimension}; expected one pooled, normalised vector a text"
                    )
                self._ready = tokenizer, session
                self._content.clear()
            return self._ready


class PairModel:
    """A cross-encoder: reads a question and a passage together, and says how they fit."""

    def __init__(self, directory: Path) -> None:
        """Load `model.onnx` and `tokenizer.json` of `directory`. Raises KnowledgeError."""
        content = {name: _read(directory / name) for name in (MODEL_FILE, TOKENIZER_FILE)}
        self.sha256: str = hashlib.sha256(b"".join(content.values())).hexdigest()
        self._tokenizer = _tokenizer(content[TOKENIZER_FILE], PAIR_TOKENS_MAX)
        self._session = _session(content[MODEL_FILE])
        known = {"input_ids", "attention_mask", "token_type_ids"}
        wanted = {one.name for one in self._session.get_inputs()}
        if "input_ids" not in wanted or wanted - known:
            raise KnowledgeError(
                f"{directory / MODEL_FILE}: takes {', '.join(sorted(wanted))}; expected input_ids,"
                " attention_mask and perhaps token_type_ids of a cross-encoder"
            )

    def score(self, question: str, passage: str) -> float:
        """How well a passage answers a question; higher is better. NaN is lowest."""
        encoded = _encoded(self._tokenizer, question[:TEXT_CHARS_MAX], passage[:TEXT_CHARS_MAX])
        logits = np.ravel(self._session.run(None, _feeds(self._session, encoded))[0])
        score = float(logits[-1] - logits[0]) if logits.size == 2 else float(logits[0])
        return score if np.isfinite(score) else -np.inf


def _vector(
    tokenizer: tokenizers.Tokenizer, session: onnxruntime.InferenceSession, text: str
) -> NDArray[np.float32]:
    """What the model makes of a text: (d,) float32. Raises KnowledgeError."""
    vector: NDArray[np.float32] = session.run(None, _feeds(session, _encoded(tokenizer, text)))[0][
        0
    ]
    return vector


def _tokenizer(content: bytes, tokens_max: int) -> tokenizers.Tokenizer:
    import tokenizers  # noqa: PLC0415 - when the model is made ready

    try:
        made = tokenizers.Tokenizer.from_str(content.decode("utf-8"))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # nothing narrower; its panics are no Exceptions
        raise KnowledgeError(f"{TOKENIZER_FILE} is no tokenizer: {error}") from error
    made.no_padding()
    made.enable_truncation(tokens_max)
    return made


def _encoded(
    tokenizer: tokenizers.Tokenizer, text: str, pair: str | None = None
) -> tokenizers.Encoding:
    """A text, or a pair of them, as tokens. Raises KnowledgeError."""
    try:
        encoded = tokenizer.encode(text, pair)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # also a panic of the library, which is no Exception
        raise KnowledgeError(f"{TOKENIZER_FILE} cannot take a text: {error}") from error
    most = int((tokenizer.truncation or {}).get("max_length", TOKENS_MAX))
    if len(encoded.ids) > most:  # its own additions are not cut
        raise KnowledgeError(f"{TOKENIZER_FILE} makes {len(encoded.ids)} tokens, at most {most}")
    return encoded


def _session(model: bytes) -> onnxruntime.InferenceSession:
    import onnxruntime  # noqa: PLC0415 - likewise

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the other core belongs to the hot loop
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # likewise
        raise KnowledgeError(f"{MODEL_FILE} is no ONNX model: {error}") from error


def _feeds(
    session: onnxruntime.InferenceSession, encoded: tokenizers.Encoding
) -> dict[str, NDArray[np.int64]]:
    """Inputs of one text or pair, each (1, s) int64, those that the graph asks for."""
    ids = np.array([encoded.ids], dtype=np.int64)
    given = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.array([encoded.type_ids], dtype=np.int64),
    }
    return {one.name: given[one.name] for one in session.get_inputs()}


_KNOWN: Final[dict[str, Path]] = {}  # identity -> directory of another model


def make_known(directory: Path) -> None:
    """Let this process open snapshots that were built with the model of `directory`.

    The model is loaded with the first such snapshot. Raises KnowledgeError.
    """
    _KNOWN[_identity(_read_manifest(directory))] = directory


def embedder_of(sha256: str) -> Embedder:
    """The model with an identity where it was made known, else the shipped one.

    Raises KnowledgeError when its files are not what they were.
    """
    return _loaded(_KNOWN[sha256]) if sha256 in _KNOWN else shipped_embedder()


@functools.cache
def _loaded(directory: Path) -> Embedder:
    return Embedder(directory)


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
    except UNREADABLE as error:
        raise KnowledgeError(f"{file}: not a manifest of a text model: {error}") from error
    if listed.format != 1 or not 0 < listed.dimension <= DIMENSION_MAX:
        raise KnowledgeError(f"{file}: expected format 1, dimension 1 to {DIMENSION_MAX}")
    return listed


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise KnowledgeError(f"{file}: cannot read the text model: {error.strerror}") from error


def _verified(file: Path, listed: _Files) -> bytes:
    content = _read(file)
    if hashlib.sha256(content).hexdigest() != listed.files.get(file.name):
        raise KnowledgeError(f"{file}: hash differs from {MANIFEST_FILE}; install the model again")
    return content


def _identity(listed: _Files) -> str:
    """One hash for model and tokenizer together: vectors of two identities do not compare."""
    parts = [f"{name} {listed.files.get(name, '')}" for name in (MODEL_FILE, TOKENIZER_FILE)]
    if listed.passage_prefix:
        parts.append(f"passage {listed.passage_prefix}")
    joined = "\n".join(parts)
    return hashlib.sha256(joined.encode()).hexdigest()
