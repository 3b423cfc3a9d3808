"""What people and tools write beside a gateway: reports, truth, judgements, secrets, models."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

import msgspec
import tokenizers
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.assessment.assess import assess
from edge.assessment.truth import Cause, Fault, TrueJob
from edge.assessment.truth import Truth as TruthFile
from edge.audit.signatures import sign_command
from edge.bundles.shadow import ShadowReport, Side, read_report
from edge.configuration.config import read_secret
from edge.errors import ConfigError, RecordingError, WireError
from edge.gateway.watchdog import Watchdog
from edge.replays.backtest_command import _read_truth
from edge.storage.disk import CLOCK
from edge.trust import TrustSettings
from kb.errors import KnowledgeError
from kb.evaluation.judgements import Place, read_judgements
from kb.records import WorkKind
from kb.retrieval.embed import MANIFEST_FILE, _encoded, _tokenizer, make_known
from tests.fuzz import shapes
from tests.fuzz.files import file_target, reader_target
from tests.fuzz.mutate import (
    json_of,
    mutate_bytes,
    mutate_json,
    mutate_text,
)
from tests.fuzz.shapes import START, S
from tests.fuzz.storage_targets import mutate_lines

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fuzz.target import Read


DAY_NS: Final = 86_400 * S

# --- reports, truth, judgements ----------------------------------------------------------------


def shadow_report() -> bytes:
    """A sound one."""
    side = Side(
        bundle_sha256="ab" * 32, alerts=3, alerts_per_day=1.5, unscored_share=0.0, us_per_sample=9.0
    )
    return msgspec.json.encode(
        ShadowReport(
            current=side, candidate=side, begin_ns=START, end_ns=START + 2 * DAY_NS, samples=99,
            period_s=1.0, budget_per_day=2.0, both=3, agreement=1.0, delay_s_median=float("nan"),
        )
    )  # fmt: skip


def _read_shadow(data: bytes) -> bool:
    report = read_report(data)
    if report is not None:
        assert all(report.worse_because())
    return report is not None


def _truths() -> list[bytes]:
    fault = Fault(
        fault_id="f", kind="drift", asset="r1", channels=("c0",), begin_ns=START, end_ns=START + S
    )
    job = TrueJob(
        job_id="j", kind=WorkKind.CALIBRATION, asset="r1", instrument="x", channels=("c0",),
        begin_ns=START, end_ns=START + S, witness="plant",
    )  # fmt: skip
    cause = Cause(
        cause_id="c", kind="warm_up", asset="r1", channels=("c0",), begin_ns=START, end_ns=START + S
    )
    whole = TruthFile(
        begin_ns=START, end_ns=START + DAY_NS, faults=(fault,), jobs=(job,), causes=(cause,)
    )
    return [msgspec.json.encode(whole)]


def _read_truth_file(path: Path) -> bool:
    truth = _read_truth(path)
    assert truth is not None
    assert assess([], truth).events_total == len(truth.faults)
    return True


_PLACES: Final = (Place("a", ("M", "S", "T"), 1), Place("a", ("M", "S"), 2), Place("b", ("M",), 3))


def _read_judgements(path: Path) -> bool:
    judged = read_judgements(path, _PLACES, paths={"a.md": "a"})
    return all(isinstance(one.query, str) for one in judged)


# --- secrets, keys, what a supervisor says, text models ----------------------------------------


def _begin_signed_command(_scratch: Path) -> Read:
    key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)

    def read(data: bytes) -> bool:
        signed = sign_command("andon/s/cmd/ann/job", data, key)
        assert "signature" in msgspec.json.decode(signed)
        return True

    return read


def _read_secret_file(path: Path) -> bool:
    return "\n" not in read_secret(path)[-1:]


def _read_public_key(data: bytes) -> bool:
    TrustSettings(public_keys=(data.decode("ascii").strip(),))
    return True


def _read_supervisor(data: bytes) -> bool:
    """How often it wants to hear of us."""
    told = {"WATCHDOG_USEC": data.decode("utf-8", "surrogateescape")}
    Watchdog.of(told, keepalive_s=30.0, tick_ms=100.0, clock=CLOCK)
    return True


def _begin_text_model(scratch: Path) -> Read:
    def read(data: bytes) -> bool:
        (scratch / MANIFEST_FILE).write_bytes(data)
        make_known(scratch)
        return True

    return read


def _text_model() -> bytes:
    return msgspec.json.encode(
        {"format": 1, "name": "m", "dimension": 384,
         "files": {"model.onnx": "ab" * 32, "tokenizer.json": "cd" * 32}, "tokens_max": 256}
    )  # fmt: skip


def tokenizer_seed() -> bytes:
    """A small one of the kind that ships."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "pump", "clean", "the", "##s", "a", "##b"]
        vocabulary = {word: k for k, word in enumerate(words)}
        made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
        made.normalizer = tokenizers.normalizers.BertNormalizer()
        made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
        made.post_processor = tokenizers.processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        return made.to_str().encode()


def _read_tokenizer(data: bytes) -> bool:
    encoded = _encoded(_tokenizer(data, 256), "clean the pumps, grün 空気")
    assert len(encoded.ids) <= 256
    return True


TARGETS: Final = (
    reader_target("shadow-report", lambda _: _read_shadow, lambda: [shadow_report()], mutate_json),
    file_target(
        "truth", _read_truth_file, refusals=(RecordingError,), seeds=_truths, mutate=mutate_json
    ),
    file_target(
        "judgements", _read_judgements, refusals=(KnowledgeError,), mutate=mutate_lines,
        seeds=lambda: [
            (b'{"query":"what to do","relevant":["a.md",3]}\n'
            b'{"query":"when","relevant":{"a":2,"2":1}}\n'
            b'{"query":"who","relevant":[{"doc_id":"a","section":"S"}]}\n')
        ],
    ),
    reader_target(
        "command-to-sign", _begin_signed_command,
        lambda: [json_of(body) for body in shapes.command_bodies()["job"]], mutate_json, WireError,
    ),
    file_target(
        "password", _read_secret_file, refusals=(ConfigError,), mutate=mutate_bytes,
        seeds=lambda: [b"hunter2\n", "grün".encode()],
    ),
    reader_target(
        "public-key", lambda _: _read_public_key,
        lambda: [b"BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=\n"], mutate_bytes, ValueError,
    ),
    reader_target(
        "supervisor", lambda _: _read_supervisor,
        lambda: [b"30000000", "3²".encode()], mutate_text,
    ),
    reader_target(
        "text-model", _begin_text_model, lambda: [_text_model()], mutate_json, KnowledgeError
    ),
    reader_target(
        "tokenizer", lambda _: _read_tokenizer, lambda: [tokenizer_seed()], mutate_json,
        KnowledgeError,
    ),
)  # fmt: skip
