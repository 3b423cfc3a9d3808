"""A host of Sparkplug B that is ours: our own passive decoder, and what it then believes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.samples.sparkplug import Sparkplug
from edge.settings import Source
from edge.wire.sparkplug import REBIRTH, SESSION, parse_topic, read_payload, signed
from edge.wire.topics import hears_all_of_node

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.wire.sparkplug_node import Message


class Host:
    """Who listens: what it believes of each device that is alive, and every broken rule."""

    def __init__(self, node: str, assets: Sequence[str], names: Sequence[str]) -> None:
        """node: GROUP/NODE; names: of the metrics that each device has to have."""
        self._node, self._names = node, list(names)
        group, _, name = node.partition("/")
        source = Source(topic=f"spBv1.0/{group}/+/{name}/{{asset}}", format="sparkplug")
        self.births: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        self._decoder = Sparkplug(self.births, self.counts, assets=assets, sources=[source])
        self.picture: dict[str, dict[str, Any]] = {}
        self.session: int | None = None
        assert hears_all_of_node(node, [source]), "else it would not count"

    def hear(self, message: Message, number: int) -> None:
        """Take a message as it comes; number: of it, which makes its time of arrival."""
        told = parse_topic(message.topic)
        assert told is not None
        asset = told.key.removeprefix(self._node).removeprefix("/")
        if told.kind == "NDEATH":
            self._dies(message)
        said = read_payload(message.payload, topic=message.topic)
        known = self._decoder.meanings(told.key).aliases if told.kind == "DDATA" else {}
        self._decoder.take(
            message.payload, topic=message.topic, asset=asset, received_ns=number * 10**12
        )
        if told.kind == "NBIRTH":
            self._born(said)
        elif told.kind == "DBIRTH":
            assert self.session is not None, "a device before its node"
            assert [m.name for m in said.metrics] == self._names
            self._unique(asset, [m.alias for m in said.metrics])
            self.picture[asset] = {m.name: _value(m, m.datatype) for m in said.metrics}
        elif told.kind == "DDATA":
            assert asset in self.picture, "data of a device that is not born"
            assert said.metrics, "nothing was to be told"
            for metric in said.metrics:
                assert not metric.name, "aliases alone"
                assert metric.alias is not None
                name, datatype = known[metric.alias]
                assert metric.t_ms is not None
                self.picture[asset][name] = _value(metric, datatype)
        elif told.kind == "DDEATH":
            assert asset in self.picture, "the death of who never lived"
            del self.picture[asset]

    def _born(self, said: Any) -> None:  # noqa: ANN401 - a Payload
        metrics = {m.name: m for m in said.metrics}
        assert said.seq == 0
        assert set(metrics) == {SESSION, REBIRTH}
        assert metrics[REBIRTH].value == 0.0
        assert all(m.alias is None for m in said.metrics)
        session = int(metrics[SESSION].value)
        if session != self.session:
            self.picture.clear()  # with a rebirth devices go on until they are told to be dead
        self.session = session

    def _dies(self, message: Message) -> None:
        said = read_payload(message.payload, topic=message.topic)
        assert said.seq is None
        assert [m.name for m in said.metrics] == [SESSION]
        assert said.metrics[0].value == self.session, "of the session that it ends"
        self.picture.clear()
        self.session = None

    def _unique(self, asset: str, aliases: Iterable[int | None]) -> None:
        """No alias of the node means two metrics at once."""
        others = {
            alias
            for key, birth in self.births.items()
            if key.startswith(f"{self._node}/") and key != f"{self._node}/{asset}"
            for alias in birth.aliases
        }
        assert not others & set(aliases)


def _value(metric: Any, datatype: int) -> Any:  # noqa: ANN401 - as it comes
    value = metric.value
    return signed(value, datatype) if isinstance(value, int) else value
