"""`andon check` asks a broker for all that a gateway subscribes to, `fence` among it."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.checks.brokers import broker_findings
from edge.configuration.config import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REFUSED = 0x80  # of MQTT 3.1.1


@contextmanager
def broker_that_refuses(topic: str) -> Iterator[int]:
    """A broker that lets everybody in, and grants every subscription but one; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, topic.encode()), daemon=True)
        thread.start()
        yield server.getsockname()[1]
    thread.join(5)


def _serve(server: socket.socket, refused: bytes) -> None:
    with suppress(OSError):
        peer, _ = server.accept()
        with peer, peer.makefile("rb") as stream:
            while head := stream.read(2):  # no packet here is longer than 127 bytes
                body = stream.read(head[1]) if head[1] < 128 else _long(stream, head[1])
                if head[0] >> 4 == 1:
                    peer.sendall(b"\x20\x02\x00\x00")  # CONNACK, let in
                elif head[0] >> 4 == 8:
                    peer.sendall(_granted(body, refused))


def _long(stream: object, low: int) -> bytes:
    high = stream.read(1)[0]  # type: ignore[attr-defined]
    body: bytes = stream.read((low & 127) + high * 128)  # type: ignore[attr-defined]
    return body


def _granted(body: bytes, refused: bytes) -> bytes:
    """SUBACK of a SUBSCRIBE."""
    codes, at = bytearray(), 2
    while at < len(body):
        size = int.from_bytes(body[at : at + 2], "big")
        codes.append(REFUSED if body[at + 2 : at + 2 + size] == refused else 1)
        at += 3 + size
    return bytes([0x90, 2 + len(codes), *body[:2], *codes])


@pytest.mark.parametrize("topic", ["andon/s/fence", "andon/s/alert/#", "andon/s/cmd/+/+"])
def test_a_gateway_that_may_not_hear_what_it_waits_for_is_told_before(
    tmp_path: Path, topic: str
) -> None:
    """Else it would start, and say nothing for ever."""
    file = tmp_path / "gateway.toml"
    file.write_text('site = "s"\n[model]\nbundle = "b"\n', encoding="utf-8")
    with broker_that_refuses(topic) as port:
        config = load(file, environment={})
        config = msgspec.structs.replace(
            config, mqtt=msgspec.structs.replace(config.mqtt, host="127.0.0.1", port=port)
        )
        found = {what: (fine, detail) for what, fine, detail in broker_findings(config)}
    assert not found["broker"][0]
    assert f"subscription to {topic} refused" in found["broker"][1]
