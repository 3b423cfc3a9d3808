"""Passwords: argon2id as RFC 9106 has it for boxes of little memory, and what a password must be.

The only importer of argon2.
"""

from __future__ import annotations

import secrets
import unicodedata
from functools import lru_cache
from typing import Final

from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from edge.errors import ConfigError

CHARS_MIN: Final = 10
BYTES_MAX: Final = 1024  # a hash takes its time with longer ones
MEMORY_KIB: Final = 65_536
ROUNDS: Final = 3
LANES: Final = 4
MEMORY_KIB_MAX: Final = 4 * MEMORY_KIB  # of a hash that somebody else has made
ROUNDS_MAX: Final = 10

_HASHER: Final = PasswordHasher(
    time_cost=ROUNDS, memory_cost=MEMORY_KIB, parallelism=LANES, type=Type.ID
)


def check_password(password: str, *, name: str) -> None:
    """Raise ConfigError for one that is too short, too long, or the user's own name."""
    if len(password) < CHARS_MIN:
        raise ConfigError(
            f"the password of {name} has {len(password)} characters, expected {CHARS_MIN} or more:"
            " a few words that do not belong together are easy to keep in mind"
        )
    if len(password.encode("utf-8", "replace")) > BYTES_MAX:
        raise ConfigError(f"the password of {name} is longer than {BYTES_MAX} B")
    if name.casefold() in password.casefold() and len(password) < CHARS_MIN + len(name):
        raise ConfigError(f"the password of {name} is little more than the name; choose another")


def hashed(password: str) -> str:
    """An argon2id hash with a salt of its own."""
    return _HASHER.hash(_plain(password))


def matches(stored: str, password: str) -> bool:
    """Whether a password is the one of a stored hash; takes as long for either answer."""
    try:
        return _HASHER.verify(stored, _plain(password))
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


@lru_cache(maxsize=1)
def nobodys() -> str:
    """A hash that no password has: who is not known costs as much time as who is."""
    return hashed(secrets.token_urlsafe(32))


def check_hash(stored: str, where: str) -> None:
    """Raise ConfigError for a hash that is no argon2id, or that would take all of the box."""
    try:
        found = extract_parameters(stored)
    except InvalidHashError as error:
        raise ConfigError(
            f"{where}: hash is no argon2id hash; set it with `andon users password`"
        ) from error
    if (
        found.type is not Type.ID
        or found.memory_cost > MEMORY_KIB_MAX
        or found.time_cost > ROUNDS_MAX
    ):
        raise ConfigError(
            f"{where}: hash asks for {found.type.name} with {found.memory_cost} KiB and"
            f" {found.time_cost} rounds, expected argon2id with at most {MEMORY_KIB_MAX} KiB and"
            f" {ROUNDS_MAX}; set it with `andon users password`"
        )


def _plain(password: str) -> bytes:
    """The same bytes for what looks the same, whichever keyboard it was typed on."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "replace")[: BYTES_MAX + 1]
