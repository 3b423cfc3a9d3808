"""Comparing: from a configuration, and a broker or a recording, to what differs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edge.brokers.links import endpoint_of
from edge.brokers.rights import sensor_filters
from edge.bundles.store import store_of
from edge.configuration.config import load as load_config
from edge.configuration.config import need_bundle
from edge.discovery.listening import hear
from edge.errors import ConfigError
from edge.records import MessageReceived
from edge.rewiring.differences import Difference, differences
from edge.rewiring.expected import expected_of
from edge.rewiring.heard import Heard
from edge.storage.journal import read_journal, segments
from models.bundles.store import load as load_bundle
from models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from edge.configuration.config import GatewayConfig
    from models.bundles.bundle import Bundle

SECOND_NS: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What differs, of how much. bundle: "" where none could be opened, and why not."""

    found: Sequence[Difference]
    heard: Heard
    seconds: float
    dropped: int
    bundle: str
    unfitted: str


def compare(path: Path, *, seconds: float, recording: Path | None, console: Console) -> Comparison:
    """Hear what a gateway hears for a while, or read a recording, and compare.

    Raises ConfigError, BrokerError, JournalError.
    """
    config = load_config(path)
    bundle, unfitted = _bundle(config)
    expected = expected_of(config.settings, bundle)
    if not expected:
        raise ConfigError(
            f"{path}: no asset is configured and no bundle is fitted, so that nothing is expected;"
            " see what comes with andon discover"
        )
    heard = Heard(config.source, expected)
    dropped = 0
    if recording is None:
        # a client id of its own: with that of the configuration it would end the gateway's session
        seconds, dropped = hear(
            replace(endpoint_of(config), client_id=""),
            heard,
            filters=sensor_filters(config),
            seconds=seconds,
            console=console,
        )
    else:
        seconds = _read(recording, heard)
    return Comparison(
        found=differences(expected, heard, seconds=seconds),
        heard=heard,
        seconds=seconds,
        dropped=dropped,
        bundle="" if bundle is None else bundle.sha256,
        unfitted=unfitted,
    )


def _bundle(config: GatewayConfig) -> tuple[Bundle | None, str]:
    """The bundle that counts now, or why there is none."""
    try:
        return load_bundle(need_bundle(store_of(config).current()[1])), ""
    except (ConfigError, ModelError) as error:
        return None, str(error)


def _read(recording: Path, heard: Heard) -> float:
    """Hand on a recording; returns its seconds. Raises ConfigError, JournalError."""
    if not recording.is_dir() or not segments(recording):
        raise ConfigError(
            f"{recording}: no recording is there; make one with andon record, or listen without"
            " --recording"
        )
    first_ns = last_ns = 0
    for entry in read_journal(recording):
        if isinstance(entry.stimulus, MessageReceived):
            one = entry.stimulus
            first_ns, last_ns = first_ns or one.received_ns, one.received_ns
            heard.take(one.topic, one.payload, received_ns=one.received_ns, retained=one.retain)
    return (last_ns - first_ns) / SECOND_NS
