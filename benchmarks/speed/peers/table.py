"""Which peers are run, what each computes, and which of our loops stands beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One way through a peer.

    worker: its function in `worker`   beside: the loop of ours that does most nearly the same
    id, at_least: of the figure, where one is asked for
    """

    worker: str
    environment: str
    name: str
    beside: str
    computes: str
    id: str = ""
    at_least: float | None = None


OURS: Final = {
    "default": "our default detector: each asset its own parameters; lags, averages and tails"
    " carried from sample to sample; a tail probability for each sample; does not learn",
    "mlp": "our loop around an imported autoencoder 512-32-8-32-512, hop 1: one network for"
    " all, each asset its own scaling; keeps the windows itself; a tail probability;"
    " does not learn",
}
PEERS: Final = (
    Entry(
        worker="river_hst",
        environment="river",
        name="river HalfSpaceTrees, score and learn",
        beside="default",
        computes="one model for all assets (one for each would be slower); a record at a time, no"
        " window and no memory; learns from each; default 10 trees",
        id="peer_river_hst",
        at_least=50.0,
    ),
    Entry(
        worker="river_hst_score",
        environment="river",
        name="river HalfSpaceTrees, score only",
        beside="default",
        computes="the same without learning, as ours",
    ),
    Entry(
        worker="river_svm",
        environment="river",
        name="river OneClassSVM, score and learn",
        beside="default",
        computes="a linear model of one record, one for all assets; learns; the quickest of river",
    ),
    Entry(
        worker="pysad_loda",
        environment="pysad",
        name="pysad LODA, score and learn",
        beside="default",
        computes="histograms of random projections of one record, one model for all; learns",
        id="peer_pysad_loda",
        at_least=50.0,
    ),
    Entry(
        worker="pysad_loda_score",
        environment="pysad",
        name="pysad LODA, score only",
        beside="default",
        computes="the same without learning, as ours",
    ),
    Entry(
        worker="pyod_pca_windows",
        environment="pyod",
        name="PyOD PCA of windows, batches of 1,000",
        beside="mlp",
        computes="16 components of windows of 64 x 8, one model for all, float64; windows are cut"
        " and standardized beforehand and not counted; does not learn",
        id="peer_pyod_pca_windows",
        at_least=8.0,
    ),
    Entry(
        worker="pyod_pca_rows",
        environment="pyod",
        name="PyOD PCA of rows, batches of 1,000",
        beside="default",
        computes="8 components of one record: no window, no lag, no memory, so that a slow drift or"
        " a broken rhythm is not seen; one model for all, float64; does not learn",
        id="peer_pyod_pca_rows",
        at_least=1.0,
    ),
    Entry(
        worker="pyod_hbos_rows",
        environment="pyod",
        name="PyOD HBOS of rows, batches of 1,000",
        beside="default",
        computes="a histogram of each channel by itself; one model for all; does not learn",
    ),
    Entry(
        worker="numalogic",
        environment="numalogic",
        name="numalogic VanillaAE, batches of 1,000",
        beside="mlp",
        computes="autoencoder of the same widths in torch, its predict_step (reconstruction"
        " errors) without its trainer; windows are cut and standardized beforehand and not counted;"
        " no threshold, no tail; does not learn",
        id="peer_numalogic",
        at_least=4.0,
    ),
    Entry(
        worker="numalogic_forward",
        environment="numalogic",
        name="numalogic VanillaAE, forward only",
        beside="mlp",
        computes="the same without the errors: no score comes of it",
    ),
    Entry(
        worker="stumpy_stumpi",
        environment="stumpy",
        name="stumpy stumpi, m = 64, the newest 1,000",
        beside="mlp",
        computes="a matrix profile of one channel of one asset, the newest 1,000 samples kept:"
        " each sample, its newest window of 64 is compared with all windows that are kept, which"
        " none of the others does; a value is one sample of one channel, where ours takes the 8"
        " channels of all assets into one score; no threshold; what it compares with is what it"
        " keeps, so it learns",
    ),
    Entry(
        worker="bytewax_map",
        environment="bytewax",
        name="bytewax stateful_map, a message a sample",
        beside="default",
        computes="an engine for streams, no detector: one message is the 8 values of one asset as"
        " an array that is there, and a function in Python keeps their running mean by asset and"
        " returns the largest distance from it; source and sink are lists in memory, so that"
        " nothing is decoded; one worker, no recovery; making the flow is counted. Beside it stands"
        " our detector's loop alone, without an engine around it",
    ),
)
