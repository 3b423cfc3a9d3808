"""The parts of `andon bench speed`: which module measures which figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PART_S_MAX: Final = 600.0  # a part that takes longer is ended, and told as not measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A module of this package with `measure(*, quick)`, and the ids that it owes.

    That returns a list of Figure, or Measured where it knows why one of them is not there. It may
    also have `plots` and `shares`, called alike, of Curve and Shares. about: what it measures
    quick: of a module that has `figures()` instead, its arguments for a quick run
    """

    module: str
    about: str
    ids: tuple[str, ...] = ()
    quick: tuple[tuple[str, object], ...] = ()


PARTS: Final = (
    Part(
        module="limits",
        about="what the core can do",
        ids=("limit_matrix_multiply", "limit_memory"),
    ),
    Part(
        module="counts",
        about="counts of a tick and a message",
        ids=("count_receives", "count_bytes", "count_allocations", "count_written"),
    ),
    Part(
        module="hot_loop",
        about="the default detector",
        ids=("default_1000_assets", "default_1_asset_n1", "default_1_asset_n16", "linearity"),
    ),
    Part(
        module="windows",
        about="window models",
        ids=("mlp_hop1_gemm", "mlp_hop16_gemm", "conv_hop1"),
    ),
    Part(
        module="ingest",
        about="the client beside stock paho",
        ids=("ingest_qos0_paho", "ingest_qos1_paho"),
        quick=(("rounds", 2),),
    ),
    Part(
        module="intake",
        about="messages to samples",
        ids=("read_sparkplug_8", "read_sparkplug_100"),
    ),
    Part(
        module="decoding",
        about="payloads of every format to values",
        ids=(
            "decode_columnar",
            "decode_wide",
            "decode_kepware",
            "decode_databus",
            "decode_telegraf",
            "decode_influx",
            "decode_opcua",
            "decode_senml",
            "decode_neuron",
            "decode_paths",
        ),
        quick=(("rounds", 100),),
    ),
    Part(
        module="engine_tick",
        about="a tick of the engine",
        ids=(
            "engine_1000_assets_hop_1",
            "engine_1000_assets_idle_tick",
            "engine_1000_assets_graph_calls",
            "engine_1000_assets_calls",
            "engine_1000_assets_blocks_left",
        ),
    ),
    Part(
        module="gateway",
        about="a gateway and a broker under load",
        ids=(
            "ingest_columnar",
            "ingest_columnar_score",
            "ingest_block",
            "ingest_block_score",
            "ingest_single_value",
            "ingest_single_value_qos1",
        ),
    ),
    Part(
        module="latency",
        about="lateness, and the way to an alert",
        ids=("lateness_p999", "publish_to_alert_p99"),
    ),
    Part(
        module="startup",
        about="from the command to the first score",
        ids=("first_score_100_assets", "help_ms"),
        quick=(("starts", 2), ("helps", 3)),
    ),
    Part(
        module="footprint",
        about="memory over ten million windows, and of an asset",
        ids=(
            "memory_growth_windows",
            "memory_growth_engine",
            "full_collection",
            "memory_an_asset_kb",
        ),
        quick=(("windows", 1_000_000),),
    ),
    Part(module="costs", about="cost by assets, hop, batch and message"),
)
PEER_IDS: Final = (
    "peer_river_hst",
    "peer_pysad_loda",
    "peer_pyod_pca_windows",
    "peer_pyod_pca_windows_n1",
    "peer_pyod_pca_windows_mlp",
    "peer_pyod_pca_rows",
    "peer_numalogic",
    "peer_numalogic_n1",
)
# What is asked of the figure itself, beside whose ratio another thing stands: at least, at most.
ASKED: Final[dict[str, tuple[float | None, float | None]]] = {
    "default_1000_assets": (30.0, None),  # M values/s, as the next two
    "default_1_asset_n1": (0.8, None),
    "default_1_asset_n16": (2.0, None),
    "lateness_p999": (None, 5.0),  # ms
}
IDS: Final = (*(one for part in PARTS for one in part.ids), *PEER_IDS)


def parts_of(names: str) -> tuple[Part, ...]:
    """Parts by their modules, with commas; "" all. Raises ValueError naming what is none."""
    known = {part.module: part for part in PARTS}
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(f"no part {', '.join(unknown)}; there are {', '.join(known)}")
    return tuple(known[name] for name in wanted) or PARTS
