"""Signatures: what nobody known has signed suppresses nothing, once that is required."""

from __future__ import annotations

import base64
import stat
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edge.assembly.assembly import Assembly, assemble_from
from edge.audit.signatures import (
    new_key,
    read_key,
    sign_command,
    sign_path,
    unsigned_because,
    verify,
)
from edge.errors import ConfigError, WireError
from edge.records import JobTold, Verdict
from edge.trust import Signs, TrustSettings
from edge.verdicts.decide import Facts, decide
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from models.bundles.store import save
from tests.edge.rig import Rig, S, bundle, knowledge, order, settings
from tests.edge.test_decide import EXPECTED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.desk import Knowledge
    from edge.settings import GatewaySettings

SCOPE: Final = """\
kind,asset,instrument,channels,expected_effect,duration_min_max,settle_s,approved_by,approved_at
calibration,r1,x,c1,0.3,10,60,qa,2025-01-01T00:00:00Z
"""


class Keys:
    """Three people: two that the gateway knows, one that it does not."""

    def __init__(self, folder: Path) -> None:
        self.engineer_path, self.engineer = new_key(folder, "engineer")
        self.ann_path, self.ann = new_key(folder, "ann")
        self.stranger_path, self.stranger = new_key(folder, "stranger")

    def settings(self, *, required: bool = True) -> GatewaySettings:
        """The rig's settings with trust."""
        trust = TrustSettings(
            require_signed=required, public_keys=(self.engineer,), operators={"ann": self.ann}
        )
        return settings(trust=trust)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Keys of this run."""
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def snapshot_path(tmp_path: Path) -> Path:
    """A snapshot with one approved scope row, unsigned."""
    source = tmp_path / "texts"
    source.mkdir()
    (source / "scope.csv").write_text(SCOPE, encoding="utf-8")
    build(source, tmp_path / "kb", now_ns=1)
    return tmp_path / "kb"


def test_a_key_is_secret_and_never_overwritten(keys: Keys, tmp_path: Path) -> None:
    """What others can read is no key; openssl and any other program can use the files."""
    assert stat.S_IMODE(keys.ann_path.stat().st_mode) == 0o600
    assert isinstance(load_pem_private_key(keys.ann_path.read_bytes(), None), Ed25519PrivateKey)
    with pytest.raises(ConfigError, match="never overwritten"):
        new_key(keys.ann_path.parent, "ann")
    for name in ("", "../x", ".x"):
        with pytest.raises(ConfigError, match="no name"):
            new_key(tmp_path, name)
    (tmp_path / "no.key").write_text("nothing", encoding="utf-8")
    with pytest.raises(ConfigError, match="PEM"):
        read_key(tmp_path / "no.key")


def unsigned(path: Path, *keys: str, same: Callable[[bytes], bool] | None = None) -> str:
    """Why a path counts as unsigned where these keys may sign anything, for ever."""
    trusted = TrustSettings(public_keys=keys).may_sign(Signs.JOBS)
    return unsigned_because(path, trusted, now_ns=0, same=same)


def test_a_signature_fits_one_key_and_one_content(keys: Keys, tmp_path: Path) -> None:
    """Any other key, a changed byte, a damaged or missing signature: unsigned, with the reason."""
    path = tmp_path / "jobs.jsonl"
    path.write_bytes(b"{}\n")
    assert "is not signed" in unsigned(path, keys.engineer)
    beside, public = sign_path(path, read_key(keys.engineer_path))
    assert (beside.name, public) == ("jobs.jsonl.sig", keys.engineer)
    assert unsigned(path, keys.stranger, keys.engineer) == ""
    assert "no known key" in unsigned(path, keys.stranger)
    assert "no known key" in unsigned(path)
    assert "changed" in unsigned(path, keys.engineer, same=b"[]\n".__eq__)
    path.write_bytes(b"{ }\n")
    assert "another content" in unsigned(path, keys.engineer)
    path.write_bytes(b"{}\n")
    good = beside.read_bytes()
    other = b"B" if good.startswith(b"A") else b"A"
    for damaged in (b"", b"x" * 5_000, b"\xff\xfe", good[:-6], other + good[1:]):
        beside.write_bytes(damaged)
        assert unsigned(path, keys.engineer)
    with pytest.raises(ConfigError, match="is a signature"):
        sign_path(beside, read_key(keys.engineer_path))
    with pytest.raises(ConfigError, match="neither a bundle nor a snapshot"):
        sign_path(tmp_path, read_key(keys.engineer_path))


def test_a_signature_changes_nothing_of_what_it_is_about(
    keys: Keys, snapshot_path: Path, tmp_path: Path
) -> None:
    """Bundle and snapshot keep their names, and open as before."""
    kept = save(bundle(), tmp_path / "bundle")
    with Snapshot.open(snapshot_path) as unsigned:
        before = unsigned.sha256
    for path in (kept, snapshot_path):
        sign_path(path, read_key(keys.engineer_path))
        assert (path / "manifest.sig").is_file()
    made = assemble_from(keys.settings(), bundle_path=kept, snapshot_path=snapshot_path)
    assert made.bundle.sha256 == bundle().sha256
    assert made.snapshot_sha256 == before


def known(assembly: Assembly) -> Knowledge:
    """What an assembly gives its engine."""
    made = assembly.knowledge(assembly.snapshot_sha256)
    assert made is not None
    return made


def suppressed(known: Knowledge, conf: GatewaySettings, *, confirmed: bool = False) -> list[str]:
    """A fault-like effect of a calibration that the plant (or a person) witnesses, in short."""
    rig = Rig(known=known, conf=conf)
    rig.run(200)
    if not confirmed:
        rig.context["cal"] = 1.0
    rig.run(5)
    rig.run(60, {"c1": 12.0})
    return rig.said()


@pytest.mark.parametrize("signer", ["engineer", "stranger", None])
@pytest.mark.parametrize("unsigned", ["bundle", "kb"])
def test_an_unsigned_snapshot_or_bundle_suppresses_nothing(
    keys: Keys, snapshot_path: Path, tmp_path: Path, unsigned: str, signer: str | None
) -> None:
    """Both have to carry a signature of a known key; the alert names what lacks it."""
    kept = save(bundle(), tmp_path / "bundle")
    for path in (kept, snapshot_path):
        who = signer if path.name == unsigned else "engineer"
        if who:
            sign_path(path, read_key(getattr(keys, f"{who}_path")))
    conf = keys.settings()
    made = assemble_from(conf, bundle_path=kept, snapshot_path=snapshot_path)
    said = suppressed(known(made), conf)
    assert ("suppressed" in said) == (signer == "engineer")
    assert ("ALERT" in said) == (signer != "engineer")
    free = keys.settings(required=False)
    made = assemble_from(free, bundle_path=kept, snapshot_path=snapshot_path)
    assert "suppressed" in suppressed(known(made), free), "nothing is required"


def test_the_clause_alone_decides() -> None:
    """Everything else holds."""
    facts: Facts = msgspec.structs.replace(EXPECTED, unsigned="scope.csv is not signed")
    decision = decide(facts)
    assert decision.verdict is Verdict.ALERT
    failed = [clause for clause in decision.clauses if clause.outcome is not True]
    assert [(clause.name, clause.detail) for clause in failed] == [
        ("signed", "scope.csv is not signed")
    ]


class Signed(Rig):
    """A rig whose engine verifies with real keys, and an operator ann who may sign."""

    def __init__(self, keys: Keys, *, required: bool = True) -> None:
        self._keys = keys
        known, conf = knowledge(proposals=[order(approved=False)]), keys.settings()
        engineer = conf.trust.may_sign(Signs.SCOPE)
        rows = {row.scope_id: engineer for row in known.scope_rows}
        super().__init__(
            known=msgspec.structs.replace(known, unsigned="", scope_signers=rows),
            conf=keys.settings(required=required),
        )
        self.engine._desk.verify = verify

    def say(self, name: str, key: Path | None, *, operator: str = "ann", **body: Any) -> Any:  # noqa: ANN401
        """A command, signed or not; returns the answer."""
        topic = f"andon/s/cmd/{operator}/{name}"
        payload = msgspec.json.encode({"ts": self.now_ns // 1_000_000, **body})
        if key is not None:
            payload = sign_command(topic, payload, read_key(key))
        before = len(self.published)
        self.send(topic, payload)
        (answer,) = [p for p in self.published[before:] if "cmd_result" in p.topic]
        return msgspec.json.decode(answer.payload)


CHECK_IN: Final = {
    "action": "check_in",
    "asset": "r1",
    "kind": "calibration",
    "instrument": "x",
    "reason": "as planned",
}


@pytest.mark.parametrize(
    ("name", "body"),
    [("job", CHECK_IN), ("confirm", {"proposal_id": "wo-1", "reason": "as planned"})],
)
def test_a_persons_word_opens_only_what_that_person_signed(
    keys: Keys, name: str, body: dict[str, Any]
) -> None:
    """Unsigned, of a stranger, of the wrong person's key, of an operator without one."""
    rig = Signed(keys)
    rig.run(100)
    for key, operator in (
        (None, "ann"),
        (keys.stranger_path, "ann"),
        (keys.engineer_path, "ann"),
        (keys.ann_path, "bob"),
    ):
        answer = rig.say(name, key, operator=operator, **body)
        assert not answer["done"]
        assert "signatures are required" in answer["detail"]
    assert not [run for run in rig.runs if run.live]
    assert rig.engine.counts()["invalid_command_unsigned"] == 4
    assert rig.say(name, keys.ann_path, **body)["done"]
    assert rig.say("ack", None, alert_id="none")["detail"] != "signatures are required"
    rig.run(5)
    if name == "job":
        rig.run(60, {"c1": 12.0})
        assert rig.said() == ["suppressed"]
        assert rig.say("job", None, action="cancel", asset="r1", **_work())["done"], "it rings"


def _work() -> dict[str, str]:
    return {"kind": "calibration", "instrument": "x"}


def test_a_signature_is_of_one_topic_and_every_field(keys: Keys) -> None:
    """Taken to another operator's topic or changed in a field it is worth nothing."""
    rig = Signed(keys)
    rig.run(100)
    topic = "andon/s/cmd/ann/job"
    sent = msgspec.json.encode({"ts": rig.now_ns // 1_000_000, **CHECK_IN})
    signed = msgspec.json.decode(sign_command(topic, sent, read_key(keys.ann_path)))
    for change in ({"instrument": "y"}, {"valid_to": 10**13}, {"signature": 7}):
        rig.send(topic, msgspec.json.encode(signed | change))
    rig.send("andon/other/cmd/ann/job", msgspec.json.encode(signed))
    assert not rig.runs
    reordered = dict(reversed(signed.items()))
    rig.send(topic, msgspec.json.format(msgspec.json.encode(reordered), indent=3))
    assert len(rig.runs) == 1, "the order and the spaces of the fields are nobody's business"


def test_signed_or_not_nothing_changes_where_nothing_is_required(keys: Keys) -> None:
    """As before: any operator of the broker may say what it may say."""
    rig = Signed(keys, required=False)
    rig.run(100)
    assert rig.say("job", None, **CHECK_IN)["done"]
    rig.run(5)
    rig.run(60, {"c1": 12.0})
    assert rig.said() == ["suppressed"]


def test_a_job_from_a_file_counts_as_signed_only_where_its_reader_said_so(keys: Keys) -> None:
    """The same job, with and without the word of the shell that has checked the signature."""
    for signed in (False, True):
        rig = Signed(keys)
        rig.run(100)
        rig.say("job", keys.ann_path, **CHECK_IN)
        job = msgspec.structs.replace(rig.runs[0].job, job_id="told", signed=signed)
        fresh = Signed(keys)
        fresh.run(100)
        fresh.give(JobTold(job=msgspec.structs.replace(job, valid_to_ns=rig.now_ns + 900 * S)))
        fresh.run(5)
        fresh.run(60, {"c1": 12.0})
        assert ("suppressed" in fresh.said()) == signed


@pytest.mark.parametrize(
    ("trust", "cause"),
    [
        ({"require_signed": True}, "without public_keys"),
        ({"public_keys": ("abc",)}, "44 characters"),
        ({"public_keys": ("!" * 44,)}, "44 characters"),
        ({"operators": {"ann": base64.b64encode(bytes(31)).decode()}}, "operators, ann"),
    ],
)
def test_settings_that_could_never_work_are_refused(trust: dict[str, Any], cause: str) -> None:
    """On loading, not when the first calibration rings."""
    with pytest.raises(ValueError, match=cause):
        TrustSettings(**trust)


def test_verify_never_raises(tmp_path: Path) -> None:
    """Whatever a sender puts into a signature."""
    _, key = new_key(tmp_path, "k")
    for text in ("", "ä", "a" * 10_000, base64.b64encode(bytes(64)).decode()):
        assert not verify(text, b"", text)
        assert not verify(key, b"x", text)


def test_a_key_for_which_anybody_can_sign_is_refused() -> None:
    """Every point whose eightfold is nothing, found by arithmetic on the curve."""
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p

    def add(one: tuple[int, int], two: tuple[int, int]) -> tuple[int, int]:
        (x1, y1), (x2, y2) = one, two
        k = d * x1 * x2 * y1 * y2 % p
        return (
            (x1 * y2 + x2 * y1) * pow(1 + k, -1, p) % p,
            (y1 * y2 + x1 * x2) * pow(1 - k, -1, p) % p,
        )

    def x_of(y: int) -> int | None:
        square = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
        root = pow(square, (p + 3) // 8, p)
        if root * root % p != square:
            root = root * pow(2, (p - 1) // 4, p) % p
        return root if root * root % p == square else None

    found = set()
    order_of_base = 2**252 + 27742317777372353535851937790883648493
    for y in range(2, 40):  # any point times the prime order is one of small order
        x = x_of(y)
        if x is None:
            continue
        total, doubled, n = (0, 1), (x, y), order_of_base
        while n:
            total = add(total, doubled) if n & 1 else total
            doubled, n = add(doubled, doubled), n >> 1
        found.add(total[1])
    assert len(found) == 5
    for y in found | {p, p + 1}:  # the same written too large
        for sign in (0, 1 << 255):
            key = base64.b64encode((y | sign).to_bytes(32, "little")).decode()
            with pytest.raises(ValueError, match="no public key"):
                TrustSettings(public_keys=(key,))


def test_a_command_that_is_no_object_cannot_be_signed(keys: Keys) -> None:
    """Nothing half-made leaves the tool."""
    for payload in (b"[]", b"{", b'{"signature": 1}'):
        with pytest.raises(WireError):
            sign_command("t", payload, read_key(keys.ann_path))


def test_the_public_half_given_as_the_key_is_told(tmp_path: Path) -> None:
    """With the name of the other file."""
    _, public = new_key(tmp_path, "engineer")
    half = tmp_path / "engineer.pub"
    assert half.exists(), public
    with pytest.raises(
        ConfigError, match=r"public half; sign with the private one: .*engineer\.key"
    ):
        read_key(half)
