"""The secret by which boxes of one site know each other's claims: made once, carried by backups.

    fence.key     below [journal] dir, readable by its owner only: the secret in hex, and in a
                  second line that no gateway has heard the fence with it yet

Whoever may write to `fence` and never had the disk or a backup cannot make a claim that counts. It
is never sent. A file of its own, so that an older version finds `box.json` as it wrote it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
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
FRESH: Final = "not heard yet"  # the second line
FILE_BYTES_MAX: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceKey:
    """The secret of 32 bytes.

    fresh: no gateway has heard the fence with it yet, so claims of before do not know it. unkept:
    it is in memory alone, or what is kept of it is older.
    """

    secret: bytes
    fresh: bool = False
    unkept: bool = False

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


def read_key(state: Path) -> FenceKey | None:
    """The key of a state directory; None: it has none yet.

    Raises ConfigError for a file that is no key: another one would split the site's boxes.
    """
    path = state / FILE
    try:
        with path.open("rb") as file:
            stored = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; expected to be readable by the gateway's user: chown it"
        ) from error
    secret, said = b"", ""
    with suppress(ValueError):
        digits, _, rest = stored.decode("ascii").partition("\n")
        secret, said = bytes.fromhex(digits), rest.strip()
    if len(secret) != KEY_BYTES or said not in ("", FRESH):
        raise ConfigError(
            f"{path} is no key; expected {2 * KEY_BYTES} hex digits. Restore it from a backup."
            " Removed, this box makes another, and knows no claim of boxes that have the old one"
        )
    return FenceKey(secret=secret, fresh=bool(said))


def fence_key_of(
    state: Path, *, disk: Disk = DISK, token: Callable[[int], str] = secrets.token_hex
) -> FenceKey:
    """The key of a state directory, made where there is none; in memory where the disk fails.

    token: draws one of so many bytes, in hex. Raises ConfigError for a file that is no key.
    """
    found = read_key(state)
    if found is not None:
        return found
    return keep_key(state, FenceKey(secret=bytes.fromhex(token(KEY_BYTES)), fresh=True), disk=disk)


def keep_key(state: Path, key: FenceKey, *, disk: Disk = DISK) -> FenceKey:
    """Keep what is known of a key; returns what counts from now on, unkept where the disk fails.

    A secret that is on the disk by now goes before ours, which no other box can have: a backup
    makes one where there is none. Raises ConfigError for a file that is no key.
    """
    found = read_key(state)
    if found is not None:
        key = replace(key, secret=found.secret)
        if found == key:
            return key
    try:
        _write(state / FILE, key, disk)
    except OSError:  # told elsewhere, as of everything that this disk does not take
        return replace(key, unkept=True)
    return replace(key, unkept=False)


def _write(path: Path, key: FenceKey, disk: Disk) -> None:
    """All or nothing, for the user whose directory it is. Raises OSError."""
    lines = [key.secret.hex(), *([FRESH] if key.fresh else []), ""]
    work = path.with_name(f".{FILE}.{os.getpid()}")
    try:
        disk.make_directory(path.parent)
        with disk.open(work, "wb", permissions=0o600) as file:
            disk.give(file, path.parent)
            write_whole(disk, file, "\n".join(lines).encode())
            disk.sync(file)
        disk.replace(work, path)
        disk.sync_directory(path.parent)
    except OSError:
        with suppress(OSError):
            disk.unlink(work)
        raise
