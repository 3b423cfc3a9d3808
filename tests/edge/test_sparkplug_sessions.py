"""Sparkplug B: births that come again, deaths that come late, and what an overload may not take."""

from __future__ import annotations

import numpy as np
import pytest

from edge.brokers.inbox import Inbox
from edge.brokers.lanes import Lanes, Rank
from edge.samples.sparkplug import Birth, Sparkplug
from edge.wire.sparkplug import LONG
from edge.wire.sparkplug_writing import encode_birth, encode_data, encode_metric, encode_payload
from tests.edge.rig import START, S
from tests.edge.test_overload import sent, site
from tests.edge.test_sparkplug_engine import DEVICES, T0_MS, engine_of, message


def test_a_birth_of_the_known_session_ends_no_device() -> None:
    """A broker that has kept it tells it with each connection: nothing was born anew."""
    counts: dict[str, int] = {}
    sparkplug = Sparkplug({}, counts, assets={"r1"})

    def told(kind: str, payload: bytes, *, asset: str = "r1") -> list[str]:
        one = message(kind, payload, asset=asset)
        asset = "" if kind[0] == "N" else asset
        found = sparkplug.take(payload, topic=one.topic, asset=asset, received_ns=START)
        return [tag for readings in found for tag in readings.tags]

    def session(number: int) -> bytes:
        return encode_payload([encode_metric(name="bdSeq", field=LONG, value=float(number))])

    data = encode_data([1.0, 2.0], t_ms=T0_MS, seq=1)
    told("NBIRTH", session(255))
    told("DBIRTH", encode_birth(["a", "b"], t_ms=T0_MS, seq=1))
    told("NBIRTH", session(255))
    assert told("DDATA", data) == ["a", "b"]
    told("NBIRTH", session(0))
    assert told("DDATA", data) == []
    assert counts["waiting_for_birth"] == 2


@pytest.mark.parametrize(("died", "late"), [(7, 0), (9, 0), (6, 1), (200, 1), (136, 1), (135, 0)])
def test_a_death_is_late_only_where_its_session_is_an_earlier_one(died: int, late: int) -> None:
    """Sessions count up to 255; a birth that was missed makes no death late."""
    counts: dict[str, int] = {}
    births = {
        "g/n": Birth(names=[], aliases=[], datatypes=[], session=7),
        "g/n/r1": Birth(names=["a"], aliases=[0], datatypes=[9], asset="r1"),
    }
    metric = encode_metric(name="bdSeq", field=LONG, value=float(died))
    one = message("NDEATH", encode_payload([metric]))
    sparkplug = Sparkplug(births, counts, assets={"r1"})
    sparkplug.take(one.payload, topic=one.topic, asset="", received_ns=START)
    assert counts == {"sparkplug_deaths_late" if late else "sparkplug_deaths": 1}
    assert len(births) == 2 * late


def test_an_alias_of_two_names_is_nobodys() -> None:
    """A birth that gives one number twice: what comes by it is counted, and no guess."""
    engine = engine_of()
    names = [("c0", 1), ("c1", 1), ("c2", 2), ("c2", 2), ("c3", 3)]
    born = [encode_metric(name=name, alias=alias, value=None) for name, alias in names]
    engine.handle(message("DBIRTH", encode_payload(born, t_ms=T0_MS)), now_ns=START)
    for i in range(3):  # by its first ways, and by a layout that was seen
        data = [encode_metric(alias=alias, value=float(alias)) for alias in (1, 2, 3)]
        payload = encode_payload(data, t_ms=T0_MS + 1000 * i)
        engine.handle(message("DDATA", payload), now_ns=START + i * S)
    assert engine.counts()["waiting_for_birth"] == 3
    rows = engine.state.align.assets["r1"].values
    assert np.isnan(rows[:, :2]).all()
    assert (rows[:, 2:] == [2.0, 3.0]).any(axis=0).all()


@pytest.mark.parametrize(
    ("kind", "asset", "news"),
    [
        ("DDEATH/n2/r1", "n2-r1", []),  # an asset of ours has the name of a device of another node
        ("NDEATH/r1", "", []),  # or of a node whose devices are ours
        ("DDEATH/n/r1", "r1", ["died"]),  # born or not
        ("NDEATH/r1", "r1", ["died"]),
        ("DDEATH/r1/d", "r1", []),  # of the node r1, others of its devices may live
    ],
)
def test_who_is_not_born_dies_by_its_own_name_alone(kind: str, asset: str, news: list[str]) -> None:
    """A death of whoever else has a level of that name is none of the asset's."""
    sparkplug = Sparkplug({}, {}, assets={"r1", "n2-r1"})
    level, _, rest = kind.partition("/")
    topic = f"spBv1.0/g/{level}/{rest}"
    sparkplug.take(encode_payload([]), topic=topic, asset=asset, received_ns=START)
    assert [one.what for one in sparkplug.news if one.asset == "r1"] == news
    assert ("r1" in sparkplug.dead) == bool(news)


@pytest.mark.parametrize(
    ("topic", "lane"),
    [
        ("DBIRTH/n/low", ("low", Rank.WATCHED)),
        ("DDEATH/n/low", ("low", Rank.WATCHED)),
        ("DDATA/n/low", ("low", Rank.LOW)),
        ("NBIRTH/n", ("", Rank.WATCHED)),
        ("NDEATH/n", ("", Rank.WATCHED)),
        ("DBIRTH/n/nobody", ("", Rank.STRANGER)),
        ("NBIRTH/m", ("", Rank.STRANGER)),
    ],
)
def test_births_and_deaths_of_sparkplug_wait_longer_than_values(
    topic: str, lane: tuple[str, Rank]
) -> None:
    """What comes after them has no meaning without; who is no asset of ours has no say in that."""
    lanes = Lanes(site(source=(DEVICES,)), known=())
    found, command = lanes.of(sent(f"spBv1.0/g/{topic}"))
    assert ((found.name, found.rank), command) == (lane, False)


def test_a_flood_of_values_sheds_no_birth() -> None:
    """And what is shed of births is told, of the asset or as of a node."""
    lanes = Lanes(site(source=(DEVICES,)), known=())
    inbox = Inbox(messages_max=100, lane_of=lanes.of)
    kinds = ("NBIRTH/n", "DBIRTH/n/low", *["DDATA/n/low"] * 300, "DDEATH/n/low", "NDEATH/n")
    for kind in kinds:
        inbox.put([sent(f"spBv1.0/g/{kind}")])
    left = [m.topic.removeprefix("spBv1.0/g/") for m in inbox.take(100)]
    assert [kind for kind in left if "DDATA" not in kind] == [*kinds[:2], *kinds[-2:]]
    assert set(lanes.shed()) == {("low", Rank.LOW)}
    for _ in range(150):
        inbox.put([sent("spBv1.0/g/DBIRTH/n/low"), sent("spBv1.0/g/NBIRTH/n")])
    shed = lanes.shed()
    assert shed["", Rank.WATCHED] >= 140  # they may fill a tenth
    assert shed["low", Rank.LOW] > 200
