"""Files that are only ever added to, on a disk that is full."""

from __future__ import annotations

import resource
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from edge.assessment.label_words import Label
from edge.bundles.store import HISTORY, BundleStore
from edge.commissioning.book import ACCEPTED, CommissionBook
from edge.errors import ConfigError, RecordingError
from edge.labels.book import add_labels, read_labels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHA256 = "0" * 64


@contextmanager
def full(size: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def test_a_word_that_a_full_disk_cuts_off_leaves_the_book_as_it_was(tmp_path: Path) -> None:
    """Said as an error; with room again the same word goes in."""
    book = CommissionBook(tmp_path / "book.jsonl")

    def accept(asset: str) -> None:
        book.write(ACCEPTED, {asset: ""}, bundle_sha256=SHA256, by="ann", because="seen")

    accept("r1")
    with full(book.path.stat().st_size + 100), pytest.raises(ConfigError, match="nothing has"):
        accept("r2")
    assert [word.asset for word in book.words().lines] == ["r1"]
    accept("r2")
    assert [word.asset for word in book.words().lines] == ["r1", "r2"]


def test_an_act_that_a_full_disk_cuts_off_leaves_the_history_as_it_was(tmp_path: Path) -> None:
    """The same of the bundles' history."""
    store = BundleStore(tmp_path, tmp_path / "configured")
    store.note("approved", SHA256, by="ann")
    size = (tmp_path / HISTORY).stat().st_size
    with full(size + 100), pytest.raises(ConfigError, match="nothing has changed"):
        store.note("refused", SHA256, by="bob")
    store.note("refused", SHA256, by="bob")
    assert [act.what for act in store.history()] == ["approved", "refused"]


@pytest.mark.parametrize("more", [1, 40])
def test_labels_that_a_full_disk_cuts_off_are_not_there_at_all(tmp_path: Path, more: int) -> None:
    """However many were to be added: none of them, and the file stays readable."""
    path = tmp_path / "labels.jsonl"
    labels = [
        Label(asset="r1", begin_ns=i, end_ns=i + 1, label="real", source="table", quote="q" * 300)
        for i in range(more + 1)
    ]
    add_labels(path, labels[:1])
    with full(path.stat().st_size + 150), pytest.raises(RecordingError, match="no label was added"):
        add_labels(path, labels)
    assert read_labels(path) == labels[:1]
    assert add_labels(path, labels) == labels[1:]
