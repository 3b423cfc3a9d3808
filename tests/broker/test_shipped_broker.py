"""The broker configuration of deploy/mosquitto/ in a real mosquitto, with the shipped gateway."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import BrokerError, Collector, Publisher
from edge.doctor.finding import Level
from edge.doctor.look import looked
from edge.wire.readings import encode_rows
from tests.broker.gateways import GatewayProcess
from tests.broker.plants import PASSWORD, as_user, invoke, passwords
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.broker.conftest import Mosquitto

DEPLOY: Final = Path(__file__).resolve().parents[2] / "deploy"
CONFIG: Final = DEPLOY / "container" / "gateway.toml"
AT: Final = "/mosquitto/config"
ROOT: Final = "andon/plant"
WITNESS: Final = "witness"  # of these tests: hears everything
SENSOR: Final = "press4"
ROW: Final = (12.5, 4.5, 1.0)
ACCOUNTS: Final = ("andon", SENSOR, "ann", "dashboard", "page", WITNESS)


@pytest.fixture(scope="module")
def broker(
    mosquitto_of: type[Mosquitto], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mosquitto]:
    """Run the shipped files, in another directory and on another port, and one more reader."""
    folder = tmp_path_factory.mktemp("shipped")
    (folder / "store").mkdir()
    made = mosquitto_of(folder)
    text = (DEPLOY / "mosquitto" / "mosquitto.conf").read_text(encoding="utf-8")
    assert text.count("listener 1883\n") == 1
    text = text.replace("listener 1883\n", f"listener {made.port} 127.0.0.1\n")
    (folder / "mosquitto.conf").write_text(text.replace(AT, str(folder)), encoding="utf-8")
    acl = (DEPLOY / "mosquitto" / "acl").read_text(encoding="utf-8")
    (folder / "acl").write_text(f"{acl}\nuser {WITNESS}\ntopic read #\n", encoding="utf-8")
    passwords(folder, *ACCOUNTS)
    made.serve(folder / "mosquitto.conf")
    made.overheard.listen("-u", WITNESS, "-P", PASSWORD)
    try:
        yield made
    finally:
        made.overheard.stop()
        made.stop()
    made.overheard.check()


def test_the_shipped_files_are_what_andon_broker_writes(tmp_path: Path) -> None:
    """One truth: the lists that docs/security.md tells of, for the shipped configuration."""
    invoke("broker", CONFIG, "-o", tmp_path, "--at", AT, "--operator", "ann")
    for name in ("mosquitto.conf", "acl"):
        shipped = (DEPLOY / "mosquitto" / name).read_text(encoding="utf-8")
        assert shipped == (tmp_path / name).read_text(encoding="utf-8"), f"make {name} again"


def say(port: int, user: str, topic: str, payload: bytes) -> None:
    """Publish as somebody, and wait until the broker has confirmed it."""
    with Publisher(as_user(port, user)) as publisher:
        publisher.publish(topic, payload)
        publisher.drain()


@pytest.mark.parametrize(
    ("user", "topic", "allowed"),
    [
        (SENSOR, "plant/press4", True),
        (SENSOR, "plant/press5", False),
        (SENSOR, f"{ROOT}/alert/press4/process", False),
        (SENSOR, f"{ROOT}/cmd/press4/ack", False),
        (SENSOR, f"{ROOT}/cmd/ann/ack", False),
        ("dashboard", "plant/press4", False),
        ("dashboard", f"{ROOT}/cmd/dashboard/ack", False),
        ("dashboard", f"{ROOT}/alert/press4/process", False),
        ("ann", f"{ROOT}/cmd/ann/ack", True),
        ("ann", f"{ROOT}/cmd/page/ack", False),
        ("ann", "plant/press4", False),
        ("page", f"{ROOT}/cmd/ann/ack", True),
        ("page", f"{ROOT}/alert/press4/process", False),
        ("andon", f"{ROOT}/alert/press4/process", True),
        ("andon", "plant/press4", False),
    ],
)
def test_each_account_is_heard_where_it_may_speak_and_nowhere_else(
    broker: Mosquitto, user: str, topic: str, *, allowed: bool
) -> None:
    """Mosquitto confirms what it drops, so only what a reader hears is proof."""
    with Collector(as_user(broker.port, WITNESS), ["#"]) as witness:
        say(broker.port, user, topic, b"attempt")
        say(broker.port, SENSOR, "plant/press4", b"marker")
        wait_until(lambda: any(m.payload == b"marker" for m in witness.queue), what="the marker")
        heard = any(m.topic == topic and m.payload == b"attempt" for m in witness.queue)
    assert heard is allowed


def test_nobody_is_let_in_without_a_name_or_with_a_wrong_password(broker: Mosquitto) -> None:
    """Refused when they connect."""
    for stranger in (Endpoint(port=broker.port), as_user(broker.port, SENSOR, "wrong")):
        with pytest.raises(BrokerError), Publisher(stranger):
            pass


def test_the_gateway_hears_the_sensor_and_a_dashboard_sees_its_alerts(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped configuration, with secrets and state elsewhere."""
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD, encoding="utf-8")
    secret.chmod(0o600)
    own = {"ANDON__MQTT__HOST": "127.0.0.1", "ANDON__MQTT__PASSWORD_FILE": str(secret)}
    state = tmp_path / "state"
    with (
        GatewayProcess(CONFIG, port=broker.port, state=state, **own) as gateway,
        Collector(as_user(broker.port, "dashboard"), [f"{ROOT}/#"]) as dashboard,
    ):
        gateway.start()

        def heard(topic: str, text: bytes) -> bool:
            return any(m.topic == topic and text in m.payload for m in dashboard.queue)

        wait_until(lambda: heard(f"{ROOT}/alert/_gateway/system", b'"active":0'), what="its state")

        def received() -> bool:
            names = ("PT_101", "TT_101", "MotorCurrent")
            now_ns = time.time_ns()
            (row,) = encode_rows(names, [now_ns], [ROW], shape="wide")
            say(broker.port, SENSOR, "plant/press4", row)
            told = [m.payload for m in dashboard.queue if m.topic == f"{ROOT}/health"]
            counts = msgspec.json.decode(told[-1])["counts"] if told else {}
            assert not [name for name in counts if name.startswith("invalid")], counts
            return bool(counts.get("link_received", 0) > 3)

        wait_until(received, what="readings of the sensor that are counted on health")
        for name, value in own.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("ANDON__MQTT__PORT", str(broker.port))
        monkeypatch.setenv("ANDON__JOURNAL__DIR", str(state))
        found = {one.what: one for one in looked(CONFIG).findings}
        assert found["gateway"].level is Level.FINE, "the doctor has the gateway's account"
        assert gateway.stop() == 0
