"""What the memory of a gateway is spent on, part by part, before it runs.

`python -m edge.checks.memory gateway.toml` puts together what the gateway would, in a process that
has loaded what the gateway loads and nothing else, lets every asset take some samples, and weighs
the parts. Nothing is connected, and nothing is written where the gateway writes. What is made of
Python objects and arrays is counted, object by object; what libraries keep for themselves is by how
much the process grew.
"""

from __future__ import annotations

import gc
import math
import sys
import tempfile
import time
import types
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.assembly.assembly import Assembly, ready
from edge.bundles.store import store_of
from edge.commissioning.watch import joined
from edge.configuration.config import load
from edge.errors import AndonError
from edge.gateway import app  # noqa: F401 - all that a gateway loads
from edge.gateway.durable import Durable
from edge.gateway.faults import Faults
from edge.gateway.telemetry import rss_mb
from edge.gateway.world import World
from edge.records import MessageReceived, TickDue
from edge.settings import GatewaySettings
from edge.storage.heap import free_mb, give_back
from kb.errors import KnowledgeError
from kb.snapshots.snapshot import Snapshot
from models.bundles.bundle import is_unfitted
from models.bundles.store import load as load_bundle
from models.errors import ModelError
from models.fitting.drift import HORIZON_BLOCKS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.configuration.config import GatewayConfig
    from edge.engine import Engine
    from models.bundles.bundle import AssetModel, Bundle

LIFE_ROWS: Final = 32  # of each asset, so that what comes with the first samples is there
MB: Final = 1e6
# Of the whole process, not of a part: reached from everything, and no growth of anything.
SHARED: Final = (
    type,
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.CodeType,
    types.MappingProxyType,
)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part. an_asset_kb: of it, where it grows with the assets, else None."""

    name: str
    mb: float
    an_asset_kb: float | None = None
    note: str = ""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """All parts; they add up to `rss_mb`, what is resident of the whole process."""

    assets: int
    channels: int
    rss_mb: float
    parts: tuple[Part, ...]

    @property
    def an_asset_kb(self) -> float:
        """All that grows with the assets, of one of them."""
        return sum(one.an_asset_kb or 0.0 for one in self.parts)


def weigh(roots: Iterable[object], seen: set[int]) -> int:
    """Bytes of all objects that are reached from some and were not before; those join `seen`.

    Arrays count whole, whoever holds a view of them, and whoever made them.
    """
    found, waiting = 0, list(roots)
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, SHARED):
            continue
        seen.add(id(one))
        found += sys.getsizeof(one)
        if isinstance(one, np.ndarray) and one.base is not None:
            waiting.append(one.base)
            if type(one.base).__name__ == "PyCapsule":  # of a graph: it does not tell its size
                found += one.nbytes
        if isinstance(one, dict):  # the collector passes by keys that are all strings
            waiting.extend(one)
        waiting.extend(gc.get_referents(one))
    return found


def measured(config: GatewayConfig) -> Memory:
    """Weigh what a configuration names. Raises ModelError, KnowledgeError, AndonError."""
    with tempfile.TemporaryDirectory(prefix="andon-memory-") as scratch:
        return _Scale().of(config, Path(scratch))


class _Scale:
    """Of one process, used once: what is loaded stays loaded."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._parts: list[Part] = []
        self._at_mb = self._settled()
        self._grown("Python and libraries", self._at_mb, note="part of it is shared by processes")

    def of(self, config: GatewayConfig, scratch: Path) -> Memory:
        """All parts, in the order of a start."""
        bundle = joined(config) or load_bundle(store_of(config).current()[1])
        count, fitted = len(bundle.assets), ready(bundle)
        described = self._counted("bundle: parameters, what is usual", [bundle], count)
        rest = max(self._growth() - described, 0.0)
        self._grown("detector graphs, and what checks them", rest)
        snapshot = Snapshot.open(config.path(config.kb.snapshot)) if config.kb.snapshot else None
        if snapshot is not None:
            passages = len(snapshot.known_from())
            self._grown("knowledge", self._growth(), note=f"{passages} passages")
            snapshot.warm()
            self._grown("text model and search", self._growth())
        settings = GatewaySettings(site=config.site, engine=config.engine)
        assembly = Assembly(settings, bundle=bundle, snapshot=snapshot, fitted=fitted)
        weigh([settings, fitted, snapshot], self._seen)
        known = assembly.knowledge(assembly.snapshot_sha256)
        if known is not None:
            self._counted("orders, scopes and limits that it knows", [known])
        self._engine(assembly.engine, bundle)
        self._settled()
        kept = msgspec.structs.replace(
            config,
            journal=msgspec.structs.replace(config.journal, dir=str(scratch / "state")),
            audit=msgspec.structs.replace(config.audit, dir=str(scratch / "audit"), syslog=""),
        )
        world = World()
        durable = Durable(kept, world, faults=Faults(world.clock), conflict=lambda _: None)
        self._grown("journal, outbox, audit trail", self._growth())
        total = self._settled()
        with ExitStack() as stack:
            durable.close(stack)
        rest, free = total - sum(one.mb for one in self._parts), free_mb()
        if not math.isnan(free):
            self._grown("free in the heap", free, note="for what comes")
            rest -= free
        self._grown("not told apart", rest, note="what allocators add, caches, stacks")
        channels = sum(len(model.channels) for model in bundle.assets)
        return Memory(assets=count, channels=channels, rss_mb=total, parts=tuple(self._parts))

    def _engine(self, engine: Engine, bundle: Bundle) -> None:
        """The engine, as it is after a day."""
        live(engine, bundle)
        state, count = engine.state, len(bundle.assets)
        self._counted("history of the newest samples", [state.ring], count)
        self._counted("samples that wait to be aligned", [state.align], count)
        self._counted("state of detectors", [state.rows], count)
        self._counted("state of alerts, jobs, sensors, drift", [state], count)
        self._counted("objects that work on it", [engine], count)

    def _counted(self, name: str, roots: Iterable[object], assets: int = 0) -> float:
        found = weigh(roots, self._seen)
        of_one = found / assets / 1000 if assets else None
        self._parts.append(Part(name=name, mb=found / MB, an_asset_kb=of_one))
        return found / MB

    def _grown(self, name: str, mb: float, *, note: str = "") -> None:
        self._parts.append(Part(name=name, mb=mb, note=note))

    def _growth(self) -> float:
        before = self._at_mb
        return self._settled() - before

    def _settled(self) -> float:
        gc.collect()
        give_back()
        self._at_mb = rss_mb()
        return self._at_mb


def live(engine: Engine, bundle: Bundle) -> None:
    """Let every fitted asset take LIFE_ROWS samples, and hold as much as it ever does without jobs.

    Histories are there whole from the start; blocks of drift come one by one for a day.
    """
    now_ns = time.time_ns()
    for model in bundle.assets:
        if not is_unfitted(model.metrics):
            engine.handle(_message(model, now_ns), now_ns=now_ns)
    engine.handle(TickDue(), now_ns=now_ns)
    for state in engine.state.assets.values():
        if state.drift is not None:
            state.drift.blocks = np.zeros((HORIZON_BLOCKS, len(state.drift.sums)), np.float32)
            state.drift.begins = np.zeros(HORIZON_BLOCKS, np.int64)


def _message(model: AssetModel, now_ns: int) -> MessageReceived:
    """Samples of an asset, the newest now, in columns: each channel within its usual range.

    Together they are nothing usual, so that many assets ring, and hold an alert.
    """
    low, high = np.nan_to_num(model.usual_low), np.nan_to_num(model.usual_high)  # (c,)
    share = np.random.default_rng(1).random((LIFE_ROWS, len(low)))
    first_ns = now_ns - (LIFE_ROWS - 1) * model.period_ns
    body = {
        "t0": first_ns // 1_000_000,
        "dt_ms": model.period_ns / 1e6,
        "tags": [channel.name for channel in model.channels],
        "v": (low + share * (high - low)).tolist(),
    }
    topic, payload = f"plant/{model.asset}", msgspec.json.encode(body)
    return MessageReceived(topic=topic, payload=payload, received_ns=now_ns)


def main() -> int:
    """Weigh, and write JSON; returns the exit code."""
    try:
        found = measured(load(Path(sys.argv[1])))
    except (AndonError, KnowledgeError, ModelError) as error:
        sys.stderr.write(f"andon: {error}\n")
        return 2
    sys.stdout.write(msgspec.json.encode(found).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
