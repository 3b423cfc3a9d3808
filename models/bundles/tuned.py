"""What people's labels made of an asset beyond its fit: kept in its bundle, told by its card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from models.bundles.bundle import AssetModel


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """How an asset was tuned.

    labels_sha256, recordings: hashes of the file of labels and of what they speak of. counts:
    labelled events by class. because: why retrieval alone was not enough; override: why it was kept
    although it misses an event that was found before, "" it misses none. shift: by how much the
    threshold stands above its fit's. metrics: of labelled events that were held back.
    """

    labels_sha256: str
    recordings: tuple[str, ...]
    counts: dict[str, int]
    because: str
    override: str = ""
    shift: float = 0.0
    metrics: dict[str, float] = {}


def tuned_lines(model: AssetModel) -> list[str]:
    """Lines of the card, none of an asset that was not tuned."""
    tuned = model.tuned
    if tuned is None:
        return []
    counted = ", ".join(f"{label} {count}" for label, count in sorted(tuned.counts.items()))
    measured = ", ".join(f"{name} {value:.3g}" for name, value in sorted(tuned.metrics.items()))
    lines = [
        (
            f"- tuned with labels {tuned.labels_sha256[:12]} of {len(tuned.recordings)} recordings:"
            f" {counted}; threshold {tuned.shift:+.2f}"
        ),
        f"- labels were used because: {_plain(tuned.because)}",
        f"- on events that were held back: {measured or 'there were none'}",
    ]
    if tuned.override:
        lines.append(
            f"- it misses events that its parent found; kept because: {_plain(tuned.override)}"
        )
    return lines


def _plain(said: str) -> str:
    """One line of text that is no markup."""
    return " ".join(said.split()).replace("|", "\\|").replace("<", "&lt;")
