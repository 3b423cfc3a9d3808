"""Ed25519 signatures of bundles, snapshots, files and commands; the one place that knows of keys.

A directory with a manifest is signed by its manifest, which names the hash of every other file:
`manifest.sig` beside `manifest.json`. Any other file has `NAME.sig` beside it: a line of base64 for
each key that signed. Signatures never change what they are about.
"""

# Loads slowly, and a gateway without keys needs none of it: each function that does imports it.
# ruff: noqa: PLC0415

from __future__ import annotations

import base64
import binascii
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import ConfigError
from edge.trust import none_counts
from edge.wire.commands import command_content

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from edge.trust import TrustedKey

MANIFEST: Final = "manifest.json"
SUFFIX: Final = ".sig"
LIST_END: Final = b"-----END X509 CRL-----"
SIGNATURES_MAX: Final = 8  # beside one file: more hands than a plant has, fewer than an attack
SIGNATURE_BYTES_MAX: Final = 1_024  # of a .sig file, that many lines
FILE_BYTES_MAX: Final = 64 << 20  # of a file that is signed by itself


def verify(public_key: str, content: bytes, signature: str) -> bool:
    """Whether a signature (base64) of some bytes was made with the key (base64). Never raises."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(base64.b64decode(signature, validate=True), content)
    except (InvalidSignature, UnsupportedAlgorithm, binascii.Error, ValueError):
        return False
    return True


def new_key(directory: Path, name: str) -> tuple[Path, str]:
    """Write NAME.key (private, readable by its owner only) and NAME.pub; returns path and public.

    Raises ConfigError where one of them exists: a key is never overwritten.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not name or "/" in name or name.startswith("."):
        raise ConfigError(f"{name!r} is no name for a key; expected a word such as `engineer`")
    private, public = directory / f"{name}.key", directory / f"{name}.pub"
    key = Ed25519PrivateKey.generate()
    stored = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    line = _public(key)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, content, mode in (
            (private, stored, 0o600),
            (public, f"{line}\n".encode(), 0o644),
        ):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
    except FileExistsError as error:
        raise ConfigError(f"{error.filename} exists; a key is never overwritten") from error
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}; no key was made") from error
    return private, line


def read_key(path: Path) -> Ed25519PrivateKey:
    """A private key as `new_key` or openssl wrote it (PEM, PKCS 8). Raises ConfigError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    content = b""
    try:
        content = path.read_bytes()
        key = serialization.load_pem_private_key(content, password=None)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a private key") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if path.suffix == ".pub" or b"PUBLIC KEY" in content:
            own = path.with_suffix(".key")
            raise ConfigError(
                f"{path} is the public half; sign with the private one: {own}"
            ) from error
        raise ConfigError(f"{path}: no private key without a password, in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path}: not an Ed25519 key; make one with `andon keys new DIR`")
    return key


def sign_path(path: Path, key: Ed25519PrivateKey, *, add: bool = False) -> tuple[Path, str]:
    """Sign a bundle or snapshot directory, or a file; returns the .sig file and the public key.

    add: the signatures that are there stay, as while one key takes over from another. Raises
    ConfigError for what cannot be signed.
    """
    content, beside = _signed_content(path)
    signature = base64.b64encode(key.sign(content)).decode()
    lines = _lines(beside) if add and beside.exists() else []
    lines = [line for line in lines if line != signature] + [signature]
    if len(lines) > SIGNATURES_MAX:
        raise ConfigError(f"{beside} has {SIGNATURES_MAX} signatures; sign it without --add")
    work = beside.with_name(f".{beside.name}.{os.getpid()}")
    try:
        work.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
        work.replace(beside)
    except OSError as error:
        raise ConfigError(f"{beside}: {error.strerror}; nothing was signed") from error
    finally:
        work.unlink(missing_ok=True)
    return beside, _public(key)


def sign_command(topic: str, payload: bytes, key: Ed25519PrivateKey) -> bytes:
    """The payload of a command for exactly this topic, with its signature. Raises WireError."""
    body, _ = command_content(payload, topic=topic, name=topic.rpartition("/")[2])
    fields = msgspec.json.decode(body, type=dict[str, object])
    signature = base64.b64encode(key.sign(topic.encode() + b"\n" + body)).decode()
    return msgspec.json.encode(fields | {"signature": signature})


@dataclass(frozen=True, slots=True)
class Signed:
    """Which of some keys have signed something, whether they count now or not; why if none has."""

    keys: tuple[TrustedKey, ...] = ()
    because: str = ""


def signed_by(
    path: Path, keys: Sequence[TrustedKey], *, same: Callable[[bytes], bool] | None = None
) -> Signed:
    """Which of the keys have signed a directory or file.

    same: whether some bytes are what was read of it before and is in use. Never raises: what cannot
    be read is not signed.
    """
    try:
        found, beside = _signed_content(path)
        if same is not None and not same(found):
            return Signed(because=f"{path} changed while it was read")
        lines = _lines(beside)
    except FileNotFoundError:
        return Signed(because=f"{path} is not signed")
    except (OSError, ConfigError) as error:
        return Signed(because=f"{path}: its signature cannot be read ({error})")
    return signers(found, lines, keys, what=str(path))


def signers(
    content: bytes, signatures: Sequence[str], keys: Sequence[TrustedKey], *, what: str
) -> Signed:
    """Which of the keys have made one of the signatures of some bytes. what: their name."""
    some = signatures[:SIGNATURES_MAX]
    known = [key for key in keys if any(verify(key.public_key, content, one) for one in some)]
    if not known:
        return Signed(because=f"{what}: its signature is of no known key, or of another content")
    return Signed(keys=tuple(known))


def unsigned_because(
    path: Path,
    keys: Sequence[TrustedKey],
    *,
    now_ns: int,
    same: Callable[[bytes], bool] | None = None,
) -> str:
    """Why something counts as unsigned at a time; "" when a key that counts then has signed it."""
    signed = signed_by(path, keys, same=same)
    if signed.because:
        return signed.because
    why = none_counts(signed.keys, now_ns)
    return f"{path}: {why}" if why else ""


def _lines(beside: Path) -> list[str]:
    """The signatures of a file of them. Raises OSError, ConfigError."""
    status = beside.stat()
    if status.st_size > SIGNATURE_BYTES_MAX or not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{beside} is no signature")
    try:
        return beside.read_text(encoding="ascii").split()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{beside} is no signature: {error}") from error


def _signed_content(path: Path) -> tuple[bytes, Path]:
    """The bytes that are signed, and where their signature stands. Raises ConfigError."""
    directory = path.is_dir()
    file = path / MANIFEST if directory else path
    if directory and not file.is_file():
        raise ConfigError(f"{path} is neither a bundle nor a snapshot: it has no {MANIFEST}")
    if path.suffix == SUFFIX:
        raise ConfigError(f"{path} is a signature; name what it is about")
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
            raise ConfigError(f"{file} is no plain file")
        if status.st_size > FILE_BYTES_MAX:
            raise ConfigError(f"{file} is over {FILE_BYTES_MAX} bytes")
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    beside = path / f"manifest{SUFFIX}" if directory else path.with_name(path.name + SUFFIX)
    return content, beside


def certificate_span(content: bytes) -> tuple[float, float] | None:
    """From when until when the first certificate of a PEM file holds, s since 1970; None: none."""
    from cryptography import x509  # of certificates alone

    try:
        first = x509.load_pem_x509_certificates(content)[0]
    except (ValueError, IndexError, x509.InvalidVersion):
        return None
    return first.not_valid_before_utc.timestamp(), first.not_valid_after_utc.timestamp()


def certificate_name(content: bytes) -> str:
    """The common name of the first certificate of a PEM file; "" without one."""
    from cryptography import x509  # of certificates alone

    try:
        subject = x509.load_pem_x509_certificates(content)[0].subject
    except (ValueError, IndexError, x509.InvalidVersion):
        return ""
    names = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def list_span(content: bytes) -> tuple[float, float] | None:
    """When the first of the revocation lists of a PEM file ends, with its begin; None: never."""
    from cryptography import x509  # of certificates alone

    ends = []
    for part in content.split(LIST_END)[:-1]:
        try:
            one = x509.load_pem_x509_crl(part + LIST_END + b"\n")
        except (ValueError, x509.InvalidVersion):
            continue
        if one.next_update_utc is not None:
            ends.append((one.next_update_utc.timestamp(), one.last_update_utc.timestamp()))
    return min(ends)[::-1] if ends else None


def _public(key: Ed25519PrivateKey) -> str:
    from cryptography.hazmat.primitives import serialization

    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode()
