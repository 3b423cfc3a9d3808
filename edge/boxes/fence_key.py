"""The secret by which boxes of one site know each other's claims: made once, carried by backups.

    fence.key     below [journal] dir, readable by its owner only

Whoever may write to `fence` and never had the disk or a backup cannot make a claim that counts. It
is never sent. A file of its own, so that an older version finds `box.json` as it wrote it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import ConfigError
from edge.storage.disk import DISK, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.storage.disk import Disk
    from edge.wire.fence import FencePayload

FILE: Final = "fence.key"
KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceKey:
    """The secret of 32 bytes. fresh: it was made now, so claims of before do not know it."""

    secret: bytes
    fresh: bool = False

    def mac(self, topic: str, claim: FencePayload) -> str:
        """What proves a claim on a topic: HMAC-SHA256 of both, in hex."""
        said = msgspec.json.encode(msgspec.structs.replace(claim, mac=""))
        return hmac.new(self.secret, topic.encode() + b"\n" + said, hashlib.sha256).hexdigest()

    def sealed(self, topic: str, claim: FencePayload) -> FencePayload:
        """The claim with its proof."""
        return msgspec.structs.replace(claim, mac=self.mac(topic, claim))

    def made(self, topic: str, claim: FencePayload) -> bool:
        """Whether somebody who has the secret made the claim, for this topic."""
        return hmac.compare_digest(self.mac(topic, claim).encode(), claim.mac.encode())


def fence_key_of(
    state: Path, *, disk: Disk = DISK, token: Callable[[int], str] = secrets.token_hex
) -> FenceKey:
    """The key of a state directory, made where there is none; in memory where the disk fails.

    token: draws one of so many bytes, in hex. Raises ConfigError for a file that is no key: another
    one would split the site's boxes.
    """
    path = state / FILE
    try:
        with path.open("rb") as file:
            stored = file.read(2 * KEY_BYTES + 2)
        secret = bytes.fromhex(stored.decode("ascii"))
    except FileNotFoundError:
        return _new(path, FenceKey(secret=bytes.fromhex(token(KEY_BYTES)), fresh=True), disk)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError:
        secret = b""
    if len(secret) != KEY_BYTES:
        raise ConfigError(
            f"{path} is no key; expected {2 * KEY_BYTES} hex digits. Restore it from a backup."
            " Removed, this box makes another, and knows no claim of boxes that have the old one"
        )
    return FenceKey(secret=secret)


def _new(path: Path, key: FenceKey, disk: Disk) -> FenceKey:
    """Write a key, all or nothing; returns it."""
    work = path.with_name(f".{FILE}.{os.getpid()}")
    try:
        disk.make_directory(path.parent)
        with disk.open(work, "wb", permissions=0o600) as file:
            write_whole(disk, file, key.secret.hex().encode() + b"\n")
            disk.sync(file)
        disk.replace(work, path)
        disk.sync_directory(path.parent)
    except OSError:  # told elsewhere, as of everything that this disk does not take
        with suppress(OSError):
            disk.unlink(work)
    return key
