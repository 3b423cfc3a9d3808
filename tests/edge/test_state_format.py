"""State formats: an upgrade goes on with what the version before has left."""

from __future__ import annotations

import hashlib
import struct
import types
import typing
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from edge.assembly.assembly import Assembly
from edge.assembly.identity import (
    FIELDS_OF_FIRST,
    VERSION_OF_FIRST,
    fingerprint,
    settings_sha256,
)
from edge.records import Started
from edge.samples.waveform_settings import Waveform
from edge.settings import CommissioningSettings, EngineSettings, GatewaySettings, Source
from edge.state import EngineState
from edge.storage.checkpoint import MIGRATIONS, Checkpoint, newest, pack, save
from edge.storage.formats import STATE_FORMAT, format_of, magic
from edge.storage.journal import Position, read_journal, segments
from edge.storage.journal_writer import JournalWriter
from edge.trust import TrustSettings
from models.features.machine import Bearing, GearStage
from models.fitting.positions import OperatorPosition
from tests.edge.rig import Rig, settings
from tests.edge.test_restore_retention import assembly_of, bundle, lived, restored

if TYPE_CHECKING:
    from models.bundles.bundle import Bundle
    from tests.edge.test_restore_retention import Lived

__all__ = ["bundle", "lived"]

GOLDEN: Final = Path(__file__).parents[1] / "golden" / f"state_format_{STATE_FORMAT}.txt"


# Of the settings in the test below, as version 0.1.0 hashed them.
HASH_OF_FIRST: Final = "da07397c775254f6fbd8e260fe9ff05e80528cb81e4c5cbcee608628b4b49c6a"


class FirstCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint as version 0.1.0 wrote it."""

    position: Position
    fingerprint: str
    state: EngineState


def first_sha256(given: GatewaySettings) -> str:
    """The hash of settings as version 0.1.0 made it."""
    return hashlib.sha256(msgspec.json.encode(given)).hexdigest()


def first_fingerprint(assembly: Assembly) -> str:
    """What version 0.1.0 would have written of an engine."""
    shape = msgspec.structs.replace(assembly.settings, engine=EngineSettings())
    settings_hash = settings_sha256(shape, first=True)  # proven below
    parts = (VERSION_OF_FIRST, assembly.engine.state.bundle_sha256, settings_hash)
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def save_first(directory: Path, checkpoint: Checkpoint, assembly: Assembly) -> Path:
    """Write a file as version 0.1.0 did, byte for byte."""
    kept = FirstCheckpoint(
        position=checkpoint.position,
        fingerprint=first_fingerprint(assembly),
        state=checkpoint.state,
    )
    body = pack(kept)
    at = checkpoint.position
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{at.segment:08d}-{at.offset:012d}.checkpoint"
    path.write_bytes(b"ANDONC1\n" + struct.pack("<I", zlib.crc32(body)) + body)
    return path


def as_first(folder: Path, bundle: Bundle) -> None:
    """Rewrite the one checkpoint of a folder as version 0.1.0 would have written it."""
    assembly = assembly_of(bundle)
    found, _ = newest(folder / "checkpoints", fingerprint=assembly.fingerprint_of)
    assert found is not None
    assembly.restore(found.state)
    for path in (folder / "checkpoints").iterdir():
        path.unlink()
    save_first(folder / "checkpoints", found, assembly)


def test_what_the_first_version_left_goes_on_as_if_nothing_had_been(
    lived: Lived,
    bundle: Bundle,
    tmp_path: Path,
) -> None:
    """The same alerts, byte for byte, the same state; the next checkpoint is of today's format."""
    folder = lived.without_first(0, tmp_path)
    as_first(folder, bundle)
    after = assembly_of(bundle)
    done, kept = restored(after, folder)
    assert done.from_checkpoint
    assert done.notes == []
    assert kept == lived.alerts
    assert pack(after.engine.state) == pack(lived.assembly.engine.state)
    state, at = after.engine.state, Position(9_999, 8)
    again = Checkpoint(position=at, fingerprint=after.fingerprint, state=state)
    path = save(folder / "checkpoints", again)
    assert format_of(path.read_bytes()[:8], b"ANDONC") == STATE_FORMAT


def test_a_first_checkpoint_of_another_plant_is_still_another_one(
    lived: Lived,
    bundle: Bundle,
    tmp_path: Path,
) -> None:
    """A migration brings the format along, not what it was taken with."""
    folder = lived.without_first(0, tmp_path)
    as_first(folder, bundle)
    changed = msgspec.structs.replace(lived.assembly.settings, texts=True)
    other = Assembly(changed, bundle=bundle, snapshot=None)
    found, troubles = newest(folder / "checkpoints", fingerprint=other.fingerprint_of)
    assert found is None
    assert "another bundle or configuration" in troubles[0]


def test_hashes_of_the_first_format_are_made_as_then() -> None:
    """Of every kind of setting. Once one of them has a field more, this says what it was then."""
    wave = Waveform(
        tag="v",
        topic="raw/{asset}",
        rate_hz=25_600.0,
        block=4096,
        stages=(GearStage(driving=20, driven=60),),
        bearings=(Bearing(name="b", balls=9, ball_mm=7.9, pitch_mm=38.5),),
    )
    given = settings(
        engine={"fuse_s": 60},
        r1={"tags": {"T1": "c0"}, "respond_min": 5, "waveform": (wave,)},
        source=(Source(topic="a/{asset}", interval_ms_max=500), Source(topic="b", asset="r1")),
        position=(OperatorPosition(name="line", alerts_per_day=2.5, assets=("r*",)),),
        commissioning=CommissioningSettings(assets=("r1",)),
        trust=TrustSettings(operators={}),
    )
    assert settings_sha256(given, first=True) == HASH_OF_FIRST
    assert settings_sha256(given) != HASH_OF_FIRST
    structs = [given, given.engine, given.source[0], given.asset[0], given.asset[0].context[0]]
    structs += [wave, wave.stages[0], wave.bearings[0], given.position[0], given.trust]
    if all(" ".join(s.__struct_fields__) == FIELDS_OF_FIRST[type(s).__name__] for s in structs):
        assert first_sha256(given) == HASH_OF_FIRST, "as long as nothing was added"


def test_a_setting_that_is_new_and_not_used_changes_no_fingerprint() -> None:
    """What is as by default is not part of it; what is not, is."""
    given = settings()
    told = fingerprint(given, "b", state_format=STATE_FORMAT)

    class Newer(GatewaySettings, frozen=True, kw_only=True):
        """Settings of a version to come."""

        brighter: bool = False

    fields = {name: getattr(given, name) for name in given.__struct_fields__}
    assert fingerprint(Newer(**fields), "b", state_format=STATE_FORMAT) == told
    assert fingerprint(Newer(**fields, brighter=True), "b", state_format=STATE_FORMAT) != told
    keys = msgspec.structs.replace(given, trust=TrustSettings(operators={}))
    assert fingerprint(keys, "b", state_format=STATE_FORMAT) == told
    fused = msgspec.structs.replace(given, engine=EngineSettings(fuse_s=1))
    assert fingerprint(fused, "b", state_format=STATE_FORMAT) == told
    assert settings_sha256(fused) != settings_sha256(given)


def test_a_journal_of_another_version_is_taken_again_under_its_own_name(
    lived: Lived,
    bundle: Bundle,
    tmp_path: Path,
) -> None:
    """Without any checkpoint: the same bytes as then, so nothing is published twice."""
    folder = tmp_path / "old"
    writer = JournalWriter(folder / "journal")
    for entry in read_journal(lived.folder / "journal"):
        stimulus = entry.stimulus
        if isinstance(stimulus, Started):
            sha256 = settings_sha256(lived.assembly.settings, first=True)
            stimulus = msgspec.structs.replace(stimulus, version="0.0.9", settings_sha256=sha256)
        writer.append([(entry.now_ns, stimulus)])
    writer.close()
    done, kept = restored(assembly_of(bundle), folder)
    assert done.stimuli > 0
    assert done.notes == []
    lineages = {
        msgspec.json.decode(one.payload)["lineage"]["version"]
        for one in kept
        if "event" in one.topic
    }
    assert lineages == {"0.0.9"}
    assert [one.key for one in kept] == [one.key for one in lived.alerts]
    assert segments(folder / "journal")


def test_open_work_silences_and_alerts_come_through_an_upgrade(tmp_path: Path) -> None:
    """A job that is open, an alert that rings, one that is shelved: as in the first format."""
    rig = Rig()
    rig.run(120)
    rig.context["cal"] = 1.0
    rig.run(60, {"c1": 12.0})
    rig.run(120, other={"c0": 14.0})
    assert rig.command("shelve", asset="r11", track="process", minutes=30, reason="wait") != {}
    assert rig.runs, "a job is open"
    state = rig.engine.state
    assert state.assets["r11"].alerts["process"].alert_id
    body = pack(FirstCheckpoint(position=Position(1, 8), fingerprint="f", state=state))
    path = tmp_path / "00000001-000000000008.checkpoint"
    path.write_bytes(b"ANDONC1\n" + struct.pack("<I", zlib.crc32(body)) + body)
    found, troubles = newest(tmp_path, fingerprint="f")
    assert not troubles
    assert found is not None
    assert (found.written_by, pack(found.state)) == (VERSION_OF_FIRST, pack(state))


def test_every_format_up_to_todays_can_be_read() -> None:
    """A format never leaves the table while somebody may have it."""
    numbers = [n for n in range(1, STATE_FORMAT + 1) if n.bit_count() % 2]
    assert sorted(MIGRATIONS) == numbers
    assert format_of(magic(b"ANDONC", STATE_FORMAT), b"ANDONC") == STATE_FORMAT


@pytest.mark.parametrize("name", [b"ANDONJ", b"ANDONC"])
@pytest.mark.parametrize("number", [1, 2, 4])
def test_no_flipped_bit_of_a_header_passes_for_another_version(name: bytes, number: int) -> None:
    """It is damage, and mended as such; a gateway that thought otherwise would not start."""
    whole = magic(name, number)
    for bit in range(8 * len(whole)):
        head = bytearray(whole)
        head[bit // 8] ^= 1 << bit % 8
        assert format_of(bytes(head), name) == 0


def outline(kind: Any, seen: dict[str, list[str]]) -> None:  # noqa: ANN401 - a type
    """Fields of a struct and of all in it: name, type, and whether it may be left out."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if kind.__name__ in seen:
            return
        lines = seen[kind.__name__] = []
        for field in msgspec.structs.fields(kind):
            told = str(field.type).replace("<class '", "").replace("'>", "")
            short = ".".join(told.split(".")[-1:]) if "[" not in told and "|" not in told else told
            lines.append(f"{field.name}: {short}{'' if field.required else ' = ...'}")
            outline(field.type, seen)
    elif typing.get_origin(kind) is not None or isinstance(kind, types.UnionType):
        for inner in typing.get_args(kind):
            outline(inner, seen)


def test_the_state_has_the_shape_that_its_format_number_stands_for() -> None:
    """A field may come with a default. Anything else needs another STATE_FORMAT and a migration.

    Then put what `outline` gives into a golden file of that number.
    """
    seen: dict[str, list[str]] = {}
    outline(EngineState, seen)
    now = {f"{name}.{line}" for name, lines in seen.items() for line in lines}
    golden = set(GOLDEN.read_text().splitlines())
    assert golden <= now, f"gone or changed: {sorted(golden - now)}"
    added = now - golden
    assert all(
        line.endswith(" = ...")
        for line in added
        if line.split(".")[0] in {name.split(".")[0] for name in golden}
    ), f"new without a default: {sorted(added)}"
