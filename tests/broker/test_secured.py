"""An installation over mutual TLS from its generated files on, and what is said of it in time."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from edge.brokers.accounts import LISTED_ASSETS_MAX, access_of
from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Collector
from edge.brokers.tls import DAY_S, WARN_DAYS, WARN_SHARE, Span, TlsFiles
from edge.checks.check import check_file
from edge.configuration.config import load
from edge.gateway.faults import Faults
from edge.storage.disk import Clock
from edge.storage.outbox import Outbox
from edge.storage.patience import NoPatience
from edge.storage.standby import StandbyOutbox
from tests.broker.certificates import Authority
from tests.broker.gateways import GatewayProcess, Subscriber, newest_health, online
from tests.broker.plants import ASSETS, ROOT, invoke, refused, settings
from tests.broker.test_attacks_transport import Plant, link_to
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.conftest import Mosquitto

GATEWAY: Final = "andon"
EARS_AS: Final = "dashboard"  # whose certificate's commands make that of the second pair of ears


def checked(config: Path) -> tuple[int, list[str], list[str]]:
    """Exit code of `andon check`, its faults, and what is fine."""
    out = io.StringIO()
    code = check_file(config, console=Console(file=out, width=500))
    rows = [line.strip() for line in out.getvalue().splitlines()]
    fine = [row.removeprefix("ok").strip() for row in rows if row.startswith("ok ")]
    return code, [row for row in rows if row.startswith("FAULT")], fine


def mutual(plant: Plant, tmp_path: Path, **more: Any) -> Path:  # noqa: ANN401 - as TOML has them
    """Settings of a gateway with a certificate for a plant's broker."""
    mqtt = {
        "host": "localhost",
        "port": plant.port,
        "tls_ca_file": str(plant.own.file),
        "tls_cert_file": str(plant.client.cert),
        "tls_key_file": str(plant.client.key),
    }
    return settings(tmp_path, mqtt=mqtt | more)


@pytest.fixture
def plant(mosquitto: Mosquitto, tmp_path: Path) -> Plant:
    """Make one."""
    return Plant(mosquitto, tmp_path / "plant")


def test_the_generated_files_and_commands_make_a_broker_over_mutual_tls(
    mosquitto_of: type[Mosquitto], tmp_path: Path
) -> None:
    """What NEXT.txt tells is run as it stands; then gateway, sensor and operator are let in."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, which is not installed")
    folder = tmp_path / "a broker"
    folder.mkdir()
    broker = mosquitto_of(folder)
    named = folder / f"{GATEWAY}.crt"
    Authority(tmp_path / "first").issue(GATEWAY).cert.rename(named)  # to be replaced below
    mqtt = {
        "host": "localhost",
        "port": broker.port,
        "tls_ca_file": str(folder / "ca.crt"),
        "tls_cert_file": str(named),
        "tls_key_file": str(folder / f"{GATEWAY}.key"),
    }
    config = settings(tmp_path, mqtt=mqtt)
    printed = invoke("broker", config, "-o", folder, "--operator", "ann")
    told = [line.strip() for line in printed.splitlines()]
    commands = [line for line in told if line.startswith("openssl ")]
    assert len(commands) == 3 + 2 * len({GATEWAY, *ASSETS, "ann", "dashboard"})
    for command in commands:
        subprocess.run(shlex.split(command), check=True, capture_output=True)
    assert not any("mosquitto_passwd" in line for line in told)
    ears = with_ears(folder, [command for command in commands if EARS_AS in command])
    broker.serve(folder / "mosquitto.conf")
    try:
        broker.overheard.listen(*ears)
        code, faults, fine = checked(config)
        assert code == 0, faults
        assert any("over TLS grants plant/+" in row for row in fine)
        days = [int(row.split(" holds for ")[1].split()[0]) for row in fine if "holds for" in row]
        assert all(798 <= one <= 800 for one in days)
        for user in ("r1", "ann"):
            files = TlsFiles(
                ca=str(folder / "ca.crt"),
                cert=str(folder / f"{user}.crt"),
                key=str(folder / f"{user}.key"),
            )
            with Collector(Endpoint(host="localhost", port=broker.port, tls=files), ["#"]):
                pass
        assert not broker.overheard.heard(), "nobody has said anything yet"
        with GatewayProcess(config, port=broker.port, state=tmp_path / "state") as gateway:
            gateway.start()
            said = {f"{ROOT}/status", f"{ROOT}/health"}
            wait_until(lambda: broker.overheard.heard() >= said, what="the gateway")
            assert gateway.stop() == 0
    finally:
        broker.overheard.stop()
        broker.stop()
    broker.overheard.check()


def with_ears(folder: Path, commands: list[str]) -> list[str | Path]:
    """Let one more reader in, who hears everything: options of mosquitto_sub that make one."""
    for command in commands:
        theirs = shlex.split(command.replace(EARS_AS, "ears"))
        subprocess.run(theirs, check=True, capture_output=True)
    with (folder / "acl").open("a", encoding="utf-8") as acl:
        acl.write("\nuser ears\ntopic read #\n")
    files = {"--cafile": "ca.crt", "--cert": "ears.crt", "--key": "ears.key"}
    named = [one for option, name in files.items() for one in (option, folder / name)]
    return ["-h", "localhost", *named]


def test_a_gateway_over_mutual_tls_says_how_long_its_certificates_hold(
    plant: Plant, tmp_path: Path
) -> None:
    """On health; and an alert in time, naming whose certificate ends."""
    plant.serve(plant.own.issue("server", begin_days=-300, end_days=10), clients=True)
    config = mutual(plant, tmp_path)
    with (
        GatewayProcess(config, port=plant.port, state=tmp_path / "state") as gateway,
        Subscriber(plant.broker.port, tmp_path / "heard", "andon/#") as heard,
    ):
        gateway.start()
        online(heard, gateway)
        health = newest_health(heard, lambda h: h["links"][0]["connected"], what="health")
        (link,) = health["links"]
        assert link["broker"] == "broker"
        assert 9.9 < link["certificate_days"] <= 10.0
        wait_until(
            lambda: [m for m in heard.of("alert") if m.body["name"] == "certificate_ends"],
            what="the alert",
        )
        told = [m.body for m in heard.of("alert") if m.body["name"] == "certificate_ends"][-1]
        assert told["active"] == 1
        assert "the broker's certificate ends on 2" in told["message"]
        assert "renew it on the broker" in told["message"]
        assert gateway.stop() == 0


class Later(Clock):
    """A wall clock that is days ahead."""

    def __init__(self, days: float) -> None:
        self._days = days

    def wall_ns(self) -> int:
        """Nanoseconds since 1970."""
        return super().wall_ns() + int(self._days * DAY_S * 1e9)


def test_a_fault_begins_before_each_certificate_ends_and_goes_when_it_is_renewed(
    plant: Plant, tmp_path: Path
) -> None:
    """The broker's, ours and the revocation list, each by name; a new file ends it at once."""
    plant.serve(plant.own.issue("server", end_days=300), clients=True)
    crl = plant.own.revoke(end_days=60)
    client = plant.own.issue("gateway", end_days=100)
    spied = link_to(plant.at(plant.with_pair(client, crl=crl)))
    assert spied.connected.wait(20)
    outbox = StandbyOutbox(lambda: Outbox(tmp_path / "outbox.sqlite"), patience=NoPatience())

    def said(days: float) -> str:
        found = Faults(Later(days)).look(spied.link, outbox, checkpoint="")
        return "".join(fault.detail for fault in found if fault.name == "certificate_ends")

    assert not said(0)
    assert "the revocation list" in said(61 - WARN_DAYS)
    assert "our certificate" not in said(61 - WARN_DAYS)
    assert "our certificate" in said(101 - WARN_DAYS)
    assert "the broker's certificate ends on" in said(301 - WARN_DAYS)
    assert "the broker's certificate ended on" in said(301)
    plant.own.revoke(end_days=200)
    assert not said(61 - WARN_DAYS), "the new list is not seen"
    plant.own.issue("gateway", end_days=200)
    assert not said(101 - WARN_DAYS), "the new certificate is not seen"
    spied.link.stop()
    outbox.close()


@given(life_days=st.floats(0.01, 4000), left_share=st.floats(-0.5, 1.0))
def test_a_certificate_is_to_be_renewed_in_its_last_three_weeks_or_its_last_third(
    life_days: float, left_share: float
) -> None:
    """Whichever is shorter: what lives for a day is no trouble while it is fresh."""
    span = Span(what="it", begin_s=0.0, end_s=life_days * DAY_S, todo="renew it")
    left_days = left_share * life_days
    said = span.trouble(span.end_s - left_days * DAY_S)
    if left_days < -1e-6:
        assert said.startswith("it ended on ")
    edge_days = min(WARN_DAYS, WARN_SHARE * life_days)
    if abs(left_days - edge_days) > 1e-6 and left_days > 1e-6:
        assert bool(said) == (left_days < edge_days)
    assert not said or said.endswith(": renew it")


@pytest.mark.parametrize(
    ("end_days", "begin_days", "says"),
    [(10, -30, "our certificate {cert} ends on"), (-1, -30, "our certificate {cert} ended on")],
)
def test_check_names_a_certificate_that_ends(
    plant: Plant, tmp_path: Path, end_days: float, begin_days: float, says: str
) -> None:
    """Days before it is a fault already, for there is something to do."""
    plant.serve(plant.own.issue("server"), clients=True)
    plant.own.issue("gateway", begin_days=begin_days, end_days=end_days)
    code, faults, _ = checked(mutual(plant, tmp_path))
    assert code == 1
    assert any(says.format(cert=plant.client.cert) in fault for fault in faults)


@pytest.mark.parametrize("key", ["password_file", "tls_key_file", "tls_key_password_file"])
def test_check_refuses_secrets_that_everybody_can_read(
    plant: Plant, tmp_path: Path, key: str
) -> None:
    """And says the command that mends it; a file of the owner's group alone is fine."""
    plant.serve(plant.own.issue("server"), clients=True)
    secret = tmp_path / "secret"
    secret.write_text("pass\n", encoding="ascii")
    secret.chmod(0o640)
    locked = plant.own.issue("gateway", password="pass")
    config = mutual(
        plant, tmp_path, username="u", password_file="secret", tls_key_password_file="secret"
    )
    code, faults, _ = checked(config)
    assert code == 0, faults
    path = locked.key if key == "tls_key_file" else secret
    path.chmod(0o644)
    code, faults, _ = checked(config)
    assert code == 1
    assert all(re.search(rf"mode 0644.*chmod 600 .*{path.name}", fault) for fault in faults)


def test_recordings_and_replays_take_the_same_files(plant: Plant, tmp_path: Path) -> None:
    """By options of the keys' names; without them each says what is missing."""
    plant.serve(plant.own.issue("server"), clients=True)
    table = tmp_path / "table.csv"
    table.write_text("time,current\n2026-01-01T00:00:00Z,1\n2026-01-01T00:00:01Z,2\n")
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(
        'asset = "r1"\n[time]\ncolumn = "time"\nformat = "iso"\n'
        '[channels]\n"current" = { unit = "A" }\n'
    )
    there = ["--host", "localhost", "--port", str(plant.port)]
    ca = ["--tls-ca-file", str(plant.own.file)]
    ours = ["--tls-cert-file", str(plant.client.cert), "--tls-key-file", str(plant.client.key)]
    wanted = ["replay", str(table), "--mapping", str(mapping), "--speed", "inf"]
    with Collector(Endpoint(port=plant.broker.port), ["plant/#"]) as heard:
        invoke(*wanted, *there, *ca, *ours)
        wait_until(lambda: heard.queue, what="the replay")
    for command in (wanted, ["record", str(tmp_path / "out"), "--seconds", "1"]):
        with pytest.raises(Exception, match="set tls_cert_file and tls_key_file"):
            refused(*command, *there, *ca)
        with pytest.raises(Exception, match="set tls_ca_file"):
            refused(*command, *there)
        with pytest.raises(Exception, match="without tls_ca_file"):
            refused(*command, *there, *ours)


def test_a_list_of_many_assets_names_them_by_one_line_a_kind(tmp_path: Path) -> None:
    """A broker looks at every line for each message; the kinds of topics stay exact."""
    config = load(settings(tmp_path, mqtt={"username": GATEWAY}), environment={})
    assets = [f"m{i}" for i in range(LISTED_ASSETS_MAX + 1)]
    (access,) = access_of(config, assets, users=[GATEWAY], operators=[], dashboards=[])
    written = next(one.writes for one in access.accounts if one.role == "gateway")
    assert len(written) < 20
    assert {"andon/s/alert/+/process", "andon/s/event/+", "andon/s/status"} <= set(written)
    assert not any(topic.endswith("#") for topic in written)
