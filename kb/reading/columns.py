"""Names of columns, as systems write them, to ours. Case, blanks, `_`, `-` and `.` do not count."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kb.reading.status import is_approved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Our name -> what else it is called: Maximo, SAP PM (English and German), common exports. An alias
# maps a name only; whether a row approves is decided as for our own tables.
ALIASES: Final = {
    "order_id": "order wonum wo wono workorder workorderid workordernumber orderno ordernumber"
    " auftrag auftragsnummer",
    "asset": "assetnum assetid equipment equipmentid equipmentnumber",
    "kind": "",
    "instrument": "",
    "status": "orderstatus",
    "system_status": "systemstatus",
    "user_status": "userstatus anwenderstatus",
    "start": "",
    "end": "",
    "planned_start": "schedstart scheduledstart basicstart basicstartdate basstartdate"
    " basicstartdatetime eckstart eckstarttermin",
    "planned_end": "schedfinish scheduledfinish basicfinish basicfinishdate basicfindate"
    " basfindate basicend basicenddate basicfinishdatetime eckende eckendtermin",
    "actual_start": "actstart actualstart",
    "actual_end": "actfinish actualfinish actualend",
    "recorded_at": "",
    "changed_at": "changedate statusdate changedon",
    "reported_at": "reportdate",
    "approved_by": "approver",
    "approved_at": "",
    "description": "shorttext kurztext",
    "work_type": "worktype ordertype maintenanceactivitytype",
    "channels": "",
    "expected_effect": "",
    "duration_min_max": "",
    "settle_s": "",
    "low_low": "ll lolo",
    "low": "l lo",
    "high": "h hi",
    "high_high": "hh hihi",
}
_OF_KEY: Final = {
    key: name for name, more in ALIASES.items() for key in (name.replace("_", ""), *more.split())
}
STATUSES: Final = ("status", "system_status", "user_status")


def key_of(name: str) -> str:
    """What is left of a column's name when spelling does not count."""
    return re.sub(r"[\s_.\-]+", "", name.casefold())


def named(header: Sequence[str]) -> list[str]:
    """Our names of columns, others as they are. Of two for one thing our own, else the first."""
    names = [_OF_KEY.get(key_of(name), name.strip()) for name in header]
    taken: dict[str, int] = {}
    for i, name in enumerate(names):
        own = key_of(header[i]) == name.replace("_", "")
        if name not in taken or (own and key_of(header[taken[name]]) != name.replace("_", "")):
            taken[name] = i
    return [
        name if taken[name] == i or key_of(header[i]) == name.replace("_", "") else header[i]
        for i, name in enumerate(names)
    ]


def order_cells(cells: Mapping[str, str]) -> dict[str, str]:
    """Cells of an order with all that is read of one; times in pairs, planned ones if need be.

    When an order was last changed is when its status was recorded. When it was reported is not:
    that counts only where nothing is approved.
    """
    status = " ".join(cells[name] for name in STATUSES if cells.get(name))
    start, end = cells.get("start", ""), cells.get("end", "")
    for of in ("actual", "planned"):
        begun, ended = cells.get(f"{of}_start", ""), cells.get(f"{of}_end", "")
        if not start and not end and (of == "planned" or (begun and ended)):
            start, end = begun, ended
    recorded = cells.get("recorded_at") or cells.get("changed_at", "")
    if not recorded and not is_approved(status):
        recorded = cells.get("reported_at", "")
    found = {"status": status, "start": start, "end": end, "recorded_at": recorded}
    return {"order_id": "", "asset": "", "kind": "", **cells, **found}
