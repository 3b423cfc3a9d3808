"""A journal over which the bundle changed is explained with the one that counted at each time."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from edge.records import Publish
from edge.replays.rerun import Kept, Rerun, kept_of
from edge.replays.why_command import answered
from edge.storage.checkpoint import Checkpoint, save
from edge.storage.journal_writer import JournalWriter
from edge.storage.restore import started
from tests.edge.app_broker import BEGIN_NS
from tests.edge.test_bundle_watch import S, Site, first, second
from tests.edge.test_shadow import GATEWAY

if TYPE_CHECKING:
    from pathlib import Path

    from edge.engine import Engine
    from edge.records import Effect

SWAP: Final = 310  # second, while the first fault goes on
FAULTS: Final = (range(300, 340), range(600, 640))
END: Final = 800
EVENTS: Final = "andon/s/event/r1"


def revisions(effects: list[Effect]) -> list[bytes]:
    """Event revisions in order."""
    return [e.payload for e in effects if isinstance(e, Publish) and e.topic == EVENTS]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Two faults, a promotion in the middle of the first, checkpoints before and after it."""
    site = Site(tmp_path_factory.mktemp("lived") / "site")
    for fault in FAULTS:
        site.values[fault.start : fault.stop, 1] += 20 * site.values[:, 1].std()
    writer = JournalWriter(site.folder / "state" / "journal")
    writer.append([(BEGIN_NS, started(site.assembly))])
    for until in (200, SWAP, 500, END):
        site.run(until - site.row, look=False)
        if until == SWAP:
            site.promote(second(), watch_s=0)
            site.look()
        at = writer.append(site.sent)
        site.sent.clear()
        if until in (200, 500):
            state, fingerprint = site.assembly.engine.state, site.assembly.fingerprint
            checkpoint = Checkpoint(position=at, fingerprint=fingerprint, state=state)
            save(site.folder / "state" / "checkpoints", checkpoint)
    writer.close()
    (site.folder / "gateway.toml").write_text(GATEWAY)
    return site


def kept(site: Site, bundle: Path | None = None) -> Kept:
    """As the commands find it."""
    return kept_of(site.folder / "gateway.toml", journal=None, bundle=bundle, snapshot=None)


def taken(rerun: Rerun, *, begin_ns: int) -> list[Effect]:
    """Everything that comes out."""
    found: list[Effect] = []

    def look(_engine: Engine, effects: tuple[Effect, ...]) -> bool:
        found.extend(effects)
        return False

    rerun.run(look, begin_ns=begin_ns, step_ns=10 * S)
    rerun.close()
    return found


@pytest.mark.parametrize("begin_s", [0, 250, 600])
def test_every_revision_comes_again_byte_by_byte(lived: Site, begin_s: int) -> None:
    """From the begin, and from a checkpoint of the bundle before or after the change."""
    rerun = Rerun(kept(lived))
    again = revisions(taken(rerun, begin_ns=BEGIN_NS + begin_s * S))
    told = revisions(lived.effects)
    assert again == (told if begin_s < FAULTS[0].start else told[-len(again) :])
    assert again
    assert not rerun.notes
    bundles = [msgspec.json.decode(one)["lineage"]["bundle_sha256"] for one in told]
    assert set(bundles) == {first().sha256, second().sha256}
    ids = {msgspec.json.decode(one)["id"] for one in told}
    assert len(ids) == 1, "the change adds none; not acknowledged, the second one counts up"


def test_the_threshold_of_why_is_that_of_the_time(lived: Site) -> None:
    """Before the change the first one's, after it the other's."""
    for second_, bundle in ((100, first()), (700, second())):
        rerun = Rerun(kept(lived))
        answer = answered(rerun, asset="r1", at_ns=BEGIN_NS + second_ * S)
        rerun.close()
        assert answer.threshold == bundle.assets[0].threshold_on
        assert rerun.engine.state.bundle_sha256 == bundle.sha256


def test_a_bundle_that_somebody_names_is_taken_throughout(lived: Site) -> None:
    """What if it had counted all along: nothing in the journal changes it."""
    rerun = Rerun(kept(lived, lived.folder / "first"))
    found = revisions(taken(rerun, begin_ns=0))
    lineages = {msgspec.json.decode(one)["lineage"]["bundle_sha256"] for one in found}
    assert lineages == {first().sha256}
    assert any("bundle" in note for note in rerun.notes)


def test_what_is_not_kept_any_more_is_said(lived: Site, tmp_path: Path) -> None:
    """The rest is taken with what there is."""
    shutil.copytree(lived.folder, tmp_path / "site")
    copied = Site.__new__(Site)
    copied.folder = tmp_path / "site"
    bundles = copied.folder / "state" / "bundles"
    shutil.rmtree(bundles / second().sha256[:16])
    (bundles / "current").unlink()
    rerun = Rerun(kept(copied))
    assert taken(rerun, begin_ns=0)
    assert any(second().sha256[:12] in note for note in rerun.notes)
