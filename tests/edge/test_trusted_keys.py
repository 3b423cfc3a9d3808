"""Keys for some things and some time: who may approve what work hides, and until when."""

from __future__ import annotations

import base64
import os
import sqlite3
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from typer.testing import CliRunner

from andon import app
from edge.assembly.assembly import assemble_from
from edge.audit.signatures import new_key, read_key, sign_path, signed_by
from edge.configuration.config import load
from edge.errors import ConfigError
from edge.trust import Signs, TrustedKey, TrustSettings
from kb.errors import KnowledgeError
from kb.reading.signatures import signature_bytes
from kb.snapshots.build import build
from kb.snapshots.signed_tables import rows_of
from kb.snapshots.snapshot import DATABASE, Snapshot
from models.bundles.store import load as load_bundle
from models.bundles.store import save
from models.errors import ModelError
from tests.edge.rig import START, Rig, bundle, settings
from tests.kb.test_snapshot_safety import resealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

COLUMNS: Final = (
    "kind,asset,instrument,channels,expected_effect,duration_min_max,settle_s,approved_by,"
    "approved_at"
)
KEY: Final = '[[trust.key]]\nname = "e"\npublic_key = "KEY"\n'
AGAIN: Final = KEY.replace('"e"', '"f"')
ROW: Final = "calibration,r1,x,c1,0.3,10,60,qa,2025-01-01T00:00:00Z"
BEGIN: Final = datetime.fromtimestamp(START / 1e9, UTC)
MINUTE: Final = timedelta(minutes=1)


class Plant:
    """A build host that signs snapshots and bundles, and an engineer who approves scope tables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "texts"
        self.source.mkdir()
        self.table = self.source / "scope.csv"
        self.table.write_text(f"{COLUMNS}\n{ROW}\n", encoding="utf-8")
        self.bundle = save(bundle(), folder / "bundle")
        people = ("host", "engineer", "next", "stranger")
        self.keys = {name: new_key(folder / "keys", name) for name in people}

    def key(self, name: str, *signs: Signs, **more: Any) -> TrustedKey:  # noqa: ANN401 - its fields
        """A trusted key of one of them."""
        return TrustedKey(name=name, public_key=self.keys[name][1], signs=signs, **more)

    def sign(self, path: Path, name: str, *, add: bool = False) -> None:
        """Sign something as one of them."""
        sign_path(path, read_key(self.keys[name][0]), add=add)

    def publish(self, *, by: tuple[str, ...] = ("host",)) -> Path:
        """Build the snapshot and sign it and the bundle."""
        out = self.folder / "kb"
        build(self.source, out, now_ns=1)
        for name in by:
            self.sign(out, name, add=name != by[0])
            self.sign(self.bundle, name, add=name != by[0])
        return out

    def rings(self, *keys: TrustedKey) -> tuple[list[str], str]:
        """What a witnessed calibration comes to, and what the clause of signatures said."""
        conf = settings(trust=TrustSettings(require_signed=True, key=keys))
        made = assemble_from(conf, bundle_path=self.bundle, snapshot_path=self.folder / "kb")
        rig = Rig(known=made.knowledge(made.snapshot_sha256), conf=conf)
        rig.run(200)
        rig.context["cal"] = 1.0
        rig.run(5)
        rig.run(60, {"c1": 12.0})
        decisions = [r.decision for r in rig.engine.alerts() if r.alert_id and r.decision]
        clauses = [c.detail for d in decisions for c in d.clauses if c.name == "signed"]
        return rig.said(), "; ".join(clauses)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """A plant of this test."""
    return Plant(tmp_path)


HOST: Final = (Signs.BUNDLE, Signs.SNAPSHOT)


def test_a_build_host_cannot_approve_what_work_hides(plant: Plant) -> None:
    """Its key signs snapshots; a scope row counts only as the engineer has signed its table."""
    host, engineer = plant.key("host", *HOST), plant.key("engineer", Signs.SCOPE)
    plant.publish()
    said, why = plant.rings(host, engineer)
    assert said == ["ALERT"]
    assert "scope table" in why
    assert "no key has signed it" in why
    plant.sign(plant.table, "engineer")
    plant.publish()
    assert plant.rings(host, engineer)[0] == ["suppressed"]
    assert plant.rings(host)[0] == ["ALERT"], "nobody knows who signed the table"


@pytest.mark.parametrize("change", [("10,60", "240,60"), ("c1,0.3", "c1;c2,0.3"), ("0.3", "9")])
def test_a_table_that_was_changed_after_it_was_signed_hides_nothing(
    plant: Plant, change: tuple[str, str]
) -> None:
    """Longer, wider, stronger: each needs the engineer again."""
    plant.sign(plant.table, "engineer")
    text = plant.table.read_text(encoding="utf-8")
    plant.table.write_text(text.replace(*change), encoding="utf-8")
    plant.publish()
    said, why = plant.rings(plant.key("host", *HOST), plant.key("engineer", Signs.SCOPE))
    assert said == ["ALERT"]
    assert "scope table" in why


def test_a_signed_table_speaks_for_its_own_rows_only(plant: Plant) -> None:
    """A row that another table, or the build host, has put beside it is not its own."""
    plant.sign(plant.table, "engineer")
    (plant.source / "more.csv").write_text(
        f"{COLUMNS}\ncleaning,r1,,c2,1,30,60,qa,2025-01-01T00:00:00Z\n", encoding="utf-8"
    )
    with Snapshot.open(plant.publish()) as snapshot:
        (table,) = snapshot.signed_tables()
        rows = {row.scope_id: row for row in snapshot.scope_rows()}
    (own,) = rows_of(table)
    assert len(rows) == 2
    assert rows[own.scope_id] == own, "read alone, a row has the id that it has in the snapshot"


@pytest.mark.parametrize(
    "forged",
    [{"channels": ["c1", "c2"]}, {"duration_s_max": 14_400}, {"expected_effect": 10.0}],
    ids="".join,
)
@pytest.mark.parametrize("older_ns", [0, 1], ids=["as_old", "older"])
def test_a_row_does_not_count_by_the_id_of_a_signed_one(
    plant: Plant, forged: dict[str, Any], older_ns: int
) -> None:
    """A build host writes any row into its database, under the id of one that somebody signed."""
    plant.sign(plant.table, "engineer")
    out = plant.publish()
    host, engineer = plant.key("host", *HOST), plant.key("engineer", Signs.SCOPE)
    assert plant.rings(host, engineer)[0] == ["suppressed"]
    with closing(sqlite3.connect(out / DATABASE)) as database:
        ((body,),) = database.execute("SELECT body FROM scope").fetchall()
        row = msgspec.json.decode(body)
        more = {"recorded_at_ns": row["recorded_at_ns"] - older_ns}
        database.execute(
            "INSERT INTO scope VALUES (0, ?)", (msgspec.json.encode(row | forged | more).decode(),)
        )
        database.commit()
    resealed(out)
    plant.sign(out, "host")
    said, why = plant.rings(host, engineer)
    assert said == ["ALERT"]
    assert "scope table" in why


def test_a_signature_comes_and_goes_with_the_folder(plant: Plant) -> None:
    """The text of the table does not change; what is known of it does, and the document stays."""
    out = plant.publish()
    with Snapshot.open(out) as before:
        assert before.signed_tables() == ()
    plant.sign(plant.table, "engineer")
    with Snapshot.open(plant.publish()) as signed:
        assert len(signed.signed_tables()) == 1
        assert [d.path for d in signed.documents()] == ["scope.csv"]
        assert signed.manifest.quarantined == ()
    plant.table.with_name("scope.csv.sig").unlink()
    with Snapshot.open(plant.publish()) as after:
        assert after.signed_tables() == ()


@pytest.mark.parametrize(
    ("window", "suppressed"),
    [
        ({"valid_to": BEGIN + 60 * MINUTE}, True),
        ({"valid_to": BEGIN + MINUTE}, False),
        ({"valid_from": BEGIN - MINUTE}, True),
        ({"valid_from": BEGIN + 60 * MINUTE}, False),
        ({"withdrawn": "laptop stolen"}, False),
    ],
)
def test_a_key_counts_for_its_time(
    plant: Plant, window: dict[str, datetime | str], *, suppressed: bool
) -> None:
    """By plant time, so that a replay agrees; the clause says when it counted."""
    plant.publish()
    said, why = plant.rings(plant.key("host", *HOST, Signs.SCOPE, **window))
    assert said == (["suppressed"] if suppressed else ["ALERT"])
    assert suppressed or "key host" in why


def test_one_key_takes_over_from_another_without_a_gap(plant: Plant) -> None:
    """Signed by both while both count, then by the new one alone."""
    old = plant.key("host", *HOST, Signs.SCOPE, valid_to=BEGIN + MINUTE)
    new = plant.key("next", *HOST, Signs.SCOPE, valid_from=BEGIN - MINUTE)
    plant.publish(by=("host",))
    assert plant.rings(old, new)[0] == ["ALERT"], "the old one has run out, the new has not signed"
    plant.publish(by=("host", "next"))
    assert plant.rings(old, new)[0] == ["suppressed"]
    assert plant.rings(new)[0] == ["suppressed"], "an unknown one takes nothing away"


def test_signing_again_adds_no_second_line_and_an_end(plant: Plant) -> None:
    """The same key signs once; eight are enough."""
    for _ in range(3):
        plant.sign(plant.table, "host", add=True)
    beside = plant.table.with_name("scope.csv.sig")
    assert len(beside.read_text(encoding="ascii").split()) == 1
    plant.sign(plant.table, "engineer", add=True)
    assert len(beside.read_text(encoding="ascii").split()) == 2
    plant.sign(plant.table, "engineer")
    assert len(beside.read_text(encoding="ascii").split()) == 1, "without --add it stands alone"
    beside.write_text("x\n" * 8, encoding="ascii")
    with pytest.raises(ConfigError, match="8 signatures"):
        plant.sign(plant.table, "host", add=True)


def _config(plant: Plant, trust: str, file: str | None = None) -> Path:
    path = plant.folder / "gateway.toml"
    path.write_text(f'site = "s"\n[model]\nbundle = "bundle"\n[trust]\n{trust}', encoding="utf-8")
    if file is not None:
        (plant.folder / "trust.toml").write_text(file, encoding="utf-8")
    return path


def test_trust_has_a_file_of_its_own(plant: Plant) -> None:
    """Read as if it stood in the configuration."""
    public = plant.keys["engineer"][1]
    held = (
        f'require_signed = true\n[[key]]\nname = "e"\npublic_key = "{public}"\n'
        'signs = ["bundle", "snapshot", "scope", "commands"]\nvalid_to = 2030-01-01T00:00:00Z\n'
    )
    trust = load(_config(plant, 'file = "trust.toml"\n', held)).settings.trust
    assert trust.require_signed
    assert [key.public_key for key in trust.may_sign(Signs.SCOPE)] == [public]
    assert [key.public_key for key in trust.of_operator("e")] == [public]
    assert trust.may_sign(Signs.JOBS) == trust.of_operator("other") == ()


@pytest.mark.parametrize(
    ("trust", "file", "said"),
    [
        ('file = "gone.toml"\n', None, "gone.toml"),
        ('file = "trust.toml"\n', "= 3", "not TOML"),
        ('file = "trust.toml"\n', "publik_keys = []", "did you mean public_keys"),
        ('file = "trust.toml"\npublic_keys = []\n', "public_keys = []", "too; keep one"),
        (f'{KEY.replace("KEY", "x")}signs = ["scope"]\n', None, "no public key"),
        (f"{KEY}signs = []\n", None, "some of bundle, snapshot, scope, jobs, commands"),
        (f'{KEY}signs = ["scope"]\nvalid_to = 2030-01-01T00:00:00\n', None, "no time zone"),
        (f'require_signed = true\n{KEY}signs = ["snapshot"]\n', None, "a key that signs a bundle"),
        (
            f'public_keys = ["KEY"]\n{KEY}signs = ["scope"]\nvalid_to = 2020-01-01T00:00:00Z\n',
            None,
            "key e stands in public_keys too",
        ),
        (
            f'{KEY}signs = ["commands"]\nwithdrawn = "lost"\n[trust.operators]\ne = "KEY"\n',
            None,
            "key e is withdrawn, and stands under operators, e too",
        ),
        (
            f'{KEY}signs = ["scope"]\nwithdrawn = "lost"\n{AGAIN}signs = ["scope"]\n',
            None,
            "key e is withdrawn, and stands under f too",
        ),
    ],
)
def test_a_mistake_in_trust_is_named(plant: Plant, trust: str, file: str | None, said: str) -> None:
    """A gateway does not begin with half of its trust."""
    config = _config(plant, trust.replace("KEY", plant.keys["host"][1]), file)
    with pytest.raises(ConfigError, match=said):
        load(config)


@pytest.mark.parametrize("instead", ["pipe", "device", "directory"])
def test_what_is_no_plain_file_is_refused_and_not_waited_for(plant: Plant, instead: str) -> None:
    """Whoever may replace a file would stop whoever reads it: a pipe says nothing, without end."""
    out = plant.publish()
    plant.sign(plant.table, "engineer")
    signature = plant.table.with_name("scope.csv.sig")
    refusals: list[tuple[Path, Callable[[], object], type[Exception]]] = [
        *((plant.bundle / name, partial(load_bundle, plant.bundle), ModelError)
          for name in ("manifest.json", "model.onnx")),
        *((out / name, partial(Snapshot.open, out), KnowledgeError)
          for name in ("kb.sqlite", "vectors.faiss", "manifest.json")),
    ]  # fmt: skip
    beside: list[tuple[Path, Callable[[], bool]]] = [
        (signature, lambda: signature_bytes(plant.table) == b""),
        (signature, lambda: bool(signed_by(plant.table, ()).because)),
        (plant.table, lambda: bool(signed_by(plant.table, ()).because)),
    ]
    for path, read, error in refusals:
        with _replaced(path, instead), pytest.raises(error, match=path.name):
            read()
    for path, holds in beside:
        with _replaced(path, instead):
            assert holds()


@contextmanager
def _replaced(path: Path, instead: str) -> Iterator[None]:
    kept = path.rename(path.with_name("kept"))
    if instead == "device":
        path.symlink_to("/dev/zero")
    elif instead == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    try:
        yield
    finally:
        path.rmdir() if instead == "directory" else path.unlink()
        kept.rename(path)


def test_verify_says_who_signed_and_whether_that_counts(plant: Plant) -> None:
    """Exit code 0 only for what a gateway that requires signatures takes."""
    runner, public = CliRunner(), plant.keys["host"][1]
    out = plant.publish()
    for path, what in ((out, "snapshot"), (plant.bundle, "bundle")):
        good = runner.invoke(app, ["verify", str(path), "--key", public])
        assert good.exit_code == 0, good.output
        assert what in good.output
        bad = runner.invoke(app, ["verify", str(path), "--key", plant.keys["stranger"][1]])
        assert bad.exit_code == 1
        assert "no known key" in bad.output
    unsigned = runner.invoke(app, ["verify", str(plant.table), "--key", public])
    assert unsigned.exit_code == 1
    assert "1 approved rows" in unsigned.output
    assert "is not signed" in unsigned.output
    plant.sign(plant.table, "host")
    file = plant.keys["host"][0].with_suffix(".pub")
    assert runner.invoke(app, ["verify", str(plant.table), "--key", str(file)]).exit_code == 0
    config = _config(plant, f'public_keys = ["{public}"]\n')
    assert runner.invoke(app, ["verify", str(out), "--config", str(config)]).exit_code == 0
    listed = runner.invoke(app, ["keys", "list", "--config", str(config)], env={"COLUMNS": "200"})
    assert public in listed.output
    assert "require_signed is not set" in listed.output
    stored = plant.bundle / "bundle.json"
    stored.write_bytes(stored.read_bytes().replace(b"r1", b"r2", 1))
    damaged = runner.invoke(app, ["verify", str(plant.bundle), "--key", public])
    assert damaged.exit_code == 1
    assert "manifest names" in str(damaged.exception)


def test_a_withdrawn_key_has_no_other_spelling(plant: Plant) -> None:
    """The last character of base64 has bits that say nothing: the same key in other letters."""
    key = plant.key("host", *HOST, withdrawn="stolen")
    at = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = at[at.index(key.public_key[42]) ^ 1]
    other = f"{key.public_key[:42]}{last}="
    assert base64.b64decode(other, validate=True) == base64.b64decode(key.public_key)
    with pytest.raises(ValueError, match="key host stands in public_keys too"):
        TrustSettings(key=(key,), public_keys=(other,))


def test_a_key_that_is_none_is_refused_by_name() -> None:
    """Also where it would have been believed."""
    with pytest.raises(ValueError, match="key ann"):
        TrustedKey(name="ann", public_key=base64.b64encode(b"x").decode(), signs=(Signs.SCOPE,))
