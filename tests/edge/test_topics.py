"""Topics: what is ours, what names an asset, what a filter matches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.brokers.accounts import access_of
from edge.configuration.config import GatewayConfig
from edge.errors import WireError
from edge.settings import Source
from edge.wire.topics import (
    Topics,
    hears_all_of_node,
    is_asset_id,
    match_source,
    subscription,
    subscriptions,
)

TOPICS = Topics("andon", "s")
LEVEL = st.sampled_from(["a", "b", "plant", "r1", ""])


def matches(pattern: list[str], topic: list[str]) -> bool:
    """MQTT's rule, by recursion."""
    if not pattern:
        return not topic
    if pattern[0] == "#":
        return True
    if not topic:
        return False
    return pattern[0] in ("+", topic[0]) and matches(pattern[1:], topic[1:])


@given(
    pattern=st.lists(LEVEL | st.just("+"), min_size=1, max_size=4),
    asset=st.integers(0, 5),
    rest=st.booleans(),
    topic=st.lists(LEVEL, min_size=1, max_size=5),
)
def test_a_source_matches_what_its_subscription_brings(
    pattern: list[str],
    asset: int,
    *,
    rest: bool,
    topic: list[str],
) -> None:
    """The same topics as the broker, and the asset is the level that it names."""
    if asset < len(pattern):
        pattern[asset] = "{asset}"
    if rest:
        pattern.append("#")
    source = Source(topic="/".join(pattern))
    found = match_source("/".join(topic), [source])
    assert (found is not None) == matches(subscription(source).split("/"), topic)
    if found is not None:
        assert found[1] == (topic[asset] if "{asset}" in pattern else "")


def test_the_first_source_wins_and_a_fixed_asset_counts() -> None:
    """Order in the file is order of precedence."""
    sources = [Source(topic="a/+", asset="r9"), Source(topic="a/{asset}"), Source(topic="#")]
    assert match_source("a/r1", sources) == (sources[0], "r9")
    assert match_source("b", sources) == (sources[2], "")
    assert match_source("b", sources[:2]) is None


@pytest.mark.parametrize("named", ["{asset}", "d1"])
def test_a_device_of_sparkplug_hears_of_its_node(named: str) -> None:
    """What its node says comes, and is nobody's values; its data where all devices are heard."""
    source = Source(topic=f"spBv1.0/g/+/n/{named}", asset="d1", format="sparkplug")
    filters = subscriptions(source)
    whole = "{" in named
    assert filters == [
        f"spBv1.0/g/+/n/{'+' if whole else named}",
        "spBv1.0/g/NBIRTH/n",
        "spBv1.0/g/NDEATH/n",
        *(["spBv1.0/g/NDATA/n"] if whole else []),
    ]
    assert hears_all_of_node("g/n", [source]) == whole
    for kind in ("NBIRTH", "NDEATH", "NDATA"):
        assert match_source(f"spBv1.0/g/{kind}/n", [source]) == (source, "")
    assert match_source("spBv1.0/g/DDATA/n/d1", [source]) == (source, "d1")
    for other in ("spBv1.0/g/NCMD/n", "spBv1.0/g/NBIRTH/m", "spBv1.0/h/NDEATH/n", "g/NBIRTH/n"):
        assert match_source(other, [source]) is None
    node = Source(topic="spBv1.0/g/+/{asset}/#", format="sparkplug")
    assert subscriptions(node) == ["spBv1.0/g/+/+/#"]
    assert hears_all_of_node("g/n", [Source(), node])
    nodes = Source(topic="spBv1.0/g/+/{asset}", format="sparkplug")
    assert not any(hears_all_of_node(one, [nodes, node]) for one in ("h/n", "h/g"))
    assert not hears_all_of_node("g/n", [nodes]), "their devices take numbers too"
    assert subscriptions(Source(topic="a/b/c/d/e")) == ["a/b/c/d/e"]


def test_a_node_that_is_an_asset_has_its_births_whatever_the_order() -> None:
    """A source of devices hears of their node only where none of Sparkplug B names the node."""
    devices = Source(topic="spBv1.0/g/+/gw1/{asset}", format="sparkplug")
    nodes = Source(topic="spBv1.0/g/+/{asset}", format="sparkplug")
    rest = Source(topic="#")
    for order in ([devices, nodes, rest], [nodes, devices, rest], [devices, rest, nodes]):
        for kind in ("NBIRTH", "NDEATH", "NDATA"):
            found = match_source(f"spBv1.0/g/{kind}/gw1", order)
            assert found == (nodes, "gw1")
        assert match_source("spBv1.0/g/DBIRTH/gw1/r1", order) == (devices, "r1")
    for kind in ("NBIRTH", "NDEATH"):
        assert match_source(f"spBv1.0/g/{kind}/gw1", [devices, rest]) == (devices, "")


def test_nodes_of_sparkplug_have_one_account_that_sends_for_their_devices() -> None:
    """A user an asset could not tell the birth of its node."""
    source = Source(topic="spBv1.0/g/+/n/{asset}", format="sparkplug")
    config = GatewayConfig(site="s", source=(source,))
    (access,) = access_of(config, ["r1", "r2"], users=["andon"], operators=[], dashboards=[])
    gateway, sensors = access.accounts
    assert sensors.writes == tuple(subscriptions(source))
    assert set(sensors.writes) <= set(gateway.reads)


@pytest.mark.parametrize("command", ["ack", "job", "what-we-do-not-know"])
def test_commands_are_recognised(command: str) -> None:
    """Operator and command, below our own root only."""
    assert TOPICS.parse_command(f"andon/s/cmd/anna/{command}") == ("anna", command)
    assert TOPICS.parse_command(f"andon/t/cmd/anna/{command}") is None


@pytest.mark.parametrize(
    "rest", ["", "anna", "anna/", "/ack", "anna/ack/x", " anna/ack", "a" * 65 + "/ack"]
)
def test_what_is_below_cmd_and_no_command_is_refused(rest: str) -> None:
    """It is not taken for plant data either."""
    with pytest.raises(WireError, match="OPERATOR/COMMAND") as caught:
        TOPICS.parse_command(f"andon/s/cmd/{rest}")
    assert caught.value.reason == "unknown_command"


@given(st.text(max_size=70))
def test_ids_fit_into_a_topic_level(text: str) -> None:
    """What counts as an id never changes the shape of a topic."""
    if is_asset_id(text):
        topic = TOPICS.alert(text, "process")
        assert topic.split("/") == ["andon", "s", "alert", text, "process"]
        assert "\0" not in topic
        assert not set(text) & {"+", "#", "\n"}


def test_everything_published_is_below_our_root_and_listed_once() -> None:
    """`andon check` shows this list; nothing in it is a command topic."""
    listed = TOPICS.published(["r1", "r2"])
    assert len(set(listed)) == len(listed)
    assert all(topic.startswith("andon/s/") for topic in listed)
    assert not any(topic.startswith("andon/s/cmd/") for topic in listed)
    for topic in (TOPICS.status, TOPICS.health, TOPICS.job("r1"), TOPICS.alert("r2", "comms")):
        assert topic in listed
