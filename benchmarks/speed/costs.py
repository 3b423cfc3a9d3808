"""What a value costs by assets, block and shape of message; and where the time of a tick goes."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import onnxruntime as ort

from benchmarks.many_assets import bundle_of, lived, messages
from benchmarks.plant import Load
from benchmarks.speed import windows
from benchmarks.speed.figure import Curve, Figure, Shares
from benchmarks.speed.interleaved import interleaved, pinned
from benchmarks.speed.places import PLACES
from benchmarks.speed.sampler import Sampler
from edge.records import TickDue
from edge.samples.scoring import Parts
from models.detector import detector_of, detectors_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.assembly.assembly import Assembly
    from edge.records import MessageReceived
    from models.bundles.bundle import Bundle

ASSETS: Final = (1, 10, 100, 1_000, 10_000)
BLOCKS: Final = (1, 4, 16, 64)
HOPS: Final = (1, 2, 4, 8, 16)
CHANNELS: Final = 8
VALUES_MAX: Final = 10_000 * CHANNELS * 16  # of a call that is measured
ROWS: Final = (0, 1, 10, 100)  # in a message; 0: a message a value
ENGINE: Final = Load(assets=100, channels=CHANNELS, period_ms=100, rows=0, batch_rows=1)
TICKS: Final = Load(assets=1_000, channels=CHANNELS, period_ms=1_000, rows=0, batch_rows=1)
WARM_ROWS: Final = 256
ENGINE_ROWS: Final = 100
NODES_SHOWN: Final = 12
PROFILED_CALLS: Final = 50


@lru_cache(maxsize=8)
def _bundle_of(assets: int) -> Bundle:
    return bundle_of(msgspec.structs.replace(ENGINE, assets=assets))


def scoring(assets: int, samples: int) -> Callable[[], object]:
    """A call of the default detector for so many assets x samples, settled and complete."""
    bundle = _bundle_of(assets)
    part = Parts(bundle, detectors_of(bundle)).every[0]  # as an engine has it
    values = np.random.default_rng(0).normal(50.0, 1.0, size=(assets, samples, CHANNELS))
    x = values.astype(np.float32)
    valid = np.ones(x.shape, np.bool_)
    state = part.detector.initial_state(assets)
    for _ in range(2 + WARM_ROWS // samples):
        _, state = part.score(x, valid, state, part.parameters)
    return lambda: part.score(x, valid, state, part.parameters)


def measure(*, quick: bool = False) -> list[Figure]:
    """Nothing that is asked for: this part has plots."""
    del quick
    return []


def plots(*, quick: bool = False) -> list[Curve]:
    """Cost by assets and block of the detector, by message of the engine."""
    with pinned():
        of_detector = _of_detector(quick=quick)
        return [*of_detector, _of_hops(quick=quick), _of_windows(), _of_messages(quick=quick)]


def _of_detector(*, quick: bool) -> list[Curve]:
    sizes = [(a, n) for a in ASSETS for n in BLOCKS if a * n * CHANNELS <= VALUES_MAX]
    timed = interleaved(
        {f"{a} {n}": scoring(a, n) for a, n in sizes},
        rounds=3 if quick else 5,
        round_s=0.03 if quick else 0.1,
    )
    ns = {(a, n): 1e9 * timed[f"{a} {n}"].median_s / (a * n * CHANNELS) for a, n in sizes}
    by_assets = {f"blocks of {n}": tuple(ns.get((a, n)) for a in ASSETS) for n in BLOCKS}
    by_block = {
        f"{a:,} asset{'s' * (a > 1)}": tuple(ns.get((a, n)) for n in BLOCKS) for a in ASSETS
    }
    cost = "ns of processor time a value"
    return [
        Curve(
            title="Default detector by assets",
            x_name="assets",
            y_name=cost,
            x=ASSETS,
            series=by_assets,
        ),
        Curve(
            title="Default detector by block",
            x_name="samples of an asset in a call",
            y_name=cost,
            x=BLOCKS,
            series=by_block,
        ),
    ]


def _of_hops(*, quick: bool) -> Curve:
    """Window models are asked about fewer windows; samples are appended all the same."""
    model = windows.autoencoder()
    loops = {hop: windows.of_bundle(model, 1_000, hop=hop) for hop in HOPS}
    timed = interleaved(
        {str(hop): loop.tick for hop, loop in loops.items()}, rounds=3 if quick else 7
    )
    ns = {h: 1e9 * timed[str(h)].median_s / (1_000 * h * CHANNELS) for h in HOPS}
    return Curve(
        title="Autoencoder by hop, 1,000 assets, a block of a hop each",
        x_name="samples between windows",
        y_name="ns of processor time a value",
        x=HOPS,
        series={"autoencoder": tuple(ns[hop] for hop in HOPS)},
    )


def _of_windows() -> Curve:
    """Window models by assets."""
    told = windows.curves()
    places = sorted({assets for of in told.values() for assets, _ in of})
    ns = {name: {assets: 1e9 / rate for assets, rate in of} for name, of in told.items()}
    return Curve(
        title="Window models by assets",
        x_name="assets",
        y_name="ns of processor time a value",
        x=tuple(places),
        series={name: tuple(of.get(assets) for assets in places) for name, of in ns.items()},
    )


def _made(load: Load, *, first_ns: int, rows: int) -> list[MessageReceived]:
    """What comes over some rows; with no rows in a message, a message a value."""
    if load.batch_rows:
        return messages(load, first_ns=first_ns, rows=rows, qos=0)
    wide = msgspec.structs.replace(load, batch_rows=1)
    return [
        msgspec.structs.replace(
            message,
            payload=msgspec.json.encode({"ts": body["ts"], "tag": tag, "value": value}),
        )
        for message in messages(wide, first_ns=first_ns, rows=rows, qos=0)
        for body in (msgspec.json.decode(message.payload),)
        for tag, value in body.items()
        if tag != "ts"
    ]


def _of_messages(*, quick: bool) -> Curve:
    """From payload bytes to events in the engine alone, by how many values a message has."""
    rounds = 1 if quick else 3
    loads = {n: msgspec.structs.replace(ENGINE, batch_rows=n) for n in ROWS}
    timed = interleaved(
        {str(n): _taking(load, rounds + 1) for n, load in loads.items()},
        rounds=rounds,
        round_s=0.0,  # each round has messages of its own, which come once
    )
    values = ENGINE.assets * CHANNELS * ENGINE_ROWS
    return Curve(
        title="Engine by message: from payload to score and events, without client and journal",
        x_name="values in a message",
        y_name="us of processor time a value",
        x=tuple(float(n * CHANNELS or 1) for n in ROWS),
        series={"100 assets x 8": tuple(1e6 * timed[str(n)].median_s / values for n in ROWS)},
    )


def _taking(load: Load, times: int) -> Callable[[], object]:
    """A warm engine takes ENGINE_ROWS of all assets at each call, so many times."""
    assembly, now_ns = lived(_bundle_of(load.assets), ENGINE, rows=WARM_ROWS)
    step_ns = load.period_ms * 10**6 * ENGINE_ROWS
    portions = iter(
        [
            _made(load, first_ns=now_ns + load.period_ms * 10**6 + k * step_ns, rows=ENGINE_ROWS)
            for k in range(times)
        ]
    )
    return lambda: _take(assembly, next(portions))


def _take(assembly: Assembly, made: list[MessageReceived]) -> None:
    """All messages, with a tick before each that comes later than the one before."""
    now_ns = made[0].received_ns
    for message in made:
        if message.received_ns > now_ns:
            now_ns = message.received_ns
            assembly.engine.handle(TickDue(), now_ns=now_ns)
        assembly.engine.handle(message, now_ns=now_ns)
    assembly.engine.handle(TickDue(), now_ns=now_ns)


def shares(*, quick: bool = False) -> list[Shares]:
    """Parts of the engine under ticks of 1,000 assets, and nodes of the default detector."""
    return [_of_engine(quick=quick), _of_nodes()]


def _of_engine(*, quick: bool) -> Shares:
    assembly, now_ns = lived(bundle_of(TICKS), TICKS, rows=WARM_ROWS)
    first_ns = now_ns + TICKS.period_ms * 10**6
    made = messages(TICKS, first_ns=first_ns, rows=5 if quick else 20, qos=0)
    sampler = Sampler(PLACES)
    sampler.start()
    try:
        _take(assembly, made)
    finally:
        sampler.stop()
    total = sum(sampler.cpu_s.values()) or 1.0
    parts = sorted(sampler.cpu_s.items(), key=lambda part: -part[1])
    return Shares(
        title="An engine of 1,000 assets x 8, a message a row, a tick for each row of all",
        of="processor time of the engine",
        parts=tuple((name, used / total) for name, used in parts),
    )


def _of_nodes() -> Shares:
    """Operators of the default detector's graph, by ONNX Runtime's own profile."""
    part = _bundle_of(4).only
    with tempfile.TemporaryDirectory(prefix="andon-nodes-") as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "ort")
        session = ort.InferenceSession(part.graph, options, ["CPUExecutionProvider"])
        feed = _feed(session, assets=128)
        for _ in range(PROFILED_CALLS):
            session.run(["score", "state_out"], feed)
        told = msgspec.json.decode(Path(session.end_profiling()).read_bytes())
    used: dict[str, float] = {}
    for event in told:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            kind = event["args"]["op_name"]
            used[kind] = used.get(kind, 0.0) + event["dur"]
    used.pop("If", None)  # its branches are counted by themselves
    total = sum(used.values())
    parts = sorted(((name, one / total) for name, one in used.items()), key=lambda p: -p[1])
    rest = sum(share for _, share in parts[NODES_SHOWN:])
    return Shares(
        title="Nodes of the default detector, 128 assets, one sample each",
        of="time in ONNX Runtime's kernels",
        parts=(*parts[:NODES_SHOWN], *((("all others", rest),) if rest else ())),
    )


def _feed(session: ort.InferenceSession, *, assets: int) -> dict[str, Any]:
    """A complete and settled call of the short way."""
    part = _bundle_of(4).only
    detector = detector_of(part.graph, part.spec)
    state = detector.initial_state(assets)
    x = np.random.default_rng(0).normal(50.0, 1.0, size=(assets, 1, CHANNELS)).astype(np.float32)
    given: dict[str, Any] = {
        name: np.repeat(value[:1], assets, axis=0) for name, value in part.parameters.items()
    }
    for _ in range(WARM_ROWS):
        _, state = detector.score(x, np.ones(x.shape, np.bool_), state, given)
    given |= {"x": x, "valid": np.ones(x.shape, np.bool_), "state": state}
    given |= {"complete": np.ones((), np.bool_), "explain": np.zeros((), np.bool_)}
    return {one.name: given[one.name] for one in session.get_inputs()}
