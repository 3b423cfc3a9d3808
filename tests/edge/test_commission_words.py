"""The book beside a running gateway: broken, cut short, put right; and what older versions told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.commissioning.book import ACCEPTED, WITHDRAWN, book_of
from edge.configuration.config import load
from edge.gateway.faults import Faults
from edge.records import CommissionTold
from edge.storage.checkpoint import pack, unpack
from edge.work.commission import Commission, Stage
from tests.edge.commission_site import Site, learned

if TYPE_CHECKING:
    from pathlib import Path


def refused(site: Site) -> str:
    """What is wrong with the book; "": nothing."""
    faults = Faults()
    site.watch.judge(faults)
    return faults._active.get("commissioning_refused", "")


def say(site: Site, what: str, *, by: str) -> None:
    """Write a word on r1, without waiting for a checkpoint."""
    sha256 = site.assembly.bundle.sha256
    book_of(site.config).write(what, {"r1": "{}"}, bundle_sha256=sha256, by=by, because="seen")


def test_a_book_that_was_changed_is_refused_and_nothing_moves(tmp_path: Path) -> None:
    """Each line follows from the one before it."""
    site = learned(tmp_path / "site")
    assert site.accept("--asset", "r1", "--by", "ann", "--yes")[0] == 0
    path = book_of(site.config).path
    path.write_bytes(path.read_bytes().replace(b'"ann"', b'"eve"'))
    site.look()
    assert site.stage() is Stage.SHADOW
    faults = Faults()
    site.watch.judge(faults)
    assert "line 1 does not follow" in faults._active["commissioning_refused"]
    site.close()


def test_of_a_book_that_breaks_the_words_before_it_count_and_nobody_is_taken_out(
    tmp_path: Path,
) -> None:
    """What the gateway knows stays; where its state began anew, the words before it say more."""
    site = learned(tmp_path / "site")
    assert site.accept("--asset", "r1", "--by", "ann", "--yes")[0] == 0
    site.look()
    assert site.accept("--asset", "r1", "--withdraw", "--by", "ann", "--yes")[0] == 0
    site.look()
    assert site.stage() is Stage.SHADOW
    path = book_of(site.config).path
    path.write_bytes(path.read_bytes()[:-30])
    site.look()
    assert site.stage() is Stage.SHADOW, "it knows the word that is damaged now"
    faults = Faults()
    site.watch.judge(faults)
    assert "line 2" in faults._active["commissioning_refused"]
    assert "the 1 words before it" in faults._active["commissioning_refused"]
    assert "line 2" in site.accept("--asset", "r1", "--by", "ann", "--yes")[1], "none is added"
    site.close()
    site.file.write_text(site.file.read_text() + 'area = "hall 2"\n')
    site.config = load(site.file)
    site.open()
    assert site.stage() is Stage.IN_SERVICE, "it knows nothing, and rather rings"
    site.close()


@pytest.mark.not_counted
def test_a_book_whose_end_was_cut_off_takes_nobody_out_of_service(tmp_path: Path) -> None:
    """What is left is whole, and would withdraw; a restart knows the word as well."""
    site = learned(tmp_path / "site")
    path = book_of(site.config).path
    for word in ((), ("--withdraw",)):
        assert site.accept("--asset", "r1", *word, "--by", "ann", "--yes")[0] == 0
        site.look()
    assert site.stage() is Stage.SHADOW
    assert site.accept("--asset", "r1", "--by", "ann", "--yes")[0] == 0
    site.look()
    whole = path.read_bytes()
    for left in (2, 1, 0):
        path.write_bytes(b"".join(whole.splitlines(keepends=True)[:left]))
        site.look()
        assert site.stage() is Stage.IN_SERVICE, f"{left} lines are left"
        assert "lacks word 3 on r1" in refused(site)
        site.close()
        site.open()
        assert site.stage() is Stage.IN_SERVICE
        assert "lacks word 3 on r1" in refused(site)
    path.write_bytes(whole)
    site.look()
    assert not refused(site)
    site.close()


def test_words_that_are_said_after_the_end_was_cut_off_count(tmp_path: Path) -> None:
    """A person has said them, and the trail has the name; two in one look leave the later known."""
    site = learned(tmp_path / "site")
    path = book_of(site.config).path
    say(site, ACCEPTED, by="ann")
    site.look()
    say(site, WITHDRAWN, by="bea")
    say(site, ACCEPTED, by="ann")
    site.look()
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:2]))
    site.look()
    assert site.stage() is Stage.IN_SERVICE, "of both words the later was told"
    assert "lacks word 3 on r1" in refused(site)
    assert site.accept("--asset", "r1", "--withdraw", "--by", "eve", "--yes")[0] == 0
    site.look()
    assert (site.stage(), refused(site)) == (Stage.SHADOW, "")
    assert site.accept("--asset", "r1", "--by", "eve", "--yes")[0] == 0
    site.look()
    assert site.stage() is Stage.IN_SERVICE
    site.close()


def test_words_of_older_versions_are_still_read() -> None:
    """A checkpoint and a journal that name no place in the book."""
    told = CommissionTold(what="accepted", asset="r1", by="ann")
    body = msgspec.to_builtins(told)
    del body["sequence"], body["sha256"]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(body), type=CommissionTold) == told
    known = Commission(in_service=True, by="ann")
    body = msgspec.to_builtins(known)
    del body["word_sequence"], body["word_sha256"]
    assert unpack(pack(body), Commission) == known
