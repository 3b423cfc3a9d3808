"""What a document is, however it was read: its form, its text and its rows."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from kb.reading.rows import Row
from kb.records import SignedTable


class Form(StrEnum):
    """How a document is written, and so how it is cut into passages."""

    MARKDOWN = "markdown"
    RST = "rst"
    TEXT = "text"
    LOG = "log"
    ORDER = "order"
    SCHEDULE = "schedule"
    SCOPE = "scope"
    ASSETS = "assets"
    FAILURE_MODE = "failure_mode"
    LIMIT = "limit"
    SENSOR = "sensor"


TYPED_FORMS: Final = (Form.FAILURE_MODE, Form.LIMIT, Form.SENSOR)
ROW_FORMS: Final = (
    Form.LOG,
    Form.ORDER,
    Form.SCHEDULE,
    Form.SCOPE,
    Form.ASSETS,
    *TYPED_FORMS,
)


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One text. `assets` None is site-wide; `rows` are of logs and tables, empty otherwise."""

    doc_id: str
    revision: str
    form: Form
    kind: str
    title: str
    path: str
    assets: tuple[str, ...] | None
    known_from_ns: int
    text: str
    body_start: int = 0
    rows: tuple[Row, ...] = ()
    columns: frozenset[str] = frozenset()  # of a table, as it came
    language: str = ""  # ISO 639-1; "" where nothing tells
    notes: tuple[str, ...] = ()  # what was left out, or how it was read
    signed: SignedTable | None = None  # a scope table that has signatures beside it
