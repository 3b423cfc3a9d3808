"""Documents into what a snapshot stores: passages with ids, proposals and scope rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, assert_never

import msgspec

from kb.manifest import Quarantined
from kb.proposals import proposals
from kb.proposals.asset_cells import (
    AssetCells,
    asset_cells,
    is_of_another,
    unknown_assets,
    with_asset,
)
from kb.reading.alias_tables import aliases_of, shifts_of
from kb.reading.document import ROW_FORMS, TYPED_FORMS, Document, Form
from kb.reading.front_matter import SourceError, is_asset_id
from kb.reading.glimpse import Unread
from kb.reading.scope import scope_row
from kb.reading.typed_tables import failure_mode, limit, sensor, words_of
from kb.records import FailureMode, Limit, Proposal, ScopeRow, Sensor, SignedTable
from kb.retrieval import chunk
from kb.retrieval.cite import chunk_id_of, cite, cite_words
from kb.times import iso_ns
from kb.wording.asset_names import AssetWords, asset_words, assets_in
from kb.wording.instrument_words import Gauges, gauges_of
from kb.wording.name_sense import NameSense
from kb.wording.place_names import machines_of, names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kb.reading.rows import Row
    from kb.records import Citation

DESCRIPTION: Final = ("description", "instrument", "kind", "asset")
MODE_WORDS: Final = ("name", "mode", "channels", "cause", "action")


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """One citable passage. `assets` None is site-wide, empty is of no known asset."""

    chunk_id: int
    section: str
    start: int
    end: int
    embedded: str  # what the model of sense sees; "" keeps it out of the search
    heading: str = ""  # words above it: title, section, names of columns
    body: str = ""  # its own words
    path: tuple[str, ...] = ()  # headings above it, outermost first
    assets: tuple[str, ...] | None
    known_from_ns: int


class Extract(msgspec.Struct, frozen=True, kw_only=True):
    """All that one document gives."""

    document: Document
    passages: tuple[Passage, ...]
    proposals: tuple[Proposal, ...] = ()
    scope_rows: tuple[ScopeRow, ...] = ()
    failure_modes: tuple[FailureMode, ...] = ()
    limits: tuple[Limit, ...] = ()
    sensors: tuple[Sensor, ...] = ()
    signed: tuple[SignedTable, ...] = ()  # the document itself, where it is a signed scope table
    quarantined: tuple[Quarantined, ...] = ()
    unread: tuple[Unread, ...] = ()  # rows of orders and scopes: they may say anything


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Ids that the whole folder knows: needed to read a log line."""

    assets: AssetWords  # by how a line may write them
    instruments: dict[str, tuple[str, ...]]  # asset -> its instruments
    gauges: dict[str, Gauges] = {}  # asset -> what its instruments are called
    sense: NameSense | None = None  # where tables give machines names in words
    cells: AssetCells = AssetCells()  # machines by what cells of orders hold


def site_of(documents: Iterable[Document]) -> Site:
    """Assets and instruments that front matter, orders, schedules and scope tables name."""
    documents = list(documents)
    assets: set[str] = set()
    instruments: defaultdict[str, set[str]] = defaultdict(set)
    for document in documents:
        assets.update(document.assets or ())
        for row in document.rows:
            asset = row.cells.get("asset", "")
            if is_asset_id(asset):
                assets.add(asset)
                if document.form is Form.SCOPE and row.cells["instrument"]:
                    instruments[asset].add(row.cells["instrument"])
    known = machines_of(documents)
    cells = asset_cells(known, aliases_of(documents, known))
    assets, aliases = names_of(documents, assets)
    return Site(
        assets=asset_words(assets, aliases),
        cells=cells,
        sense=NameSense(aliases) if aliases else None,
        instruments={asset: tuple(sorted(names)) for asset, names in instruments.items()},
        gauges=gauges_of(documents),
    )


def extract(document: Document, site: Site, *, known_ns: Callable[[int], int]) -> Extract:
    """Passages, proposals and scope rows of a document.

    `known_ns` tells when a row without a time counts as recorded, by the id of its passage.
    """
    if document.form in TYPED_FORMS:
        return _of_typed(document)
    if document.form in ROW_FORMS:
        return _of_rows(document, site, known_ns)
    ids = _Ids(document)
    passages = tuple(
        Passage(
            chunk_id=ids.next(span.section, span.start, span.end),
            section=_place(document, span),
            start=span.start,
            end=span.end,
            embedded=_with_breadcrumb(document, span),
            heading=" > ".join((_breadcrumb(document, span), *span.columns)),
            body=document.text[span.start : span.end],
            path=tuple(h for h in span.section.split(" > ") if h),
            assets=document.assets,
            known_from_ns=document.known_from_ns,
        )
        for span in _spans(document)
    )
    return Extract(document=document, passages=passages)


def _spans(document: Document) -> list[chunk.Span]:
    if document.form is Form.MARKDOWN:
        return chunk.markdown(document.text, document.body_start)
    return (chunk.restructured if document.form is Form.RST else chunk.plain)(document.text)


def _place(document: Document, span: chunk.Span) -> str:
    """Where a passage stands below the title: headings, and of a row what its cells mean."""
    headings = [h for h in span.section.split(" > ") if h]
    if headings[:1] == [document.title]:
        headings = headings[1:]
    return " > ".join([*headings, *([" | ".join(span.columns)] if span.columns else [])])


def _breadcrumb(document: Document, span: chunk.Span) -> str:
    headings = [document.title, *span.section.split(" > ")]
    return " > ".join(dict.fromkeys(h for h in headings if h))  # the title is often the first


def _with_breadcrumb(document: Document, span: chunk.Span) -> str:
    return f"{_breadcrumb(document, span)}\n{span.said}"


class _Ids:
    """Ids of a document's passages, in order."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._seen: Counter[tuple[str, str]] = Counter()

    def next(self, section: str, start: int, end: int) -> int:
        """Id of the next passage; equal ones of a section are told apart by their order."""
        text = self._document.text[start:end]
        occurrence = self._seen[section, text]
        self._seen[section, text] += 1
        return chunk_id_of(
            doc_id=self._document.doc_id,
            revision=self._document.revision,
            section=section,
            text=text,
            occurrence=occurrence,
        )


# --- rows ---


def _of_rows(document: Document, site: Site, known_ns: Callable[[int], int]) -> Extract:
    ids = _Ids(document)
    passages: list[Passage] = []
    proposed: list[Proposal] = []
    scoped: list[ScopeRow] = []
    bad = unknown_assets(document, site.cells)
    unread: list[Unread] = []
    for row in document.rows:
        chunk_id = ids.next("", row.start, row.end)
        try:
            passage, more, scope = _of_row(document, row, chunk_id, site, known_ns)
        except SourceError as error:
            found = _searchable(document, row, chunk_id, known_ns)
            cause = f"{error.cause}; it is searched, and proposes nothing" if found else error.cause
            bad.append(Quarantined(path=document.path, line=error.line, cause=cause))
            unread.append(_unread(document, row))
            passages += found
            continue
        passages.append(passage)
        proposed += more
        scoped += scope
    if document.form is Form.ORDER and (idle := _of_no_kind(document, proposed, unread)):
        bad.append(idle)
    return Extract(
        document=document,
        passages=tuple(passages),
        proposals=tuple(proposed),
        scope_rows=tuple(scoped),
        signed=(document.signed,) if document.signed is not None else (),
        quarantined=tuple(bad),
        unread=tuple(unread),
    )


def _cited(document: Document, row: Row, chunk_id: int) -> Citation:
    doc_id, revision = document.doc_id, document.revision
    place = document.text, row.start, row.end
    return cite(*place, doc_id=doc_id, revision=revision, chunk_id=chunk_id)


def _of_typed(document: Document) -> Extract:
    """Rows that explain, ring or name; what is said of a failure mode is also searched."""
    ids = _Ids(document)
    passages: list[Passage] = []
    modes: list[FailureMode] = []
    limits: list[Limit] = []
    sensors: list[Sensor] = []
    bad: list[Quarantined] = []
    for row in document.rows:
        chunk_id = ids.next("", row.start, row.end)
        citation = _cited(document, row, chunk_id)
        body, asset, known_from_ns = "", row.cells["asset"], 0
        try:
            if document.form is Form.LIMIT:
                limits.append(limit(row, citation))
                known_from_ns = limits[-1].recorded_at_ns
            elif document.form is Form.SENSOR:
                sensors.append(sensor(row, citation))
            else:
                mode, text = failure_mode(row, citation), document.text
                advice = cite_words(text, row.start, row.end, mode.action, whole=citation)
                modes.append(msgspec.structs.replace(mode, advice=advice))
                known_from_ns = modes[-1].recorded_at_ns
                body = words_of(row.cells, MODE_WORDS)
        except SourceError as error:
            cause = Quarantined(path=document.path, line=error.line, cause=error.cause)
            bad.append(cause)
            continue
        passages.append(
            Passage(
                chunk_id=chunk_id,
                section="",
                start=row.start,
                end=row.end,
                embedded=f"failure mode: {body}" if body else "",
                heading="failure mode" if body else document.kind,
                body=body,
                assets=(asset,) if asset else None,
                known_from_ns=known_from_ns,
            )
        )
    return Extract(
        document=document,
        passages=tuple(passages),
        failure_modes=tuple(modes),
        limits=tuple(limits),
        sensors=tuple(sensors),
        quarantined=tuple(bad),
    )


def _searchable(
    document: Document, row: Row, chunk_id: int, known_ns: Callable[[int], int]
) -> list[Passage]:
    """The passage of an order or a schedule row that lacks what a proposal needs."""
    if document.form not in (Form.ORDER, Form.SCHEDULE):
        return []
    try:
        known = _recorded(row, known_ns, chunk_id)
    except SourceError:
        known = known_ns(chunk_id)
    body = document.text[row.start : row.end]
    asset = row.cells["asset"]
    return [
        Passage(
            chunk_id=chunk_id,
            section="",
            start=row.start,
            end=row.end,
            embedded=f"{document.kind}: {_described(row.cells) or body}",
            heading=document.kind,
            body=_described(row.cells) or body,
            assets=(asset,) if is_asset_id(asset) else (),
            known_from_ns=known,
        )
    ]


def _unread(document: Document, row: Row) -> Unread:
    return Unread(
        path=document.path,
        line=row.line,
        said=document.text[row.start : row.end],
        order_id=row.cells.get("order_id", "") if document.form is Form.ORDER else "",
        cells=row.cells,
    )


def _of_no_kind(
    document: Document, proposed: Sequence[Proposal], unread: Sequence[Unread]
) -> Quarantined | None:
    """A note on orders of other systems that name no bounded work, in one for the table."""
    idle = len(document.rows) - len(proposed) - len(unread)
    if not idle or "kind" in document.columns:
        return None
    cause = f"{idle} orders name no bounded work: they are searched, and propose nothing"
    return Quarantined(path=document.path, line=0, cause=cause)


def _of_row(
    document: Document, row: Row, chunk_id: int, site: Site, known_ns: Callable[[int], int]
) -> tuple[Passage, Sequence[Proposal], Sequence[ScopeRow]]:
    """One row as a passage, with what it proposes and approves. Raises SourceError."""
    citation = _cited(document, row, chunk_id)
    found: list[Proposal] = []
    scopes: list[ScopeRow] = []
    match document.form:
        case Form.LOG:
            found = proposals.log_proposals(
                row,
                citation,
                assets=site.assets,
                instruments=site.instruments,
                gauges=site.gauges,
                shifts=shifts_of(document.text),
                sense=site.sense,
            )
            assets, recorded = tuple(assets_in(row.said, site.assets)), row.t_ns
            embedded = body = row.said
        case Form.ORDER | Form.SCHEDULE:
            row, sure = with_asset(row, site.cells, site.assets)
            known = _recorded(row, known_ns, chunk_id)
            read = (
                proposals.order_proposal
                if document.form is Form.ORDER
                else proposals.schedule_proposal
            )
            proposal = read(row, citation, known_ns=known)
            if proposal and (not sure or is_of_another(row, site.assets)):
                proposal = msgspec.structs.replace(proposal, approved=False)
            found = [proposal] if proposal else []
            assets, recorded = (row.cells["asset"],), known
            body = _described(row.cells)
            embedded = f"{document.kind}: {body}"
        case Form.SCOPE:
            scopes = [scope_row(row, citation)]
            assets, recorded = (scopes[0].asset,), scopes[0].recorded_at_ns
            embedded = body = ""  # which channels work may disturb is no advice on a fault
        case Form.ASSETS:
            assets, recorded = (proposals.asset_of(row),), 0
            embedded = body = ""  # names are no advice on a fault
        case Form.MARKDOWN | Form.RST | Form.TEXT | Form.FAILURE_MODE | Form.LIMIT | Form.SENSOR:
            raise AssertionError("no rows that propose or approve")
        case _:
            assert_never(document.form)
    passage = Passage(
        chunk_id=chunk_id,
        section="",
        start=row.start,
        end=row.end,
        embedded=embedded,
        heading=document.kind,
        body=body,
        assets=assets,
        known_from_ns=recorded,
    )
    return passage, found, scopes


def _recorded(row: Row, known_ns: Callable[[int], int], chunk_id: int) -> int:
    text = row.cells.get("recorded_at", "")
    if not text:
        return known_ns(chunk_id)
    try:
        return iso_ns(text)
    except ValueError as error:
        raise SourceError(row.line, f"recorded_at: {error}") from error


def _described(cells: Mapping[str, str]) -> str:
    """The words of a row that say what it is about."""
    return ", ".join(cells[name] for name in DESCRIPTION if cells.get(name))
