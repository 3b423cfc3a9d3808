"""Commands about wiring: take over how other products have it, see what a plant has changed."""

from __future__ import annotations

import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from andon.options import console

if TYPE_CHECKING:
    from edge.imports.tags import Export


class Product(StrEnum):
    """Whose export it is."""

    KEPWARE = "kepware"
    IGNITION = "ignition"


def wire_import(
    product: Annotated[Product, typer.Argument(help="Whose export it is.")],
    file: Annotated[Path, typer.Argument(help="CSV of Kepware, JSON of Ignition.", exists=True)],
    out: Annotated[Path, typer.Option("-o", "--out", help="Directory to write into.")],
    device: Annotated[
        str, typer.Option(help="Kepware: the device that was exported; its export has no name.")
    ] = "",
    topic: Annotated[
        str, typer.Option(help="Kepware: topic of the IoT Gateway's MQTT client.")
    ] = "iotgateway",
    root: Annotated[
        str, typer.Option(help="Ignition: the transmitter's tag path, above the group.")
    ] = "",
    below: Annotated[
        str, typer.Option(help="Ignition: GROUP/NODE/DEVICE, or what of it folders lack.")
    ] = "",
    types: Annotated[
        Path | None, typer.Option(help="Ignition: export of the UDT definitions.", exists=True)
    ] = None,
    site: Annotated[str, typer.Option(help="Name of the plant, as in our topics.")] = "plant",
    host: Annotated[str, typer.Option(help="Broker, for [mqtt].")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the broker.", min=1, max=65_535)] = 1883,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files of before.")] = False,
) -> None:
    """Make tables and a gateway.toml of tags that Kepware or Ignition exports.

    Writes gateway.toml, assets.csv, tags.csv, limits-proposed.csv and report.md. No tag is dropped
    in silence: the report says what was left out and why. No limit counts until it is approved.
    Exit code 1: no tag could be taken, and nothing was written.

    Examples: `andon wire import kepware press.csv --device Press4 -o press4`,
    `andon wire import ignition tags.json --below Plant/Line3/Press -o press`
    """
    from edge.configuration.config import load
    from edge.errors import ConfigError
    from edge.imports.kepware import period_s
    from edge.imports.sorting import sorted_out
    from edge.imports.written import CONFIG, FILES, summary, written
    from edge.wire.topics import is_asset_id

    if not is_asset_id(site):
        raise typer.BadParameter(f"--site is {site!r}, expected a name without / + #")
    there = [name for name in FILES if (out / name).exists()]
    if there and not force:
        raise ConfigError(f"{out / there[0]} is there already; name another directory, or --force")
    if product is Product.KEPWARE:
        export = _kepware(file, device=device, topic=topic)
    else:
        export = _ignition(file, root=root, below=below, types=types)
    imported = sorted_out(export)
    for line in summary(imported):
        typer.echo(line)
    if not imported.assets:
        for one in imported.export.left_out[:5]:
            typer.echo(f"{one.name} ({one.where}): {one.why}")
        typer.echo("nothing to configure, and nothing was written")
        raise typer.Exit(1)
    texts = written(
        imported, name=file.name, site=site, host=host, port=port, period_s=period_s(export.tags)
    )
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".import-") as work:
        for name, text in texts.items():
            (Path(work) / name).write_text(text, encoding="utf-8", newline="")
        load(Path(work) / CONFIG, environment={})  # what we cannot read ourselves is not handed on
        for name in FILES:
            (Path(work) / name).replace(out / name)
    typer.echo(f"wrote {out}: {', '.join(FILES)}; next: andon check {out / CONFIG}")


def wire_diff(
    config: Annotated[Path, typer.Argument(help="gateway.toml", exists=True)],
    seconds: Annotated[
        float, typer.Option(help="How long to listen; ten steps of the slowest tag.", min=1.0)
    ] = 60.0,
    recording: Annotated[
        Path | None,
        typer.Option(help="Read this journal instead of the broker.", exists=True),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Say what the plant has renamed, rescaled or re-typed, and propose what it is now.

    Compares what comes with the configuration and the detector that counts: names, units, level and
    spread. Only reads, beside a gateway that runs; nothing is mapped by itself. Exit code 1:
    something differs.

    Examples: `andon wire diff gateway.toml`, `andon wire diff gateway.toml --seconds 600 --json`,
    `andon wire diff gateway.toml --recording learned/recording`
    """
    from edge.rewiring import shown
    from edge.rewiring.comparing import compare

    screen = console(stderr=as_json)
    comparison = compare(config, seconds=seconds, recording=recording, console=screen)
    if as_json:
        typer.echo(shown.as_json(comparison).decode())
    else:
        shown.show(comparison, console=screen)
    raise typer.Exit(1 if comparison.found else 0)


def _kepware(file: Path, *, device: str, topic: str) -> Export:
    from edge.imports.kepware import decoded, read_kepware

    if not device:
        raise typer.BadParameter(
            "a Kepware export does not name its device; add --device, as in Channel1.Press4"
        )
    text = decoded(_content(file), name=str(file))
    return read_kepware(text, name=str(file), device=device, topic=topic)


def _ignition(file: Path, *, root: str, below: str, types: Path | None) -> Export:
    from edge.imports.ignition import read_ignition, read_json

    tree = read_json(_content(file), name=str(file))
    known = None if types is None else read_json(_content(types), name=str(types))
    return read_ignition(tree, name=str(file), root=root, below=below, types=known)


def _content(file: Path) -> bytes:
    """The bytes of an export. Raises ConfigError for one that is too long or cannot be read."""
    from edge.errors import ConfigError
    from edge.imports.tags import FILE_BYTES_MAX

    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from error
    if len(content) > FILE_BYTES_MAX:
        raise ConfigError(
            f"{file}: more than {FILE_BYTES_MAX} bytes; export single devices or folders"
        )
    return content
