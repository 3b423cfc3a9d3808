"""What `andon check` finds out about this box: whether it is one, and may speak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.boxes.fence_key import read_key
from edge.boxes.identity import fenced_words, read_box
from edge.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.configuration.config import GatewayConfig


def box_finding(config: GatewayConfig, file: Path) -> tuple[str, bool, str]:
    """What, fine, detail; nothing is written. file: the configuration, as somebody names it."""
    state = config.path(config.journal.dir)
    try:
        there = state.is_dir()
        box = read_box(state) if there else None
        _ = read_key(state) if there else None
    except ConfigError as error:
        return "box", False, str(error)
    if box is None:
        return "box", True, "none yet; it begins with the first start"
    if why := fenced_words(box, file=str(file)):
        return "box", False, why
    return "box", True, f"{box.box}, generation {box.generation}; no other is known to speak"
