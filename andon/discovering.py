"""Commands from a broker to a gateway: discover what it carries, learn what is normal."""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated

import typer

from andon.options import Broker, connects, console


@connects
def discover(
    broker_at: Annotated[
        str, typer.Option("--broker", help="HOST:PORT, in place of --host and --port.")
    ] = "",
    topics: Annotated[list[str], typer.Option("--topic", help="Topic filter; may repeat.")] = ["#"],  # noqa: B006
    seconds: Annotated[
        float, typer.Option(help="How long to listen; ten steps of the slowest tag.", min=1.0)
    ] = 60.0,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Configuration to write.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite that file.")] = False,
    site: Annotated[str, typer.Option(help="Name of the plant, as in our topics.")] = "plant",
    prefix: Annotated[str, typer.Option(help="Andon's own topics, which stay out.")] = "andon",
    as_json: Annotated[bool, typer.Option("--json", help="Print findings as JSON.")] = False,
    *,
    broker: Broker,
) -> None:
    """Listen to a broker, say what it carries, and write a gateway.toml of it.

    It only reads: nothing is published, and topics of commands are not looked at. What is guessed
    is marked as a guess. Exit code 1: no asset was found, and nothing was written.

    Examples: `andon discover --broker 10.0.0.5:1883 -o gateway.toml`,
    `andon discover --topic 'plant/#' --seconds 300 --json`
    """
    from edge.discovery import shown
    from edge.discovery.judging import judged
    from edge.discovery.listening import listen
    from edge.discovery.written import written
    from edge.errors import ConfigError
    from edge.wire.topics import is_asset_id

    if out is not None and out.exists() and not force:
        raise ConfigError(f"{out} is there already; name another file with -o, or add --force")
    if out is not None and not out.parent.is_dir():
        raise ConfigError(f"{out}: there is no directory {out.parent}; make it, or name another")
    for name, text in (("--site", site), ("--prefix", prefix)):
        if not is_asset_id(text):
            raise typer.BadParameter(f"{name} is {text!r}, expected a name without / + #")
    at = broker
    if broker_at:
        host, port = _place(broker_at)
        at = replace(broker, host=host, port=port or broker.port)
    screen = console(stderr=as_json)
    observed, dropped = listen(
        at.endpoint(), filters=topics, prefix=prefix, seconds=seconds, console=screen
    )
    findings = judged(observed)
    if as_json:
        sys.stdout.write(shown.as_json(findings, dropped=dropped).decode() + "\n")
    else:
        shown.show(findings, dropped=dropped, console=screen)
    if not findings.assets:
        asked = ", ".join(topics)
        screen.print(f"no asset on {asked}: check host, port and topic, or listen longer")
        raise typer.Exit(1)
    if out is not None:
        text = written(findings, site=site, prefix=prefix, mqtt=_mqtt(at), name=out.name)
        _write(out, text, force=force)
        screen.print(f"wrote {out}; next: andon check {out}", highlight=False, soft_wrap=True)


def learn(
    config: Annotated[Path, typer.Argument(help="gateway.toml", exists=True)],
    minutes: Annotated[
        float, typer.Option(help="That the plant has to have spoken.", min=0.05)
    ] = 60.0,
    recording: Annotated[
        Path | None, typer.Option(help="Where to record; else learned/recording beside it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="New bundle; else learned/bundle beside it.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Adopt the bundle, whatever it changes.")
    ] = False,
) -> None:
    """Record what a gateway would hear for an hour, fit it, and let gateway.toml name the bundle.

    Only time in which something comes counts. The recording stays; after Ctrl-C the same command
    goes on with it. Exit code 1: too little came, or the bundle was not adopted.

    Examples: `andon learn gateway.toml`, `andon learn gateway.toml --minutes 240 -o bundles/line3`
    """
    from edge.bundles.learning import LearnRequest
    from edge.bundles.learning import learn as learn_bundle

    beside = config.parent / "learned"
    request = LearnRequest(
        config=config,
        recording=recording or beside / "recording",
        out=out or beside / "bundle",
        minutes=minutes,
        yes=yes,
    )
    raise typer.Exit(learn_bundle(request, console=console()))


def _place(text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT; 0 where the port is left out."""
    host, colon, port = text.rpartition(":")
    if not colon or "]" in port:
        host, port = text, ""
    host = host.removeprefix("[").removesuffix("]")
    if not host or (port and not (port.isdecimal() and 0 < int(port) < 65_536)):
        raise typer.BadParameter(f"--broker is {text!r}, expected HOST:PORT, such as 10.0.0.5:1883")
    return host, int(port or 0)


def _mqtt(broker: Broker) -> dict[str, str | int]:
    """Keys of [mqtt]; files as paths from the root, as the configuration lies elsewhere."""
    told: dict[str, str | int] = {}
    for field in fields(broker):
        value = getattr(broker, field.name)
        if isinstance(value, Path):
            value = str(value.absolute())
        if value or field.name in ("host", "port"):
            told[field.name] = value
    return told


def _write(out: Path, text: str, *, force: bool) -> None:
    """Write the file whole or not at all; without force it must not be there even now."""
    from edge.configuration.config import load
    from edge.errors import ConfigError

    work = out.with_name(f".{out.name}.new")
    work.write_text(text, encoding="utf-8")
    try:
        load(work, environment={})  # what we wrote and cannot read ourselves is not handed on
        if force:
            work.replace(out)
            return
        try:
            out.hardlink_to(work)
        except FileExistsError as error:
            raise ConfigError(
                f"{out} is there by now; name another file, or add --force"
            ) from error
    finally:
        work.unlink(missing_ok=True)
