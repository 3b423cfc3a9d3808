"""Which kind of detector an asset gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from models.errors import ModelError

if TYPE_CHECKING:
    from models.samples import TrainingSamples

DETECTORS: Final = ("auto", "var", "stream")


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
    if wanted == "auto":
        return "var" if wide else "stream"
    return wanted
