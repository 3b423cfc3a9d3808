"""Decoders of what comes over MQTT."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.caps import (
    BLOCK_SAMPLES_MAX,
    COMMAND_BYTES_MAX,
    OBJECTS_PER_MESSAGE_MAX,
    PAYLOAD_BYTES_MAX,
    TAG_CHARS_MAX,
    TEXT_CHARS_MAX,
    VALUES_PER_MESSAGE_MAX,
)
from edge.errors import WireError
from edge.samples.sparkplug import Birth, Sparkplug
from edge.samples.waveform_settings import Waveform
from edge.samples.waveforms import Waveforms, WaveState
from edge.settings import AssetSettings
from edge.storage.checkpoint import pack, unpack
from edge.wire.commands import EXAMPLES, STALE_NS, Command, decode_command
from edge.wire.readings import T_NS_MAX, decode_clock, decode_readings, encode_rows
from edge.wire.sparkplug import read_payload
from edge.wire.sparkplug_walk import walk
from edge.wire.topics import Topics, is_asset_id
from edge.wire.waveform import decode_block
from tests.fuzz import shapes
from tests.fuzz.mutate import behind_line, json_of, mixed, mutate_bytes, mutate_json
from tests.fuzz.shapes import BLOCK, RATE_HZ, START, S
from tests.fuzz.target import BYTES, Target

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from edge.batches import Readings
    from edge.wire.waveform import Sent
    from tests.fuzz.target import Read

TOPICS: Final = Topics("andon", "s")
PLAIN: Final = Waveform(tag="v", topic="plant/{asset}/v", rate_hz=RATE_HZ, block=BLOCK, rpm=6000.0)


def check_readings(readings: Readings) -> None:
    """What the rest of the gateway takes for granted."""
    n, k = len(readings.t_ns), len(readings.tags)
    assert readings.t_ns.dtype == np.int64
    assert readings.values.dtype == np.float64
    assert readings.values.shape == (n, k)
    assert ((readings.t_ns >= 0) & (readings.t_ns <= T_NS_MAX)).all()
    assert is_asset_id(readings.asset)
    assert len(set(readings.tags)) == k
    assert all(0 < len(tag) <= TAG_CHARS_MAX for tag in readings.tags)
    assert all(
        tag in readings.tags and len(said) <= TAG_CHARS_MAX for tag, _, said in readings.texts
    )
    assert readings.units is None or all(isinstance(u, str) for u in readings.units.values())
    assert readings.bad_quality >= 0


def _check_again(readings: Readings) -> None:
    """Encoded and decoded, it says the same."""
    if not len(readings.t_ns) or not np.isfinite(readings.values[~np.isnan(readings.values)]).all():
        return
    (payload,) = encode_rows(
        readings.tags, readings.t_ns.tolist(), readings.values.tolist(), shape="columnar"
    )
    if len(payload) > PAYLOAD_BYTES_MAX:
        return
    (again,) = decode_readings(payload, topic="t", asset=readings.asset, received_ns=0)
    assert again.tags == readings.tags
    assert (again.t_ns == readings.t_ns).all()
    assert np.array_equal(again.values, readings.values, equal_nan=True)


def _read_row_blocks(data: bytes) -> bool:
    (found,) = decode_readings(data, topic="plant/r1", asset="r1", received_ns=START)
    check_readings(found)
    return True


def _read_readings(data: bytes) -> bool:
    asset = "r1" if len(data) % 4 else ""
    found = decode_readings(data, topic="plant/r1", asset=asset, received_ns=START)
    assert len(found) <= OBJECTS_PER_MESSAGE_MAX
    assert sum(one.values.size for one in found) <= VALUES_PER_MESSAGE_MAX
    for one in found:
        check_readings(one)
    for one in found[:2]:
        _check_again(one)
    return bool(found)


def _begin_sparkplug(_scratch: Path) -> Read:
    """A device that is born, sends and dies, in one stream that goes on: read by layouts too."""
    births: dict[str, Birth] = {}
    counts: dict[str, int] = {}
    sparkplug = Sparkplug(births, counts)

    def read(data: bytes) -> bool:
        kind = ("DDATA", "DDATA", "DDATA", "DBIRTH", "NBIRTH", "NDEATH", "DDEATH")[len(data) % 7]
        topic = f"spBv1.0/g/{kind}/n" + ("" if kind[0] == "N" else "/r1")
        asset = "" if kind[0] == "N" else "r1"
        sparkplug.layouts.learn(data)
        quick = sparkplug.layouts.read(data)
        walked = walk(data)
        if quick is not None or walked is not None:
            try:
                long = read_payload(data, topic=topic)
            except WireError as error:
                raise AssertionError("what is none is read quickly") from error
            assert quick is None or len(quick.values) == len(long.metrics)
            assert walked is None or walked.aliases == [one.alias for one in long.metrics]
        found = sparkplug.take(data, topic=topic, asset=asset, received_ns=START)
        assert sum(one.values.size for one in found) <= VALUES_PER_MESSAGE_MAX
        for one in found:
            check_readings(one)
        assert unpack(pack(births), dict[str, Birth]) == births
        return True

    return read


def _read_clock(data: bytes) -> bool:
    assert 0 <= decode_clock(data, topic="plant/_clock") <= T_NS_MAX
    return True


def _check_block(sent: Sent) -> None:
    n = len(sent.values)
    assert sent.values.dtype == np.float32
    assert sent.values.shape == sent.full.shape == (n,)
    assert 0 < n <= BLOCK_SAMPLES_MAX
    assert n % BLOCK == 0
    assert sent.end_ns - sent.begin_ns == round(n * 1e9 / RATE_HZ)
    assert sent.begin_ns >= -(10**13)
    assert sent.end_ns <= T_NS_MAX + 10**13
    assert math.isnan(sent.rpm) or math.isfinite(sent.rpm)


def _block(form: Waveform) -> Read:
    def read(data: bytes) -> bool:
        _check_block(decode_block(data, form, topic="p/v", received_ns=START))
        return True

    return read


def _read_command(data: bytes) -> bool:
    """The first line is the topic."""
    head, _, body = data.partition(b"\n")
    topic = head.decode("utf-8", "replace")
    told = TOPICS.parse_command(topic)
    if told is None:
        return False
    operator, name = told
    command = decode_command(
        body, topic=topic, operator=operator, name=name, retain=False, now_ns=START
    )
    _check_command(command, body, name)
    return True


def _check_command(command: Command, body: bytes, name: str) -> None:
    assert len(body) <= COMMAND_BYTES_MAX
    assert command.name == name
    assert is_asset_id(command.operator)
    assert abs(START - command.body.ts * 10**6) <= STALE_NS
    for field in command.body.__struct_fields__:
        value = getattr(command.body, field)
        assert not isinstance(value, str) or len(value) <= TEXT_CHARS_MAX
        assert not isinstance(value, int) or abs(value) * 10**6 < 2**63, "it goes into checkpoints"
    again = msgspec.json.decode(msgspec.json.encode(command.body), type=type(command.body))
    assert again == command.body
    assert isinstance(command.signed_bytes, bytes)


def _command_seeds() -> list[bytes]:
    made = [
        f"andon/s/cmd/ann/{name}\n".encode() + json_of(body)
        for name, bodies in shapes.command_bodies().items()
        for body in bodies
    ]
    return made + [f"andon/s/cmd/ann/{name}\n{EXAMPLES[name]}".encode() for name in EXAMPLES]


COMMAND_HEADS: Final = tuple(
    f"andon/s/cmd/{who}/{name}".encode()
    for who in ("ann", "b b", "a+", "", "\u202e", "x" * 70)
    for name in shapes.command_bodies()
)


def _begin_waves(_scratch: Path) -> Read:
    """Blocks through all that makes features of them, in one stream that goes on."""
    form = msgspec.structs.replace(PLAIN, encoding="float32", header=True, full_scale=50.0)
    state: dict[str, WaveState] = {}
    counts: dict[str, int] = {}
    waves = Waveforms([AssetSettings(id="g1", waveform=(form,))], state=state, counts=counts)
    told = 0

    def read(data: bytes) -> bool:
        nonlocal told
        told += 1
        taken = waves.read(data, topic="plant/g1/v", received_ns=START + told * S)
        for one in taken:
            waves.put(one, future_ns=START + 10**6 * S)
        for readings in waves.settle(until_ns=None, final=told % 4 == 0):
            check_readings(readings)
        assert unpack(pack(state), dict[str, WaveState]).keys() == state.keys()
        return True

    return read


def _mutate_block(chance: random.Random, data: bytes) -> bytes:
    """What JSON there is as JSON, and all of it as bytes."""
    head, line, samples = data.partition(b"\n")
    if line and chance.random() < 0.5 and head.startswith(b"{"):
        return mutate_json(chance, head) + line + samples
    return mutate_bytes(chance, data)


def _readings_seeds() -> list[bytes]:
    return [*shapes.own_readings(), *shapes.own_readings(), *shapes.foreign_readings()]


TARGETS: Final = (
    Target(
        name="readings",
        count=BYTES,
        begin=lambda _: _read_readings,
        refusals=(WireError,),
        seeds=_readings_seeds,
        mutate=mutate_json,
    ),
    Target(
        name="readings-other",  # line protocol, texts: not ours; Sparkplug where JSON is due
        count=BYTES,
        begin=lambda _: _read_readings,
        refusals=(WireError,),
        seeds=shapes.not_json,
        mutate=mutate_bytes,
    ),
    Target(
        name="row-blocks",
        count=BYTES,
        begin=lambda _: _read_row_blocks,
        refusals=(WireError,),
        seeds=shapes.row_blocks,
        mutate=mutate_bytes,
    ),
    Target(
        name="sparkplug",
        count=BYTES,
        begin=_begin_sparkplug,
        refusals=(WireError,),
        seeds=shapes.sparkplug,
        mutate=mutate_bytes,
        span=500,
    ),
    Target(
        name="clock",
        count=BYTES,
        begin=lambda _: _read_clock,
        refusals=(WireError,),
        seeds=lambda: [b'{"ts":1760000000000}', b'{"ts":"2025-10-09T08:53:20.123Z"}'],
        mutate=mutate_json,
    ),
    Target(
        name="block-json",
        count=BYTES,
        begin=lambda _: _block(PLAIN),
        refusals=(WireError,),
        seeds=shapes.blocks_json,
        mutate=mutate_json,
    ),
    Target(
        name="block-header",
        count=BYTES,
        begin=lambda _: _block(msgspec.structs.replace(PLAIN, encoding="float32", header=True)),
        refusals=(WireError,),
        seeds=shapes.blocks_header,
        mutate=_mutate_block,
    ),
    Target(
        name="block-binary",
        count=BYTES,
        begin=lambda _: _block(msgspec.structs.replace(PLAIN, encoding="int16", full_scale=9.0)),
        refusals=(WireError,),
        seeds=shapes.blocks_binary,
        mutate=mutate_bytes,
    ),
    Target(
        name="waveforms",
        count=BYTES,
        begin=_begin_waves,
        refusals=(WireError,),
        seeds=shapes.blocks_header,
        mutate=_mutate_block,
        span=500,
    ),
    Target(
        name="commands",
        count=BYTES,
        begin=lambda _: _read_command,
        refusals=(WireError,),
        seeds=_command_seeds,
        mutate=behind_line(mixed(mutate_json, mutate_json, mutate_bytes), heads=COMMAND_HEADS),
    ),
)
