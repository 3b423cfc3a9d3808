"""Attacks on the way to the broker, and mistakes that look like one: refused, with what to do.

Every broker here is a real mosquitto with certificates that were made a moment ago.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as paho
import pytest

from edge.brokers.endpoint import Endpoint
from edge.brokers.link import Link
from edge.brokers.mqtt import BrokerError, Collector, Publisher
from edge.brokers.tls import TlsFiles
from tests.broker.certificates import Authority, Pair
from tests.broker.conftest import free_port
from tests.told import refused_with
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.broker.conftest import Mosquitto

OLD_TLS: Final = """\
openssl_conf = all
[all]
ssl_conf = both
[both]
system_default = old
[old]
MinProtocol = TLSv1
MaxProtocol = TLSv1.1
CipherString = DEFAULT@SECLEVEL=0
"""  # of the broker's own library: mosquitto itself cannot be told to offer nothing newer
OLD_LINES: Final = "tls_version tlsv1.1\nciphers DEFAULT@SECLEVEL=0\n"


class Plant:
    """A broker with a listener for TLS, an authority that it is of, and another one."""

    def __init__(self, broker: Mosquitto, folder: Path) -> None:
        self.broker, self.folder = broker, folder
        self.port = free_port()
        broker.overheard.reached_by(self.port)
        self.own = Authority(folder / "own")
        self.foreign = Authority(folder / "foreign", "foreign")
        self.client = self.own.issue("gateway")

    def serve(
        self, pair: Pair, *, clients: bool = False, more: str = "", **environment: str
    ) -> None:
        """Listen with a certificate; clients: whether theirs is asked for."""
        self.broker.stop()
        lines = [f"listener {self.port} 127.0.0.1", f"cafile {self.own.file}"]
        lines += [f"certfile {pair.cert}", f"keyfile {pair.key}"]
        lines += ["require_certificate true"] * clients
        self.broker.start(more="\n".join([*lines, more]), **environment)

    def files(self, **given: str | Path) -> TlsFiles:
        """What a client has: the authority of the broker, and what is given."""
        named = {"ca": self.own.file, **given}
        return TlsFiles(**{key: str(value) for key, value in named.items()})

    def with_pair(self, pair: Pair, **given: str | Path) -> TlsFiles:
        """Likewise, with a certificate."""
        return self.files(cert=pair.cert, key=pair.key, **given)

    def at(self, tls: TlsFiles | None, *, port: int = 0, name: str = "gateway") -> Endpoint:
        """Where to connect; localhost stands in every certificate that names nobody else."""
        return Endpoint(host="localhost", port=port or self.port, tls=tls, client_id=name)


@pytest.fixture
def plant(mosquitto: Mosquitto, tmp_path: Path) -> Plant:
    """Make one."""
    return Plant(mosquitto, tmp_path)


def wrong_authority(plant: Plant) -> Endpoint:
    """Somebody answers in the broker's name with a certificate of another authority."""
    plant.serve(plant.foreign.issue("server"))
    return plant.at(plant.files())


def expired(plant: Plant) -> Endpoint:
    """The broker's certificate ended yesterday."""
    plant.serve(plant.own.issue("server", begin_days=-30, end_days=-1))
    return plant.at(plant.files())


def not_yet_valid(plant: Plant) -> Endpoint:
    """It begins tomorrow, or our clock is behind."""
    plant.serve(plant.own.issue("server", begin_days=1))
    return plant.at(plant.files())


def wrong_host(plant: Plant) -> Endpoint:
    """A certificate of the right authority, made for another machine."""
    plant.serve(plant.own.issue("server", hosts=["printer.plant"]))
    return plant.at(plant.files())


def revoked(plant: Plant) -> Endpoint:
    """The broker's key was stolen, and its certificate taken back."""
    server = plant.own.issue("server")
    plant.serve(server)
    return plant.at(plant.files(crl=plant.own.revoke(server)))


def old_revocation_list(plant: Plant) -> Endpoint:
    """Somebody keeps the list from us: what was revoked since is not in it."""
    plant.serve(plant.own.issue("server"))
    return plant.at(plant.files(crl=plant.own.revoke(end_days=-1)))


def list_of_another(plant: Plant) -> Endpoint:
    """The list of another authority says nothing about this broker."""
    plant.serve(plant.own.issue("server"))
    return plant.at(plant.files(crl=plant.foreign.revoke()))


def no_client_certificate(plant: Plant) -> Endpoint:
    """Whoever cannot show one is not let in."""
    plant.serve(plant.own.issue("server"), clients=True)
    return plant.at(plant.files())


def client_expired(plant: Plant) -> Endpoint:
    """Ours ended yesterday."""
    plant.serve(plant.own.issue("server"), clients=True)
    return plant.at(plant.with_pair(plant.own.issue("old", begin_days=-30, end_days=-1)))


def client_of_another_authority(plant: Plant) -> Endpoint:
    """Ours is of an authority that the broker does not know."""
    plant.serve(plant.own.issue("server"), clients=True)
    return plant.at(plant.with_pair(plant.foreign.issue("gateway")))


def client_revoked(plant: Plant) -> Endpoint:
    """Ours was taken back."""
    crl = plant.own.revoke(plant.client)
    plant.serve(plant.own.issue("server"), clients=True, more=f"crlfile {crl}")
    return plant.at(plant.with_pair(plant.client))


def downgrade(plant: Plant) -> Endpoint:
    """Whoever is there offers TLS 1.1 at most."""
    library = plant.folder / "openssl.cnf"
    library.write_text(OLD_TLS, encoding="ascii")
    plant.serve(plant.own.issue("server"), more=OLD_LINES, OPENSSL_CONF=str(library))
    assert _speaks_old_tls(plant) == "TLSv1.1", "it would have let an old client in"
    return plant.at(plant.files())


def _speaks_old_tls(plant: Plant) -> str | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(plant.own.file)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    with (
        socket.create_connection(("localhost", plant.port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as made,
    ):
        return made.version()


def stripped_of_tls(plant: Plant) -> Endpoint:
    """Whoever is there speaks MQTT in plain text, where TLS is expected."""
    return plant.at(plant.files(), port=plant.broker.port)


def plain_text_to_a_secure_port(plant: Plant) -> Endpoint:
    """We would speak plain text to a listener for TLS."""
    plant.serve(plant.own.issue("server"))
    return plant.at(None)


# Attack -> (what is set up, what the message has to say)
ATTACKS: Final[dict[str, tuple[Callable[[Plant], Endpoint], tuple[str, ...]]]] = {
    "wrong_authority": (wrong_authority, ("of an authority that is not in tls_ca_file", "ca.crt")),
    "expired": (expired, ("has expired", "renew it", "clock of this box (it says 2")),
    "not_yet_valid": (not_yet_valid, ("not valid yet", "clock of this box")),
    "wrong_host": (wrong_host, ("not for localhost", "tls_server_name")),
    "revoked": (revoked, ("is revoked by", "ca.crl", "do not trust this broker")),
    "old_revocation_list": (old_revocation_list, ("has expired", "fetch the newest")),
    "list_of_another": (list_of_another, ("has no list of the authority", "tls_crl_file")),
    "no_client_certificate": (no_client_certificate, ("tls_cert_file and tls_key_file",)),
    "client_expired": (client_expired, ("our certificate", "old.crt", "has expired")),
    "client_of_another_authority": (
        client_of_another_authority,
        ("our certificate", "gateway.crt", "does not know the authority"),
    ),
    "client_revoked": (client_revoked, ("our certificate", "gateway.crt", "is revoked")),
    "downgrade": (downgrade, ("no TLS 1.2 or newer", "tls_version")),
    "stripped_of_tls": (stripped_of_tls, ("port without TLS",)),
    "plain_text_to_a_secure_port": (plain_text_to_a_secure_port, ("speaks TLS", "tls_ca_file")),
}


@dataclass(slots=True)
class Spied:
    """A link, and everything that came over it."""

    link: Link
    connected: threading.Event


def link_to(endpoint: Endpoint) -> Spied:
    """A gateway's own connection, started."""
    connected = threading.Event()
    link = Link(
        endpoint,
        filters=["plant/#"],
        queue_messages_max=10,
        will=None,
        on_connected=connected.set,
        wake=threading.Event(),
    )
    link.start()
    return Spied(link, connected)


@pytest.mark.parametrize("attack", ATTACKS)
def test_who_cannot_be_verified_is_not_talked_to(plant: Plant, attack: str) -> None:
    """A gateway's link, a recording and a replay all say what is wrong, and connect to nobody."""
    set_up, says = ATTACKS[attack]
    endpoint = set_up(plant)
    spied = link_to(endpoint)
    try:
        told = [_refusal(lambda: Collector(endpoint, ["#"])), _refusal(lambda: Publisher(endpoint))]
        wait_until(lambda: spied.link.refusal, what="the link's own word")
        for message in (*told, spied.link.refusal):
            for words in says:
                assert words in message
        assert all(message.startswith(f"broker localhost:{endpoint.port}: ") for message in told)
        assert not spied.connected.is_set()
        assert not spied.link.counts.connects
        refused_with(spied.link.refusal)
    finally:
        spied.link.stop()


def test_the_brokers_word_is_read_when_it_does_not_listen_any_more(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says why and closes: whichever of reading and writing finds that out first."""

    def too_late(client: paho.Client, packet: bytes) -> int:
        connection = client.socket()
        assert isinstance(connection, socket.socket)
        select.select([connection], [], [], 10)  # its alert has come
        socket.socket.shutdown(connection, socket.SHUT_WR)
        return sends(client, packet)

    sends = paho.Client._sock_send
    monkeypatch.setattr(paho.Client, "_sock_send", too_late)
    endpoint = client_of_another_authority(plant)
    assert "does not know the authority" in _refusal(lambda: Collector(endpoint, ["#"]))


def _refusal(connect: Callable[[], Any]) -> str:
    with pytest.raises(BrokerError) as caught, connect():
        pass
    return str(caught.value)


def test_with_everything_right_all_of_them_get_in(plant: Plant) -> None:
    """Mutual TLS with a revocation list on both sides; else the refusals would prove nothing."""
    stolen, crl = plant.own.issue("stolen"), plant.own.file.parent / "ca.crl"
    plant.own.revoke(stolen)
    plant.serve(plant.own.issue("server"), clients=True, more=f"crlfile {crl}")
    endpoint = plant.at(plant.with_pair(plant.client, crl=crl))
    spied = link_to(endpoint)
    assert spied.connected.wait(20)
    with Collector(Endpoint(port=plant.broker.port), ["#"]) as heard:
        replay = plant.at(plant.with_pair(plant.own.issue("replay"), crl=crl), name="")
        with Publisher(replay) as publisher:
            publisher.publish("plant/a", b"1")
            publisher.drain()
        wait_until(lambda: heard.queue and spied.link.queue_depth, what="the message")
    days = [round(span.days_left(time.time())) for span in spied.link.spans]
    assert days == [400, 400, 30]
    spied.link.stop()


def test_what_was_renewed_on_disk_counts_from_the_next_connection(plant: Plant) -> None:
    """A client certificate, its key and the authority's file are read anew, without a restart."""
    mine = plant.own.issue("gateway", begin_days=-30, end_days=-1)
    plant.serve(plant.own.issue("server"), clients=True)
    spied = link_to(plant.at(plant.with_pair(mine)))
    wait_until(lambda: "our certificate" in spied.link.refusal, what="the refusal")
    assert "ended on" in spied.link.spans[-1].trouble(time.time())
    plant.own.issue("gateway")  # the same two files
    assert spied.connected.wait(30)
    assert not spied.link.refusal
    assert not any(span.trouble(time.time()) for span in spied.link.spans)
    spied.link.stop()


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("ca", "tls_ca_file"),
        ("crl", "tls_crl_file"),
        ("cert", "tls_cert_file"),
        ("key", "tls_key_file"),
        ("key_password", "tls_key_password_file"),
    ],
)
@pytest.mark.parametrize("content", [None, b"", b"\xff\x00 no certificate", b"-----BEGIN X-----\n"])
def test_a_file_that_is_none_is_named(
    plant: Plant, key: str, says: str, content: bytes | None
) -> None:
    """With its key; nothing is asked on the terminal, and nothing is tried without it."""
    secret = plant.folder / "secret"
    secret.write_text("pass\n", encoding="ascii")
    pair = plant.own.issue("locked", password="pass")
    given = {"crl": plant.own.revoke(), "cert": pair.cert, "key": pair.key, "key_password": secret}
    bad = plant.folder / "bad"
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(BrokerError) as caught:
        Publisher(plant.at(plant.files(**{**given, key: bad})))
    assert says in str(caught.value)
    Publisher(plant.at(plant.files(**given)))  # with all of them right there is nothing to say


def test_a_key_is_of_its_certificate_and_its_password_right(plant: Plant) -> None:
    """Each mistake has its own message."""
    locked, other = plant.own.issue("locked", password="pass"), plant.own.issue("other")
    wrong = plant.folder / "wrong"
    wrong.write_text("passed\n", encoding="ascii")
    for files, says in (
        (plant.files(cert=locked.cert, key=locked.key), "it has a password; tls_key_password_file"),
        (
            plant.files(cert=locked.cert, key=locked.key, key_password=wrong),
            "the password is wrong",
        ),
        (plant.files(cert=plant.client.cert, key=other.key), "is not the key of"),
    ):
        with pytest.raises(BrokerError, match=says):
            Publisher(plant.at(files))
