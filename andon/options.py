"""Options that several commands share, and the console that they write to."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from edge.brokers.endpoint import Endpoint


def ordered_rows(rows: str) -> str:
    """Refuse a range of rows that ends before it begins; what is no range is refused later."""
    first, _, end = rows.strip().partition(":")
    if first.isdecimal() and end.isdecimal() and int(end) <= int(first):
        said = "is before" if int(end) < int(first) else "is"
        raise typer.BadParameter(f"the end, {end}, {said} the start, {first}: no row is left")
    return rows


Recording = Annotated[
    Path, typer.Argument(help="A table (CSV, Parquet) or a journal.", exists=True)
]
Snapshots = Annotated[Path, typer.Option(help="Snapshot directory.", exists=True)]
MappingFile = Annotated[
    Path | None,
    typer.Option(help="Mapping of a table's columns; else the shipped one that fits.", exists=True),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        help="gateway.toml with tags and context; else one beside a journal.", exists=True
    ),
]
Hours = Annotated[
    float, typer.Option(help="Plant time; 24 is a day, below 3 little happens.", min=0.05)
]
Robots = Annotated[int, typer.Option("--robots", "--assets", help="Machines in the cell.", min=1)]
Rows = Annotated[
    str, typer.Option(help="Half-open range of table rows: 0:400, 400:.", callback=ordered_rows)
]
RerankerDirectory = Annotated[
    Path | None,
    typer.Option(
        "--reranker", help="Directory of a cross-encoder: model.onnx, tokenizer.json.", exists=True
    ),
]
EmbedderDirectory = Annotated[
    Path | None,
    typer.Option(
        "--embedder", help="Directory of another text model; else the shipped one.", exists=True
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Options of every command that connects to a broker, each of them an option by its name."""

    host: Annotated[str, typer.Option(help="Broker host.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(help="Broker port.")] = 1883
    username: Annotated[str, typer.Option(help="Broker user.")] = ""
    password_file: Annotated[Path | None, typer.Option(help="File with its password.")] = None
    tls_ca_file: Annotated[
        Path | None, typer.Option(help="The broker's authority (PEM); turns TLS on.", exists=True)
    ] = None
    tls_cert_file: Annotated[
        Path | None, typer.Option(help="Our certificate (PEM).", exists=True)
    ] = None
    tls_key_file: Annotated[
        Path | None, typer.Option(help="Its private key (PEM).", exists=True)
    ] = None
    tls_key_password_file: Annotated[
        Path | None, typer.Option(help="File with the key's password.", exists=True)
    ] = None
    tls_crl_file: Annotated[
        Path | None, typer.Option(help="Revocation lists (PEM).", exists=True)
    ] = None
    tls_server_name: Annotated[
        str, typer.Option(help="Who the broker's certificate must name; else --host.")
    ] = ""

    def endpoint(self) -> Endpoint:
        """Where to connect to. Raises ConfigError."""
        from edge.brokers.links import endpoint_of
        from edge.configuration.config import GatewayConfig
        from edge.configuration.sections import MqttConfig
        from edge.errors import ConfigError

        def told(option: str | int | Path | None) -> str | int:
            if option is None:
                return ""
            return str(option.absolute()) if isinstance(option, Path) else option

        options = {field.name: told(getattr(self, field.name)) for field in fields(self)}
        try:
            broker = MqttConfig(client_id="", **options)  # type: ignore[arg-type]
        except ValueError as error:
            raise ConfigError(str(error)) from error
        return endpoint_of(GatewayConfig(site="s", mqtt=broker))


def connects(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a connection in place of its parameter `broker`."""
    own = inspect.signature(command, eval_str=True).parameters
    shared = inspect.signature(Broker, eval_str=True).parameters

    @functools.wraps(command)
    def with_options(**options: Any) -> None:  # noqa: ANN401 - what typer has read
        broker = Broker(**{name: options.pop(name) for name in shared})
        command(**options, broker=broker)

    kept = [parameter for name, parameter in own.items() if name != "broker"]
    with_options.__signature__ = inspect.Signature([*kept, *shared.values()])  # type: ignore[attr-defined]
    return with_options


def console(*, stderr: bool = False) -> Console:
    """Where results and progress go; stderr: where the results are JSON on stdout."""
    from rich.console import Console

    return Console(stderr=stderr)


def make_embedder_known(directory: Path | None) -> None:
    """Let this command open snapshots that were built with another text model."""
    from kb.retrieval.embed import make_known

    if directory:
        make_known(directory)
