"""What counts for nothing on `fence`, forged, recorded or noise; and the key that proves claims."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from edge.boxes.fence_key import FILE as KEY_FILE
from edge.boxes.fence_key import FenceKey, fence_key_of
from edge.boxes.fencing import CLAIM_AGAIN_S, FORGED_TOLD_S, GRACE_S, KEEP_AGAIN_S, QUIET_S
from edge.boxes.identity import Fenced, new_box, write_box
from edge.errors import ConfigError
from edge.storage.disk import Disk
from edge.wire.fence import decode_claim
from tests.edge.test_fencing import TOPICS, Broker, Client, claim_of, client
from tests.told import refused_with

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

FORGED: Final = {
    "without_a_proof": claim_of(new_box(generation=2), key=None),
    "with_another_sites_key": claim_of(new_box(generation=2), key=FenceKey(secret=b"x" * 32)),
    "made_for_another_topic": claim_of(new_box(generation=2), topic="andon/t/fence"),
    "raised_afterwards": claim_of(new_box(generation=2)).replace(
        b'"generation":2', b'"generation":3'
    ),
    "proof_of_no_length": claim_of(new_box(generation=2), key=None).replace(
        b'mac":""', b'mac":"\xc3\xa9"'
    ),
}


@pytest.mark.parametrize("payload", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("when", ["while_we_speak", "retained_before_we_come"])
def test_a_claim_without_the_key_of_the_boxes_fences_nobody(
    tmp_path: Path, payload: bytes, when: str
) -> None:
    """Whoever may write there and never had a backup: refused, counted, told, and overwritten."""
    broker = Broker(retained={TOPICS.fence: payload} if when.startswith("retained") else {})
    one = client(broker, tmp_path, new_box())
    one.connect()
    one.settle()
    if when == "while_we_speak":
        assert not one.fence.forged
        broker.retained[TOPICS.fence] = payload
        one.fence.take(TOPICS.fence, payload)
        broker.now_s += CLAIM_AGAIN_S
        one.turn()
    assert one.fence.open
    assert one.fence.box.fenced_by is None
    assert one.fence.refused_total >= 1
    assert "andon/s/fence that no box of this site has made" in one.fence.forged
    assert broker.retained[TOPICS.fence] != payload
    refused_with(one.fence.forged)
    broker.now_s += FORGED_TOLD_S + 1
    assert not one.fence.forged


def test_claims_that_somebody_recorded_fence_nobody_who_is_rightful(tmp_path: Path) -> None:
    """Of a box before this one, and of each process of this box: all of them were true once."""
    broker = Broker()
    old = client(broker, tmp_path, new_box())
    old.connect()
    old.settle()
    new = client(broker, tmp_path, new_box(generation=2))
    for _ in range(3):
        new = Client(broker, new.state)
        new.connect()
        new.settle()
        new.fence._run_ms += 1_000_000  # a clock that was set back has no say either
    recorded = [payload for _, topic, payload in broker.said if topic == TOPICS.fence]
    assert len(set(recorded)) >= 4
    for payload in recorded:
        new.fence.take(TOPICS.fence, payload)
        broker.now_s += CLAIM_AGAIN_S
        new.turn()
    assert new.fence.open
    assert not new.fence.refused_total


def test_a_key_is_made_once_and_read_by_its_owner_only(tmp_path: Path) -> None:
    """Each process has the same; a file that is none is not replaced in silence."""
    first = fence_key_of(tmp_path)
    assert first.fresh
    again = fence_key_of(tmp_path)
    assert again == first, "fresh until it was heard with"
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    for damaged in ("", "zz", "00" * 31, "00" * 33, "\xff", "00" * 32 + "\nheard"):
        (tmp_path / KEY_FILE).write_text(damaged, encoding="utf-8")
        with pytest.raises(ConfigError, match="is no key"):
            fence_key_of(tmp_path)


@pytest.mark.parametrize("every_s", [0.05, 4.0])
@pytest.mark.parametrize("payload", [b"", b"x", claim_of(new_box(generation=2), key=None)])
@pytest.mark.parametrize("claimed", [False, True])
def test_noise_keeps_no_gateway_waiting_that_starts(
    tmp_path: Path, payload: bytes, *, every_s: float, claimed: bool
) -> None:
    """Written or cleared again and again: it speaks when it would have, and tells of it."""
    broker = Broker()
    one = client(broker, tmp_path, msgspec.structs.replace(new_box(), claimed=claimed))
    one.connect()
    begin_s, waits_s = broker.now_s, GRACE_S if claimed else QUIET_S
    one.fence.take(TOPICS.fence, payload)
    while broker.now_s < begin_s + waits_s + every_s and not one.fence.open:
        broker.now_s += every_s
        one.fence.take(TOPICS.fence, payload)
        one.turn()
    assert one.fence.open
    assert one.fence.refused_total >= 2
    assert "andon/s/fence that no box of this site has made" in one.fence.forged
    refused_with(one.fence.forged)


def test_a_box_that_is_ahead_is_heard_among_noise(tmp_path: Path) -> None:
    """Also by one that waits, and does not wait longer for what comes."""
    broker = Broker()
    one = client(broker, tmp_path, msgspec.structs.replace(new_box(), claimed=True))
    one.connect()
    for payload in (b"x", claim_of(new_box(generation=2)), b"x", b""):
        one.fence.take(TOPICS.fence, payload)
    broker.now_s += 2 * GRACE_S
    with pytest.raises(Fenced):
        one.turn()


class Sick(Disk):
    """A disk that takes no file while it is sick."""

    sick = True

    def open(self, path: Path, mode: str, *, permissions: int = 0o666) -> FileIO:
        """Refused, or as it is."""
        if self.sick:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return super().open(path, mode, permissions=permissions)


@pytest.mark.parametrize("backed_up", [False, True])
def test_a_key_that_the_disk_refused_is_written_later(tmp_path: Path, *, backed_up: bool) -> None:
    """Else the next backup makes another one; one that it has made counts from then on."""
    broker, box, disk = Broker(), new_box(), Sick()
    state = tmp_path / box.box
    write_box(state, box)
    one = Client(broker, state, key=fence_key_of(state, disk=disk), disk=disk)
    one.connect()
    one.settle()
    assert one.fence.open
    key = fence_key_of(state) if backed_up else one.key
    disk.sick = False
    broker.now_s += KEEP_AGAIN_S
    one.turn()
    kept = fence_key_of(state)
    assert (kept.secret, kept.fresh) == (key.secret, False)
    broker.now_s += CLAIM_AGAIN_S
    one.turn()
    said = decode_claim(broker.retained[TOPICS.fence])
    assert said is not None
    assert kept.made(TOPICS.fence, said), "or who has it would not give way to us"
    one.fence.take(TOPICS.fence, claim_of(new_box(generation=2), key=kept))
    with pytest.raises(Fenced):
        one.turn()


def test_a_key_that_is_there_and_cannot_be_read_is_told_with_what_to_do(tmp_path: Path) -> None:
    """As where somebody else made it."""
    (tmp_path / KEY_FILE).mkdir()
    with pytest.raises(ConfigError, match="readable by the gateway's user: chown it"):
        fence_key_of(tmp_path)


def test_a_key_that_root_makes_belongs_to_whose_directory_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`andon backup` may be the first to make it, and a gateway's user must read it."""
    state = tmp_path / "state"
    state.mkdir()
    given: list[tuple[int, int]] = []
    if os.geteuid() == 0:
        os.chown(state, 65_534, 65_534)
    else:  # who may not give files away sees what root would do with them
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(os, "fchown", lambda _file, user, group: given.append((user, group)))
    fence_key_of(state)
    theirs, key = state.stat(), (state / KEY_FILE).stat()
    assert given in ([], [(theirs.st_uid, theirs.st_gid)])
    assert given or (key.st_uid, key.st_gid) == (65_534, 65_534)
    assert key.st_mode & 0o777 == 0o600


@pytest.mark.parametrize("starts", [1, 3])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_box_that_has_not_spoken_with_its_key_believes_what_stands_there(
    tmp_path: Path, *, replaced: bool, starts: int
) -> None:
    """An upgrade: a box that was replaced by an older version's gives way to it as before.

    Also where starts before heard nothing, or a backup has made the key.
    """
    broker, box = Broker(), new_box()
    standing = claim_of(new_box(generation=2) if replaced else box, key=None)
    broker.retained[TOPICS.fence] = standing
    state = tmp_path / box.box
    write_box(state, msgspec.structs.replace(box, claimed=True))
    for _ in range(starts - 1):
        Client(broker, state, key=fence_key_of(state))
    one = Client(broker, state, key=fence_key_of(state))
    one.connect()
    if replaced:
        with pytest.raises(Fenced):
            one.settle()
        return
    one.settle()
    assert one.fence.open
    assert not one.fence.refused_total, "our own word of before is no attack"
    one.fence.take(TOPICS.fence, claim_of(new_box(generation=2), key=None))
    one.turn()
    assert one.fence.open, "and only until we have spoken"
    assert not fence_key_of(state).fresh, "nor in any process after this one"
