"""A running gateway takes over a changed configuration file, or says why it does not.

    SIGHUP -> read and try the file, beside the loop -> the engine's state in the new settings
           -> a checkpoint -> everything opened anew in this process, on that checkpoint

The broker keeps the session meanwhile, and what comes at QoS 1. A file that is not valid, or that
changes what needs a restart, changes nothing and rings as `configuration_refused`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from edge import logs
from edge.assembly.assembly import assemble
from edge.configuration.changes import Changes, changes
from edge.configuration.config import GatewayConfig
from edge.errors import UNREADABLE, AndonError, ConfigError
from edge.records import Note
from edge.storage.journal import is_written
from edge.storage.kept_settings import keep
from kb.errors import KnowledgeError
from models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.gateway.app import Gateway

log = logging.getLogger("andon")

RUNNING: Final = "running.json"  # in [journal] dir: what counts now, and in which process
REOPENED_S: Final = 3.0  # a gateway that takes a file over lets go of its journal for a second
LOOK_S: Final = 0.1
REASONS_MAX: Final = 5  # that a refusal names


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway runs with. refused: why the last file did not take over; "": it did."""

    pid: int
    taken: int  # how many files it has taken over
    asked: int  # how often it was asked to
    refused: str
    config: GatewayConfig


class Reloading:
    """Files that are to take over, one after another, for one process."""

    def __init__(self, config: GatewayConfig, read: Callable[[], GatewayConfig] | None) -> None:
        """config: what counts; read: the file, as it is now. None: there is none."""
        self.config = config
        self._read, self._next = read, config
        self._taken = self._asked = 0
        self._one = threading.Lock()  # files are tried one after another
        self._gateway: Gateway | None = None

    def serves(self, gateway: Gateway) -> None:
        """Tell which gateway a file takes over from now on."""
        self._gateway = gateway
        self._keep_settings()
        self._note_running("")

    def ask(self) -> None:
        """Try the file beside the loop; safe from a signal handler."""
        threading.Thread(target=self._try, name="reload", daemon=True).start()

    def taken(self) -> bool:
        """Whether the gateway ended because another configuration counts now."""
        with self._one:
            if self._next is self.config:
                return False
            self.config, self._gateway = self._next, None
            self._taken += 1
            return True

    def _try(self) -> None:
        with self._one:
            gateway = self._gateway
            if gateway is None or self._read is None or self._next is not self.config:
                note = Note(name="reload_not_now", level="warning", fields={"why": "it starts"})
                logs.write(log, note)
                return
            self._asked += 1
            try:
                found = self._read()
                differs = changes(self.config, found)
                refuse_restart(differs)
                try_out(found)
            except (AndonError, ModelError, KnowledgeError, OSError, *UNREADABLE) as error:
                gateway.upkeep.refused = str(error)
                fields: dict[str, str | int | float] = {"cause": str(error)}
                logs.write(log, Note(name="configuration_refused", level="error", fields=fields))
                self._note_running(str(error))
                return
            gateway.upkeep.refused = ""
            if not differs.lines:
                self._note_running("")
                return
            fields = {"changes": len(differs.lines)}
            logs.write(log, Note(name="configuration_taken", level="info", fields=fields))
            self._next = found
            gateway.upkeep.successor = found
            gateway.stop()

    def _keep_settings(self) -> None:
        """Keep what `andon why` may need of it; nothing else depends on it."""
        state = self.config.path(self.config.journal.dir)
        try:
            keep(state, self.config.settings)
        except OSError as error:
            fields: dict[str, str | int | float] = {"cause": f"{state}: {error.strerror}"}
            logs.write(log, Note(name="settings_not_kept", level="warning", fields=fields))

    def _note_running(self, refused: str) -> None:
        """Tell whoever asks what counts; nothing depends on it."""
        path = self.config.path(self.config.journal.dir) / RUNNING
        running = Running(
            pid=os.getpid(),
            taken=self._taken,
            asked=self._asked,
            refused=refused,
            config=placed(self.config),
        )
        aside = path.with_suffix(".new")
        try:
            aside.write_bytes(msgspec.json.encode(running))
            aside.replace(path)
        except OSError as error:
            fields: dict[str, str | int | float] = {"cause": f"{path}: {error.strerror}"}
            logs.write(log, Note(name="running_untold", level="warning", fields=fields))


def placed(config: GatewayConfig) -> GatewayConfig:
    """The same with its whole base, for whoever stands elsewhere."""
    return msgspec.structs.replace(config, base=str(Path(config.base).resolve()))


def refuse_restart(found: Changes) -> None:
    """Raise ConfigError for what a running gateway cannot take over."""
    if found.on_restart:
        reasons = found.on_restart[:REASONS_MAX]
        left = len(found.on_restart) - len(reasons)
        more = f"; and {left} more" * (left > 0)
        raise ConfigError(f"needs a restart, nothing was taken over: {'; '.join(reasons)}{more}")


def try_out(config: GatewayConfig) -> None:
    """Open all that it names, as a start would, and let go of it again.

    Raises AndonError, ModelError or KnowledgeError.
    """
    assembly = assemble(config)
    if assembly.snapshot is not None:
        assembly.snapshot.close()


def asked_of(folder: Path) -> Running:
    """The gateway of a state directory, which may be told to reload. Raises ConfigError.

    What it has written of itself outlives it, and its number may be another process's by then,
    which a signal would end: only who holds the journal is it.
    """
    running = running_in(folder)
    until_s = time.monotonic() + REOPENED_S
    while not is_written(folder / "journal"):
        if time.monotonic() > until_s:
            text = f"{folder}: no gateway holds its journal, so none runs; `andon run` starts one"
            raise ConfigError(text)
        time.sleep(LOOK_S)
    return running


def running_in(folder: Path) -> Running:
    """What the gateway of a state directory runs with. Raises ConfigError."""
    path = folder / RUNNING
    try:
        running = msgspec.json.decode(path.read_bytes(), type=Running)
        os.kill(running.pid, 0)
    except PermissionError as error:
        raise ConfigError(f"{path}: the gateway is another user's; ask as that user") from error
    except (OSError, *UNREADABLE) as error:
        raise ConfigError(f"{path}: no gateway runs there; `andon run` starts one") from error
    return running
