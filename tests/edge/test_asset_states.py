"""States of the assets in links of a chain: what is read back is what was packed last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UNREADABLE
from edge.storage.apart import taken
from edge.storage.asset_states import LINKS_MAX, Chain, States, joined
from edge.storage.checkpoint import Checkpoint, Head, Packer, newest, pack, write
from edge.storage.formats import LINK_SUFFIX
from edge.storage.history import bare
from edge.storage.journal import Position
from tests.edge.rig import Rig

if TYPE_CHECKING:
    from pathlib import Path

STATES = st.dictionaries(
    st.sampled_from("abcd"), st.integers(0, 3).map(lambda n: bytes([n]) * 50 + b"x" * n), max_size=4
)


@given(
    st.lists(st.tuples(STATES, st.sampled_from(["goes on", "fails", "same place"])), max_size=30)
)
def test_a_chain_holds_what_was_added_last(steps: list[tuple[dict[str, bytes], str]]) -> None:
    """Whatever came and went before, whichever links were lost, wherever they were written."""
    chain, kept, place = Chain(), dict[str, bytes](), 0
    for states, then in steps:
        place += then != "same place"
        kept[str(place)] = chain.add(str(place), held(states))()
        assert len(chain.names) <= LINKS_MAX
        found = joined(kept[name] for name in chain.names)
        assert list(found.items()) == list(states.items())
        if then == "fails":
            chain.forget()


def test_a_link_of_what_hardly_changed_is_small() -> None:
    """Compared with the first one, which stands alone."""
    noise = bytes((i * i * 31 + i // 7) % 251 for i in range(10_000))
    chain = Chain()
    whole = chain.add("0", held({"a": noise}))()
    assert len(chain.add("1", held({"a": noise[200:] + b"new" * 60}))()) < len(whole) / 10


@given(st.data())
def test_damage_is_found(data: st.DataObject) -> None:
    """A link that is missing, cut or of another chain never gives states that nobody had."""
    chain = Chain()
    states = [{"a": bytes([i]) * 40 + b"tail", "b": b"b" * i} for i in range(4)]
    made = [chain.add(str(i), held(one))() for i, one in enumerate(states)]
    k = data.draw(st.integers(0, 2))
    try:
        found = joined(made[:k] + made[k + 1 :])
    except (ValueError, *UNREADABLE):
        found = None
    assert found is None or (k and found == states[3]), "or it was not needed"
    cut = data.draw(st.integers(0, len(made[3]) - 1))
    with pytest.raises((ValueError, *UNREADABLE)):
        joined([*made[:3], made[3][:cut]])
    with pytest.raises(ValueError, match="missing"):
        joined([])


def held(states: dict[str, bytes]) -> States:
    """States that are bytes already."""
    return States(tuple(states), lambda: list(states.values()))


def checkpoint(rig: Rig, offset: int) -> Checkpoint:
    """Of an engine as it is now."""
    at = Position(1, offset)
    return Checkpoint(position=at, fingerprint="f", state=rig.engine.state)


def test_each_checkpoint_of_a_life_comes_back(tmp_path: Path) -> None:
    """Over more of them than a chain has links; of the files only what two need is kept."""
    rig, packer = Rig(), Packer(tmp_path)
    for i in range(2 * LINKS_MAX + 3):
        rig.run(7, step=7)
        kept = checkpoint(rig, 8 + i)
        expected = pack(kept.state)
        write(packer.packed(kept))
        found, troubles = newest(tmp_path, fingerprint="f")
        assert troubles == []
        assert found is not None
        assert pack(found.state) == expected
        assert len(list(tmp_path.glob(f"*{LINK_SUFFIX}"))) <= LINKS_MAX + 1


def test_a_damaged_link_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    """And nothing of a state that is half of one time and half of another."""
    rig, packer = Rig(), Packer(tmp_path)
    states = []
    for offset in (8, 9, 10):
        rig.run(20, step=10)
        states.append(pack(rig.engine.state))
        write(packer.packed(checkpoint(rig, offset)))
    path = tmp_path / packer.chain.names[-1]
    body = bytearray(path.read_bytes())
    body[-5] ^= 1
    path.write_bytes(body)
    found, troubles = newest(tmp_path, fingerprint="f")
    assert len(troubles) == 1
    assert found is not None
    assert pack(found.state) == states[1]


def test_states_within_the_checkpoint_are_still_read(tmp_path: Path) -> None:
    """As they stood before there were links."""
    rig = Rig()
    rig.run(50, step=10)
    kept, packer = checkpoint(rig, 8), Packer(tmp_path)
    made = packer.packed(kept)
    made.head = pack(
        Head(position=kept.position, fingerprint="f", history=made.names, packed=True, links=())
    )
    bared = msgspec.structs.replace(kept.state, ring=bare(kept.state.ring))
    made.state = lambda: taken([bared])()[0]
    write(made)
    found, _ = newest(tmp_path, fingerprint="f")
    assert found is not None
    assert pack(found.state) == pack(kept.state)


def test_a_state_read_with_another_before_it_is_refused() -> None:
    """Of which nearly all is taken from the one before: only what was packed makes it whole."""
    noise = bytes((i * i * 31 + i // 7) % 251 for i in range(4_000))
    chain = Chain()
    before = [bytes([b ^ i for b in noise]) for i in range(3)]
    states = [*before, before[2] + b"moved on"]
    made = [chain.add(str(i), held({"a": one}))() for i, one in enumerate(states)]
    assert joined(made) == {"a": states[3]}
    with pytest.raises(ValueError, match="does not unpack"):
        joined([made[0], made[1], made[3]])
