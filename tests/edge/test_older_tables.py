"""A signed scope table that was narrowed or replaced does not come back by its old signature."""

from __future__ import annotations

import errno
import shutil
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from edge.assembly.assembly import Assembly, assemble, assemble_from
from edge.configuration.config import load
from edge.errors import ConfigError
from edge.gateway.faults import Faults
from edge.gateway.telemetry import Telemetry
from edge.gateway.upkeep import Upkeep
from edge.knowledge.known import scope_tables
from edge.knowledge.retrieve import Retriever
from edge.knowledge.scope_book import (
    FILE,
    ScopeBook,
    encoded,
    older_words,
    read_book,
    write_book,
)
from edge.records import ShellFault, TickDue
from edge.storage.disk import MODE, Disk
from edge.storage.patience import NoPatience
from edge.trust import Signs, TrustSettings
from tests.edge.rig import START, Rig, settings
from tests.edge.test_trusted_keys import COLUMNS, HOST, ROW, Plant
from tests.told import refused_with
from tests.waiting import wait_until

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from edge.configuration.config import GatewayConfig
    from edge.knowledge.scope_book import Tables

DAY_NS: Final = 86_400 * 10**9
WIDE: Final = ROW
NARROW: Final = ROW.replace("10,60", "1,60").replace("2025-01-01", "2025-02-01")
OTHER: Final = "cleaning,r1,,c2,1,30,60,qa,2025-01-01T00:00:00Z"


class Gateway(Plant):
    """A gateway that remembers below `state` what it has used, over restarts."""

    @property
    def state(self) -> Path:
        """Where it remembers."""
        return self.folder / "state"

    def say(self, *rows: str, file: str = "scope.csv") -> None:
        """The engineer signs a table of these rows."""
        path = self.source / file
        path.write_text("\n".join((COLUMNS, *rows)) + "\n", encoding="utf-8")
        self.sign(path, "engineer")

    def start(self, now_ns: int = START) -> Assembly:
        """It starts with the snapshot that is there, and takes it over at a time of the plant."""
        keys = (self.key("host", *HOST), self.key("engineer", Signs.SCOPE))
        made = assemble_from(
            settings(trust=TrustSettings(require_signed=True, key=keys)),
            bundle_path=self.bundle,
            snapshot_path=self.folder / "kb",
            scopes=read_book(self.state),
        )
        made.engine.handle(TickDue(), now_ns=now_ns)
        write_book(self.state, made.learn_scopes())
        return made

    def config(self) -> GatewayConfig:
        """Its configuration, with these keys."""
        file = self.folder / "gateway.toml"
        keys = "".join(
            f'[[trust.key]]\nname = "{name}"\nsigns = {signs}\n'
            f'public_key = "{self.keys[name][1]}"\n'
            for name, signs in (("host", '["bundle", "snapshot"]'), ("engineer", '["scope"]'))
        )
        file.write_text(
            'site = "s"\n[model]\nbundle = "bundle"\n[kb]\nsnapshot = "kb"\n[journal]\n'
            f'dir = "state"\n[trust]\nrequire_signed = true\n{keys}',
            encoding="utf-8",
        )
        return load(file, environment={})

    def hides(self, made: Assembly) -> tuple[list[str], str]:
        """What a witnessed calibration comes to, and what the clause of signatures said."""
        rig = Rig(known=made.knowledge(made.snapshot_sha256), conf=made.settings)
        rig.run(200)
        rig.context["cal"] = 1.0
        rig.run(5)
        rig.run(40, {"c1": 12.0})
        decisions = [r.decision for r in rig.engine.alerts() if r.alert_id and r.decision]
        clauses = [c.detail for d in decisions for c in d.clauses if c.name == "signed"]
        return rig.said(), "; ".join(clauses)


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    """One whose engineer has signed a wide table, and then a narrow one; both were in use."""
    made = Gateway(tmp_path)
    made.say(WIDE)
    made.publish()
    shutil.copytree(tmp_path / "kb", tmp_path / "recorded")
    assert made.hides(made.start())[0] == ["suppressed"]
    made.say(NARROW)
    made.publish()
    made.start()
    return made


@pytest.mark.parametrize("how", ["the_table_again", "the_whole_snapshot_again", "another_name"])
def test_a_table_that_was_replaced_hides_nothing_by_its_old_signature(
    gateway: Gateway, how: str
) -> None:
    """Whoever builds or places snapshots has kept a copy; the clause says why it counts no more."""
    if how == "the_whole_snapshot_again":
        shutil.rmtree(gateway.folder / "kb")
        shutil.copytree(gateway.folder / "recorded", gateway.folder / "kb")
    else:
        if how == "another_name":
            (gateway.source / "scope.csv").unlink()
            (gateway.source / "scope.csv.sig").unlink()
        gateway.say(WIDE, file="again.csv" if how == "another_name" else "scope.csv")
        gateway.publish()
    made = gateway.start()
    said, why = gateway.hides(made)
    assert said == ["ALERT"]
    assert "its table was replaced by another signed one" in why
    refused_with(why)
    assert "approved anew" in older_words(made.scopes.judged[made.snapshot_sha256])
    assert gateway.hides(gateway.start())[0] == ["ALERT"], "nor after a restart"


def test_an_older_row_that_was_never_seen_here_does_not_count(gateway: Gateway) -> None:
    """A row for the same work, signed before the one in use: older by what the engineer wrote."""
    gateway.say(WIDE.replace("10,60", "90,60"))
    gateway.publish()
    said, why = gateway.hides(gateway.start())
    assert said == ["ALERT"]
    assert "a signed row for this work, approved 2025-02-01T00:00:00+00:00, was in use" in why
    refused_with(why)


def test_the_way_back_is_to_approve_it_anew(gateway: Gateway) -> None:
    """A later time of approval, and a signature."""
    gateway.say(WIDE.replace("2025-01-01", "2025-03-01"))
    gateway.publish()
    assert gateway.hides(gateway.start())[0] == ["suppressed"]


def test_a_second_table_and_one_that_was_away_replace_nothing(tmp_path: Path) -> None:
    """Only a table about the same work takes another's place."""
    made = Gateway(tmp_path)
    made.say(WIDE)
    made.publish()
    made.start()
    for file in (made.source / "scope.csv", made.source / "scope.csv.sig"):
        file.unlink()
    made.say(OTHER, file="other.csv")
    made.publish()
    made.start()
    made.say(WIDE)
    made.publish()
    assert made.hides(made.start())[0] == ["suppressed"]


def test_what_was_judged_when_it_was_taken_over_is_judged_so_again(gateway: Gateway) -> None:
    """A restart takes the journal again: what the first snapshot hid then, it hid."""
    made = gateway.start()
    (first, _) = list(made.scopes.judged)[:2]
    assert made.scopes.judged[first] == {}
    assert made.scopes.gone
    assert made.scopes.refused(first, {}, anew=False) == {}


def test_a_running_gateway_takes_an_older_table_over_as_one_that_hides_nothing(
    gateway: Gateway,
) -> None:
    """It is told while it lasts, and remembered for the next start."""
    config = gateway.config()
    assembly = assemble(config)
    retriever = Retriever(assembly.snapshot, lambda _done: None)
    upkeep = Upkeep(config, assembly, retriever, Telemetry())
    faults = Faults()
    try:
        assert not [told for told in upkeep.judge(faults) if "scope" in str(told)]
        gateway.say(WIDE)
        gateway.publish()
        wait_until(lambda: upkeep.look(time.monotonic()), what="the snapshot")
        known = assembly.knowledge(assembly.snapshot_sha256)
        assert known is not None
        assert list(known.scope_older) == [row.scope_id for row in known.scope_rows]
        (told,) = [one for one in upkeep.judge(faults) if "scope" in str(one)]
        assert isinstance(told, ShellFault)
        assert (told.name, told.active) == ("scope_rows_older", True)
        assert "of the scope tables hide nothing: its table was replaced" in told.detail
        kept = assembly.snapshot_sha256
        wait_until(lambda: read_book(gateway.state).in_use == kept, what="the book")
        gateway.say(WIDE.replace("2025-01-01", "2025-03-01"))
        gateway.publish()
        wait_until(lambda: upkeep.look(time.monotonic()), what="the next snapshot")
        assert [told.active for told in upkeep.judge(faults) if isinstance(told, ShellFault)] == [
            False
        ]
    finally:
        upkeep.stop()
        retriever.stop()
    assert not assemble(config).scopes.judged[assembly.snapshot_sha256]


def test_a_row_that_is_not_in_force_yet_replaces_none(tmp_path: Path) -> None:
    """One table of two years, or a slip of the pen: it counts from its own day on, and only then.

    The row in force hides on, whatever else changes in the snapshot; once the later one is in
    force, the earlier does not come back.
    """
    made = Gateway(tmp_path)
    later_ns = START + 90 * DAY_NS
    later = datetime.fromtimestamp(later_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made.say(WIDE, ROW.replace("2025-01-01T00:00:00Z", later))
    made.publish()
    made.start()
    made.say(OTHER, file="other.csv")
    made.publish()
    started = made.start()
    assert started.scopes.judged[started.snapshot_sha256] == {}
    assert started.scopes_due_ns == later_ns
    assert made.hides(started)[0] == ["suppressed"]
    assert made.start(later_ns).scopes_due_ns is None
    made.say(OTHER.replace("1,30", "2,30"), file="other.csv")
    made.publish()
    (why,) = made.start(later_ns).scopes.refused("new", _tables(made), anew=True).values()
    assert f"approved {later[:-1]}+00:00, was in use" in why


def _tables(made: Gateway) -> Tables:
    started = made.start()
    assert started.snapshot is not None
    return {
        sha256: rows
        for sha256, rows in scope_tables(started.snapshot, started.settings.trust).items()
        if any(row.kind == "calibration" for row in rows)
    }


def test_a_running_gateway_learns_a_row_when_it_comes_into_force(tmp_path: Path) -> None:
    """Nothing is swapped then: only time goes on."""
    made = Gateway(tmp_path)
    later_ns = START + 90 * DAY_NS
    later = datetime.fromtimestamp(later_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made.say(ROW.replace("2025-01-01T00:00:00Z", later))
    made.publish()
    assembly = assemble(made.config())
    retriever = Retriever(assembly.snapshot, lambda _done: None)
    upkeep = Upkeep(made.config(), assembly, retriever, Telemetry(), patience=NoPatience())
    try:
        for now_ns, newest in ((START, []), (later_ns, [later_ns])):
            assembly.engine.handle(TickDue(), now_ns=now_ns)
            for second in range(3):
                upkeep.look(second)
            assert list(read_book(made.state).newest.values()) == newest
    finally:
        upkeep.stop()
        retriever.stop()


class Full(Disk):
    """A disk that takes no file until somebody makes room."""

    full = True
    tried = 0

    def open(self, path: Path, mode: str, *, permissions: int = MODE) -> FileIO:
        """Open a file, where there is room."""
        self.tried += 1
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return super().open(path, mode, permissions=permissions)


def test_what_the_disk_did_not_take_is_written_when_it_is_well(gateway: Gateway) -> None:
    """Told until then, with what to do, and not tried in each turn; nothing has to be swapped."""
    (gateway.state / FILE).unlink()
    config, disk, faults = gateway.config(), Full(), Faults()
    assembly = assemble(config)
    retriever = Retriever(assembly.snapshot, lambda _done: None)
    upkeep = Upkeep(
        config, assembly, retriever, Telemetry(), disk=disk, patience=NoPatience()
    )  # fmt: skip
    try:
        for second in range(5):
            upkeep.look(second)
        (told,) = [one for one in upkeep.judge(faults) if "unkept" in str(one)]
        assert isinstance(told, ShellFault)
        assert f"{FILE}: No space left on device; make room" in told.detail
        assert disk.tried == 1
        disk.full = False
        upkeep.look(20)
        upkeep.look(21)
        assert [one.active for one in upkeep.judge(faults) if isinstance(one, ShellFault)] == [
            False
        ]
        assert read_book(gateway.state) == assembly.scopes
    finally:
        upkeep.stop()
        retriever.stop()


def test_a_book_that_is_kept_can_be_read(tmp_path: Path) -> None:
    """However much was signed: the oldest of what takes most is forgotten."""
    works = {f"calibration\nr{i}\n": i for i in range(400)}
    judged = {f"{i}": {f"row{j}": "why" * 20 for j in range(50)} for i in range(20)}
    tables = {f"{i}": tuple(works)[:40] for i in range(50)}
    book = ScopeBook(newest=works, tables=tables, gone=("x", "y"), judged=judged, in_use="19")
    stored = encoded(book, 20_000)
    assert len(stored) <= 20_000
    less = msgspec.json.decode(stored, type=ScopeBook)
    assert "19" in less.judged
    assert list(less.newest.items()) == list(works.items())[-len(less.newest) :]
    assert (less.gone, less.in_use) == (book.gone, "19")
    assert encoded(book, 1 << 20) == msgspec.json.encode(book)
    assert len(encoded(book, 100)) <= 100
    write_book(tmp_path, book)
    assert read_book(tmp_path) == book


def test_a_book_that_cannot_be_read_is_no_empty_one(tmp_path: Path) -> None:
    """Else whoever damages it brings every table back."""
    assert read_book(tmp_path) == ScopeBook()
    for damaged in (b"", b"{", b"[]", b'{"gone": 1}', b"\xff"):
        (tmp_path / FILE).write_bytes(damaged)
        with pytest.raises(ConfigError, match=r"scope_tables\.json"):
            read_book(tmp_path)
