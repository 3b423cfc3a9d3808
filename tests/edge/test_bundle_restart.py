"""Restarts over a change of the detector: the journal is taken again with what counted then."""

from __future__ import annotations

import math
import shutil
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from edge.assembly.assembly import Assembly, assemble
from edge.audit.signatures import read_key, sign_path
from edge.bundles.store import BundleStore, store_of
from edge.records import BundleSwapped, Started
from edge.replays.backtest import Backtest
from edge.storage.checkpoint import Checkpoint, pack
from edge.storage.checkpoint import save as save_checkpoint
from edge.storage.journal import read_journal
from edge.storage.journal_writer import JournalWriter
from edge.storage.restore import restore, started
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from models.bundles.store import save
from tests.edge.app_broker import BEGIN_NS, decided
from tests.edge.rig import bundle
from tests.edge.test_app import SYSTEM, World
from tests.edge.test_bundle_watch import S, Site, first, second
from tests.edge.test_signatures import Keys
from tests.edge.test_takeover import successor

if TYPE_CHECKING:
    from pathlib import Path

PAUSE_S: Final = 1e-3


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A gateway that has run for a while."""
    one = Site(tmp_path / "site")
    one.run(60)
    return one


def journal_of(site: Site, begun: Started) -> Path:
    """The journal that the gateway would have written."""
    writer = JournalWriter(site.folder / "journal")
    writer.append([(BEGIN_NS, begun), *site.sent])
    writer.close()
    return site.folder / "journal"


@pytest.mark.parametrize("kept", [True, False])
def test_a_restart_takes_the_journal_again_with_the_bundles_that_it_names(
    site: Site,
    kept: bool,  # noqa: FBT001
) -> None:
    """The engine is where it was, bit by bit; where a bundle is gone, that is said."""
    begun = started(site.assembly)
    site.promote(second())
    site.run(200)
    site.store.point(first().sha256, by="ann", because="", what="rolled_back")
    site.run(100)
    journal = journal_of(site, begun)
    if not kept:
        shutil.rmtree(site.store.directory / second().sha256[:16])
        shutil.rmtree(site.folder / second().sha256[:8])
    again = assemble(site.config)
    done = restore(again, journal=journal, checkpoints=site.folder / "none", keep=lambda _: None)
    assert done.stimuli == (len(site.sent) + 1 if kept else done.stimuli)
    assert not again.missing_bundles or not kept
    if kept:
        assert pack(again.engine.state.assets) == pack(site.assembly.engine.state.assets)
    else:
        assert any(note.name == "journal_skipped" for note in done.notes)


@pytest.mark.parametrize("damaged", [True, False])
def test_a_checkpoint_is_of_use_only_with_its_bundle(site: Site, damaged: bool) -> None:  # noqa: FBT001
    """It is read back with the one that its state names; where that is damaged, without it."""
    begun = started(site.assembly)
    site.promote(second())
    site.look()
    site.run(100)
    journal = JournalWriter(site.folder / "journal")
    at = journal.append([(BEGIN_NS, begun), *site.sent])
    journal.close()
    state, fingerprint = site.assembly.engine.state, site.assembly.fingerprint
    save_checkpoint(
        site.folder / "c", Checkpoint(position=at, fingerprint=fingerprint, state=state)
    )
    site.store.point(first().sha256, by="ann", because="", what="rolled_back")
    shutil.rmtree(site.folder / second().sha256[:8])
    if damaged:
        (site.store.directory / second().sha256[:16] / "model.onnx").write_bytes(b"?")
    again = assemble(site.config)
    done = restore(
        again, journal=site.folder / "journal", checkpoints=site.folder / "c", keep=lambda _: None
    )
    assert done.from_checkpoint is not damaged
    if not damaged:
        assert again.engine.state.bundle_sha256 == second().sha256
        assert pack(again.engine.state) == pack(state)
    again.engine.handle(started(again), now_ns=BEGIN_NS + site.row * S)
    assert again.engine.state.bundle_sha256 == first().sha256


def test_a_promotion_while_the_gateway_is_down_takes_over_at_the_start(site: Site) -> None:
    """From what the journal gives: the new one warms from the ring, nothing begins anew."""
    site.run(300)
    journal = journal_of(site, started(site.assembly))
    site.promote(second())
    site.open()
    restore(site.assembly, journal=journal, checkpoints=site.folder / "none", keep=lambda _: None)
    assert site.scores_with == first().sha256, "as the journal has it"
    written = site.assembly.engine.state.ring.assets["r1"].written
    site.give(started(site.assembly), BEGIN_NS + site.row * S)
    assert site.scores_with == second().sha256
    site.run(5)
    assert site.assembly.engine.state.ring.assets["r1"].written == written + 5
    assert math.isfinite(site.assembly.engine.state.assets["r1"].last_score)


def test_the_whole_gateway_swaps_in_mid_stream_and_its_journal_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loop, journal, outbox and audit are real: the fault is told once, each revision once."""
    save(first(), tmp_path / "b")
    save(second(), tmp_path / "c")
    world = World(tmp_path / "w", tmp_path / "b", monkeypatch)
    store = store_of(world._config)
    seen: list[int] = []
    real = world.broker.drain

    def drain(limit: int) -> Any:  # noqa: ANN401
        """Promote after the second message, and wait until it was taken."""
        gateway = world.broker.gateway
        assert gateway is not None
        if len(world.broker.acknowledged) == 2 and not seen:
            store.keep(tmp_path / "c")
            store.point(second().sha256, by="ann", because="")
            seen.append(1)
        if seen and gateway._assembly.engine.state.bundle_sha256 != second().sha256:
            time.sleep(PAUSE_S)
            return []
        return real(limit)

    monkeypatch.setattr(world.broker, "drain", drain)
    assert world.live() == 0
    entries = [(e.now_ns, e.stimulus) for e in read_journal(world.broker.state / "journal")]
    assert [s.bundle_sha256 for _, s in entries if isinstance(s, BundleSwapped)] == [
        second().sha256
    ]
    assert world.broker.last("andon/s/status")["bundle"] == second().sha256
    rows = decided(world.broker.state)
    assert len({row[1] for row in rows}) == 1, "one alert"
    for config in (world._config,):
        assembly = Assembly(config.settings, bundle=first(), snapshot=None, store=store_of(config))
        backtest = Backtest(assembly.engine)
        backtest.run(entries)
        assert [(*p.key, p.payload) for p in backtest.published if p.key] == [
            (row[1], row[2], row[3]) for row in rows
        ]
    assert world.live() == 0, "and it starts again from where it was"
    assert decided(world.broker.state) == rows
    assert world.broker.last(SYSTEM)["active"] == 0


@pytest.mark.parametrize("signed", [True, False])
def test_what_is_suppressed_asks_for_the_signature_of_the_bundle_that_scores(
    tmp_path: Path,
    signed: bool,  # noqa: FBT001
) -> None:
    """Also after a change of it in a journal; its own copy in the store is looked at."""
    keys = Keys(tmp_path / "keys")
    source = tmp_path / "texts"
    source.mkdir()
    build(source, tmp_path / "kb", now_ns=1)
    paths = [save(bundle(), tmp_path / "old"), save(successor().bundle, tmp_path / "new")]
    for path in (paths[0], tmp_path / "kb", *(paths[1:] if signed else ())):
        sign_path(path, read_key(keys.engineer_path))
    store = BundleStore(tmp_path / "store", paths[0])
    store.keep(paths[1])
    assembly = Assembly(
        keys.settings(),
        bundle=bundle(),
        snapshot=Snapshot.open(tmp_path / "kb"),
        bundle_path=paths[0],
        store=store,
    )
    known = assembly.engine._desk
    assert known.knowledge is not None
    assert known.knowledge.unsigned == ""
    swap = BundleSwapped(bundle_sha256=successor().bundle.sha256)
    assembly.engine.handle(swap, now_ns=BEGIN_NS)
    assert assembly.engine.state.bundle_sha256 == successor().bundle.sha256
    lacks = known.knowledge.unsigned
    assert (lacks == "") is signed
    assert signed or "is not signed" in lacks
    back = BundleSwapped(bundle_sha256=bundle().sha256)
    assembly.engine.handle(back, now_ns=BEGIN_NS)
    assert known.knowledge.unsigned == ""
