"""Written: an import as tables, a `gateway.toml` that names them, and a report."""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import TYPE_CHECKING, Final

from edge.discovery.written import LEARNS, in_comment, toml_text
from edge.imports.sorting import units_unknown
from kb.drafts.limits import COLUMNS
from kb.drafts.rows import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge.imports.sorting import Asset, Imported
    from edge.imports.tags import Remark

CONFIG, ASSETS, TAGS = "gateway.toml", "assets.csv", "tags.csv"
LIMITS, REPORT = "limits-proposed.csv", "report.md"
FILES: Final = (CONFIG, ASSETS, TAGS, LIMITS, REPORT)
HEAD: Final = """\
# Written by `andon wire import` of {name}, an export of {product}: {assets} assets, {channels}
# channels, {context} context tags; report.md says what was left out, and why. Nothing of it was
# heard yet: `andon check gateway.toml`, then `andon run gateway.toml`. Nothing here suppresses an
# alert or is a limit: limits-proposed.csv waits for a person (docs/how-to/import-tags.md).
"""
INCLUDE: Final = """\
[include]  # on_change stands in assets.csv: this gateway sends what has changed
assets = "assets.csv"
tags = "tags.csv"
"""


def written(
    imported: Imported, *, name: str, site: str, host: str, port: int, period_s: float
) -> dict[str, str]:
    """The text of each file. name: of the export; period_s: a guess, until the first fit."""
    return {
        CONFIG: "\n".join(
            _config(imported, name=name, site=site, host=host, port=port, period_s=period_s)
        ),
        ASSETS: _csv(
            ("id", "on_change"),
            [(a.id, ";".join(tag.tag for tag in a.channels)) for a in imported.assets],
        ),
        TAGS: _csv(
            ("asset", "tag", "channel", "unit"),
            [(a.id, t.tag, t.tag, t.unit) for a in imported.assets for t in a.channels],
        ),
        LIMITS: table(COLUMNS, imported.limits),
        REPORT: "\n".join(_report(imported, name)) + "\n",
    }


def summary(imported: Imported) -> list[str]:
    """What was taken and what was not, for a terminal: one line each."""
    export = imported.export
    channels = sum(len(one.channels) for one in imported.assets)
    context = sum(len(one.context) for one in imported.assets)
    lines = [
        f"taken of {len(imported.assets)} assets: {channels} channels, {context} context tags",
        f"left out: {len(export.left_out)} tags",
    ]
    lines += [f"  {count} {why}" for why, count in _reasons(export.left_out)]
    lines.append(f"without a unit: {units_unknown(imported.assets)} channels")
    lines.append(f"limits proposed: {len(imported.limits)}; none counts until it is approved")
    return lines


def _config(
    imported: Imported, *, name: str, site: str, host: str, port: int, period_s: float
) -> Iterator[str]:
    yield HEAD.format(
        name=in_comment(name),
        product=imported.export.product,
        assets=len(imported.assets),
        channels=sum(len(one.channels) for one in imported.assets),
        context=sum(len(one.context) for one in imported.assets),
    )
    for note in imported.export.notes:
        yield f"# Note: {in_comment(note)}"
    yield f"site = {toml_text(site)}\n"
    yield f"[mqtt]\nhost = {toml_text(host)}\nport = {port}\n"
    yield LEARNS.format(period=repr(period_s))
    yield INCLUDE
    for source in imported.export.sources:
        yield "[[source]]"
        yield f"topic = {toml_text(source.topic)}"
        for key, value in (
            ("asset", source.asset),
            ("format", source.form),
            ("asset_from", source.asset_from),
            ("tag_from", source.tag_from),
        ):
            if value:
                yield f"{key} = {toml_text(value)}"
        yield ""
    for asset in imported.assets:
        if asset.context:
            yield from _context(asset)


def _context(asset: Asset) -> Iterator[str]:
    yield f"[[asset]]\nid = {toml_text(asset.id)}"
    yield "context = [  # not scored; its channels are in tags.csv"
    for tag, why in asset.context:
        guess = f"  # its name suggests {in_comment(why)}" if why else ""
        yield f'  {{ tag = {toml_text(tag.tag)}, role = "info" }},{guess}'
    yield "]\n"


def _report(imported: Imported, name: str) -> Iterator[str]:
    export = imported.export
    yield f"# Import of {_cell(name)}\n"
    yield from (f"- {line.strip()}" for line in summary(imported))
    yield from (f"- {_cell(note)}" for note in export.notes)
    yield "\n## Next\n"
    yield "1. Look through what was left out below, and fill in units in `tags.csv`."
    yield "2. `andon check gateway.toml`, then `andon run gateway.toml`."
    yield f"3. Go through `{LIMITS}` with somebody who may approve limits: a row counts once"
    yield "   `approved_by` and `approved_at` are filled in and the table is in the folder of"
    yield "   documents. The range of an instrument is no limit: delete such rows.\n"
    yield "## Assets\n"
    yield "| asset | channels | context |\n|---|---|---|"
    for asset in imported.assets:
        yield f"| {_cell(asset.id)} | {len(asset.channels)} | {len(asset.context)} |"
    yield from _table("Left out", export.left_out)
    yield from _table("Taken, but not all of it", export.remarks)


def _table(title: str, remarks: Sequence[Remark]) -> Iterator[str]:
    yield f"\n## {title}\n"
    if not remarks:
        yield "Nothing."
        return
    yield "| tag | where | why |\n|---|---|---|"
    for one in remarks:
        yield f"| {_cell(one.name)} | {_cell(one.where)} | {_cell(one.why)} |"


def _reasons(left_out: Sequence[Remark]) -> list[tuple[str, int]]:
    """Reasons with how often they hold, most often first; what a reason is of is left away."""
    return Counter(_kind(one.why) for one in left_out).most_common()


def _kind(why: str) -> str:
    return "comes twice" if why.startswith("its name comes twice") else in_comment(why)


def _csv(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return file.getvalue()


def _cell(text: str) -> str:
    """A text that stays within its cell of Markdown, and is nothing but text there."""
    shown = in_comment(text).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{c}" if c in "\\|`*_[]" else c for c in shown)
