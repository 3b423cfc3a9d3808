"""Files put into a source folder and taken out of it; nothing is deleted for good.

What is replaced or removed goes to a hidden folder within, under the time at which it went.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from kb.errors import KnowledgeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TRASH: Final = ".trash"


@dataclass(slots=True)
class Change:
    """Changes of a source folder that can be taken back while they are not published."""

    source: Path
    now_ns: int
    _moved: list[tuple[Path, Path]] = field(default_factory=list)  # from, to
    _made: list[Path] = field(default_factory=list)  # directories

    def put(self, files: Sequence[Path], *, into: str, replace: bool) -> tuple[str, ...]:
        """Copy files in; returns their paths within the folder.

        replace: each takes the place of one that is there, by its name when no subfolder is named;
        otherwise none may be there. Raises KnowledgeError or OSError.
        """
        places = [self._place(file, into, replace=replace) for file in files]
        if len(set(places)) < len(places):
            raise KnowledgeError("two of the files would have the same place: put them one by one")
        for file, place in zip(files, places, strict=True):
            if replace:
                self._discard(place)
            self._mkdir(place.parent)
            with tempfile.NamedTemporaryFile(prefix=".new.", dir=place.parent, delete=False) as new:
                scratch = Path(new.name)
            try:
                shutil.copyfile(file, scratch)
                scratch.chmod(0o644)
                scratch.replace(place)
            finally:
                scratch.unlink(missing_ok=True)
            self._moved.append((Path(), place))
        return tuple(place.relative_to(self.source).as_posix() for place in places)

    def remove(self, names: Sequence[str]) -> None:
        """Take files out, by their paths within the folder. Raises KnowledgeError or OSError."""
        for name in names:
            self._discard(_within(self.source, name))

    def undo(self) -> None:
        """Put everything back as it was. Raises OSError."""
        for before, after in reversed(self._moved):
            if before == Path():
                after.unlink()
            else:
                after.replace(before)
        for made in reversed(self._made):
            made.rmdir()
        self._moved.clear()
        self._made.clear()

    def _place(self, file: Path, into: str, *, replace: bool) -> Path:
        if not file.is_file():
            raise KnowledgeError(f"{file} is no file")
        if file.name.startswith("."):
            raise KnowledgeError(f"{file} is hidden, and hidden files are not read: rename it")
        place = _within(self.source, f"{into}/{file.name}")
        if not replace:
            if place.exists():
                raise KnowledgeError(
                    f"{place} is there already: `andon kb update` replaces it, --into puts it"
                    " elsewhere"
                )
            return place
        if not into and not place.is_file():  # wherever it lies, if there is only one
            found = [
                path
                for path in sorted(self.source.rglob("*"))
                if path.name == file.name and path.is_file() and not _hidden(path, self.source)
            ]
            if len(found) > 1:
                named = ", ".join(str(p.parent.relative_to(self.source)) for p in found)
                raise KnowledgeError(f"{file.name} is in {named}: name one with --into")
            place = found[0] if found else place
        if not place.is_file():
            raise KnowledgeError(f"{place} is not there: `andon kb add` puts in what is new")
        if place.samefile(file):
            raise KnowledgeError(
                f"{file} lies in the folder itself: changed there, it is read by"
                " `andon kb update` without a file"
            )
        return place

    def _discard(self, place: Path) -> None:
        if not place.is_file():
            raise KnowledgeError(f"{place} is no file of the folder")
        at = datetime.fromtimestamp(self.now_ns / 1e9, UTC)
        trash = self.source / TRASH / f"{at:%Y%m%dT%H%M%S.%f}" / place.relative_to(self.source)
        self._mkdir(trash.parent)
        place.replace(trash)
        self._moved.append((place, trash))

    def _mkdir(self, folder: Path) -> None:
        missing = [p for p in (folder, *folder.parents) if not p.exists()]
        for path in reversed(missing):
            path.mkdir()
            self._made.append(path)


@contextmanager
def changing(source: Path, *, now_ns: int) -> Iterator[Change]:
    """Changes of a folder that stand only if nothing fails within."""
    change = Change(source, now_ns)
    try:
        yield change
    except BaseException:
        change.undo()
        raise


def _within(source: Path, name: str) -> Path:
    """A path within a folder. Raises KnowledgeError for one that leads out of it, or is hidden."""
    parts = PurePosixPath(name.strip("/")).parts
    if not parts or any(part.startswith(".") for part in parts):
        raise KnowledgeError(f"{name!r} is no path within {source}, without hidden folders")
    place = source.joinpath(*parts)
    if not place.resolve().is_relative_to(source.resolve()):
        raise KnowledgeError(f"{place} leads out of {source}")
    return place


def _hidden(path: Path, source: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(source).parts)
