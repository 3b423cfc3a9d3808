"""Learning from a journal of Sparkplug B whose births stand elsewhere, or nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.bundles.store import store_of
from edge.commissioning.fit import first_needed, learn
from edge.commissioning.learned import LearnRequest
from edge.commissioning.watch import prepare
from edge.configuration.config import load
from edge.recordings.recording import TimedMessage, journal_messages
from edge.records import MessageReceived
from edge.samples.sparkplug import Birth
from edge.settings import AssetSettings, Source
from edge.storage.journal import segments
from edge.storage.journal_table import readings_by_asset
from edge.storage.journal_writer import JournalWriter
from edge.wire.sparkplug_writing import encode_birth, encode_data
from tests.edge.commission_site import Site
from tests.edge.test_commission_fit import LONG
from tests.edge.test_waveforms import BEGIN, S
from tests.models.plants import plant

if TYPE_CHECKING:
    from pathlib import Path

TAGS = ("c0", "c1", "c2", "c3")
SOURCE = Source(topic="spBv1.0/g/+/n/{asset}", format="sparkplug")
TOML = LONG + '[[source]]\ntopic = "spBv1.0/g/+/n/{asset}"\nformat = "sparkplug"\n'
ROWS = 3_000
REBORN = 1_500  # a row at which the device is born again
KEY = "g/n/r1"
BORN = Birth(names=list(TAGS), aliases=[0, 1, 2, 3], datatypes=[10] * 4, asset="r1")


def message(kind: str, payload: bytes, t_ns: int) -> MessageReceived:
    """One message of the device."""
    return MessageReceived(topic=f"spBv1.0/g/{kind}/n/r1", payload=payload, received_ns=t_ns)


def without_birth(folder: Path, *, reborn: tuple[str, ...] = ()) -> LearnRequest:
    """What is asked of a journal of data alone; reborn: with these names at row REBORN."""
    (folder / "gateway.toml").write_text(TOML)
    journal = JournalWriter(folder / "state" / "journal", segment_bytes_max=20_000)
    for i, row in enumerate(plant(ROWS, seed=3).tolist()):
        t_ns = BEGIN + i * S
        if reborn and i == REBORN:
            birth = encode_birth(reborn, t_ms=t_ns // 10**6, seq=0)
            journal.append([(t_ns, message("DBIRTH", birth, t_ns))])
        data = encode_data(row, t_ms=t_ns // 10**6, seq=i % 256)
        journal.append([(t_ns, message("DDATA", data, t_ns))])
    journal.close()
    config = load(folder / "gateway.toml")
    prepare(config)
    begun = store_of(config).current()[0]
    return LearnRequest(config=config, bundle_sha256=begun, since_ns={"r1": BEGIN})


def test_values_without_a_birth_are_told() -> None:
    """By topic, how many; also where others of the topic could be read."""
    data = encode_data([1.0, 2.0], t_ms=BEGIN // 10**6, seq=1)
    birth = encode_birth(["a", "b"], t_ms=BEGIN // 10**6, seq=0)
    told = [
        TimedMessage(t_ns=BEGIN, topic=f"spBv1.0/g/{kind}/n/r1", payload=payload)
        for kind, payload in (("DDATA", data), ("DDATA", data), ("DBIRTH", birth), ("DDATA", data))
    ]
    assets = [AssetSettings(id="r1")]
    heard = readings_by_asset(told, sources=[SOURCE], assets=assets)
    topic = "spBv1.0/g/DDATA/n/r1"
    assert heard.unread == {topic: f"{topic}: 4 values came without a birth that names them"}
    births: dict[str, Birth] = {}
    for part in (told[2:3], told[:2]):
        heard = readings_by_asset(part, sources=[SOURCE], assets=assets, births=births)
    assert not heard.unread
    assert [one.tags for one in heard.readings["r1"]] == [("a", "b")] * 2


@pytest.mark.not_counted
def test_a_journal_without_its_births_is_learned_from_with_the_gateways(tmp_path: Path) -> None:
    """The gateway has heard them long ago; a fit hears of them through its request."""
    request = without_birth(tmp_path)
    failed = learn(request)
    assert not failed.bundle_sha256
    assert f"{4 * ROWS} values came without a birth" in failed.failed["r1"]
    known = msgspec.structs.replace(request, births={KEY: BORN})
    asked = msgspec.json.decode(msgspec.json.encode(known), type=LearnRequest)
    made = learn(asked)
    assert made.rows["r1"] > 1_000
    assert not made.failed


@pytest.mark.parametrize("names", [TAGS, tuple(reversed(TAGS))])
def test_what_came_before_a_birth_is_not_named_by_it(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    """The birth that the gateway knows is the one in the journal: of before nothing is known."""
    request = without_birth(tmp_path, reborn=names)
    births = {KEY: msgspec.structs.replace(BORN, names=list(names))}
    after = first_needed(request, period_ns=S, births=births)
    assert not births
    journal = tmp_path / "state" / "journal"
    sources, assets = request.config.settings.source, request.config.settings.asset
    heard = readings_by_asset(
        journal_messages(journal, after=after), sources=sources, assets=assets, births=births
    )
    assert min(int(one.t_ns[0]) for one in heard.readings["r1"]) == BEGIN + REBORN * S
    assert len(segments(journal)) > 5


@pytest.mark.not_counted
def test_a_fit_is_handed_the_births_of_its_assets_and_of_nodes(tmp_path: Path) -> None:
    """Not those of assets that are not asked for."""
    site = Site(tmp_path / "site")
    site.run(310)
    node = Birth(names=[], aliases=[], datatypes=[], session=3)
    other = msgspec.structs.replace(BORN, asset="other")
    site.assembly.engine.state.births.update({KEY: BORN, "g/n": node, "g/n/other": other})
    site.look()
    assert site.watch._fit is not None
    assert site.watch._fit.request.births == {KEY: BORN, "g/n": node}
    site.settle()
    site.close()
