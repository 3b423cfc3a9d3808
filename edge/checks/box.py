"""What `andon check` finds out about this box: whether it is one, may speak, and remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.boxes.fence_key import read_key
from edge.boxes.identity import fenced_words, read_box
from edge.errors import ConfigError
from edge.knowledge.scope_book import ScopeBook, read_book

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


def scopes_finding(config: GatewayConfig) -> tuple[str, bool, str]:
    """Likewise of what is remembered of signed scope tables, without which no start goes on."""
    state = config.path(config.journal.dir)
    try:
        book = read_book(state) if state.is_dir() else ScopeBook()
    except ConfigError as error:
        return "scope tables", False, str(error)
    return "scope tables", True, f"signed: {len(book.tables)} in use, {len(book.gone)} replaced"
