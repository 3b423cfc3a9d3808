"""What each figure is called, and what it means for whoever has a plant."""

from __future__ import annotations

import re
from typing import Final

# What the page says once, at its top, for who knows the plant and not the program: word, meaning.
WORDS: Final = (
    (
        "a core",
        (
            "one of the processor's cores: 40 % of a core is 0.4 s of its work in each second; a "
            "processor second is one second of such work, whatever else the machine does"
        ),
    ),
    ("a value", "one number of one sensor; an asset of 8 channels sends 8 of them in each sample"),
    (
        "to the ring",
        "until a value stands checked and at its time in the short history (ring) of its asset",
    ),
    (
        "to the score",
        "the same, and on until the detector has said how unusual the newest samples are",
    ),
    (
        "tick",
        "one turn of the gateway's loop: what has come since the one before is taken and scored",
    ),
    (
        "hop",
        (
            "how many new samples come from one window that a window model scores to the next: 1 "
            "is a window for each sample, 16 a sixteenth of the windows"
        ),
    ),
    ("n16", "in an id: 16 new samples of an asset are scored in one call; without it, one"),
    (
        "p99, p99.9",
        "99 in 100, or 999 in 1,000, are at most so; p50 is the middle one. The rest is longer",
    ),
    (
        "matrix products",
        (
            "the arithmetic that a processor does fastest; how much of it this core does in a "
            "second is measured in the same run, as a yardstick of what is possible at all"
        ),
    ),
    (
        "ratio",
        (
            "the figure as a part, or a multiple, of what stands under against, where that is the "
            "same kind of thing; who asks for at most wants it small, who asks for at least large"
        ),
    ),
    (
        "stock paho, QoS 0, QoS 1",
        (
            "the usual MQTT client for Python as it is installed; messages that may be lost, and "
            "those that are confirmed"
        ),
    ),
)
_OF_PRODUCTS: Final = (
    "the ratio says how much of this core's rate of matrix products that is: little, since most of "
    "the time goes into reading the parameters of each asset"
)
MEANINGS: Final[dict[str, tuple[str, str]]] = {
    "limit_matrix_multiply": (
        "matrix product of the core",
        "how much arithmetic this core can do at most; detectors stand beside products like theirs",
    ),
    "limit_memory": (
        "memory of the core",
        "how fast this core reads and writes memory at most, where it is not in a cache",
    ),
    "mlp_hop1_gemm": (
        "autoencoder, hop 1",
        (
            "a neural network that was brought along (512-32-8-32-512, windows of 64 samples x 8 "
            "channels) scores a window for each new sample of 1,000 assets; the ratio is how much "
            "of the arithmetic that this core could do it gets done"
        ),
    ),
    "mlp_hop16_gemm": (
        "autoencoder, hop 16",
        "the same with a window for every 16th sample, where keeping the samples weighs more",
    ),
    "default_1000_assets": (
        "default detector, 1,000 assets",
        (
            "how many sensor values the default detector scores in a processor second, for 1,000 "
            f"assets of 8 channels that each send one sample; {_OF_PRODUCTS}"
        ),
    ),
    "default_1_asset_n1": (
        "one asset, sample by sample",
        (
            "the same for a single machine that sends one sample at a time, where most of the time "
            "goes into the call itself"
        ),
    ),
    "default_1_asset_n16": (
        "one asset, blocks of 16",
        "the same for a single machine that sends 16 samples at a time",
    ),
    "conv_hop1": (
        "convolution, hop 1",
        (
            "a convolutional network that reuses what it computed for earlier samples; the ratio "
            "is how many times as fast that is as computing each window anew"
        ),
    ),
    "linearity": (
        "10,000 assets against 1,000",
        (
            "what an asset costs in a plant of 10,000, as a multiple of that in a plant of 1,000: "
            "at 1, ten times the plant needs ten times the processor"
        ),
    ),
    "ingest_qos0_paho": (
        "a message at QoS 0",
        "processor time to receive a message of 8 values, as a part of what stock paho needs",
    ),
    "ingest_qos1_paho": (
        "a message at QoS 1",
        "the same where a message is confirmed to the broker only once it is in the journal",
    ),
    "ingest_columnar": (
        "a million values a second to the ring",
        (
            "the share of a core that a gateway uses to receive, keep and align a million values a "
            "second (messages of many rows), with all that it does but scoring and what follows "
            "from scores"
        ),
    ),
    "ingest_columnar_score": (
        "a million values a second to the score",
        "the same with scoring",
    ),
    "ingest_block": (
        "a million values in binary blocks to the ring",
        "the same for senders that send numbers as bytes, as topics.md describes, not as text",
    ),
    "ingest_block_score": ("a million values in blocks to the score", "the same with scoring"),
    "ingest_single_value": (
        "30,000 messages of one value a second",
        "the share of a core that a whole gateway uses where each value is a message of its own",
    ),
    "ingest_single_value_qos1": (
        "30,000 messages of one value a second at QoS 1",
        "the same where each message is confirmed once it is in the journal",
    ),
    "lateness_p999": (
        "ticks at 100 Hz, how late",
        (
            "of 1,000 ticks, 999 begin at most so late after their time, while 1,000 assets send "
            "30,000 messages a second"
        ),
    ),
    "publish_to_alert_p99": (
        "publication to alert",
        (
            "from the sample that shows a fault being sent to its alert being received: 99 of 100 "
            "take at most so long, at 50,000 values a second"
        ),
    ),
    "count_receives": (
        "calls of recv",
        "how often the operating system is asked for each message: stock paho asks three times",
    ),
    "count_bytes": (
        "bytes held at once",
        "how much memory a tick takes for a moment, for each value that came",
    ),
    "count_allocations": (
        "arrays made in a tick",
        (
            "how often a tick in which nothing is wrong asks for memory, however many assets there "
            "are: a guard against copies that nobody needs"
        ),
    ),
    "count_written": (
        "bytes made in a tick",
        "how many bytes of memory are written for each value that came: a copy more adds four",
    ),
    "read_sparkplug_8": (
        "Sparkplug B, 8 metrics a message",
        "processor time to read one value from a Sparkplug B message, decoding alone",
    ),
    "read_sparkplug_100": ("Sparkplug B, 100 metrics a message", "the same of larger messages"),
    "decode_columnar": (
        "JSON in columns",
        "processor time to decode one value of a message of columns, to numbers by asset and tag",
    ),
    "decode_wide": ("JSON, a row a message", "the same of a row, looked at value by value"),
    "decode_kepware": ("Kepware IoT Gateway", "the same, each value with its id and time"),
    "decode_databus": ("Siemens databus", "the same, named by its metadata"),
    "decode_telegraf": ("Telegraf JSON", "the same"),
    "decode_influx": ("line protocol", "the same"),
    "decode_opcua": ("OPC UA PubSub JSON", "the same"),
    "decode_senml": ("SenML", "the same"),
    "decode_neuron": ("EMQX Neuron", "the same"),
    "decode_paths": ("JSON by paths", "the same, where the source says where things are"),
    "engine_1000_assets_hop_1": (
        "a tick of the engine, 1,000 assets",
        (
            "values that the engine takes in a processor second, once samples are complete: "
            "history, looks at the sensors, scores, drift, events; the ratio is how many times "
            "as fast that is as taking the assets one by one"
        ),
    ),
    "engine_1000_assets_hop_16": (
        "the same, 16 samples a tick",
        "the same where 16 samples of each asset come at once",
    ),
    "engine_1000_assets_detector_share": (
        "detector in a tick",
        "how much of the time of a tick goes into scoring",
    ),
    "engine_1000_assets_idle_tick": (
        "a tick without samples",
        "how long a tick takes when nothing has come from 1,000 assets",
    ),
    "engine_1000_assets_graph_calls": (
        "calls of a detector",
        "how often the detector is asked in a tick: once for all assets together",
    ),
    "engine_1000_assets_calls": (
        "calls of functions",
        "Python functions that a quiet tick calls: a loop over assets would be thousands",
    ),
    "engine_1000_assets_blocks_left": (
        "blocks of memory left",
        "blocks of memory that a tick leaves behind: what stayed would grow",
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
            "how much more memory each asset of 8 channels takes, from 100 to 1,000 of them: "
            "parameters, newest samples, states; about 5 kB was asked for"
        ),
    ),
    "memory_growth_windows": (
        "growth over ten million windows",
        (
            "how much more memory the detector takes at the end of ten million windows than after "
            "the first fifth of them"
        ),
    ),
    "memory_growth_engine": (
        "growth of an engine",
        "the same for messages that go through the engine",
    ),
    "full_collection": (
        "a full collection of garbage",
        (
            "how long a gateway stands still when Python looks for memory to free, with a large "
            "knowledge base loaded"
        ),
    ),
    "retrieval_p99": (
        "a question to the knowledge base",
        "99 of 100 questions are answered in at most so long, beside the loop: no tick waits",
    ),
    "peer_river_hst": (
        "beside river",
        "our default detector against half-space trees, which learn as well; without that: below",
    ),
    "peer_pysad_loda": (
        "beside pysad",
        "our default detector against LODA, which learns as well; without that: below",
    ),
    "peer_pyod_pca_windows": (
        "beside PyOD, windows",
        "our principal components of windows against PyOD's, which get 1,000 windows at once",
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
        "our default detector against PyOD's principal components of single rows",
    ),
    "peer_numalogic": (
        "beside numalogic",
        "our autoencoder against one of the same widths",
    ),
    "peer_numalogic_n1": (
        "beside numalogic, sample by sample",
        "the same; ours with one new sample of every asset at a time",
    ),
}


# Of figures beside those: by how their ids begin.
FAMILIES: Final[dict[str, str]] = {
    "default_": "the default detector with other numbers of assets, or samples in a call (n)",
    "pca_": "the same with principal components in place of the default detector",
    "ensemble_": "the same with an ensemble of projections in place of the default detector",
    "intake_": "from the bytes of a message to complete samples in the engine; the ratio is to "
    "decoding the same numbers as JSON alone",
}

DETECTORS: Final = {  # by how ids of their figures begin
    "default": "default detector,",
    "pca": "principal components,",
    "ensemble": "ensemble of projections,",
}


def meaning_of(id: str) -> str:  # noqa: A002 - a figure's
    """What a figure means; "" where its id says it all."""
    if id in MEANINGS:
        return MEANINGS[id][1]
    return next((told for begin, told in FAMILIES.items() if id.startswith(begin)), "")


def name_of(id: str) -> str:  # noqa: A002 - a figure's
    """What a figure is called; one that has no name here, by its id."""
    if id in MEANINGS:
        return MEANINGS[id][0]
    begin, _, rest = id.partition("_")
    words = [f"{int(word):,}" if word.isdigit() else word for word in rest.split("_")]
    told = f"{DETECTORS.get(begin, begin)} {' '.join(words)}".rstrip()
    return re.sub(r" n(\d+)$", r", \1 samples a call", told).replace(" 1 samples", " 1 sample")
