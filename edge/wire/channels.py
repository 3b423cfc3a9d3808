"""Every topic of ours, in and out, in one table: address, payload, quality of service, retained.

The description for machines (AsyncAPI) is made of it, and tests hold a gateway to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from edge.wire.topics import Topics

RETAINED: Final = True
PASSES: Final = False


class Channel(NamedTuple):
    """One kind of topic. address: below `{prefix}/{site}/`; payload: a kind in `published`.

    A level in braces stands for one of any name.
    """

    name: str
    address: str
    payload: str
    qos: int
    retain: bool
    says: str


# What is more special comes first: a topic is of the first channel that it fits.
SAID: Final = (
    Channel("status", "status", "status", 1, RETAINED, "Whether the gateway is there; last will"),
    Channel("fence", "fence", "fence", 1, RETAINED, "Which box speaks for the site"),
    Channel("system", "alert/_gateway/system", "system", 1, RETAINED, "Troubles of the gateway"),
    Channel(
        "groupAlert", "alert/_group/{cause}", "alert_group", 1, RETAINED, "One alert for many, flat"
    ),
    Channel(
        "alert",
        "alert/{asset}/{track}",
        "alert",
        1,
        RETAINED,
        "Last state of an alert, flat, to bind",
    ),
    Channel("group", "group/{cause}", "group", 1, RETAINED, "Members of a group alert"),
    Channel("event", "event/{asset}", "event", 1, PASSES, "Every revision of an alert in full"),
    Channel("suppressed", "suppressed/{asset}", "suppressed", 1, PASSES, "Suppressions, and ends"),
    Channel("jobs", "job/{asset}", "job", 1, RETAINED, "Proposals, jobs and silences of an asset"),
    Channel("score", "score/{asset}", "score", 0, PASSES, "Score and threshold, for trends"),
    Channel(
        "commissioning",
        "commissioning/{asset}",
        "commissioning",
        1,
        RETAINED,
        "How far an asset is on its way into service",
    ),
    Channel("health", "health", "health", 0, PASSES, "Rates, lag, and everything refused"),
    Channel(
        "commandResult", "cmd_result/{operator}", "cmd_result", 1, PASSES, "Answers to commands"
    ),
    Channel(
        "cloudEvent",
        "cloudevent/{asset}",
        "cloudevent",
        1,
        PASSES,
        "Events as CloudEvents, with [output.cloudevents]",
    ),
)
COMMANDS: Final = ("ack", "feedback", "confirm", "job", "shelve", "oos", "text")


def channel_of(topic: str, topics: Topics) -> Channel | None:
    """The channel of a topic that we publish; None: it is none of these."""
    head = f"{topics.root}/"
    if not topic.startswith(head):
        return None
    levels = topic.removeprefix(head).split("/")
    return next((one for one in SAID if _fits(one.address.split("/"), levels)), None)


def _fits(address: list[str], levels: list[str]) -> bool:
    return len(address) == len(levels) and all(
        part.startswith("{") or part == level for part, level in zip(address, levels, strict=True)
    )
