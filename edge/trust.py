"""Whom a gateway believes, and where it writes down what it kept quiet."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from edge.caps import PLAUSIBLE_NS

if TYPE_CHECKING:
    from collections.abc import Iterable

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


class Signs(StrEnum):
    """What a key may sign."""

    BUNDLE = "bundle"
    SNAPSHOT = "snapshot"
    SCOPE = "scope"  # tables of what work may disturb
    JOBS = "jobs"  # files of jobs for a backtest
    COMMANDS = "commands"  # of the operator whose name the key has


ARTIFACTS: Final = (Signs.BUNDLE, Signs.SNAPSHOT, Signs.SCOPE, Signs.JOBS)


class TrustedKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key, whose it is, what it may sign, and when that counts.

    public_key: base64 of 32 bytes   valid_from, valid_to: with a time zone; None: open
    withdrawn: why it counts for nothing any more; "" it does
    """

    name: str
    public_key: str
    signs: tuple[Signs, ...]
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    withdrawn: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for a key that is none, signs nothing, or is never valid."""
        if not self.name.strip():
            raise ValueError("a trusted key has no name; say whose it is")
        check_key(self.public_key, f"key {self.name}")
        if not self.signs:
            expected = f"expected some of {', '.join(Signs)}"
            raise ValueError(f"key {self.name}: signs is empty; {expected}")
        for key, time in (("valid_from", self.valid_from), ("valid_to", self.valid_to)):
            if time is not None and time.tzinfo is None:
                given = f"{key} has no time zone; write 2026-01-31T00:00:00Z"
                raise ValueError(f"key {self.name}: {given}")
        if self.valid_from and self.valid_to and self.valid_from >= self.valid_to:
            raise ValueError(f"key {self.name}: valid_to is not after valid_from")

    def lacks(self, t_ns: int) -> str:
        """Why it does not count at a time; "" it does."""
        if self.withdrawn:
            return f"key {self.name} is withdrawn: {self.withdrawn}"
        if self.valid_from is not None and t_ns < _ns(self.valid_from):
            why = f"key {self.name} counts from {self.valid_from.isoformat()} on"
            return why + ", and the clock of this box was never set" * (t_ns < PLAUSIBLE_NS)
        if self.valid_to is not None and t_ns >= _ns(self.valid_to):
            return f"key {self.name} counted until {self.valid_to.isoformat()}"
        return ""


class TrustSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys as base64 of their 32 bytes, as `andon keys new` prints them.

    require_signed: what carries no valid signature suppresses nothing. public_keys: of who may sign
    bundles, snapshots, scope tables and files of jobs, for ever. operators: key of each operator
    who may open jobs. key: keys that sign some things, for some time. file: another file that holds
    these, "" none; its content is here once a configuration was loaded.
    unknown_may: what operators may do whom no [[operator]] names. reason_for: commands that need a
    reason where they may keep something quiet.
    """

    require_signed: bool = False
    public_keys: tuple[str, ...] = ()
    operators: dict[str, str] = {}
    key: tuple[TrustedKey, ...] = ()
    file: str = ""
    unknown_may: tuple[CommandName, ...] = COMMANDS
    reason_for: tuple[CommandName, ...] = ("confirm", "job", "shelve", "oos")

    def __post_init__(self) -> None:
        """Raise ValueError for a key that is none, and for a demand that nobody could meet."""
        for key in self.public_keys:
            check_key(key, "public_keys")
        for operator, key in self.operators.items():
            check_key(key, f"operators, {operator}")
        told = [(one.name, one.public_key) for one in self.key]
        if len(set(told)) < len(told):
            raise ValueError("a trusted key comes twice; list all that it signs in one place")
        self._check_listed_once()
        missing = [what for what in ARTIFACTS[:2] if not self.may_sign(what)]
        if self.require_signed and missing:
            raise ValueError(
                f"require_signed without public_keys, or a key that signs a {missing[0]}: nothing"
                " could ever be suppressed; make a key with `andon keys new DIR` and list its"
                " public half"
            )

    def _check_listed_once(self) -> None:
        """Raise ValueError for a key whose bounds count for nothing, as it stands elsewhere too."""
        for_ever = {raw_key(key) for key in self.public_keys}
        others = {raw_key(key): f"operators, {name}" for name, key in self.operators.items()}
        others |= {raw_key(one.public_key): one.name for one in self.key if not one.withdrawn}
        for one in self.key:
            raw = raw_key(one.public_key)
            if raw in for_ever:
                raise ValueError(
                    f"key {one.name} stands in public_keys too, where it counts for everything and"
                    " for ever; take it out there"
                )
            if one.withdrawn and raw in others:
                raise ValueError(
                    f"key {one.name} is withdrawn, and stands under {others[raw]} too, where it"
                    " would still count; take it out there"
                )

    def may_sign(self, what: Signs) -> tuple[TrustedKey, ...]:
        """Every key that may sign bundles, snapshots, scope tables or files of jobs."""
        named = tuple(one for one in self.key if what in one.signs)
        return named + tuple(
            TrustedKey(name=f"public_keys {at}", public_key=key, signs=ARTIFACTS)
            for at, key in enumerate(self.public_keys, 1)
        )

    def every(self) -> tuple[TrustedKey, ...]:
        """All that is said of keys, wherever it stands: what one may sign is all of its lines."""
        others = [*self.may_sign(Signs.SNAPSHOT), *map(self._command_key, self.operators)]
        return self.key + tuple(one for one in others if one not in self.key)

    def of_operator(self, operator: str) -> tuple[TrustedKey, ...]:
        """Every key with which an operator may sign commands."""
        named = [one for one in self.key if one.name == operator and Signs.COMMANDS in one.signs]
        if operator in self.operators:
            named.append(self._command_key(operator))
        return tuple(named)

    def _command_key(self, operator: str) -> TrustedKey:
        key = self.operators[operator]
        return TrustedKey(name=operator, public_key=key, signs=(Signs.COMMANDS,))


def none_counts(keys: Iterable[TrustedKey], t_ns: int) -> str:
    """Why none of the keys that have signed something counts at a time; "" where one does."""
    why = "no key has signed it"
    for key in keys:
        why = key.lacks(t_ns)
        if not why:
            return ""
    return why


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


def check_key(key: str, where: str) -> None:
    """Raise ValueError for what is no Ed25519 public key."""
    try:
        raw = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES or raw[:-1] + bytes([raw[-1] & 0x7F]) in SMALL_ORDER:
        raise ValueError(
            f"{where}: {key[:60]!r} is no public key; expected 44 characters of base64, the line of"
            " the .pub file that `andon keys new` wrote"
        )


def raw_key(key: str) -> bytes:
    """The 32 bytes of a checked public key: one key has several spellings in base64."""
    return base64.b64decode(key)


def _ns(time: datetime) -> int:
    return round(time.timestamp() * 1_000_000) * 1_000
