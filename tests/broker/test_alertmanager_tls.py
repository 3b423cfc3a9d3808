"""Requests to Alertmanager over TLS: whom they believe, and with what they prove themselves."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Self

import msgspec
import pytest

from edge.configuration.config import GatewayConfig
from edge.configuration.output_settings import OutputsConfig
from edge.errors import ConfigError
from edge.outputs.alertmanager import Poster, RefusedError
from tests.broker.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path


class Server:
    """HTTPS with a certificate of an authority; answers 401 to any other token than `word`."""

    def __init__(self, authority: Authority) -> None:
        self.paths: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                outer.paths.append(self.path)
                known = self.headers["Authorization"] == "Bearer word"
                self.send_response(200 if known else 401)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        own = authority.issue("server")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own.cert, own.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def poster(port: int, folder: Path, ca: Path) -> Poster:
    """With a token from a file, below a path of a proxy."""
    told = {
        "url": f"https://localhost:{port}/monitoring/",
        "ca_file": str(ca),
        "token_file": "token",
    }
    output = msgspec.convert({"alertmanager": told}, OutputsConfig)
    return Poster(GatewayConfig(site="s", output=output, base=str(folder)))


def test_a_server_of_our_authority_gets_the_token_of_the_file(tmp_path: Path) -> None:
    """As it stands there now: tokens are renewed while we run."""
    authority = Authority(tmp_path / "ours")
    (tmp_path / "token").write_text("old\n", encoding="utf-8")
    with Server(authority) as server:
        ours = poster(server.port, tmp_path, authority.file)
        with pytest.raises(RefusedError, match="401"):
            ours.post(b"[]")
        (tmp_path / "token").write_text("word\n", encoding="utf-8")
        ours.post(b"[]")
        (tmp_path / "token").unlink()
        with pytest.raises(ConfigError, match="token"):
            ours.post(b"[]")
    assert server.paths == ["/monitoring/api/v2/alerts"] * 2


def test_a_server_of_another_authority_gets_nothing(tmp_path: Path) -> None:
    """Neither alerts nor the token."""
    (tmp_path / "token").write_text("word", encoding="utf-8")
    other = Authority(tmp_path / "other")
    with Server(Authority(tmp_path / "ours")) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            poster(server.port, tmp_path, other.file).post(b"[]")
        assert not server.paths
