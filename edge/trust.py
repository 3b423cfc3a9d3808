"""Whom a gateway believes, and where it writes down what it kept quiet."""

from __future__ import annotations

import base64
import binascii
from typing import Final, Literal

import msgspec

CommandName = Literal["ack", "feedback", "confirm", "job", "shelve", "oos", "text"]
COMMANDS: Final[tuple[CommandName, ...]] = (
    "ack",
    "feedback",
    "confirm",
    "job",
    "shelve",
    "oos",
    "text",
)
KEY_BYTES: Final = 32  # of an Ed25519 public key
# Points of small order, without the bit of the sign: whoever has no key at all can sign for them.
SMALL_ORDER: Final = frozenset(
    bytes.fromhex(text)
    for text in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)


class TrustSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys as base64 of their 32 bytes, as `andon keys new` prints them.

    require_signed: what carries no valid signature suppresses nothing. public_keys: of who may sign
    bundles, snapshots and files of jobs. operators: key of each operator who may open jobs.
    unknown_may: what operators may do whom no [[operator]] names. reason_for: commands that need a
    reason where they may keep something quiet.
    """

    require_signed: bool = False
    public_keys: tuple[str, ...] = ()
    operators: dict[str, str] = {}
    unknown_may: tuple[CommandName, ...] = COMMANDS
    reason_for: tuple[CommandName, ...] = ("confirm", "job", "shelve", "oos")

    def __post_init__(self) -> None:
        """Raise ValueError for a key that is none, and for a demand that nobody could meet."""
        for key in self.public_keys:
            _check_key(key, "public_keys")
        for operator, key in self.operators.items():
            _check_key(key, f"operators, {operator}")
        if self.require_signed and not self.public_keys:
            raise ValueError(
                "require_signed without public_keys: nothing could ever be suppressed; make a key"
                " with `andon keys new DIR` and list its public half"
            )


class OperatorRights(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one operator may do. assets: ids or patterns with * and ?; positions: and all of these.

    Neither: every asset. shared: several people use this name.
    """

    name: str
    may: tuple[CommandName, ...] = COMMANDS
    assets: tuple[str, ...] = ()
    positions: tuple[str, ...] = ()
    shared: bool = False


class AuditConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The audit trail. dir "": `audit` below [journal] dir. syslog: `host:514`, "" for none."""

    dir: str = ""
    bytes_max: int = 64 << 20
    days_max: int = 730
    syslog: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for bounds that would drop what was just written."""
        if not 1 << 20 <= self.bytes_max <= 1 << 40:
            raise ValueError(f"bytes_max is {self.bytes_max}, expected {1 << 20} to {1 << 40}")
        if not 1 <= self.days_max <= 36_500:
            raise ValueError(f"days_max is {self.days_max}, expected 1 to 36500")


def _check_key(key: str, where: str) -> None:
    try:
        raw = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES or raw[:-1] + bytes([raw[-1] & 0x7F]) in SMALL_ORDER:
        raise ValueError(
            f"{where}: {key[:60]!r} is no public key; expected 44 characters of base64, the line of"
            " the .pub file that `andon keys new` wrote"
        )
