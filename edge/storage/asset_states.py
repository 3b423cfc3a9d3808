"""States of the assets, kept beside the checkpoints in links of a chain.

A state of an asset is much like it was at the checkpoint before: windows have moved on by a few
samples. So each is packed with the one before as the dictionary. A chain begins with a link that
needs none, and is begun anew after some links, because a restart reads all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from edge.storage.packing import packed, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

LINKS_MAX: Final = 8
ASSET_BYTES_MAX: Final = 1 << 28  # of one state: thousands of channels


class Link(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """States by asset, packed. `whole`: without the states of the link before."""

    whole: bool
    states: dict[str, bytes]


class States:
    """States by asset as bytes, which are made when somebody first asks for them."""

    def __init__(
        self, assets: Sequence[str] = (), make: Callable[[], Sequence[bytes]] = list
    ) -> None:
        self._assets = assets
        self._make: Callable[[], Sequence[bytes]] | None = make
        self._made: dict[str, bytes] = {}

    def made(self) -> Mapping[str, bytes]:
        """Of each asset, in their order."""
        if self._make is not None:
            self._made = dict(zip(self._assets, self._make(), strict=True))
            self._make = None
        return self._made


@dataclass(slots=True)
class Chain:
    """Which links there are, by name, and the states that the last one holds."""

    names: list[str] = field(default_factory=list)
    _before: States = field(default_factory=States)

    def add(self, name: str, states: States) -> Callable[[], bytes]:
        """Begin another link; returns what makes its bytes, which may be done beside the loop."""
        if name in self.names or len(self.names) >= LINKS_MAX:
            self.forget()
        before, self._before = self._before, states
        self.names.append(name)
        return partial(link_of, states, before)

    def forget(self) -> None:
        """The next link is a whole one, as after one that was not written."""
        self.names.clear()
        self._before = States()


def link_of(states: States, before: States) -> bytes:
    """The bytes of a link. before: states of the link before; none: there is none."""
    known = before.made()
    made = {asset: packed(one, like=known.get(asset, b"")) for asset, one in states.made().items()}
    return msgspec.msgpack.encode(Link(whole=not known, states=made))


def joined(links: Iterable[bytes | memoryview]) -> dict[str, bytes]:
    """The states of the last of some links, in its order. Raises ValueError for damage."""
    chain: list[Link] = []
    for one in links:
        link = msgspec.msgpack.decode(one, type=Link)
        if link.whole:
            chain.clear()
        chain.append(link)
    if not chain or not chain[0].whole:
        raise ValueError("the first link of the states is missing")
    states: dict[str, bytes] = {}
    for link in chain:
        before = states
        states = {
            asset: unpacked(one, bytes_max=ASSET_BYTES_MAX, like=before.get(asset, b""))
            for asset, one in link.states.items()
        }
    return states
