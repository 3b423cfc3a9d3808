"""What each figure is called, and what it means for whoever has a plant."""

from __future__ import annotations

from typing import Final

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
            "each asset with parameters of its own"
        ),
    ),
    "default_1_asset_n1": (
        "one asset, sample by sample",
        "the same of a single machine, whose samples come one at a time: the cost of a call",
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
        "what a gateway needs of a core to take a million values a second in columns",
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
        "what a gateway needs of a core where every value is a message",
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
        "what a message costs in calls of the system: stock paho selects once and reads thrice",
    ),
    "count_bytes": (
        "bytes at once",
        "arrays that a tick makes and drops: each of them is a copy, or a pass over memory",
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
        "PCA of windows in batches of 1,000; ours in blocks of 64 samples of each asset",
    ),
    "peer_pyod_pca_windows_n1": (
        "beside PyOD, windows, sample by sample",
        "the same; ours with one new sample of every asset at a time",
    ),
    "peer_pyod_pca_windows_mlp": (
        "beside PyOD, windows, our autoencoder",
        "another model of ours, four times as wide, with one new sample at a time",
    ),
    "peer_pyod_pca_rows": (
        "beside PyOD, rows",
        "PCA of single rows in batches of 1,000",
    ),
    "peer_numalogic": (
        "beside numalogic",
        "autoencoder of the same widths in batches of 1,000; ours in blocks of 64 samples",
    ),
    "peer_numalogic_n1": (
        "beside numalogic, sample by sample",
        "the same; ours with one new sample of every asset at a time",
    ),
}


def name_of(id: str) -> str:  # noqa: A002 - a figure's
    """What a figure is called; one that has no name here, by its id."""
    return MEANINGS[id][0] if id in MEANINGS else id.replace("_", " ")
