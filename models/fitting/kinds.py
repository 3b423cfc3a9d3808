"""Which kind of detector an asset gets.

Of one channel a stream, of several the VAR. The other kinds for several channels are there by name:
at the same rate of false alarms neither they nor pairs with them find more than the VAR on its own,
but for relations that break in plants without memory; `python -m benchmarks.kinds` shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from models.errors import ModelError

if TYPE_CHECKING:
    from models.samples import TrainingSamples

DETECTORS: Final = ("auto", "var", "stream", "pca", "ensemble")  # `conv`: models.fitting.conv


def detector_kind(samples: TrainingSamples, wanted: str) -> str:
    """The kind for one asset: what is wanted, or with auto stream for one channel, else var.

    Raises ModelError for a kind that there is not, or that cannot be.
    """
    if wanted not in DETECTORS:
        raise ModelError(f"there is no detector {wanted!r}; there are {DETECTORS}")
    wide = len(samples.channels) > 1
    if wanted == "stream" and wide:
        raise ModelError(
            f"{samples.asset} has {len(samples.channels)} channels; the detector `stream` is for"
            " assets of one"
        )
    if wanted in ("pca", "ensemble") and not wide:
        raise ModelError(
            f"{samples.asset} has one channel; the detector `{wanted}` is for assets of several"
        )
    if wanted == "auto":
        return "var" if wide else "stream"
    return wanted
