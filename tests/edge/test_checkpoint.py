"""Checkpoints: what is read back is what was written, and a restored engine goes on alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from edge.engine import Engine
from edge.errors import JournalError
from edge.records import MessageReceived, TickDue
from edge.samples.pending import Aside, AssetAlign
from edge.settings import AssetSettings, ContextTag, GatewaySettings
from edge.storage.checkpoint import KEPT, Checkpoint, newest, pack, save, unpack
from edge.storage.journal import Position
from edge.wire.readings import encode_rows
from kb.records import WorkKind
from models.bundles.rows import without
from models.detector import detectors_of
from tests.models.plants import plant, two_assets

if TYPE_CHECKING:
    from pathlib import Path

    from edge.records import Effect, Stimulus
    from edge.state import EngineState
    from models.bundles.bundle import Bundle

START: Final = 1_760_000_000 * 10**9
DTYPES = st.sampled_from(["<f8", "<f4", "<i8", "|b1", "<i4"])


class Leaf(msgspec.Struct, kw_only=True):
    """A struct with arrays."""

    array: np.ndarray
    number: float
    name: str


class Tree(msgspec.Struct, kw_only=True):
    """A struct of structs."""

    leaves: dict[str, Leaf]
    rows: list[np.ndarray]
    count: int


ARRAYS = nps.arrays(DTYPES, nps.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))
TREES = st.builds(
    Tree,
    leaves=st.dictionaries(
        st.text(max_size=5),
        st.builds(Leaf, array=ARRAYS, number=st.floats(), name=st.text(max_size=5)),
        max_size=3,
    ),
    rows=st.lists(ARRAYS, max_size=3),
    count=st.integers(-(2**63), 2**63 - 1),
)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are equal in type, shape and bytes."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@given(TREES)
def test_trees_of_structs_and_arrays_come_back(tree: Tree) -> None:
    """Types, shapes and bits, NaN included; the arrays can be written to."""
    back = unpack(pack(tree), Tree)
    assert back.count == tree.count
    assert list(back.leaves) == list(tree.leaves)
    for found, leaf in zip(back.leaves.values(), tree.leaves.values(), strict=True):
        assert same(found.array, leaf.array)
        assert found.array.flags.writeable
        assert repr(found.number) == repr(leaf.number)
        assert found.name == leaf.name
    assert all(same(a, b) for a, b in zip(back.rows, tree.rows, strict=True))
    assert pack(back) == pack(tree)


def test_views_and_strided_arrays_come_back() -> None:
    """What slicing leaves behind is stored as it looks."""
    array = np.arange(24).reshape(4, 6)[::2, 1::2]
    assert same(unpack(pack([array]), list[np.ndarray])[0], np.ascontiguousarray(array))


@given(st.binary(max_size=60))
def test_garbage_is_an_error_of_msgspec_or_a_value_error(data: bytes) -> None:
    """Nothing else comes out, and nothing is executed."""
    with pytest.raises((msgspec.MsgspecError, ValueError, TypeError)):
        unpack(data, Tree)


def test_waiting_alignment_comes_back() -> None:
    """Edges that wait beside their samples are part of the state."""
    align = AssetAlign.empty(2)
    align.asides.append(Aside(t_ns=1, column=1, value=0.0, retained=True))
    back = unpack(pack(align), AssetAlign)
    assert back.asides == align.asides
    assert same(back.told, align.told)


# --- an engine ---


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """Fit a small bundle of two assets."""
    return two_assets()


def engine(bundle: Bundle, state: EngineState | None = None) -> Engine:
    """Make an engine on plant time, with a witness tag on r1."""
    cal = ContextTag(tag="cal", role="witness", kind=WorkKind.CALIBRATION, instrument="x")
    run = ContextTag(tag="run", role="run")
    settings = GatewaySettings(
        site="s", clock="plant", asset=(AssetSettings(id="r1", context=(run, cal)),)
    )
    return Engine(
        settings,
        bundle=bundle,
        detectors=detectors_of(bundle),
        derive=lambda row, keep: without(bundle, row, keep),
        state=state,
    )


def stimuli() -> list[tuple[int, Stimulus]]:
    """Make ten minutes of two assets, with a fault, a job, a bad payload and ticks."""
    values = plant(600, seed=11)
    values[300:420] += values.std(axis=0) * 8
    found: list[tuple[int, Stimulus]] = []
    for i, row in enumerate(values):
        t_ns = START + i * 10**9
        cal = 1.0 if 280 <= i < 350 else 0.0
        for asset, tags, cells in (
            ("r1", ["c0", "c1", "c2", "c3", "run", "cal"], [*row.tolist(), 1.0, cal]),
            ("r2", ["c0", "c1", "c2"], row[:3].tolist()),
        ):
            (payload,) = encode_rows(tags, [t_ns], [cells], shape="wide")
            sent = MessageReceived(topic=f"plant/{asset}", payload=payload, received_ns=t_ns)
            found.append((t_ns, sent))
        if i % 7 == 0:
            found.append((t_ns, MessageReceived(topic="plant/r1", payload=b"{", received_ns=t_ns)))
        if i % 3 == 0:
            found.append((t_ns, TickDue()))
    found.append((START + 601 * 10**9, TickDue(final=True)))
    return found


@pytest.mark.not_counted
def test_a_restored_engine_goes_on_identically(bundle: Bundle, tmp_path: Path) -> None:
    """At any place of a run with alerts and a job: the same effects, the same state at the end."""
    sent = stimuli()
    straight = engine(bundle)
    expected: list[tuple[Effect, ...]] = [
        straight.handle(stimulus, now_ns=now_ns) for now_ns, stimulus in sent
    ]
    assert any(expected), "a run in which nothing happens proves nothing"
    assert any("alert" in getattr(e, "topic", "") for effects in expected for e in effects)
    for place in range(50, len(sent), 331):
        first = engine(bundle)
        for now_ns, stimulus in sent[:place]:
            first.handle(stimulus, now_ns=now_ns)
        kept = Checkpoint(position=Position(1, place), fingerprint="f", state=first.state)
        save(tmp_path, kept)
        found, troubles = newest(tmp_path, fingerprint="f")
        assert not troubles
        assert found is not None
        assert found.position == Position(1, place)
        assert pack(found.state) == pack(first.state)
        second = engine(bundle, found.state)
        rest = [second.handle(stimulus, now_ns=now_ns) for now_ns, stimulus in sent[place:]]
        assert rest == expected[place:]
        assert pack(second.state) == pack(straight.state)


def checkpoint_of(bundle: Bundle, offset: int, fingerprint: str = "f") -> Checkpoint:
    """Make a checkpoint at a place."""
    return Checkpoint(
        position=Position(1, offset), fingerprint=fingerprint, state=engine(bundle).state
    )


def test_the_newest_few_are_kept(bundle: Bundle, tmp_path: Path) -> None:
    """The newest is used; older ones are there for when it cannot be read."""
    for offset in (8, 900, 100_000):
        save(tmp_path, checkpoint_of(bundle, offset))
    assert len(list(tmp_path.glob("*.checkpoint"))) == KEPT
    assert len(list(tmp_path.iterdir())) == 3 * KEPT, "each with history and states"
    found, troubles = newest(tmp_path, fingerprint="f")
    assert found is not None
    assert found.position == Position(1, 100_000)
    assert not troubles


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "magic", "directory"])
def test_an_unreadable_newest_falls_back_with_a_message(
    damage: str, bundle: Bundle, tmp_path: Path
) -> None:
    """The one before is used, the broken one is named and left behind."""
    save(tmp_path, checkpoint_of(bundle, 8))
    path = save(tmp_path, checkpoint_of(bundle, 900))
    data = bytearray(path.read_bytes())
    path.unlink()
    if damage == "directory":
        path.mkdir()
    else:
        data[len(data) // 2] ^= damage == "flipped"
        data[0] ^= damage == "magic"
        path.write_bytes(data[: {"empty": 0, "cut": len(data) - 1}.get(damage, len(data))])
    found, troubles = newest(tmp_path, fingerprint="f")
    assert found is not None
    assert found.position == Position(1, 8)
    assert len(troubles) == 1
    assert str(path) in troubles[0]
    assert path.exists()


def test_a_state_of_before_comes_back_with_fields_that_are_gone_and_without_new_ones(
    bundle: Bundle,
) -> None:
    """An update begins where the old version ended."""
    state = engine(bundle).state
    old = msgspec.msgpack.decode(pack(state), ext_hook=msgspec.msgpack.Ext)
    asset = old["assets"]["r1"]
    asset["events_total"] = 3
    del asset["starts"]
    for name in asset["alerts"]:
        asset["alerts"][name]["open_ns"] = 1
        asset["tracks"][name]["last_over_ns"] = 1
        del asset["alerts"][name]["beyond"]
    back = unpack(msgspec.msgpack.encode(old), type(state))
    assert pack(back) == pack(state)


def test_checkpoints_of_other_artifacts_are_not_used(bundle: Bundle, tmp_path: Path) -> None:
    """State of another bundle or configuration would be nonsense here."""
    save(tmp_path, checkpoint_of(bundle, 8, fingerprint="other"))
    found, troubles = newest(tmp_path, fingerprint="f")
    assert found is None
    assert "another bundle" in troubles[0]


def test_without_checkpoints_there_is_none(tmp_path: Path) -> None:
    """A first start is no trouble."""
    assert newest(tmp_path / "none", fingerprint="f") == (None, [])


def test_a_failing_write_leaves_the_old_one(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is told, and what was there still reads."""
    save(tmp_path, checkpoint_of(bundle, 8))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(JournalError, match="No space left"):
        save(tmp_path, checkpoint_of(bundle, 900))
    found, troubles = newest(tmp_path, fingerprint="f")
    assert found is not None
    assert found.position == Position(1, 8)
    assert not troubles
