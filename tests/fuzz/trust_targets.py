"""Whom a gateway believes and what it remembers of others: keys, rights, certificates, last words.

Keys, signatures, scope tables, operators, PEM files, dead letters, what a broker holds of us.
"""

from __future__ import annotations

import base64
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from cryptography.hazmat.primitives import serialization

from edge.audit.signatures import (
    certificate_name,
    new_key,
    read_key,
    sign_path,
    signers,
    unsigned_because,
)
from edge.brokers.read_back import said
from edge.brokers.tls import TlsFiles, context_of, spans_of_files
from edge.configuration.config import effective, load
from edge.errors import ConfigError, JournalError
from edge.storage.dead_letters import NEWER, LetterLine, read_letters
from edge.trust import COMMANDS, Signs, TrustedKey
from edge.work.rights import is_shared, rights_of
from kb.records import SignedTable
from kb.snapshots.signed_tables import rows_of
from tests.broker.certificates import Authority
from tests.fuzz.files import file_target
from tests.fuzz.mutate import mixed, mutate_bytes, mutate_json, mutate_text
from tests.fuzz.shapes import START, S
from tests.fuzz.storage_targets import mutate_lines
from tests.fuzz.table_targets import ASSETS, CONFIG, TAGS
from tests.fuzz.target import BYTES, FILE, Target
from tests.kb import conftest as texts

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.fuzz.target import Read

KEYS: Final = tuple(base64.b64encode(bytes([b]) * 32).decode() for b in (3, 5, 7, 9))
TRUST: Final = f"""\
require_signed = true
public_keys = ["{KEYS[0]}"]
[operators]
ann = "{KEYS[1]}"
[[key]]
name = "engineer"
public_key = "{KEYS[2]}"
signs = ["bundle", "snapshot", "scope"]
valid_from = 2025-01-31T00:00:00Z
valid_to = 2027-01-31T00:00:00+01:00
[[key]]
name = "bea"
public_key = "{KEYS[3]}"
signs = ["commands"]
withdrawn = "lost"
""".encode()
OPERATORS: Final = b"""\
[[operator]]
name = "ann"
may = ["ack", "shelve"]
assets = ["r1", "pump-*", "r?"]
positions = ["hall"]
[[operator]]
name = "panel"
may = []
shared = true
"""
NAMED: Final = CONFIG.replace(b"require_signed = false", b'file = "trust.toml"')
SCOPE_JSONL: Final = b"""\
{"kind":"calibration","asset":"r1","instrument":"gas_flow","channels":["Flow"],"expected_effect":0.5,"duration_min_max":60,"settle_s":240,"approved_by":"engineer","approved_at":"2026-01-15T08:00:00+01:00"}
"""
SIGNED: Final = b"asset,channels\nr1,flow\n"


def _configured(scratch: Path, *, gateway: bytes) -> Path:
    files = (("assets.csv", ASSETS), ("tags.csv", TAGS), ("gateway.toml", gateway))
    for name, content in files:
        (scratch / name).write_bytes(content)
    return scratch / "gateway.toml"


def _begin_trust(scratch: Path) -> Read:
    path = _configured(scratch, gateway=NAMED)

    def read(data: bytes) -> bool:
        (scratch / "trust.toml").write_bytes(data)
        config = load(path, environment={})
        assert effective(config)
        trust = config.trust
        for key in trust.every():
            assert isinstance(key.lacks(START), str)
            assert len(base64.b64decode(key.public_key)) == 32
        assert all(trust.may_sign(what) for what in Signs if what in ("bundle", "snapshot")) or (
            not trust.require_signed
        )
        for operator in (*trust.operators, "nobody"):
            trust.of_operator(operator)
        return True

    return read


def _begin_operators(scratch: Path) -> Read:
    path = _configured(scratch, gateway=CONFIG)

    def read(data: bytes) -> bool:
        path.write_bytes(CONFIG + data)
        config = load(path, environment={})
        names = [one.name for one in config.operator]
        assert len(set(names)) == len(names)
        for name in (*names, "nobody"):
            rights = rights_of(name, config.settings)
            assert set(rights.may) <= set(COMMANDS)
            assert isinstance(is_shared(name, config.settings), bool)
        return True

    return read


@cache
def _signed() -> tuple[str, tuple[bytes, ...]]:
    """A public key, and files of signatures of which some have one by it."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "f.csv"
        file.write_bytes(SIGNED)
        key, public = new_key(Path(place), "k")
        other, _ = new_key(Path(place), "o")
        beside, _ = sign_path(file, read_key(key))
        alone = beside.read_bytes()
        sign_path(file, read_key(other), add=True)
        return public, (beside.read_bytes(), alone, alone * 9, b"A" * 88 + b"\n" + alone)


def _raw(word: str) -> bytes:
    """The bytes of a signature; none for what is no base64."""
    try:
        return base64.b64decode(word, validate=True)
    except ValueError:
        return b""


def _begin_signatures(scratch: Path) -> Read:
    """It never raises, and whole is what has the one signature among its first eight words."""
    public, stored = _signed()
    key = TrustedKey(name="k", public_key=public, signs=(Signs.SCOPE,))
    genuine = base64.b64decode(stored[1].split()[0])
    file = scratch / "f.csv"
    file.write_bytes(SIGNED)

    def read(data: bytes) -> bool:
        (scratch / "f.csv.sig").write_bytes(data)
        because = unsigned_because(file, (key,), now_ns=START)
        if not because:
            text = data.decode("ascii")
            # its bytes, for the last digit of base64 has bits that say nothing
            assert any(_raw(word) == genuine for word in text.split()[:8])
            assert signers(SIGNED, text.split(), (key,), what="f").keys == (key,)
        return not because

    return read


def _read_scope(data: bytes) -> bool:
    """The rows of a table from its bytes alone; the same rows whoever asks."""
    name = "scope.jsonl" if data.startswith(b"{") else "scope.csv"
    table = SignedTable(path=name, content=data, signatures="A")
    found = rows_of(table)
    assert all(row.channels and row.asset for row in found)
    assert found == rows_of(table)
    return bool(found)


# --- certificates ------------------------------------------------------------------------------


@cache
def _pem() -> dict[str, bytes]:
    """Certificates, keys and a revocation list, each sound."""
    with tempfile.TemporaryDirectory() as place:
        authority = Authority(Path(place))
        pair = authority.issue("gateway")
        taken_back = authority.issue("old")
        listed = authority.revoke(taken_back)
        certificate = pair.made.public_bytes(serialization.Encoding.DER)
        return {
            "ca": authority.file.read_bytes(),
            "crl": listed.read_bytes(),
            "cert": pair.cert.read_bytes(),
            "key": pair.key.read_bytes(),
            "der": certificate,
        }


def _mutate_pem(chance: random.Random, data: bytes) -> bytes:
    """The text of a PEM file, or the DER within it with its armour made to fit."""
    if chance.random() < 0.3 or data.count(b"-----") < 4:
        return mixed(mutate_bytes, mutate_text)(chance, data)
    head, _, rest = data.partition(b"-----\n")
    body, _, tail = rest.partition(b"-----END")
    try:
        inner = base64.b64decode(body)
    except ValueError:
        return mutate_bytes(chance, data)
    changed = base64.encodebytes(mutate_bytes(chance, inner))
    return head + b"-----\n" + changed + b"-----END" + tail


def _pem_target(which: str) -> Target:
    """One of the files damaged, the others sound."""

    def begin(scratch: Path) -> Read:
        for name, content in _pem().items():
            (scratch / name).write_bytes(content)
        files = TlsFiles(
            **{name: str(scratch / name) for name in ("ca", "cert", "key", "crl")},
        )

        def read(data: bytes) -> bool:
            (scratch / which).write_bytes(data)
            for span in spans_of_files(files):  # every second, whatever stands there by then
                assert isinstance(span.trouble(START / S), str)
            assert isinstance(certificate_name(data), str)
            context_of(files)
            return True

        return read

    return Target(
        name=f"tls-{which}",
        count=FILE,
        begin=begin,
        refusals=(ConfigError,),
        seeds=lambda: [_pem()[which], *([_pem()[which] * 2] if which in ("ca", "crl") else [])],
        mutate=_mutate_pem,
    )


# --- what others sent, and what a broker holds of us -------------------------------------------


def _letters() -> list[bytes]:
    lines = [
        LetterLine(
            time="2025-10-09T08:53:20.000+00:00",
            t_ns=START + k * S,
            topic=f"plant/r{k}",
            reason="not_json",
            size_bytes=9,
            payload=base64.b64encode(b"\xffpayload").decode(),
        )
        for k in range(3)
    ]
    return [b"".join(msgspec.json.encode(line) + b"\n" for line in lines)]


def _read_letters(path: Path) -> bool:
    found = list(read_letters(path.parent))
    for one in found:
        assert one.beginning is not None
        assert msgspec.json.decode(msgspec.json.encode(one), type=LetterLine) == one
    assert len(list(read_letters(path.parent, topic="plant/*", since_ns=START))) <= len(found)
    return bool(found)


def _read_said(data: bytes) -> bool:
    """What is retained on a topic of ours, whoever wrote it."""
    found = said(data)
    assert found is None or (found[0] and found[1] > 0)
    return found is not None


def _plain(
    name: str,
    begin: Callable[[Path], Read],
    seeds: list[bytes],
    *,
    refusals: tuple[type[BaseException], ...] = (),
    mutate: Callable[[random.Random, bytes], bytes] = mutate_text,
    count: int = FILE,
) -> Target:
    return Target(
        name=name, count=count, begin=begin, refusals=refusals, seeds=lambda: seeds, mutate=mutate
    )


TARGETS: Final = (
    _plain("trust-file", _begin_trust, [TRUST], refusals=(ConfigError,)),
    _plain("operators", _begin_operators, [OPERATORS], refusals=(ConfigError,)),
    Target(
        name="signatures",
        count=FILE,
        begin=_begin_signatures,
        refusals=(),
        seeds=lambda: _signed()[1],
        mutate=mixed(mutate_bytes, mutate_text),
    ),
    _plain("scope-signed", lambda _: _read_scope, [texts.SCOPE.encode(), SCOPE_JSONL]),
    *(_pem_target(which) for which in ("ca", "crl", "cert", "key")),
    file_target(
        "dead-letters",
        _read_letters,
        refusals=(JournalError,),
        seeds=_letters,
        mutate=mutate_lines,
        file=NEWER,
    ),
    _plain(
        "read-back",
        lambda _: _read_said,
        [b'{"id":"r1-process-1","revision":3,"state":"open","score":1.5,"channels":["c0"]}'],
        mutate=mixed(mutate_json, mutate_json, mutate_bytes),
        count=BYTES,
    ),
)
