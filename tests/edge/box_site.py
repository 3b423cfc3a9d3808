"""A gateway on disk that has run, to be backed up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.assembly.assembly import assemble
from edge.boxes.backup import Request, back_up
from edge.boxes.identity import new_box, write_box
from edge.configuration.config import load
from edge.records import Publish, TickDue
from edge.storage.checkpoint import Checkpoint, save
from edge.storage.journal_writer import JournalWriter
from edge.storage.outbox import Outbox
from models.bundles.assemble import make_bundle
from models.bundles.store import save as save_bundle
from tests.models.plants import fitted

if TYPE_CHECKING:
    from pathlib import Path

CONFIG: Final = """\
# comments stay
site = "s"

[mqtt]
password_file = "secrets/broker.txt"  # of the broker
tls_ca_file = "{elsewhere}/ca.pem"

[model]
bundle = "bundle"

[include]
tags = "tags.csv"
"""


def make_box(base: Path, elsewhere: Path) -> Path:
    """Configuration, bundle, tables, secrets, labels and a state with several segments."""
    elsewhere.mkdir()
    (elsewhere / "ca.pem").write_text("certificate")
    save_bundle(make_bundle([fitted()]), base / "bundle")
    (base / "tags.csv").write_text("asset,tag,channel\nr1,Tag0,c0\n")
    (base / "secrets").mkdir()
    (base / "secrets" / "broker.txt").write_text("hunter2")
    (base / "labels.jsonl").write_bytes(b'{"a":1}\n{"half')
    config = base / "gateway.toml"
    config.write_text(CONFIG.format(elsewhere=elsewhere))
    assembly = assemble(load(config, environment={}))
    journal = JournalWriter(base / "state" / "journal", segment_bytes_max=1024)
    for i in range(400):
        journal.append([(i, TickDue())])
        if i == 300:
            checkpoint = Checkpoint(
                position=journal.position,
                fingerprint=assembly.fingerprint,
                state=assembly.engine.state,
            )
            save(base / "state" / "checkpoints", checkpoint)
    journal.close()
    outbox = Outbox(base / "state" / "outbox.sqlite")
    outbox.put([Publish(topic="t", payload=b"{}", qos=1, retain=True, key=("a", 1))])
    outbox.close()
    write_box(base / "state", new_box())
    return base


def backed_up(box: Path, out: Path, **more: Any) -> Path:  # noqa: ANN401 - fields of a request
    """A backup of it."""
    back_up(Request(config=box / "gateway.toml", out=out, **more), environment={})
    return out
