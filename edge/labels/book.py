"""A file of labels: one JSON object a line, only ever added to, each line once."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

import msgspec

from edge.assessment.label_words import Label
from edge.errors import UNREADABLE, RecordingError
from edge.storage.append import append_whole

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def read_labels(path: Path) -> list[Label]:
    """Every line of a file of labels, withdrawn and replaced ones too; [] where there is none.

    Raises RecordingError at a line that is no label: half a line may be the one that withdraws.
    """
    try:
        return _decoded(path.read_bytes(), path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}") from error


def add_labels(path: Path, labels: Iterable[Label]) -> list[Label]:
    """Append the labels that the file does not have yet, and return those.

    Written and synced as one; another writer waits. Raises RecordingError, and then nothing of them
    is there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            known = {label.label_id for label in _decoded(file.read(), path)}
            fresh: dict[str, Label] = {}
            for label in labels:
                if label.label_id not in known:
                    fresh.setdefault(label.label_id, label)
            lines = [msgspec.json.encode(label) + b"\n" for label in fresh.values()]
            append_whole(path, b"".join(lines))
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror}; no label was added") from error
    return list(fresh.values())


def _decoded(stored: bytes, path: Path) -> list[Label]:
    labels = []
    for number, line in enumerate(stored.splitlines(keepends=True), 1):
        if not line.strip():
            continue
        try:
            if not line.endswith(b"\n"):
                raise msgspec.ValidationError("the line was not written to its end")
            labels.append(msgspec.json.decode(line, type=Label))
        except UNREADABLE as error:
            message = f"{path}:{number}: no label: {error}; mend the line, or take it out"
            raise RecordingError(message) from error
    return labels
