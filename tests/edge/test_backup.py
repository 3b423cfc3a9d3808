"""A backup and what is made of it: nothing half, nothing unsafe, nothing lost in silence."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import stat
import threading
import time
import tomllib
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest

from edge.boxes import journal_copy
from edge.boxes.archive import BackupError
from edge.boxes.backup import Request, back_up
from edge.boxes.fence_key import FILE, fence_key_of
from edge.boxes.identity import new_box, read_box, write_box
from edge.boxes.placing import is_path, placed, rewritten
from edge.boxes.replacement import Request as RestoreRequest
from edge.boxes.replacement import examine, restore_box
from edge.configuration.config import load
from edge.records import Publish, TickDue
from edge.storage.journal import read_journal, segments
from edge.storage.journal_writer import JournalWriter
from edge.storage.outbox import Outbox
from tests.edge.box_site import backed_up, make_box


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gateway on disk that has run; it is only read."""
    base = tmp_path_factory.mktemp("site")
    (base / "box").mkdir()
    return make_box(base / "box", base / "etc")


@pytest.fixture
def box(made: Path, tmp_path: Path) -> Path:
    """A copy of it that may be changed."""
    return Path(shutil.copytree(made, tmp_path / "box"))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_what_is_restored_is_what_was_there_and_another_box(box: Path, tmp_path: Path) -> None:
    """Below another directory, with every path inside it; secrets stay out, and are named."""
    file = backed_up(box, tmp_path / "b.zip")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    restored = restore_box(RestoreRequest(file=file, out=tmp_path / "new"))
    assert not restored.bad, restored.findings
    old, new = contents(box), contents(tmp_path / "new")
    for name in ("bundle/model.onnx", "tags.csv", "state/journal/00000001.journal"):
        assert new[name] == old[name]
    assert new["elsewhere/mqtt-tls_ca_file/ca.pem"] == b"certificate"
    assert new["labels.jsonl"] == b'{"a":1}\n', "a half line is not taken"
    assert b"hunter2" not in b"".join(new.values())
    (left,) = restored.manifest.left_out
    assert left.name == "secrets/broker.txt"
    text = new["gateway.toml"].decode()
    assert "# comments stay" in text
    config = load(restored.config, environment={})
    for one in placed(config):
        assert one.path.resolve().is_relative_to((tmp_path / "new").resolve())
    for kept in ("state", "state/journal", "state/checkpoints"):
        assert stat.S_IMODE((tmp_path / "new" / kept).stat().st_mode) == 0o750, kept
    before, after = read_box(box / "state"), read_box(tmp_path / "new" / "state")
    assert before is not None
    assert after is not None
    assert after.box != before.box
    assert (before.generation, after.generation) == (1, 2)
    assert after.takes_over
    assert after.outbox_row == 1


def test_secrets_come_along_where_somebody_asks(box: Path, tmp_path: Path) -> None:
    """And nobody else may read them where they are restored."""
    file = backed_up(box, tmp_path / "b.zip", secrets=True)
    restored = restore_box(RestoreRequest(file=file, out=tmp_path / "new"))
    secret = tmp_path / "new" / "secrets" / "broker.txt"
    assert secret.read_text() == "hunter2"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert not restored.manifest.left_out


def test_what_the_environment_said_is_in_the_configuration(box: Path, tmp_path: Path) -> None:
    """The new box has another environment."""
    (box / "state").rename(tmp_path / "state-elsewhere")
    said = {"ANDON__JOURNAL__DIR": str(tmp_path / "state-elsewhere"), "ANDON__MQTT__PORT": "1999"}
    request = Request(config=box / "gateway.toml", out=tmp_path / "b.zip")
    manifest, _ = back_up(request, environment=said)
    assert set(manifest.environment) == set(said)
    restored = restore_box(RestoreRequest(file=tmp_path / "b.zip", out=tmp_path / "new"))
    assert not restored.bad, restored.findings
    assert load(restored.config, environment={}).mqtt.port == 1999


def test_a_journal_may_be_left_out_but_for_what_a_restart_needs(box: Path, tmp_path: Path) -> None:
    """And what is lost by it is told."""
    journal = box / "state" / "journal"
    for _, path in segments(journal):
        os.utime(path, (1_740_000_000, 1_740_000_000))
    assert len(segments(journal)) > 3
    file = backed_up(box, tmp_path / "b.zip", journal_days=1.0)
    restored = restore_box(RestoreRequest(file=file, out=tmp_path / "new"))
    assert not restored.bad, restored.findings
    kept = [number for number, _ in segments(tmp_path / "new" / "state" / "journal")]
    place = journal_copy.checkpoint_place(box / "state" / "checkpoints")
    assert place is not None
    assert kept == list(range(place[0], len(segments(journal)) + 1))
    assert any("explained" in one.what for one in restored.manifest.left_out)


class Writer:
    """A loop as the gateway's: journal, then outbox, then a checkpoint now and then."""

    def __init__(self, state: Path) -> None:
        self._stop = threading.Event()
        self._state = state
        self.written = 0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        journal = JournalWriter(self._state / "journal", segment_bytes_max=4096)
        outbox = Outbox(self._state / "outbox.sqlite")
        while not self._stop.wait(0.001):
            self.written += 1
            journal.append([(10_000 + self.written, TickDue())] * 3)
            time.sleep(0.002)  # the engine thinks
            key = ("live", self.written)
            outbox.put([Publish(topic="t", payload=b"{}", qos=1, retain=True, key=key)])
        outbox.close()
        journal.close()


@pytest.mark.parametrize("seed", range(3))
def test_beside_a_running_gateway_the_outbox_knows_all_that_the_journal_decides(
    box: Path, tmp_path: Path, seed: int
) -> None:
    """Else the new box would decide it again, and say it with other bytes."""
    with Writer(box / "state") as writer:
        while writer.written < 5 * (seed + 1):
            time.sleep(0.01)
        file = backed_up(box, tmp_path / "b.zip")
    new = tmp_path / "new"
    assert not restore_box(RestoreRequest(file=file, out=new)).bad
    entries = list(read_journal(new / "state" / "journal"))
    newest = max(entry.now_ns for entry in entries) - 10_000
    assert newest > 0, "it goes on beside it"
    with closing(sqlite3.connect(new / "state" / "outbox.sqlite")) as database:
        ((row,),) = database.execute("SELECT max(revision) FROM outbox WHERE id = 'live'")
    assert row >= newest
    assert newest >= 5 * (seed + 1) - 1, "and lags little behind"


def test_a_gateway_that_hangs_is_copied_up_to_its_checkpoint(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had begun to take may have been said, or not."""
    monkeypatch.setattr(journal_copy, "GROUP_S_MAX", 0.1)
    journal = JournalWriter(box / "state" / "journal")
    file = backed_up(box, tmp_path / "b.zip")
    journal.close()
    manifest, _ = examine(file)
    assert manifest.journal_until == journal_copy.checkpoint_place(box / "state" / "checkpoints")


def test_whatever_fails_there_is_a_whole_backup_or_none(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every n the n-th write fails; the file that was there before stays."""
    out = backed_up(box, tmp_path / "b.zip")
    before = out.read_bytes()
    whole = zipfile.ZipFile.open
    calls = 0
    fail_at = 0

    def failing(self: zipfile.ZipFile, *args: Any, **more: Any) -> Any:  # noqa: ANN401
        nonlocal calls
        calls += 1
        if calls == fail_at:
            raise OSError(28, "No space left on device")
        return whole(self, *args, **more)

    monkeypatch.setattr(zipfile.ZipFile, "open", failing)
    backed_up(box, tmp_path / "all.zip")
    for n in range(1, calls + 1):
        calls, fail_at = 0, n
        with pytest.raises(BackupError, match="No space left"):
            backed_up(box, out, replace=True)
        assert out.read_bytes() == before
        assert sorted(p.name for p in tmp_path.iterdir()) == ["all.zip", "b.zip", "box"]


def test_a_backup_is_not_written_over_another_by_mistake(box: Path, tmp_path: Path) -> None:
    """Nor is a directory filled that has something in it."""
    file = backed_up(box, tmp_path / "b.zip")
    with pytest.raises(BackupError, match="--replace"):
        backed_up(box, file)
    with pytest.raises(BackupError, match="not empty"):
        restore_box(RestoreRequest(file=file, out=box))
    restored = restore_box(RestoreRequest(file=file, out=box, replace=True))
    assert restored.aside is not None
    assert (restored.aside / "gateway.toml").is_file()
    (tmp_path / "empty").mkdir()
    assert not restore_box(RestoreRequest(file=file, out=tmp_path / "empty")).bad


# --- paths of a configuration ---


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('site = "s"\n[journal]\ndir = "x" # where\n', {"journal.dir": "state"}),
        ('site = "s"\n[journal]\nsync_s = 1\n', {"journal.dir": "state"}),
        ('site = "s"\n', {"journal.dir": 'a"b\\c'}),
        ('site = "s"\n[[asset]]\nid = "r1"\n', {"mqtt.port": 1884, "clock": "plant"}),
        ("site = 's'\n[ mqtt ]\n'host'='h'\n[model]\n", {"mqtt.host": "x", "model.bundle": "b"}),
        ('site = "s"\n[a.b]\nc = 1\n', {"a.b.c": [1, "x"], "a.d": True}),
    ],
)
def test_a_rewritten_configuration_says_the_same_but_for_what_was_set(
    text: str, values: dict[str, object]
) -> None:
    """And its comments stay where they can."""
    wanted = tomllib.loads(text)
    for key, value in values.items():
        *tables, last = key.split(".")
        table = wanted
        for name in tables:
            table = table.setdefault(name, {})
        table[last] = value
    assert tomllib.loads(rewritten(text, values, path=Path("f"))) == wanted


def test_keys_that_hold_paths_are_known() -> None:
    """A key that was forgotten would leave its file behind, without a word."""
    named = {"model.bundle", "kb.source", "mqtt.tls_ca_file", "mqtt.tls_key_file", "audit.dir"}
    assert all(map(is_path, named))
    assert not any(map(is_path, ["site", "mqtt.host", "audit.syslog", "base"]))


def test_what_cannot_be_read_is_told(box: Path, tmp_path: Path) -> None:
    """A table that is gone, a link that leads nowhere: the backup is made, and says so."""
    (box / "bundle").rename(box / "gone")
    (box / "state" / "note").symlink_to("nowhere")
    manifest, _ = back_up(
        Request(config=box / "gateway.toml", out=tmp_path / "b.zip"), environment={}
    )
    assert {one.name for one in manifest.missed} == {"bundle", "state/note"}
    restored = restore_box(RestoreRequest(file=tmp_path / "b.zip", out=tmp_path / "new"))
    assert {what for what, fine, _ in restored.findings if not fine} == {
        "bundle and knowledge",
        "not in the backup",
    }


def test_the_hash_that_was_noted_is_compared(box: Path, tmp_path: Path) -> None:
    """And a generation that is not above the old one is refused."""
    request = Request(config=box / "gateway.toml", out=tmp_path / "b.zip")
    _, sha256 = back_up(request, environment={})
    out = tmp_path / "new"
    with pytest.raises(BackupError, match="another backup"):
        restore_box(RestoreRequest(file=tmp_path / "b.zip", out=out, expect="0" * 64))
    with pytest.raises(BackupError, match="none for a replacement"):
        restore_box(RestoreRequest(file=tmp_path / "b.zip", out=out, generation=1))
    made = restore_box(
        RestoreRequest(file=tmp_path / "b.zip", out=out, expect=sha256[:20], generation=7)
    )
    assert made.box.generation == 7


def test_the_key_of_the_boxes_comes_along_and_one_without_is_told(
    box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the two boxes know no claim of each other, as of a version before it."""
    write_box(box / "state", msgspec.structs.replace(new_box(), claimed=True))
    restored = restore_box(
        RestoreRequest(file=backed_up(box, tmp_path / "a.zip"), out=tmp_path / "a")
    )
    assert not [what for what, _, _ in restored.findings if what == "fence key"]
    key = fence_key_of(box / "state")
    assert key.fresh, "until the gateway has heard the fence with it"
    assert fence_key_of(tmp_path / "a" / "state") == key
    assert (tmp_path / "a" / "state" / FILE).stat().st_mode & 0o777 == 0o600
    (box / "state" / FILE).unlink()
    monkeypatch.setattr("edge.boxes.backup.fence_key_of", lambda _state: None)
    restored = restore_box(
        RestoreRequest(file=backed_up(box, tmp_path / "b.zip"), out=tmp_path / "b")
    )
    (said,) = [detail for what, fine, detail in restored.findings if what == "fence key"]
    assert "does not give way to this one" in said
    assert restored.bad


def test_an_outbox_that_brings_what_would_run_is_not_asked(box: Path, tmp_path: Path) -> None:
    """No outbox of ours has a view; a file of anybody's making may, in the place of its table."""
    outbox = box / "state" / "outbox.sqlite"
    outbox.unlink()
    with closing(sqlite3.connect(outbox)) as database:
        database.execute("CREATE VIEW outbox AS SELECT 1 AS row, 'andon/s/alert/p9/process' topic")
        database.commit()
    with pytest.raises(BackupError, match="it holds the view outbox"):
        backed_up(box, tmp_path / "b.zip")


def test_a_target_that_is_full_is_told_and_nothing_stays(box: Path, tmp_path: Path) -> None:
    """What the disk refused is still in the file's buffer, and refused again when it is closed."""
    (box / "noise").write_bytes(os.urandom(200_000))
    out = tmp_path / "b.zip"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_001, limits[1]))
    try:
        with pytest.raises(BackupError, match="large"):
            back_up(Request(config=box / "gateway.toml", out=out, also=(box / "noise",)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir() if "b.zip" in path.name] == []
