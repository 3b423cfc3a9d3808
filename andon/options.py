"""Options that several commands share, and the console that they write to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from edge.gateway.mqtt import Endpoint


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
Host = Annotated[str, typer.Option(help="Broker host.")]
Port = Annotated[int, typer.Option(help="Broker port.")]
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


UserName = Annotated[str, typer.Option(help="Broker user.")]
PasswordFile = Annotated[Path | None, typer.Option(help="File with its password.")]
TlsCaFile = Annotated[
    Path | None, typer.Option(help="The broker's authority (PEM); turns TLS on.", exists=True)
]
TlsCertFile = Annotated[Path | None, typer.Option(help="Our certificate (PEM).", exists=True)]
TlsKeyFile = Annotated[Path | None, typer.Option(help="Its private key (PEM).", exists=True)]
TlsKeyPasswordFile = Annotated[
    Path | None, typer.Option(help="File with the key's password.", exists=True)
]
TlsCrlFile = Annotated[Path | None, typer.Option(help="Revocation lists (PEM).", exists=True)]
TlsServerName = Annotated[
    str, typer.Option(help="Who the broker's certificate must name; else --host.")
]


def endpoint(
    host: str,
    port: int,
    *,
    username: str = "",
    password_file: Path | None = None,
    tls_ca_file: Path | None = None,
    tls_cert_file: Path | None = None,
    tls_key_file: Path | None = None,
    tls_key_password_file: Path | None = None,
    tls_crl_file: Path | None = None,
    tls_server_name: str = "",
) -> Endpoint:
    """Where a command connects to, from its options. Raises ConfigError."""
    from edge.configuration.config import GatewayConfig
    from edge.configuration.sections import MqttConfig
    from edge.errors import ConfigError
    from edge.gateway.links import endpoint_of

    def text(path: Path | None) -> str:
        return "" if path is None else str(path.absolute())

    try:
        broker = MqttConfig(
            host=host,
            port=port,
            client_id="",
            username=username,
            password_file=text(password_file),
            tls_ca_file=text(tls_ca_file),
            tls_cert_file=text(tls_cert_file),
            tls_key_file=text(tls_key_file),
            tls_key_password_file=text(tls_key_password_file),
            tls_crl_file=text(tls_crl_file),
            tls_server_name=tls_server_name,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return endpoint_of(GatewayConfig(site="s", mqtt=broker))


def console() -> Console:
    """Where results and progress go."""
    from rich.console import Console

    return Console()


def make_embedder_known(directory: Path | None) -> None:
    """Let this command open snapshots that were built with another text model."""
    from kb.retrieval.embed import make_known

    if directory:
        make_known(directory)
