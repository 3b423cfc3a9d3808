"""Attacks of somebody with an account of the broker, against the files that `andon broker` writes.

Mosquitto confirms a publication that its list forbids: only what a subscriber hears is proof.
"""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import pytest

from edge.brokers.accounts import access_of
from edge.brokers.endpoint import Endpoint
from edge.brokers.link import Link
from edge.brokers.mqtt import BrokerError, Collector, Publisher
from edge.brokers.read_back import ReadBack
from edge.brokers.rights import published_topics
from edge.configuration.config import load
from edge.errors import ConfigError
from tests.broker.certificates import Authority
from tests.broker.overheard import not_listed
from tests.broker.plants import (
    ASSETS,
    OPERATORS,
    PASSWORD,
    ROOT,
    as_user,
    invoke,
    passwords,
    refused,
    settings,
)
from tests.told import refused_with
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.broker.conftest import Mosquitto

GATEWAY: Final = "andon"
WITNESS: Final = "witness"  # of these tests: hears everything, and nobody else does
POSING: Final = "ann/job"  # a name that is a level of topics too long
EVERYBODY: Final = (
    GATEWAY, *ASSETS, *OPERATORS, "cy", "zoe", "sensors", "dashboard", POSING, WITNESS
)  # fmt: skip


ALLOWED: Final = (  # who, what they may publish
    ("ann", f"{ROOT}/cmd/ann/ack"),
    ("cy", f"{ROOT}/cmd/cy/ack"),
    ("r1", "plant/r1"),
    ("r2", "plant/r2"),
    ("zoe", f"{ROOT}/cmd/zoe/ack"),
    ("ann", "andon/t/cmd/ann/ack"),
    ("sensors", "other/line"),
    (GATEWAY, f"{ROOT}/cmd_result/ann"),
)


@dataclass(frozen=True, slots=True)
class Guarded:
    """A broker with the generated lists, and the settings that they were made of."""

    broker: Mosquitto
    config: Path

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.broker.port


@pytest.fixture(scope="module")
def guarded(
    mosquitto_of: type[Mosquitto], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    """Run mosquitto with exactly what `andon broker` wrote, and one more reader."""
    folder = tmp_path_factory.mktemp("guarded")
    broker = mosquitto_of(folder)
    mqtt = {"port": broker.port, "username": GATEWAY, "password_file": "secret"}
    wide = [{"topic": "plant/{asset}"}, {"topic": "#"}]  # whoever set this up was lazy
    config = settings(folder, mqtt=mqtt, source=wide, operator=[{"name": "zoe"}])
    invoke("broker", config, "-o", folder, "--operator", "ann", "--operator", "bea")
    with (folder / "acl").open("a", encoding="utf-8") as acl:
        acl.write(f"\nuser {WITNESS}\ntopic read #\n")
        acl.write("\npattern write andon/t/cmd/%u/+\n")  # as the list of another site has it
    passwords(folder, *EVERYBODY)
    broker.serve(folder / "mosquitto.conf")
    broker.overheard.listen("-u", WITNESS, "-P", PASSWORD)
    try:
        yield Guarded(broker, config)
    finally:
        broker.overheard.stop()
        broker.stop()
    others = {topic for user, topic in ALLOWED if user != GATEWAY}
    beyond = not_listed(broker.overheard.heard() - others, set(listed_by(config)))
    assert not beyond, f"heard, of no gateway and of nobody's rights: {sorted(beyond)}"


def listed_by(config: Path) -> list[str]:
    """What `andon check` lists."""
    return published_topics(load(config, environment={}), ASSETS)


def heard(guarded: Guarded, user: str, topic: str) -> bool:
    """Whether anybody hears what a user publishes there; the marker behind it is heard always."""
    with Collector(as_user(guarded.port, WITNESS), ["#"]) as witness:
        with Publisher(as_user(guarded.port, user)) as publisher:
            publisher.publish(topic, b"attack")
            publisher.drain()
        with Publisher(as_user(guarded.port, "r1")) as publisher:
            publisher.publish("plant/r1", b"marker")
            publisher.drain()
        wait_until(lambda: any(m.payload == b"marker" for m in witness.queue), what="the marker")
        return any(m.payload == b"attack" and m.topic == topic for m in witness.queue)


def retain(guarded: Guarded, topic: str, payload: bytes) -> None:
    """Let the gateway retain a word; an empty one takes it back."""
    with Publisher(as_user(guarded.port, GATEWAY)) as publisher:
        publisher.publish(topic, payload, retain=True)
        publisher.drain()


@contextmanager
def standing(guarded: Guarded, topic: str) -> Iterator[None]:
    """The gateway's word stands on a topic for a while."""
    retain(guarded, topic, b"stands")
    try:
        yield
    finally:
        retain(guarded, topic, b"")


def first_heard(guarded: Guarded, user: str, topics: list[str]) -> list[tuple[str, bytes, bool]]:
    """Topic, payload and retained flag of what a subscription of a user brings by itself."""
    with Collector(as_user(guarded.port, user), topics) as reader:
        wait_until(lambda: reader.queue, what=f"what stands there for {user}")
        return [(m.topic, m.payload, m.retain) for m in reader.queue]


@pytest.mark.parametrize("topic", [f"{ROOT}/fence", f"{ROOT}/alert/r1/process"])
def test_the_gateway_hears_what_stands_of_its_own(guarded: Guarded, topic: str) -> None:
    """Else it would neither learn that it was replaced, nor what was said before it."""
    with standing(guarded, topic):
        assert first_heard(guarded, GATEWAY, [topic]) == [(topic, b"stands", True)]


# Attack -> (who, what they publish)
FORBIDDEN: Final[dict[str, tuple[str, str]]] = {
    "operator_commands_as_another": ("ann", f"{ROOT}/cmd/bea/ack"),
    "operator_answers_for_the_gateway": ("ann", f"{ROOT}/cmd_result/ann"),
    "operator_forges_a_value": ("ann", "plant/r1"),
    "operator_forges_an_alert": ("ann", f"{ROOT}/alert/r1/process"),
    "operator_not_listed_commands_as_another": ("cy", f"{ROOT}/cmd/ann/job"),
    "operator_named_as_anothers_command": (POSING, f"{ROOT}/cmd/ann/job"),
    "operator_named_as_a_wildcard": ("zoe", f"{ROOT}/cmd/zoe"),
    "gateway_forges_a_value": (GATEWAY, "plant/r1"),
    "gateway_writes_a_control_topic": (GATEWAY, "line/r1/setpoint"),
    "gateway_commands_as_an_operator": (GATEWAY, f"{ROOT}/cmd/ann/ack"),
    "gateway_commands_under_its_own_name": (GATEWAY, f"{ROOT}/cmd/{GATEWAY}/ack"),
    "gateway_alerts_for_an_asset_not_its_own": (GATEWAY, f"{ROOT}/alert/r9/process"),
    "gateway_speaks_for_another_site": (GATEWAY, "andon/t/status"),
    "sensor_forges_another_ones_value": ("r1", "plant/r2"),
    "sensor_commands_under_its_own_name": ("r1", f"{ROOT}/cmd/r1/job"),
    "sensor_commands_as_an_operator": ("r1", f"{ROOT}/cmd/ann/ack"),
    "sensor_of_every_topic_fences_the_gateway": ("sensors", f"{ROOT}/fence"),
    "operator_fences_the_gateway": ("ann", f"{ROOT}/fence"),
    "sensor_commands_at_another_site": ("r1", "andon/t/cmd/r1/job"),
    "sensor_of_every_topic_commands_as_an_operator": ("sensors", f"{ROOT}/cmd/ann/job"),
    "sensor_of_every_topic_clears_an_alert": ("sensors", f"{ROOT}/alert/r1/process"),
    "sensor_of_every_topic_says_the_gateway_is_fine": ("sensors", f"{ROOT}/status"),
    "sensor_clears_an_alert": ("r1", f"{ROOT}/alert/r1/process"),
    "sensor_says_the_gateway_is_fine": ("r1", f"{ROOT}/status"),
    "operator_claims_to_be_the_newer_box": ("ann", f"{ROOT}/fence"),
    "sensor_claims_to_be_the_newer_box": ("r1", f"{ROOT}/fence"),
    "dashboard_claims_to_be_the_newer_box": ("dashboard", f"{ROOT}/fence"),
    "dashboard_commands_under_its_own_name": ("dashboard", f"{ROOT}/cmd/dashboard/shelve"),
    "dashboard_clears_an_alert": ("dashboard", f"{ROOT}/alert/r1/process"),
    "dashboard_forges_a_value": ("dashboard", "plant/r1"),
}


@pytest.mark.parametrize("attack", FORBIDDEN)
def test_what_an_account_may_not_publish_is_heard_by_nobody(guarded: Guarded, attack: str) -> None:
    """The broker drops it, whatever it confirms."""
    user, topic = FORBIDDEN[attack]
    assert not heard(guarded, user, topic)
    refused_with(f"the broker delivers what {user} publishes on {topic} to nobody")


@pytest.mark.parametrize(("user", "topic"), ALLOWED)
def test_what_an_account_is_for_works(guarded: Guarded, user: str, topic: str) -> None:
    """Else the refusals above would prove nothing."""
    assert heard(guarded, user, topic)


def test_the_gateway_may_publish_exactly_what_check_lists(guarded: Guarded) -> None:
    """Every line of the list arrives, and the list is that of `andon check`."""
    listed = listed_by(guarded.config)
    topics = {topic.replace("/+", "/ann") for topic in listed}
    with Collector(as_user(guarded.port, WITNESS), ["#"]) as witness:
        with Publisher(as_user(guarded.port, GATEWAY)) as publisher:
            for topic in topics:
                publisher.publish(topic, b"1")
            publisher.drain()
        wait_until(lambda: {m.topic for m in witness.queue} >= topics, what="every topic")
    written = [
        line.removeprefix("topic write ")
        for line in (guarded.config.parent / "acl")
        .read_text(encoding="utf-8")
        .split("\n\n")[1]
        .split("\n")
        if line.startswith("topic write ")
    ]
    assert written == listed


@pytest.mark.parametrize("user", [GATEWAY, "ann", "zoe", "dashboard"])
def test_who_needs_the_alerts_that_stand_hears_them(guarded: Guarded, user: str) -> None:
    """Operators of the configuration too; and a gateway, which asks its own words back."""
    topic = f"{ROOT}/alert/r1/process"
    with standing(guarded, topic):
        assert first_heard(guarded, user, [f"{ROOT}/alert/r1/+"]) == [(topic, b"stands", True)]


# Attack -> (who, what they subscribe to, who publishes it)
UNHEARD: Final[dict[str, tuple[str, str, str]]] = {
    "sensor_listens_to_alerts": ("r1", f"{ROOT}/alert/r1/process", GATEWAY),
    "sensor_listens_to_commands": ("r1", f"{ROOT}/cmd/ann/ack", "ann"),
    "operator_reads_anothers_answers": ("bea", f"{ROOT}/cmd_result/ann", GATEWAY),
    "dashboard_reads_commands": ("dashboard", f"{ROOT}/cmd/ann/ack", "ann"),
    "operator_not_listed_reads_alerts": ("cy", f"{ROOT}/alert/r1/process", GATEWAY),
}


@pytest.mark.parametrize("attack", UNHEARD)
def test_what_an_account_may_not_read_does_not_reach_it(guarded: Guarded, attack: str) -> None:
    """Mosquitto grants the subscription, and delivers nothing."""
    user, topic, author = UNHEARD[attack]
    with (
        Collector(as_user(guarded.port, user), ["#"]) as spy,
        Collector(as_user(guarded.port, WITNESS), ["#"]) as witness,
    ):
        with Publisher(as_user(guarded.port, author)) as publisher:
            publisher.publish(topic, b"secret")
            publisher.drain()
        wait_until(lambda: witness.queue, what="what the witness hears")
        with pytest.raises(BrokerError), Publisher(as_user(guarded.port, "nobody")):
            pass  # a round trip later
        assert not spy.queue
        refused_with(f"the broker delivers nothing of {topic} to {user}")


@pytest.mark.parametrize(
    ("attack", "who", "says"),
    [
        ("anonymous", Endpoint(), "Not authorized: it wants a user; set username"),
        ("wrong_password", as_user(0, "ann", "guess"), "user 'ann' or the password is not known"),
        ("unknown_user", as_user(0, "eve"), "user 'eve' or the password is not known"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_who_proves_nothing_is_not_let_in(
    guarded: Guarded, attack: str, who: Endpoint, says: str
) -> None:
    """Neither to publish nor to listen, and the message says what to look at."""
    del attack
    endpoint = replace(who, port=guarded.port)
    with pytest.raises(BrokerError, match=says) as caught, Publisher(endpoint):
        pass
    refused_with(caught.value)
    with pytest.raises(BrokerError, match=says), Collector(endpoint, ["#"]):
        pass


def test_one_name_does_not_get_two_roles(tmp_path: Path) -> None:
    """An operator named as a machine would have the rights of both; so would a dashboard."""
    config = settings(tmp_path, mqtt={"username": GATEWAY, "password_file": "secret"})
    for option in ("--operator", "--dashboard"):
        with pytest.raises(ConfigError, match="account 'r1' would be sensor and"):
            refused("broker", config, "-o", tmp_path / "out", option, "r1")


@pytest.mark.parametrize("name", ["ann/job", "+", "a#", "a ", "", "a\nuser b", "a:b"])
def test_a_name_that_is_no_level_of_a_topic_gets_no_rights(tmp_path: Path, name: str) -> None:
    """Mosquitto would take it for another's, or refuse it everything without a word."""
    config = settings(tmp_path, mqtt={"username": GATEWAY, "password_file": "secret"})
    for option in ("--operator", "--dashboard"):
        with pytest.raises(ConfigError, match="account"):
            refused("broker", config, "-o", tmp_path / "out", option, name)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["ca", "server"])
def test_no_certificate_takes_the_place_of_the_authoritys(tmp_path: Path, name: str) -> None:
    """The commands that are told would write it over the key that all others rest on."""
    Authority(tmp_path / "own").issue(GATEWAY)
    own = {"tls_ca_file": "own/ca.crt", "tls_cert_file": f"own/{GATEWAY}.crt"}
    own["tls_key_file"] = f"own/{GATEWAY}.key"
    config = settings(tmp_path, mqtt=own)
    with pytest.raises(ConfigError, match=f"account '{name}': its certificate"):
        refused("broker", config, "-o", tmp_path / "out", "--operator", name)


def test_a_client_id_that_anybody_guesses_is_told(tmp_path: Path) -> None:
    """Mosquitto gives a session to whoever names it: another account takes what waits in it."""
    mqtt = {"username": GATEWAY, "password_file": "secret"}
    told = []
    for at, more in enumerate([{}, {"client_id": "andon-5f0c"}]):
        folder = tmp_path / str(at)
        folder.mkdir()
        told.append(invoke("broker", settings(folder, mqtt=mqtt | more), "-o", folder / "out"))
    assert "'andon' is easy to guess" in told[0]
    assert re.search(r'\n  client_id = "andon-[0-9a-f]{16}"\n', told[0])
    assert "easy to guess" not in told[1]


def test_an_asset_named_as_the_shared_account_does_not_get_its_rights(tmp_path: Path) -> None:
    """Its device would publish for all the others."""
    config = load(
        settings(
            tmp_path,
            mqtt={"username": GATEWAY},
            source=[{"topic": "plant/{asset}"}, {"topic": "line/+"}],
        ),
        environment={},
    )
    with pytest.raises(ConfigError, match="account 'sensors' would be sensor and sensor"):
        access_of(config, ["r1", "sensors"], users=[GATEWAY], operators=[], dashboards=[])


def test_a_gateway_without_a_name_gets_no_rights(tmp_path: Path) -> None:
    """Nobody is let in without a name, so there is nothing to write."""
    with pytest.raises(ConfigError, match="neither username nor tls_cert_file"):
        refused("broker", settings(tmp_path), "-o", tmp_path / "out")


def test_the_gateway_may_read_back_what_it_said_before(guarded: Guarded) -> None:
    """Else a process that follows one without a disk would never learn what that said."""
    topics = {f"{ROOT}/alert/{asset}/process": b'{"id":"x","revision":7}' for asset in ASSETS}
    with Publisher(as_user(guarded.port, GATEWAY)) as publisher:
        for topic, payload in topics.items():
            publisher.publish(topic, payload, retain=True)
        publisher.drain()
    link = Link(
        replace(as_user(guarded.port, GATEWAY), client_id="reads-back"),
        filters=[f"{ROOT}/cmd/#"],
        queue_messages_max=10,
        will=None,
        on_connected=lambda: None,
        wake=threading.Event(),
        own=f"{ROOT}/alert/",
    )
    back = ReadBack(link, [f"{ROOT}/alert/{asset}/+" for asset in ASSETS])
    link.start()
    try:
        wait_until(lambda: back.turn(0.0), what="what the broker retains")
    finally:
        link.stop()
        with Publisher(as_user(guarded.port, GATEWAY)) as publisher:
            for topic in topics:
                publisher.publish(topic, b"", retain=True)
            publisher.drain()
    assert back.stood == topics
    assert link.queue_depth == 0, "it is no input"
