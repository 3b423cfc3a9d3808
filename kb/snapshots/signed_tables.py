"""The rows of a signed scope table, from its bytes alone: what its signature stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kb.records import ScopeRow, SignedTable


def rows_of(table: SignedTable) -> tuple[ScopeRow, ...]:
    """Its rows, with the ids that they have in a snapshot; () where it is no scope table.

    Nothing of the folder takes part: a row whose asset is written in other words than its id, which
    a table of names explains, is not among them.
    """
    # The readers load slowly, and most snapshots have no signed tables.
    from kb.reading.document import Form  # noqa: PLC0415
    from kb.reading.documents import scope_table  # noqa: PLC0415
    from kb.reading.front_matter import SourceError  # noqa: PLC0415
    from kb.retrieval.passages import extract, site_of  # noqa: PLC0415

    try:
        document = scope_table(table)
    except SourceError:
        return ()
    if document.form is not Form.SCOPE:
        return ()
    return extract(document, site_of([document]), known_ns=_unknown).scope_rows


def _unknown(_chunk_id: int) -> int:
    """When a row became known: each says so itself."""
    return 0
