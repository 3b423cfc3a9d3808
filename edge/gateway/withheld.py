"""What is not said because it would keep quiet, and the audit trail does not say why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from edge.records import Publish

QUIETS: Final = ("suppressed", "handed_over", "grouped")  # lines of the trail that keep quiet
RINGS: Final = b'"annunciate":1'  # in an alert, as every version writes it


def withheld(messages: Sequence[Publish], unaudited: Container[tuple[str, int]]) -> list[Publish]:
    """Of a group the messages that may not be said, in their order.

    unaudited: keys of what is quiet without standing in the trail. What an alert says behind that,
    in the same group, is as quiet and gives no other reason: it is withheld too, up to where the
    alert rings.
    """
    held: set[tuple[str, int]] = set()
    quiet: set[str] = set()
    for message in messages:
        if message.key is None or "/alert/" not in message.topic:
            continue
        if message.key in unaudited:
            quiet.add(message.key[0])
        elif RINGS in message.payload:
            quiet.discard(message.key[0])
        if message.key[0] in quiet:
            held.add(message.key)
    return [one for one in messages if one.key in held or (one.key and one.key in unaudited)]
