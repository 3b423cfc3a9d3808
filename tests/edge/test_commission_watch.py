"""A gateway that begins with its configuration: it learns by itself, and people put it in service.

All of it is the real one, the process that fits included, but for the broker; time is the plant's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

import andon
from edge.audit.signatures import new_key, read_key, sign_path
from edge.audit.trail import must_stay
from edge.bundles.store import store_of
from edge.bundles.watch import assembled
from edge.commissioning.book import book_of, counting
from edge.commissioning.fit import learn
from edge.commissioning.learned import LearnRequest
from edge.commissioning.view import Acceptance
from edge.commissioning.watch import bare, prepare
from edge.configuration.config import load
from edge.errors import ConfigError
from edge.records import Audited, Started
from edge.storage.journal import read_journal
from edge.storage.journal_writer import JournalWriter
from edge.storage.restore import restore
from edge.work.commission import Stage
from models.bundles.assemble import make_bundle
from models.bundles.bundle import is_unfitted
from models.bundles.store import save
from tests.edge.commission_site import TOML, S, Site, learned

if TYPE_CHECKING:
    from pathlib import Path

    from edge.records import Effect


def test_from_a_configuration_alone_to_an_asset_in_service(tmp_path: Path) -> None:
    """No bundle, no recording: it learns, is accepted by name, and rings; a restart keeps that."""
    site = Site(tmp_path / "site", minutes=14)
    assert site.stage() is Stage.LEARNING
    site.run(300)
    site.run(20, shift=30.0)  # a fault that nobody told of: it rings nobody, and is not learned
    site.run(540)
    assert not site.events(), "nothing at all before it is calibrated"
    assert store_of(site.config).history()[-1].because == "assets joined unfitted"
    site.settle()
    assert site.stage() is Stage.SHADOW
    assert site.told()[-1]["stage"] == "SHADOW"
    assert not site.told()[-1]["trouble"]
    made = site.assembly.bundle
    assert made.assets[0].channels[0].unit == "bar"
    assert store_of(site.config).history()[-1].what == "learned"
    site.run(30, shift=30.0)
    assert site.events()
    assert {event["shadow"] for event in site.events()} == {1}
    assert not any(event["annunciate"] for event in site.events())
    code, said = site.accept("--asset", "r1", "--by", "ann", "--because", "seen", "--yes")
    assert code == 0, said
    site.look()
    assert site.stage() is Stage.IN_SERVICE
    assert site.events()[-1]["annunciate"] == 1
    site.close()
    site.open()
    assert site.stage() is Stage.IN_SERVICE
    code, said = site.accept("--asset", "r1", "--withdraw", "--by", "bea", "--yes")
    assert code == 0, said
    site.look()
    assert site.stage() is Stage.SHADOW
    site.close()
    kinds = [type(entry.stimulus).__name__ for entry in read_journal(site.state / "journal")]
    assert kinds.count("BundleSwapped") == 1
    assert kinds.count("CommissionTold") == 3, "accepted, told again at the start, withdrawn"
    audited = [one.what for one in site.effects if isinstance(one, Audited)]
    assert audited == ["accepted", "withdrawn"], "told again, but not said again"


def test_a_journal_that_lost_its_beginning_leads_to_the_same_state(tmp_path: Path) -> None:
    """The word came in what is gone; what begins with the last start says it again."""
    site = learned(tmp_path / "site")
    assert site.accept("--asset", "r1", "--by", "ann", "--yes")[0] == 0
    site.look()
    site.checkpoint()
    site.close()
    site.open()
    site.run(30, shift=30.0)
    assert site.events()[-1]["annunciate"] == 1
    site.close()
    entries = list(read_journal(site.state / "journal"))
    start = max(i for i, one in enumerate(entries) if isinstance(one.stimulus, Started))
    rest = JournalWriter(tmp_path / "rest")
    rest.append([(one.now_ns, one.stimulus) for one in entries[start:]])
    rest.close()
    again = assembled(site.config)
    kept: list[Effect] = []
    restore(again, journal=tmp_path / "rest", checkpoints=tmp_path / "none", keep=kept.extend)
    commission = again.engine.state.assets["r1"].commission
    assert commission is not None
    assert (commission.stage, commission.by) == (Stage.IN_SERVICE, "ann")
    said = [msgspec.json.decode(m.payload) for m in must_stay(kept)[0] if "/event/" in m.topic]
    assert said[-1]["annunciate"] == 1


def test_another_configuration_does_not_put_an_accepted_asset_back(tmp_path: Path) -> None:
    """Its state begins anew, its acceptance does not: the book tells it before the first sample."""
    site = learned(tmp_path / "site")
    assert site.accept("--all", "--by", "ann", "--yes")[0] == 0
    site.look()
    site.close()
    site.file.write_text(site.file.read_text() + 'area = "hall 2"\n')
    site.config = load(site.file)
    site.open()
    assert site.stage() is Stage.IN_SERVICE
    site.run(30, shift=30.0)
    assert site.events()[-1]["annunciate"] == 1
    site.close()


@pytest.mark.not_counted
def test_an_accepted_asset_that_leaves_and_comes_back_with_a_bundle_rings_again(
    tmp_path: Path,
) -> None:
    """A bundle without it scores for a while; its state is a new one, the book is the same."""
    site = learned(tmp_path / "site")
    assert site.accept("--asset", "r1", "--by", "ann", "--yes")[0] == 0
    site.look()
    site.close()
    joins = msgspec.structs.replace(site.config.asset[0], id="r2")
    site.file.write_text(site.file.read_text().partition("[[asset]]")[0])
    site.config = load(site.file)
    site.open()
    with_it, store = site.assembly.bundle, store_of(site.config)
    without = make_bundle([bare(joins, period_ns=S)])
    save(without, tmp_path / "without")
    store.keep(tmp_path / "without")
    for sha256 in (without.sha256, with_it.sha256):
        store.point(sha256, by="ann", because="tried")
        for _ in range(4):
            site.look()
        assert site.assembly.engine.state.bundle_sha256 == sha256
    site.run(10)
    assert site.stage() is Stage.IN_SERVICE
    site.close()


@pytest.mark.not_counted
def test_a_channel_that_never_spoke_does_not_keep_the_others_from_being_learned(
    tmp_path: Path,
) -> None:
    """It is blind, and whoever accepts the asset is told so."""
    site = Site(tmp_path / "site")
    site.silent = ("c2",)
    site.run(310)
    site.settle()
    assert site.stage() is Stage.SHADOW, site.told()[-1]
    site.run(40)
    site.checkpoint()
    shown = Acceptance(site.file).standing("r1")
    (blind,) = shown.blind
    assert blind.startswith("c2: next to nothing came, and it is not scored: it had no value")
    assert any("c2" in doubt for doubt in shown.doubts)
    site.silent = ()
    site.run(600)
    site.checkpoint()
    (blind,) = Acceptance(site.file).standing("r1").blind
    assert blind.startswith("c2: it is not scored"), "it speaks now, and nobody listens"
    site.close()


@pytest.mark.parametrize("step_s", [0.2, 5.0])
def test_the_rate_of_the_plant_is_learned_too(tmp_path: Path, step_s: float) -> None:
    """What somebody supposed of the sampling period holds until the first fit only."""
    site = Site(tmp_path / "site", step_s=step_s)
    site.run(1600 if step_s < 1 else 310)
    site.settle()
    assert site.stage() is Stage.SHADOW, site.told()[-1]
    assert site.assembly.bundle.assets[0].period_ns == step_s * S
    site.run(200)
    assert np.isfinite(site.assembly.engine.state.assets["r1"].last_score)
    site.close()


def test_no_fit_begins_or_takes_over_while_a_promoted_bundle_is_watched(tmp_path: Path) -> None:
    """It would end the watch, and be what a rollback leads back to."""
    site = Site(tmp_path / "site")
    store, begun = store_of(site.config), site.assembly.bundle.sha256
    store.point(begun, by="ann", because="promoted", watch_s=3600.0)
    site.run(310)
    site.look()
    assert site.watch._fit is None
    pointer = store.pointer()
    assert pointer is not None
    assert pointer.watch_until_ns > 0
    store.point(begun, by="ann", because="promoted")
    site.settle()
    assert site.stage() is Stage.SHADOW
    site.close()


def test_a_fit_that_fails_says_why_and_the_asset_goes_on_learning(tmp_path: Path) -> None:
    """Here the journal has lost its bundle; the next fit waits for more rows."""
    site = Site(tmp_path / "site")
    site.run(310)
    request = LearnRequest(config=site.config, bundle_sha256="0" * 64, since_ns={"r1": 0})
    with pytest.raises(ConfigError, match="not kept any more"):
        learn(request)
    kept = store_of(site.config).find(site.assembly.bundle.sha256)
    assert kept is not None
    (kept / "parameters.npz").write_bytes(b"no bundle")
    site.settle()
    assert site.stage() is Stage.LEARNING
    assert "parameters.npz" in site.told()[-1]["trouble"]
    site.look()
    assert site.watch._fit is None, "not before more was seen"
    site.close()


def test_where_signatures_are_required_the_fit_waits_for_one(tmp_path: Path) -> None:
    """The gateway has no private key: what it made is named, with what to do."""
    _, public = new_key(tmp_path, "site")
    more = f'[trust]\nrequire_signed = true\npublic_keys = ["{public}"]\n'
    site = Site(tmp_path / "site", more)
    before = site.assembly.bundle.sha256
    site.run(310)
    site.settle()
    assert site.stage() is Stage.LEARNING
    assert "andon sign" in site.told()[-1]["trouble"]
    assert site.assembly.engine.state.bundle_sha256 == before
    site.close()


@pytest.mark.not_counted
def test_what_was_learned_needs_its_approvals_before_it_is_accepted(tmp_path: Path) -> None:
    """Not to shadow, for that rings for nobody."""
    site = learned(tmp_path / "site", "[model]\napprovals = 1\n")
    code, said = site.accept("--asset", "r1", "--by", "ann", "--yes")
    assert code != 0
    assert "andon model approve" in said
    sha256 = site.assembly.bundle.sha256
    store_of(site.config).note("approved", sha256, by="bea")
    assert site.accept("--asset", "r1", "--by", "bea", "--yes")[0] != 0, "the second person"
    assert site.accept("--asset", "r1", "--by", "ann", "--yes")[0] == 0
    site.close()


def test_the_command_shows_before_it_asks_and_changes_nothing_without_a_yes(tmp_path: Path) -> None:
    """Days, states, alerts expected and rung, doubts; what is not in the shadow is refused."""
    site = learned(tmp_path / "site")
    site.run(30, shift=30.0)
    code, said = site.accept("--asset", "r1")
    assert code == 1
    for part in ("learned from", "never seen", "budget", "would have rung", "doubt:", "--by NAME"):
        assert part in said, part
    told = CliRunner().invoke(
        andon.app,
        ["accept", "--config", str(site.file), "--asset", "r1", "--by", "ann"],
        input="n\n",
    )
    assert told.exit_code == 1
    assert not book_of(site.config).words().lines
    code, said = site.accept("--asset", "r1", "--json")
    shown = msgspec.json.decode(said.strip().rpartition("]")[0] + "]")
    assert shown[0]["alerts_shadow"] == 1
    assert "is SHADOW, not in service" in site.accept("--asset", "r1", "--withdraw")[1]
    assert "not commissioned" in site.accept("--asset", "r9")[1]
    site.close()


def test_an_asset_that_joins_learns_beside_those_in_service(tmp_path: Path) -> None:
    """It is named in the configuration, and joins the bundle that counts, unfitted."""
    site = learned(tmp_path / "site")
    assert site.accept("--all", "--by", "ann", "--yes")[0] == 0
    site.look()
    site.close()
    site.file.write_text(site.file.read_text() + '[[asset]]\nid = "r2"\ntags = { d = "d" }\n')
    site.config = load(site.file)
    site.open()
    bare = {m.asset: is_unfitted(m.metrics) for m in site.assembly.bundle.assets}
    assert bare == {"r1": False, "r2": True}
    stages = {a: s.commission.stage for a, s in site.assembly.engine.state.assets.items()}  # type: ignore[union-attr]
    assert stages == {"r1": Stage.IN_SERVICE, "r2": Stage.LEARNING}
    site.close()


def test_without_tags_or_a_bundle_it_says_what_to_do(tmp_path: Path) -> None:
    """Nothing is guessed of an asset that nobody described."""
    file = tmp_path / "gateway.toml"
    file.write_text('site = "s"\n[commissioning]\n[[asset]]\nid = "r1"\n')
    with pytest.raises(ConfigError, match="name its tags"):
        prepare(load(file))
    file.write_text('site = "s"\n')
    with pytest.raises(ConfigError, match=r"\[commissioning\]"):
        load(file)


@pytest.mark.not_counted
def test_check_names_what_is_to_be_learned_and_writes_nothing(tmp_path: Path) -> None:
    """Before the first start there is no bundle, and nothing wrong with that."""
    file = tmp_path / "gateway.toml"
    file.write_text(TOML.format(more="", minutes=5))
    said = CliRunner().invoke(andon.app, ["check", str(file)]).output
    assert "to be learned, until then only limits ring: r1" in " ".join(said.split())
    assert "andon/s/commissioning/r1" in said
    assert "1 fault\n" in said, "the broker alone"
    assert not (tmp_path / "state").exists()


def test_a_word_counts_only_with_its_persons_signature_where_these_are_required(
    tmp_path: Path,
) -> None:
    """Another's key, no key, or another asset's signature put nothing into service."""
    ann, public = new_key(tmp_path, "ann")
    eve, _ = new_key(tmp_path, "eve")
    trust = f"""[trust]
require_signed = true
public_keys = ["{public}"]
operators = {{ ann = "{public}" }}
"""
    site = Site(tmp_path / "site", trust)
    site.run(310)
    site.settle()
    made = next(
        sha256 for sha256 in store_of(site.config).places() if sha256 != site.assembly.bundle.sha256
    )
    store_of(site.config).point(made, by="ann", because="signed elsewhere", what="learned")
    signed = store_of(site.config).find(made)
    assert signed is not None
    sign_path(signed, read_key(ann))
    for _ in range(3):
        site.look()
    site.run(20)
    assert site.stage() is Stage.SHADOW, site.bundles._refused
    command = ("--asset", "r1", "--by", "ann", "--yes")
    assert "does not count" in site.accept(*command)[1]
    assert "does not count" in site.accept(*command, "--key", str(eve))[1]
    code, said = site.accept(*command, "--key", str(ann))
    assert code == 0, said
    site.look()
    assert site.stage() is Stage.IN_SERVICE
    words = book_of(site.config).words().lines
    assert counting(site.config, words)
    assert not counting(site.config, [msgspec.structs.replace(words[0], asset="r2")])
    site.close()
