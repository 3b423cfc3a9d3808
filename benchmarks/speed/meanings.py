"""What each figure is called, and what it means for whoever has a plant."""

from __future__ import annotations

from typing import Final

_OF_PRODUCTS: Final = (
    "the ratio is the share of this core's rate of matrix products that the multiplications and "
    "additions of the method come to, far below 1 since most of it is reading parameters"
)
MEANINGS: Final[dict[str, tuple[str, str]]] = {
    "limit_matrix_multiply": (
        "matrix product of the core",
        "the most that a detector made of products could do on this core",
    ),
    "limit_memory": (
        "memory of the core",
        "the most that what is not in a cache could be read and written",
    ),
    "mlp_hop1_gemm": (
        "autoencoder, hop 1",
        (
            "an imported autoencoder 512-32-8-32-512 over windows of 64 x 8, a window for each "
            "sample of 1,000 assets: its arithmetic against the matrix product of the core"
        ),
    ),
    "mlp_hop16_gemm": (
        "autoencoder, hop 16",
        "the same with a window for every 16th sample, where appending weighs more",
    ),
    "default_1000_assets": (
        "default detector, 1,000 assets",
        (
            "values scored a processor second, every sample of 1,000 assets x 8 channels once, "
            f"each asset with parameters of its own; {_OF_PRODUCTS}"
        ),
    ),
    "default_1_asset_n1": (
        "one asset, sample by sample",
        (
            "the same of a single machine, whose samples come one at a time: the cost of a call, "
            "beside which the ratio says little"
        ),
    ),
    "default_1_asset_n16": (
        "one asset, blocks of 16",
        "the same where its samples come in messages of 16",
    ),
    "conv_hop1": (
        "convolution, hop 1",
        (
            "a convolutional autoencoder, each sample computed once, against computing each "
            "window anew"
        ),
    ),
    "linearity": (
        "10,000 assets against 1,000",
        "cost of an asset among 10,000 against one among 1,000: 1 is linear",
    ),
    "ingest_qos0_paho": (
        "a message at QoS 0",
        "processor time of our client for a message, against paho as it comes",
    ),
    "ingest_qos1_paho": (
        "a message at QoS 1",
        "the same with journal, and acknowledgement behind it",
    ),
    "ingest_columnar": (
        "a million values a second to the ring",
        (
            "what a gateway needs of a core to take a million values a second in columns, with all "
            "but scoring and what is known, module by module, to follow from scores"
        ),
    ),
    "ingest_columnar_score": (
        "a million values a second to the score",
        "the same with scoring",
    ),
    "ingest_block": (
        "a million values in binary blocks to the ring",
        "the same as in columns, for gateways that can send blocks without numbers as text",
    ),
    "ingest_block_score": ("a million values in blocks to the score", "the same with scoring"),
    "ingest_single_value": (
        "30,000 messages of one value a second",
        "what a gateway needs of a core where every value is a message, scores and all",
    ),
    "lateness_p999": (
        "ticks at 100 Hz, how late",
        "p99.9 of how late a tick begins, with 1,000 assets and 30,000 messages a second",
    ),
    "publish_to_alert_p99": (
        "publication to alert",
        (
            "p99 from the publication of the sample that opens an event to its alert at a "
            "subscriber, at 50,000 values a second"
        ),
    ),
    "count_receives": (
        "calls of recv",
        "calls of recv a message: stock paho selects once and reads thrice",
    ),
    "count_bytes": (
        "bytes held at once",
        "the most that a tick holds at the same time beyond what was there before it",
    ),
    "count_allocations": (
        "arrays made in a tick",
        (
            "how many arrays a quiet tick asks memory for, however many assets there are: each is "
            "a copy, or what comes of an operation"
        ),
    ),
    "count_written": (
        "bytes made in a tick",
        "the bytes of these arrays together, of a value that comes: a copy more adds four",
    ),
    "read_sparkplug_8": (
        "Sparkplug B, 8 metrics a message",
        "to read a value by its alias from payloads that look as those before, decoding alone",
    ),
    "read_sparkplug_100": ("Sparkplug B, 100 metrics a message", "the same of larger messages"),
    "engine_1000_assets_hop_1": (
        "a tick of the engine, 1,000 assets",
        (
            "closed samples to ring, looks at sensors, scores, drift and events, a sample of each "
            "asset a tick; the ratio is to the same engine that takes its assets one by one"
        ),
    ),
    "engine_1000_assets_hop_16": ("the same, 16 samples a tick", "the same, 16 of each asset"),
    "engine_1000_assets_detector_share": (
        "detector in a tick",
        "how much of a tick is scoring",
    ),
    "engine_1000_assets_idle_tick": (
        "a tick without samples",
        "what a tick costs in which nothing has come",
    ),
    "engine_1000_assets_graph_calls": (
        "calls of a detector",
        "calls of a detector's graph, or of what stands for it, in a quiet tick",
    ),
    "engine_1000_assets_calls": (
        "calls of functions",
        "Python functions that a quiet tick calls: a loop over assets would be thousands",
    ),
    "engine_1000_assets_blocks_left": (
        "blocks of memory left",
        "blocks of memory that are there behind a quiet tick and were not before",
    ),
    "first_score_100_assets": (
        "start to first score",
        (
            "from the start of `andon run` to the first score that it publishes of a sample that "
            "came over the connection, 100 assets, a knowledge base, nothing of an earlier run"
        ),
    ),
    "help_ms": ("andon --help", "from the command to its end"),
    "memory_an_asset_kb": (
        "memory of an asset",
        (
            "what a process with the bundle and an engine in mid-life grows by from 100 to 1,000 "
            "assets x 8, each: parameters, history, states; about 5 kB was asked for"
        ),
    ),
    "memory_growth_windows": (
        "growth over ten million windows",
        "resident memory of ring and detector, behind the first fifth and at the end",
    ),
    "memory_growth_engine": (
        "growth of an engine",
        "the same of messages through an engine",
    ),
    "full_collection": (
        "a full collection of garbage",
        "how long a gateway stands still for it, with a large knowledge base loaded",
    ),
    "retrieval_p99": (
        "a question to the knowledge base",
        "p99 from the worker's door to its answer; no tick and no verdict waits for it",
    ),
    "peer_river_hst": (
        "beside river",
        "half-space trees, which learn too; score only below",
    ),
    "peer_pysad_loda": (
        "beside pysad",
        "LODA, which learns too; score only below",
    ),
    "peer_pyod_pca_windows": (
        "beside PyOD, windows",
        "PCA of windows in batches of 1,000",
    ),
    "peer_pyod_pca_rows": (
        "beside PyOD, rows",
        "PCA of single rows in batches of 1,000",
    ),
    "peer_numalogic": (
        "beside numalogic",
        "autoencoder of the same widths, batches of 1,000",
    ),
}


# Of figures beside those: by how their ids begin.
FAMILIES: Final[dict[str, str]] = {
    "default_": "the default detector with other numbers of assets, or samples in a call (n)",
    "pca_": f"the same loop with principal components; {_OF_PRODUCTS}",
    "ensemble_": f"the same loop with an ensemble of projections; {_OF_PRODUCTS}",
    "intake_": "what the engine does with a message until its values are closed samples, beside "
    "decoding alone",
}


def meaning_of(id: str) -> str:  # noqa: A002 - a figure's
    """What a figure means; "" where its id says it all."""
    if id in MEANINGS:
        return MEANINGS[id][1]
    return next((told for begin, told in FAMILIES.items() if id.startswith(begin)), "")


def name_of(id: str) -> str:  # noqa: A002 - a figure's
    """What a figure is called; one that has no name here, by its id."""
    return MEANINGS[id][0] if id in MEANINGS else id.replace("_", " ")
