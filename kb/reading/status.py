"""Status codes and approvers, as maintenance systems and people write them into cells.

What is not listed is not approved: work that is complete or closed is over, and cannot be a witness
for anything to come. A cell may hold several codes, "REL PRT MANC" in SAP PM.
"""

from __future__ import annotations

import re
from typing import Final

APPROVED: Final = frozenset(
    {"APPR", "APPROVED", "REL", "RELEASED", "SCHEDULED", "INPRG", "FREI", "FREIGEGEBEN"}
)
# Codes that stand beside a release and say nothing about whether the work will happen: printed,
# material not checked or not needed, pre-costed, settlement rule, maintenance task list copied.
BESIDE: Final = frozenset(
    {"PRT", "MANC", "NMAT", "PRC", "SETC", "CSER", "GMPS", "DRUC", "VOKL", "ABRV"}
)
_CANCELLED: Final = re.compile(
    r"CAN|CANC.*|CANX|CNCL.*|CXL.*|STORN.*|VOID.*|ABGESAGT|DLFL|DLT|LOVM|DELETED|WITHDRAWN|REJ.*"
)
_NOBODY: Final = frozenset(
    {
        "tbd", "tba", "tbc", "tbn", "na", "none", "nil", "null", "unknown", "pending", "nobody",
        "noone", "todo", "open", "offen", "unbekannt", "niemand", "keiner", "blank", "empty",
        "undefined", "unassigned", "later",
    }
)  # fmt: skip


def is_approved(status: str) -> bool:
    """Whether a status cell says approved, and nothing else that might take it back."""
    codes = _codes(status)
    approved = codes & APPROVED
    return bool(approved) and codes <= APPROVED | BESIDE


def is_cancelled(status: str) -> bool:
    """Whether any code of a status cell calls the work off."""
    return any(_CANCELLED.fullmatch(code) for code in _codes(status))


def is_somebody(approver: str) -> bool:
    """Whether a cell names who approved: neither empty nor "TBD", "-", "n/a", "?" or "xxx"."""
    letters = "".join(c for c in approver.casefold() if c.isalnum())
    return bool(letters) and letters not in _NOBODY and set(letters) != {"x"}


def _codes(status: str) -> set[str]:
    return set(re.split(r"[\s,;/|+]+", status.strip().upper())) - {""}
