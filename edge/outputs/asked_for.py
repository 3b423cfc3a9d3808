"""Which outputs a configuration asks for, and what they publish on the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.outputs.alertmanager import Alertmanager
from edge.outputs.cloudevents import CloudEvents
from edge.outputs.home_assistant import HomeAssistant, discovery_topics, is_owed
from edge.outputs.hub import Outputs
from edge.storage.disk import CLOCK, DISK
from edge.wire.topics import Topics
from kb.snapshots.snapshot import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.assembly.assembly import Assembly
    from edge.configuration.config import GatewayConfig
    from edge.outputs.output import Output
    from edge.storage.disk import Clock, Disk


def outputs_of(
    config: GatewayConfig, assembly: Assembly, *, disk: Disk = DISK, clock: Clock = CLOCK
) -> Outputs:
    """Those that are asked for, ready to hear."""
    asked = config.output
    found: list[Output] = []
    if is_owed(config):
        found.append(HomeAssistant(config, assembly, disk=disk))
    if asked.cloudevents is not None:
        found.append(CloudEvents(Topics(config.prefix, config.site)))
    if asked.alertmanager is not None:
        found.append(Alertmanager(config, clock=clock))
    if asked.prometheus is not None:
        from edge.outputs.prometheus import Prometheus  # noqa: PLC0415 - a tenth of a second of a start

        found.append(Prometheus(config, knowledge_s=lambda: _built_s(assembly), clock=clock))
    return Outputs(found)


def output_topics(config: GatewayConfig, assets: Sequence[str]) -> list[str]:
    """Every topic that outputs publish besides those of the gateway."""
    found = discovery_topics(config, assets) if is_owed(config) else []
    if config.output.cloudevents is not None:
        topics = Topics(config.prefix, config.site)
        found += [topics.cloudevent(asset) for asset in assets]
    return found


def _built_s(assembly: Assembly) -> float | None:
    """When the knowledge in use was built, by the file that says what it is."""
    if assembly.snapshot is None:
        return None
    try:
        return (assembly.snapshot.path / MANIFEST).stat().st_mtime
    except OSError:
        return None
