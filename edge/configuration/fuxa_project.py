"""A project for FUXA, the SCADA in a browser, made from a gateway's settings.

FUXA subscribes to exact topics only and sees only the top level of a JSON payload, so every asset
has tags of its own. It publishes everything with retain, and Andon refuses retained commands: such
a project shows and alarms, and has no buttons that acknowledge.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from edge.wire.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.configuration.config import GatewayConfig

TRACKS: Final = ("process", "sensor", "comms")
KEYS: Final = (  # of an alert's topic, as tags
    "active",
    "state",
    "severity",
    "severity_num",
    "score",
    "threshold",
    "message",
    "advice",
    "source",
)
POLLING_MS: Final = 1_000
DECIMALS: Final = 2
ASSETS_A_VIEW: Final = 6
VIEW_WIDTH: Final = 1_240
TOP: Final = 74  # px, above the first asset
CARD: Final = 132  # px, of an asset
DEVICE: Final = "d_andon"
SYSTEM: Final = "_gateway"
INK, GREY, QUIET, RINGS = "#263238", "#607d8b", "#cfd8dc", "#ffb300"


def fuxa_project(config: GatewayConfig, assets: Sequence[str]) -> dict[str, Any]:
    """The project as FUXA opens or is posted it: one broker, tags, alarms, a view for six assets.

    It holds no credentials: these are entered in FUXA, which keeps them apart from the project.
    """
    topics = Topics(config.prefix, config.site)
    pages = [assets[i : i + ASSETS_A_VIEW] for i in range(0, len(assets), ASSETS_A_VIEW)]
    views = [_view(number, config.site, page) for number, page in enumerate(pages, 1)]
    items = [
        {"icon": "notifications", "view": view["id"], "link": "", "text": view["name"]}
        for view in views
    ]
    navigation = {"mode": "void" if len(views) == 1 else "fix", "type": "inline", "items": items}
    layout = {"start": views[0]["id"], "navigation": navigation, "header": {"alarms": "fix"}}
    return {
        "version": "1.02",
        "name": f"Andon {config.site}",
        "server": {"id": "0", "name": "FUXA Server", "type": "FuxaServer", "property": {}},
        "hmi": {"layout": layout | {"showdev": False}, "views": views},
        "devices": {DEVICE: _device(config, topics, assets)},
        "alarms": [_alarm(asset, track) for asset in assets for track in TRACKS],
        "charts": [],
        "graphs": [],
        "texts": [],
    }


def tag_id(asset: str, track: str, key: str) -> str:
    """The id of a tag, for FUXA's API too."""
    return f"t_{asset}_{track}_{key}"


def _device(config: GatewayConfig, topics: Topics, assets: Sequence[str]) -> dict[str, Any]:
    tags = [_tag("gateway_online", topics.status, "online")]
    tags += [_tag("gateway_version", topics.status, "version")]
    for key in ("active", "message"):
        tags.append(_tag(tag_id(SYSTEM, "system", key), topics.alert(SYSTEM, "system"), key))
    tags += [
        _tag(tag_id(asset, track, key), topics.alert(asset, track), key)
        for asset in assets
        for track in TRACKS
        for key in KEYS
    ]
    return {
        "id": DEVICE,
        "name": f"Andon {config.site}",
        "type": "MQTTclient",
        "enabled": True,
        "polling": POLLING_MS,
        "property": {"address": _address(config)},
        "tags": {tag["id"]: tag for tag in tags},
    }


def _address(config: GatewayConfig) -> str:
    """Of the broker that alerts go to."""
    broker = config.mqtt.output or config.mqtt
    return f"{'mqtts' if broker.tls_ca_file else 'mqtt'}://{broker.host}:{broker.port}"


def _tag(identity: str, topic: str, key: str) -> dict[str, Any]:
    return {
        "id": identity,
        "name": identity,
        "label": key,
        "type": "json",
        "address": topic,
        "memaddress": key,
        "options": {"subs": [key]},
        "format": DECIMALS,
        "daq": {"enabled": False, "changed": True, "interval": 60},
    }


def _alarm(asset: str, track: str) -> dict[str, Any]:
    """`active` is 1 exactly while it rings; FUXA's alarms are ranges of numbers."""
    off = {"enabled": False, "checkdelay": 1, "min": 0, "max": 0, "timedelay": 0, "text": ""}
    rings = {
        "enabled": True,
        "checkdelay": 1,
        "min": 1,
        "max": 1,
        "timedelay": 0,
        "text": f"Andon: {asset}, {track}. Its view says why",
        "group": asset,
        "ackmode": "ackactive",
        "bkcolor": RINGS,
        "color": INK,
    }
    return {
        "name": f"andon {asset} {track}",
        "property": {"variableId": tag_id(asset, track, "active"), "permission": None},
        "highhigh": off,
        "high": rings,
        "low": off,
        "info": off,
        "actions": {"enabled": False, "values": []},
    }


def _view(number: int, site: str, assets: Sequence[str]) -> dict[str, Any]:
    drawing = _Drawing(f"v{number}")
    drawing.text(24, 42, f"Andon: {site}", size=22)
    drawing.text(400, 42, "gateway", color=GREY)
    drawing.lamp(490, 37, "gateway_online", good=True)
    drawing.value(505, 42, "gateway_version")
    drawing.value(620, 42, tag_id(SYSTEM, "system", "message"))
    for row, asset in enumerate(assets):
        _card(drawing, asset, TOP + row * CARD)
    height = TOP + len(assets) * CARD + 20
    return {
        "id": f"v_andon_{number}",
        "name": "Alerts" if number == 1 else f"Alerts {number}",
        "type": "svg",
        "profile": {"width": VIEW_WIDTH, "height": height, "bkcolor": "#ffffffff", "margin": 10},
        "items": drawing.items,
        "variables": {},
        "svgcontent": drawing.svg(height),
    }


def _card(drawing: _Drawing, asset: str, y: int) -> None:
    """What is wrong with the process of an asset, and lamps for sensors and communication."""

    def tag(key: str, track: str = "process") -> str:
        return tag_id(asset, track, key)

    drawing.frame(y, CARD - 12)
    drawing.lamp(44, y + 30, tag("active"))
    drawing.text(64, y + 36, asset, size=18)
    drawing.value(200, y + 36, tag("state"))
    drawing.value(380, y + 36, tag("severity"))
    drawing.value(470, y + 36, tag("severity_num"))
    drawing.text(550, y + 36, "score", color=GREY)
    drawing.value(600, y + 36, tag("score"))
    drawing.text(670, y + 36, "threshold", color=GREY)
    drawing.value(746, y + 36, tag("threshold"))
    for x, track in ((900, "sensor"), (1040, "comms")):
        drawing.lamp(x, y + 30, tag("active", track))
        drawing.text(x + 16, y + 36, track, color=GREY)
    drawing.value(64, y + 66, tag("message"), size=16)
    drawing.text(64, y + 92, "check first", color=GREY)
    drawing.value(150, y + 92, tag("advice"))
    drawing.text(64, y + 112, "source", color=GREY)
    drawing.value(150, y + 112, tag("source"))


class _Drawing:
    """An SVG with FUXA's own elements; ids are unique in it, as FUXA needs them."""

    def __init__(self, name: str) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self._name = name
        self._parts: list[str] = []

    def svg(self, height: int) -> str:
        """All of it."""
        size = f'width="{VIEW_WIDTH}" height="{height}"'
        spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:svg="http://www.w3.org/2000/svg"'
        return f"<svg {size} {spaces}><g><title>Layer 1</title>{''.join(self._parts)}</g></svg>"

    def frame(self, y: int, height: int) -> None:
        """A box over the width of the view."""
        self._parts.append(
            f'<rect id="svg_{self._next()}" x="24" y="{y}" width="{VIEW_WIDTH - 48}"'
            f' height="{height}" fill="#ffffff" stroke="{QUIET}"/>'
        )

    def text(self, x: int, y: int, words: str, *, size: int = 14, color: str = INK) -> None:
        """Words that stay."""
        self._parts.append(_words(f"svg_{self._next()}", x, y, escape(words), size, color))

    def value(self, x: int, y: int, tag: str, *, size: int = 14) -> None:
        """A tag's value, on one line: FUXA breaks none."""
        identity = self._item("VAL", "svg-ext-value", "Value", tag, [])
        words = _words(f"T-{identity}", x, y, "", size, INK)
        self._parts.append(f'<g id="{identity}" type="svg-ext-value">')
        self._parts.append(f"{words}</g>")

    def lamp(self, x: int, y: int, tag: str, *, good: bool = False) -> None:
        """Grey, and amber at 1; where 1 is good the other way round."""
        off, on = (RINGS, QUIET) if good else (QUIET, RINGS)
        ranges = [
            {"type": "range", "min": value, "max": value, "color": color}
            for value, color in ((0, off), (1, on))
        ]
        kind = "svg-ext-gauge_semaphore"
        identity = self._item("GSE", kind, "HtmlSemaphore", tag, ranges)
        self._parts.append(
            f'<g id="{identity}" type="{kind}"><ellipse id="E-{identity}" cx="{x}" cy="{y}"'
            f' rx="9" ry="9" fill="{QUIET}" stroke="{GREY}"/></g>'
        )

    def _item(
        self, head: str, kind: str, label: str, tag: str, ranges: list[dict[str, Any]]
    ) -> str:
        identity = f"{head}_{self._next()}"
        own = {"events": [], "actions": [], "variableId": tag, "ranges": ranges}
        self.items[identity] = {
            "id": identity,
            "type": kind,
            "name": tag,
            "property": own,
            "label": label,
        }
        return identity

    def _next(self) -> str:
        return f"andon-{self._name}-{len(self._parts)}"


def _words(identity: str, x: int, y: int, words: str, size: int, color: str) -> str:
    return (
        f'<text id="{identity}" x="{x}" y="{y}" font-family="sans-serif" font-size="{size}"'
        f' fill="{color}" stroke-width="0" text-anchor="start" xml:space="preserve">{words}</text>'
    )
