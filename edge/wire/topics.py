"""Topics: every name that Andon publishes or listens to, and how plant topics name their assets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.caps import ASSET_CHARS_MAX
from edge.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.settings import Source

# Of Sparkplug B: what its devices depend on, and what takes numbers of the count that they share.
NODE_NEWS: Final = ("NBIRTH", "NDEATH", "NDATA")
CLOCK_TOPIC: Final = "plant/_clock"  # plant time of a replay, once a plant second
# A level of a source's topic that has a name; the last one may stand for all that follow.
LEVEL: Final = re.compile(r"\{(\w+)(\.\.\.)?\}")
_PART: Final = re.compile(r"\{(\w+)\}")  # of a template


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics of one gateway, below `prefix/site`."""

    prefix: str
    site: str

    @property
    def root(self) -> str:
        """Everything of ours is below it."""
        return f"{self.prefix}/{self.site}"

    @property
    def status(self) -> str:
        """Retained; last will."""
        return f"{self.root}/status"

    @property
    def fence(self) -> str:
        """Retained; which box speaks for the site."""
        return f"{self.root}/fence"

    @property
    def health(self) -> str:
        """Rates, lag, drops by reason."""
        return f"{self.root}/health"

    @property
    def command_filter(self) -> str:
        """What the gateway subscribes to for commands."""
        return f"{self.root}/cmd/+/+"

    @property
    def alerts(self) -> str:
        """How every alert topic begins."""
        return f"{self.root}/alert/"

    def alert(self, asset: str, track: str) -> str:
        """Retained last state and revision."""
        return f"{self.root}/alert/{asset}/{track}"

    def group(self, cause: str) -> str:
        """Retained list of what a group alert stands for."""
        return f"{self.root}/group/{cause}"

    def event(self, asset: str) -> str:
        """Every transition and revision."""
        return f"{self.root}/event/{asset}"

    def cloudevent(self, asset: str) -> str:
        """Every event once more as a CloudEvent, where that is asked for."""
        return f"{self.root}/cloudevent/{asset}"

    def suppressed(self, asset: str) -> str:
        """Every suppression with its job, clauses and end."""
        return f"{self.root}/suppressed/{asset}"

    def job(self, asset: str) -> str:
        """Retained list of proposals and jobs."""
        return f"{self.root}/job/{asset}"

    def commissioning(self, asset: str) -> str:
        """Retained: how far an asset is on its way into service."""
        return f"{self.root}/commissioning/{asset}"

    def score(self, asset: str) -> str:
        """Decimated score."""
        return f"{self.root}/score/{asset}"

    def command_result(self, operator: str) -> str:
        """Answers to an operator's commands."""
        return f"{self.root}/cmd_result/{operator}"

    def parse_command(self, topic: str) -> tuple[str, str] | None:
        """(operator, command) of a command topic; None for any other topic.

        Raises WireError for a topic below cmd/ that is none of ours.
        """
        head = f"{self.root}/cmd/"
        if not topic.startswith(head):
            return None
        operator, _, command = topic.removeprefix(head).partition("/")
        if not command or "/" in command or not is_asset_id(operator):
            expected = f"expected {head}OPERATOR/COMMAND, an operator's id without / + # or blanks"
            raise WireError(expected, reason="unknown_command", topic=topic)
        return operator, command

    def published(self, assets: Sequence[str], causes: Sequence[str] = ()) -> tuple[str, ...]:
        """Every topic that a gateway with these assets, and causes of groups, may publish."""
        own = [self.status, self.fence, self.health, self.alert("_gateway", "system")]
        for asset in assets:
            own += [self.alert(asset, track) for track in ("process", "sensor", "comms")]
            own += [self.event(asset), self.suppressed(asset), self.job(asset), self.score(asset)]
        for cause in causes:
            own += [self.alert("_group", cause), self.group(cause)]
        return (*own, self.command_result("+"))


def whose(topic: str) -> str:
    """What a topic of ours is about: its asset, or its group. The whole where it is about none.

    A group is the same on its flat topic and on that of its members.
    """
    levels = topic.split("/")
    if len(levels) < 4:  # prefix, site, kind
        return topic
    kind, name = levels[2], levels[3]
    if kind == "group":
        return f"_group/{name}"
    return "/".join(levels[3:]) if name.startswith("_") else name


def is_asset_id(text: str) -> bool:
    """Whether a text can be an asset's or an operator's id.

    Printable, no topic wildcard, not long.
    """
    return (
        0 < len(text) <= ASSET_CHARS_MAX
        and text.isprintable()
        and not any(character in "/+#" for character in text)
        and text == text.strip()
    )


def match_source(topic: str, sources: Sequence[Source]) -> tuple[Source, str] | None:
    """The first source whose filter matches.

    With the asset that the topic or the source names ("" for none). What a node says itself is of a
    source of its devices only where no source of Sparkplug B names the node itself.
    """
    levels = topic.split("/")
    of_node = None
    for source in sources:
        told = _match(source.topic.split("/"), levels)
        if told is not None and (of_node is None or source.format == "sparkplug"):
            return source, source.asset or _asset_of(source, told)
        if of_node is None and _is_beside(source, levels):
            of_node = source, ""
    return of_node


def levels_of(source: Source, topic: str) -> dict[str, str]:
    """What the named levels of a source's topic are in one that matches it."""
    return _match(source.topic.split("/"), topic.split("/")) or {}


def _asset_of(source: Source, levels: dict[str, str]) -> str:
    """The asset that a topic names; "" it does not, or not alone."""
    if not source.asset_from:
        return levels.get("asset", "")
    parts = _PART.findall(source.asset_from)
    if not all(part in levels for part in parts):
        return ""
    return _PART.sub(lambda one: levels[one[1]], source.asset_from)


def source_of(asset: str, sources: Sequence[Source]) -> Source | None:
    """The source that an asset's values come from.

    The one that names it, else the first that may carry any.
    """
    named = [source for source in sources if source.asset == asset]
    return next(iter(named or [source for source in sources if not source.asset]), None)


def subscription(source: Source) -> str:
    """The MQTT topic filter of a source."""
    return LEVEL.sub(lambda one: "#" if one[2] else "+", source.topic)


def subscriptions(source: Source) -> list[str]:
    """All of its filters: of devices of Sparkplug B what their nodes say too."""
    topic = subscription(source)
    levels = topic.split("/")
    if source.format == "databus":
        return [topic, metadata_filter(topic)]
    if source.format != "sparkplug" or len(levels) < 5 or levels[4] == "#":
        return [topic]
    # what a node sends itself is only counted, and only where all of its devices are heard
    kinds = NODE_NEWS if levels[4] == "+" else NODE_NEWS[:2]
    return [topic, *("/".join([*levels[:2], kind, levels[3]]) for kind in kinds)]


def rebirth_topics(sources: Sequence[Source]) -> list[str]:
    """Topics on which nodes of Sparkplug B may be asked for their births, where sources say so."""
    asked = (subscription(source).split("/") for source in sources if source.rebirth)
    return [f"{levels[0]}/{levels[1]}/NCMD/{levels[3]}" for levels in asked]


def hears_all_of_node(node: str, sources: Sequence[Source]) -> bool:
    """Whether everything that a node of Sparkplug B and its devices say is listened to.

    node: GROUP/NODE. Of a source of nodes without their devices it is not known.
    """
    levels = node.split("/")
    for source in sources:
        pattern = subscription(source).split("/")
        whole = len(pattern) > 4 and pattern[4] in ("+", "#") and pattern[2] == "+"
        if source.format == "sparkplug" and whole:
            told = zip((pattern[1], pattern[3]), levels, strict=True)
            if all(part in ("+", level) for part, level in told):
                return True
    return False


def databus_application(topic: str) -> str:
    """Whose values or metadata of Siemens' databus come on a topic; "" it is none of these."""
    levels = topic.split("/")
    if len(levels) < 7 or levels[0] != "ie" or levels[1] not in ("d", "m"):
        return ""
    return "/".join(levels[2:6])


def metadata_filter(data: str) -> str:
    """Where the metadata for a filter of values of the databus come; "" it is no such filter."""
    levels = data.split("/")
    if len(levels) < 8 or levels[:2] != ["ie", "d"] or "#" in levels[:7]:
        return ""
    return "/".join(["ie", "m", *levels[2:7]])


def _is_beside(source: Source, levels: Sequence[str]) -> bool:
    """Whether a topic brings what the values of a source need to be understood."""
    if source.format == "databus":
        wanted = metadata_filter(subscription(source)).split("/")
        return _match(wanted, levels) is not None
    return source.format == "sparkplug" and _is_of_node(source, levels)


def _is_of_node(source: Source, levels: Sequence[str]) -> bool:
    """Whether a topic brings what a node itself says, whose devices are a source."""
    if len(levels) != 4 or levels[2] not in NODE_NEWS:
        return False
    pattern = source.topic.split("/")
    return len(pattern) > len(levels) and _match(pattern[:4], levels) is not None


def _match(pattern: Sequence[str], levels: Sequence[str]) -> dict[str, str] | None:
    """The named levels of a topic; None where it does not match."""
    named: dict[str, str] = {}
    for i, part in enumerate(pattern):
        if part == "#":
            return named
        if i >= len(levels):
            return None
        if part.startswith("{"):
            found = LEVEL.fullmatch(part)
            if found is None:
                return None
            if found[2]:
                named[found[1]] = "/".join(levels[i:])
                return named
            named[found[1]] = levels[i]
        elif part not in ("+", levels[i]):
            return None
    return named if len(levels) == len(pattern) else None
