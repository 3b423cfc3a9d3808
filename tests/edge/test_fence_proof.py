"""Claims on `fence` that count for nothing: forged, or recorded by somebody who listened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from edge.boxes.fence_key import FILE as KEY_FILE
from edge.boxes.fence_key import FenceKey, fence_key_of
from edge.boxes.fencing import CLAIM_AGAIN_S, FORGED_TOLD_S
from edge.boxes.identity import Fenced, new_box, write_box
from edge.errors import ConfigError
from tests.edge.test_fencing import TOPICS, Broker, Client, claim_of, client
from tests.told import refused_with

if TYPE_CHECKING:
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
    assert (again.secret, again.fresh) == (first.secret, False)
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    for damaged in ("", "zz", "00" * 31, "00" * 33, "\xff"):
        (tmp_path / KEY_FILE).write_text(damaged, encoding="utf-8")
        with pytest.raises(ConfigError, match="is no key"):
            fence_key_of(tmp_path)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_box_that_has_made_its_key_just_now_believes_what_stands_there_once(
    tmp_path: Path, *, replaced: bool
) -> None:
    """An upgrade: a box that was replaced by an older version's gives way to it as before."""
    broker, box = Broker(), new_box()
    standing = claim_of(new_box(generation=2) if replaced else box, key=None)
    broker.retained[TOPICS.fence] = standing
    state = tmp_path / box.box
    write_box(state, msgspec.structs.replace(box, claimed=True))
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
