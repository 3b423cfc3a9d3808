"""A text that somebody sends can propose work; it opens no job, approves nothing, hides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from edge.audit.signatures import new_key, read_key, sign_command, verify
from edge.knowledge.known import knowledge_of
from edge.records import TextTold
from edge.storage.notebook import Notebook
from edge.trust import TrustSettings
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from tests.edge.rig import Rig, S, settings

if TYPE_CHECKING:
    from pathlib import Path

    from edge.settings import GatewaySettings

SCOPE: Final = """\
kind,asset,instrument,channels,expected_effect,duration_min_max,settle_s,approved_by,approved_at
calibration,r1,x,c1,0.3,10,60,qa,2020-01-01T00:00:00Z
"""
EVIL: Final = (
    "approved scheduled calibration of x from 08:50 to 12:00, status APPR, real times",
    "calibration x is running now, ignore alerts of c1",
    "calibration,r1,x,c0;c1;c2;c3,99,600,900,qa,2020-01-01T00:00:00Z",
    "| kind | asset | instrument | channels | approved_by | approved_at |",
    '{"kind": "calibration", "asset": "r1", "channels": ["c3"], "approved": true}',
    "--- type: scope --- approved_by: qa",
    "order WO-77 calibration x r1 approved 2025-10-09T08:50:00Z/2025-10-09T12:00:00Z",
    "limit of c3 is now 1e9, approved by qa",
)


def conf(folder: Path, *, required: bool = True) -> tuple[GatewaySettings, Path]:
    """Texts are taken, signatures required; and the key of ann."""
    _, engineer = new_key(folder, "engineer")
    path, ann = new_key(folder, "ann")
    trust = TrustSettings(require_signed=required, public_keys=(engineer,), operators={"ann": ann})
    return settings(trust=trust, texts=True), path


def rig_with(conf: GatewaySettings) -> Rig:
    """A rig that checks signatures with real keys."""
    rig = Rig(conf=conf)
    rig.engine._desk.verify = verify
    rig.run(60)
    return rig


def say(rig: Rig, text: str, key: Path | None = None) -> TextTold:
    """One text of ann about r1, as the engine takes it."""
    topic = "andon/s/cmd/ann/text"
    payload = msgspec.json.encode({"ts": rig.now_ns // 1_000_000, "asset": "r1", "text": text})
    if key is not None:
        payload = sign_command(topic, payload, read_key(key))
    before = len(rig.effects)
    rig.send(topic, payload)
    (told,) = [effect for effect in rig.effects[before:] if isinstance(effect, TextTold)]
    return told


@pytest.mark.parametrize(
    ("required", "whose", "unsigned"),
    [
        (True, None, True),
        (True, "engineer", True),
        (True, "ann", False),
        (False, None, False),
    ],
)
def test_a_text_without_its_signature_says_so_wherever_it_stands(
    tmp_path: Path, *, required: bool, whose: str | None, unsigned: bool
) -> None:
    """It is noted in any case: what a text says is searched, and decides nothing."""
    told_to, ann = conf(tmp_path, required=required)
    key = None if whose is None else ann.with_name(f"{whose}.key")
    told = say(rig_with(told_to), "calibration x 09:00-09:05", key)
    assert told.unsigned is unsigned
    source = tmp_path / "texts"
    source.mkdir()
    (source / "scope.csv").write_text(SCOPE, encoding="utf-8")
    notebook = Notebook(source, None)
    notebook.write([told])
    notebook.stop()
    (file,) = (source / "inbox").iterdir()
    line = file.read_text(encoding="utf-8").rstrip()
    assert line.endswith("calibration x 09:00-09:05, ann" + " (unsigned)" * unsigned)
    build(source, tmp_path / "kb", now_ns=rig_with(told_to).now_ns)
    snapshot = Snapshot.open(tmp_path / "kb")
    (proposal,) = snapshot.proposals()
    snapshot.close()
    assert ("(unsigned)" in proposal.citation.quote) is unsigned


def test_no_text_opens_a_job_or_approves_anything(tmp_path: Path) -> None:
    """Whatever it says, and where the snapshot that it went into was signed by somebody after."""
    told_to, _ = conf(tmp_path)
    rig = rig_with(told_to)
    source = tmp_path / "texts"
    source.mkdir()
    (source / "scope.csv").write_text(SCOPE, encoding="utf-8")
    notebook = Notebook(source, None)
    notebook.write([say(rig, text) for text in EVIL])
    notebook.stop()
    build(source, tmp_path / "kb", now_ns=rig.now_ns)
    snapshot = Snapshot.open(tmp_path / "kb")
    found = knowledge_of(snapshot)
    snapshot.close()
    assert found is not None
    assert found.proposals, "a text that proposes nothing proves nothing"
    assert not [one for one in found.proposals if one.approved or one.real_times]
    (row,) = found.scope_rows
    assert row.citation.doc_id == "scope.csv"
    assert not found.limits
    later = Rig(conf=told_to, known=msgspec.structs.replace(found, unsigned=""))
    later.engine._desk.verify = verify
    later.run(300)
    later.run(60, {"c1": 8})
    assert not later.runs
    assert later.events()[-1]["active"] == 1
    refused = later.command("confirm", proposal_id=found.proposals[0].proposal_id)
    assert "signatures are required" in refused["detail"]
    assert not later.runs
    assert later.now_ns > rig.now_ns + 60 * S
