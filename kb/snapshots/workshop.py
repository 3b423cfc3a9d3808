"""What was read of a source folder, remembered: a file that has not changed is not read again.

A file's texts are reused while its bytes, our code and the mapping files of the folder are the
same; its passages and proposals while the names of assets are, and while each of its rows counts
as known since the same time. What cannot be reused is made anew, so the outcome is always that of
reading everything.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

import kb
from kb.errors import UNREADABLE, UNSOUND, KnowledgeError
from kb.proposals.callings import Saying, sayings
from kb.proposals.orders import judged
from kb.proposals.standing import standing
from kb.proposals.withdrawals import Told, told_in, withdrawn
from kb.reading.calendars import CALENDARS
from kb.reading.document import ROW_FORMS, Document
from kb.reading.documents import read_folder
from kb.reading.front_matter import SourceError
from kb.reading.glimpse import FILE_BYTES_MAX
from kb.reading.scope import undeclared_channels
from kb.reading.signatures import signature_bytes
from kb.retrieval.passages import Extract, extract, site_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kb.manifest import Quarantined
    from kb.reading.documents import FileReader
    from kb.retrieval.passages import Site

MAGIC: Final = b"ANDONK1\n"
DAY_NS: Final = 86_400 * 1_000_000_000
MAPPINGS: Final = "*.toml"  # how tables of other systems are read


class _Bad(msgspec.Struct, frozen=True):
    """A row that could not be read."""

    line: int
    cause: str
    said: str
    order_id: str
    cells: dict[str, str]


class _File(msgspec.Struct, frozen=True):
    """A file as it was read. `key` is the hash of all that this depends on."""

    key: str
    document: Document
    bad: tuple[_Bad, ...]


class _Work(msgspec.Struct, frozen=True):
    """What a document gave; `known` are the times that were asked for, by id of the passage.

    file, site: hashes of all else that it depends on.
    """

    file: str
    site: str
    known: dict[int, int]
    extract: Extract
    said: tuple[Saying, ...]
    told: tuple[Told, ...]


class _Kept(msgspec.Struct):
    """All that is remembered: files by path, work by document."""

    files: dict[str, _File]
    work: dict[str, _Work]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A folder, read and judged, ready to be stored."""

    extracts: Sequence[Extract]
    quarantined: Sequence[Quarantined]
    paths: frozenset[str]  # of the files that became documents


class Workshop:
    """Reads a folder again and again."""

    def __init__(self) -> None:
        self._kept = _Kept({}, {})

    def prepare(self, source: Path, *, first_seen: dict[int, int], now_ns: int) -> Prepared:
        """Everything below `source`, as `read_folder`, `extract` and the judgements see it.

        first_seen: passage id -> when it counts as known, ns; others are known from `now_ns`.
        Raises KnowledgeError.
        """
        try:
            return self._prepared(source, first_seen=first_seen, now_ns=now_ns)
        except KnowledgeError:
            raise
        except UNSOUND:
            if not (self._kept.files or self._kept.work):
                raise
            # The file of what was kept may be of anybody's making, and it only saves time: once
            # more without it. What breaks all the same is raised then.
            self._kept = _Kept({}, {})
            return self._prepared(source, first_seen=first_seen, now_ns=now_ns)

    def _prepared(self, source: Path, *, first_seen: dict[int, int], now_ns: int) -> Prepared:
        context = _context(source)
        today = str(now_ns // DAY_NS)  # which occurrences of a calendar are near
        files: dict[str, _File] = {}

        def through(path: Path, name: str, read: FileReader) -> tuple[Document, list[SourceError]]:
            of_day = context + today if path.suffix.lower() in CALENDARS else context
            key = _key(path, of_day)
            file = self._kept.files.get(name)
            if file is None or not key or file.key != key:
                document, bad = read(path, name)
                if key and _key(path, of_day) == key:  # else it changed while it was read
                    files[name] = _File(key, document, tuple(_bad(one) for one in bad))
                return document, bad
            files[name] = file
            return file.document, [_error(one) for one in file.bad]

        reading = read_folder(source, now_ns=now_ns, through=through)
        site = site_of(reading.documents)
        names = _digest(site)
        work = {
            _place(document): self._work(
                document,
                site,
                keys=(
                    files[document.path].key if document.path in files else "",
                    names if document.form in ROW_FORMS else "",
                ),
                known_ns=lambda chunk_id: first_seen.get(chunk_id, now_ns),
            )
            for document in reading.documents
        }
        self._kept = _Kept(files, work)
        raw = [one.extract for one in work.values()]
        said = [saying for one in work.values() for saying in one.said]
        stand = standing(judged(raw, reading.unread, said=said), reading.unread)
        told = [one for each in work.values() for one in each.told]
        extracts = withdrawn(stand, site, told=told)
        return Prepared(
            extracts=extracts,
            quarantined=(
                *reading.quarantined,
                *(q for e in extracts for q in e.quarantined),
                *undeclared_channels(extracts),
            ),
            paths=frozenset(document.path for document in reading.documents),
        )

    def _work(
        self,
        document: Document,
        site: Site,
        *,
        keys: tuple[str, str],
        known_ns: Callable[[int], int],
    ) -> _Work:
        """What a document gives: as it was, where nothing that it depends on has changed."""
        work = self._kept.work.get(_place(document))
        if (
            keys[0]
            and work is not None
            and (work.file, work.site) == keys
            and all(known_ns(chunk_id) == t_ns for chunk_id, t_ns in work.known.items())
        ):
            return work
        asked: dict[int, int] = {}

        def noted(chunk_id: int) -> int:
            asked[chunk_id] = known_ns(chunk_id)
            return asked[chunk_id]

        found = extract(document, site, known_ns=noted)
        return _Work(*keys, asked, found, sayings(found), told_in(document, site))

    def save(self, path: Path) -> None:
        """Remember it for another process. Raises OSError."""
        body = msgspec.msgpack.encode(self._kept)
        made = path.with_name(f"{path.name}.new")
        made.write_bytes(MAGIC + hashlib.sha256(body).digest() + body)
        made.replace(path)

    @classmethod
    def load(cls, path: Path) -> Workshop:
        """What another process remembered; nothing where that cannot be read."""
        workshop = cls()
        try:
            stored = path.read_bytes()
            body = stored[len(MAGIC) + hashlib.sha256().digest_size :]
            if stored == MAGIC + hashlib.sha256(body).digest() + body:
                workshop._kept = msgspec.msgpack.decode(body, type=_Kept)
        except (OSError, *UNREADABLE):
            pass  # it only saves time
        return workshop


@functools.cache
def _code() -> str:
    """Hash of our code and so of how it reads."""
    digest = hashlib.sha256()
    for path in sorted(Path(kb.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _context(source: Path) -> str:
    """Hash of what the reading of any file of a folder may depend on."""
    digest = hashlib.sha256(_code().encode())
    try:
        for path in sorted(source.rglob(MAPPINGS)):
            digest.update(f"{path.relative_to(source)}\0".encode())
            digest.update(path.read_bytes() if path.is_file() else b"")
    except OSError as error:
        raise KnowledgeError(f"{error.filename}: {error.strerror}") from error
    return digest.hexdigest()


def _key(path: Path, context: str) -> str:
    """Hash of a file and its context; "" for what is read anew each time."""
    try:
        if path.is_symlink() or path.stat().st_size > FILE_BYTES_MAX:
            return ""
        digest = hashlib.sha256(context.encode() + path.read_bytes())
        digest.update(signature_bytes(path))
        return digest.hexdigest()
    except OSError:
        return ""


def _place(document: Document) -> str:
    return f"{document.path}\0{document.doc_id}\0{document.revision}"


def _digest(site: Site) -> str:
    return hashlib.sha256(
        msgspec.msgpack.encode(
            (
                sorted(site.assets.items()),
                [sorted(site.cells.known), sorted(site.cells.as_stands.items())],
                sorted(site.instruments.items()),
                [
                    (asset, one.rows, sorted(one.words))
                    for asset, one in sorted(site.gauges.items())
                ],
            )
        )
    ).hexdigest()


def _bad(error: SourceError) -> _Bad:
    return _Bad(error.line, error.cause, error.said, error.order_id, error.cells)


def _error(bad: _Bad) -> SourceError:
    return SourceError(bad.line, bad.cause, said=bad.said, order_id=bad.order_id, cells=bad.cells)
