"""A signed scope table that was narrowed or replaced does not come back by its old signature."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Final

import pytest

from edge.configuration.config import load
from edge.errors import ConfigError
from edge.gateway.assembly import Assembly, assemble, assemble_from
from edge.gateway.faults import Faults
from edge.gateway.retrieve import Retriever
from edge.gateway.scope_book import FILE, ScopeBook, older_words, read_book, write_book
from edge.gateway.telemetry import Telemetry
from edge.gateway.upkeep import Upkeep
from edge.records import ShellFault
from edge.trust import Signs, TrustSettings
from tests.edge.rig import Rig, settings
from tests.edge.test_trusted_keys import COLUMNS, HOST, ROW, Plant
from tests.told import refused_with
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from edge.configuration.config import GatewayConfig

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

    def start(self) -> Assembly:
        """It starts with the snapshot that is there, and takes it over."""
        keys = (self.key("host", *HOST), self.key("engineer", Signs.SCOPE))
        made = assemble_from(
            settings(trust=TrustSettings(require_signed=True, key=keys)),
            bundle_path=self.bundle,
            snapshot_path=self.folder / "kb",
            scopes=read_book(self.state),
        )
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
        assert read_book(gateway.state).in_use == assembly.snapshot_sha256
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


def test_a_book_that_cannot_be_read_is_no_empty_one(tmp_path: Path) -> None:
    """Else whoever damages it brings every table back."""
    assert read_book(tmp_path) == ScopeBook()
    for damaged in (b"", b"{", b"[]", b'{"gone": 1}', b"\xff"):
        (tmp_path / FILE).write_bytes(damaged)
        with pytest.raises(ConfigError, match=r"scope_tables\.json"):
            read_book(tmp_path)
