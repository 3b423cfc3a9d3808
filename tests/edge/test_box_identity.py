"""Who a box is, as its state directory says it, and who may say it again after it was fenced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.boxes.identity import FILE, box_of, new_box, read_box, write_box
from edge.boxes.reclaim import reclaim
from edge.errors import ConfigError
from edge.storage.journal_writer import JournalWriter

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("stored", [b"", b"{", b'{"box": "a"}', b"\xff", b"[]", b" " * 70_000])
def test_a_box_that_cannot_say_who_it_is_does_not_begin(tmp_path: Path, stored: bytes) -> None:
    """It would be somebody else, without a word."""
    (tmp_path / FILE).write_bytes(stored)
    with pytest.raises(ConfigError, match="id of this box"):
        box_of(tmp_path)


def test_a_fenced_box_speaks_again_only_by_a_persons_word(tmp_path: Path) -> None:
    """Its generation is above the one that had taken over, and it hears first what that said."""
    by = new_box(generation=4).rank
    write_box(tmp_path, msgspec.structs.replace(new_box(), fenced_by=by))
    box = reclaim(tmp_path, because="the other one burnt")
    assert box.generation == 5
    assert box.takes_over
    assert box == read_box(tmp_path)
    assert "the other one burnt" in (tmp_path / "boxes.jsonl").read_text()
    journal = JournalWriter(tmp_path / "journal")
    with pytest.raises(ConfigError, match="a gateway runs"):
        reclaim(tmp_path, because="again")
    journal.close()
