"""What Home Assistant is told so that it finds an asset by itself: one retained message an entity.

The per-entity form, which releases of 2024 and later read. Ids hold the asset's own where that is
short and plain, else a hash besides, so that no two assets meet.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge.wire.topics import Topics

TRACKS: Final = ("process", "sensor", "comms")
PLAIN_CHARS_MAX: Final = 48  # of an id; Home Assistant's own end at 255 and join several
RINGS: Final = "{{ 'ON' if value_json is defined and value_json.active else 'OFF' }}"
# Home Assistant keeps `state` and `name` for itself and drops attributes of these names.
FIELDS: Final = (
    "{{ dict(value_json, alert_state=value_json.state | default(''),"
    " trouble=value_json.name | default('')) | tojson if value_json is defined else '{}' }}"
)
HERE: Final = "{{ 'online' if value_json.online else 'offline' }}"


def slug(text: str) -> str:
    """A text as a level of a discovery topic: letters, digits, _ and -."""
    plain = re.sub(r"[^a-zA-Z0-9_-]", "_", text)[:PLAIN_CHARS_MAX]
    if plain == text:
        return plain
    return f"{plain}_{hashlib.sha256(text.encode()).hexdigest()[:10]}"


class Discovery:
    """Of one gateway."""

    def __init__(self, topics: Topics, *, prefix: str, version: str = "") -> None:
        """prefix: under which Home Assistant looks, mostly `homeassistant`."""
        self._topics, self._prefix, self._version = topics, prefix, version
        self._node = f"{slug(topics.prefix)}_{slug(topics.site)}"

    def messages(self, assets: Sequence[str], causes: Sequence[str] = ()) -> dict[str, bytes]:
        """Payloads by topic."""
        return {
            self._topic(component, node, what): msgspec.json.encode(entity)
            for component, node, what, entity in self._entities(assets, causes)
        }

    def _topic(self, component: str, node: str, what: str) -> str:
        return f"{self._prefix}/{component}/{node}/{what}/config"

    def _entities(
        self, assets: Sequence[str], causes: Sequence[str]
    ) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
        topics, gateway = self._topics, self._gateway()
        yield from self._of_gateway(gateway)
        for cause in causes:
            name, what = f"Group {cause}", f"group_{slug(cause)}"
            entity = self._alert(name, topics.alert("_group", cause))
            yield self._entity("binary_sensor", self._node, what, entity, gateway)
        for asset in assets:
            node = f"{self._node}_{slug(asset)}"
            device = {
                "identifiers": [node],
                "name": asset,
                "manufacturer": "Andon",
                "via_device": self._node,
            }
            for track in TRACKS:
                entity = self._alert(track.capitalize(), topics.alert(asset, track))
                yield self._entity("binary_sensor", node, track, entity, device)
            score = {
                "name": "Score",
                "state_topic": topics.score(asset),
                "value_template": "{{ value_json.score }}",
                "state_class": "measurement",
            }
            yield self._entity("sensor", node, "score", score, device)

    def _gateway(self) -> dict[str, Any]:
        device = {
            "identifiers": [self._node],
            "name": f"Andon {self._topics.site}",
            "manufacturer": "Andon",
        }
        return {**device, "sw_version": self._version} if self._version else device

    def _of_gateway(self, device: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
        status, health, node = self._topics.status, self._topics.health, self._node
        online = {
            "name": "Online",
            "state_topic": status,
            "value_template": "{{ 'ON' if value_json.online else 'OFF' }}",
            "device_class": "connectivity",
        }
        yield self._entity("binary_sensor", node, "online", online, device)
        trouble = self._alert("Trouble", self._topics.alert("_gateway", "system"))
        yield self._entity("binary_sensor", node, "trouble", trouble, device)
        for what, name, unit in (
            ("messages_per_s", "Messages", "1/s"),
            ("queue_depth", "Queue", ""),
            ("lag_ms", "Lag", "ms"),
            ("rss_mb", "Memory", "MB"),
        ):
            figure = {
                "name": name,
                "state_topic": health,
                "value_template": f"{{{{ value_json.{what} }}}}",
                "state_class": "measurement",
                "entity_category": "diagnostic",
                **({"unit_of_measurement": unit} if unit else {}),
            }
            yield self._entity("sensor", node, what, figure, device)

    def _alert(self, name: str, topic: str) -> dict[str, Any]:
        return {
            "name": name,
            "state_topic": topic,
            "value_template": RINGS,
            "device_class": "problem",
            "json_attributes_topic": topic,
            "json_attributes_template": FIELDS,
        }

    def _entity(
        self, component: str, node: str, what: str, entity: dict[str, Any], device: dict[str, Any]
    ) -> tuple[str, str, str, dict[str, Any]]:
        told = {
            **entity,
            "unique_id": f"{node}_{what}",
            # what an entity is called: until release 2025.10, and since; each passes over the other
            "object_id": f"{node}_{what}",
            "default_entity_id": f"{component}.{node}_{what}",
            "qos": 1,
            "device": device,
            "origin": {"name": "Andon"},
        }
        if entity["state_topic"] != self._topics.status:  # that one says whether we are there
            told |= {
                "availability_topic": self._topics.status,
                "availability_template": HERE,
            }
        return component, node, what, told
