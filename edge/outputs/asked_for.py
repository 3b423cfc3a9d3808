"""Which outputs a configuration asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.outputs.alertmanager import Alertmanager
from edge.outputs.cloudevents import CloudEvents
from edge.outputs.home_assistant import HomeAssistant, is_owed
from edge.outputs.hub import Outputs
from edge.outputs.sparkplug import Sparkplug
from edge.storage.disk import CLOCK, DISK
from edge.wire.topics import Topics
from kb.snapshots.snapshot import MANIFEST

if TYPE_CHECKING:
    from edge.assembly.assembly import Assembly
    from edge.brokers.transport import Transport
    from edge.configuration.config import GatewayConfig
    from edge.outputs.output import Output
    from edge.storage.disk import Clock, Disk


def outputs_of(
    config: GatewayConfig,
    assembly: Assembly,
    *,
    transport: Transport,
    disk: Disk = DISK,
    clock: Clock = CLOCK,
) -> Outputs:
    """Those that are asked for, ready to hear. transport: of one with a connection of its own."""
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
    if asked.sparkplug is not None:
        found.append(Sparkplug(config, assembly, transport=transport, disk=disk, clock=clock))
    return Outputs(found)


def _built_s(assembly: Assembly) -> float | None:
    """When the knowledge in use was built, by the file that says what it is."""
    if assembly.snapshot is None:
        return None
    try:
        return (assembly.snapshot.path / MANIFEST).stat().st_mtime
    except OSError:
        return None
