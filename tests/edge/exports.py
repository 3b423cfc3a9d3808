"""Exports of Kepware and Ignition as tests write them, and what is configured of them."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from edge.configuration.config import load
from edge.imports.kepware import period_s, read_kepware
from edge.imports.sorting import sorted_out
from edge.imports.written import written

if TYPE_CHECKING:
    from pathlib import Path

    from edge.configuration.config import GatewayConfig
    from edge.imports.tags import Export

COLUMNS = [
    "Tag Name", "Address", "Data Type", "Respect Data Type", "Client Access", "Scan Rate",
    "Scaling", "Raw Low", "Raw High", "Scaled Low", "Scaled High", "Scaled Data Type", "Clamp Low",
    "Clamp High", "Eng Units", "Description", "Negate Value",
]  # fmt: skip


def kepware_csv(rows: list[dict[str, str]], *, delimiter: str = ",") -> str:
    """An export with these cells, quoted as Kepware does."""
    file = io.StringIO()
    writer = csv.DictWriter(
        file, COLUMNS, restval="", delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\r\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def row(name: str, kind: str = "Float", **more: str) -> dict[str, str]:
    """A row of an export."""
    cells = {"Tag Name": name, "Data Type": kind, "Client Access": "RO", "Scan Rate": "500"}
    return {**cells, **{key.replace("_", " "): value for key, value in more.items()}}


def kepware(rows: list[dict[str, str]], **settings: str) -> Export:
    """What is read of an export with these rows."""
    options = {"name": "x.csv", "device": "C.D1", "topic": "iotgateway", **settings}
    return read_kepware(kepware_csv(rows), **options)


def configured(export: Export, folder: Path) -> GatewayConfig:
    """What is written of an export, as a gateway reads it."""
    imported = sorted_out(export)
    texts = written(
        imported, name="x", site="s", host="h", port=1883, period_s=period_s(export.tags)
    )
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return load(folder / "gateway.toml", environment={})


def opc(name: str, data: str = "Float4", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """An atomic tag."""
    return {"name": name, "tagType": "AtomicTag", "valueSource": "opc", "dataType": data, **more}


def folder(name: str, *tags: dict[str, Any], kind: str = "Folder", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """A node with tags below it."""
    return {"name": name, "tagType": kind, "tags": list(tags), **more}


BOUND = {"bindType": "parameter", "binding": "{unit}"}
