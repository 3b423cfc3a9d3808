"""Ed25519 signatures of bundles, snapshots, files and commands; the one place that knows of keys.

A directory with a manifest is signed by its manifest, which names the hash of every other file:
`manifest.sig` beside `manifest.json`. Any other file has `NAME.sig` beside it. A signature is one
line of base64 and never changes what it is about.
"""

from __future__ import annotations

import base64
import binascii
import os
from typing import TYPE_CHECKING, Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.errors import ConfigError
from edge.wire.commands import command_content

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

MANIFEST: Final = "manifest.json"
SUFFIX: Final = ".sig"
LIST_END: Final = b"-----END X509 CRL-----"
SIGNATURE_BYTES_MAX: Final = 1_024  # of a .sig file
FILE_BYTES_MAX: Final = 64 << 20  # of a file that is signed by itself


def verify(public_key: str, content: bytes, signature: str) -> bool:
    """Whether a signature (base64) of some bytes was made with the key (base64). Never raises."""
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
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; expected a private key") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path}: no private key without a password, in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path}: not an Ed25519 key; make one with `andon keys new DIR`")
    return key


def sign_path(path: Path, key: Ed25519PrivateKey) -> tuple[Path, str]:
    """Sign a bundle or snapshot directory, or a file; returns the .sig file and the public key.

    Raises ConfigError for what cannot be signed.
    """
    content, beside = _signed_content(path)
    signature = base64.b64encode(key.sign(content)).decode()
    work = beside.with_name(f".{beside.name}.{os.getpid()}")
    try:
        work.write_text(f"{signature}\n", encoding="ascii")
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


def unsigned_because(
    path: Path, public_keys: Sequence[str], *, same: Callable[[bytes], bool] | None = None
) -> str:
    """Why a directory or file counts as unsigned; "" when one of the keys has signed it.

    same: whether some bytes are what was read of it before and is in use. Never raises: what cannot
    be read is not signed.
    """
    try:
        found, beside = _signed_content(path)
        if same is not None and not same(found):
            return f"{path} changed while it was read"
        if beside.stat().st_size > SIGNATURE_BYTES_MAX:
            return f"{beside} is no signature"
        signature = beside.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return f"{path} is not signed"
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        return f"{path}: its signature cannot be read ({error})"
    if any(verify(key, found, signature) for key in public_keys):
        return ""
    return f"{path}: its signature is of no known key, or of another content"


def _signed_content(path: Path) -> tuple[bytes, Path]:
    """The bytes that are signed, and where their signature stands. Raises ConfigError."""
    directory = path.is_dir()
    file = path / MANIFEST if directory else path
    if directory and not file.is_file():
        raise ConfigError(f"{path} is neither a bundle nor a snapshot: it has no {MANIFEST}")
    if path.suffix == SUFFIX:
        raise ConfigError(f"{path} is a signature; name what it is about")
    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            raise ConfigError(f"{file} is over {FILE_BYTES_MAX} bytes")
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    beside = path / f"manifest{SUFFIX}" if directory else path.with_name(path.name + SUFFIX)
    return content, beside


def certificate_span(content: bytes) -> tuple[float, float] | None:
    """From when until when the first certificate of a PEM file holds, s since 1970; None: none."""
    try:
        first = x509.load_pem_x509_certificates(content)[0]
    except (ValueError, IndexError):
        return None
    return first.not_valid_before_utc.timestamp(), first.not_valid_after_utc.timestamp()


def certificate_name(content: bytes) -> str:
    """The common name of the first certificate of a PEM file; "" without one."""
    try:
        subject = x509.load_pem_x509_certificates(content)[0].subject
    except (ValueError, IndexError):
        return ""
    names = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def list_span(content: bytes) -> tuple[float, float] | None:
    """When the first of the revocation lists of a PEM file ends, with its begin; None: never."""
    ends = []
    for part in content.split(LIST_END)[:-1]:
        try:
            one = x509.load_pem_x509_crl(part + LIST_END + b"\n")
        except ValueError:
            continue
        if one.next_update_utc is not None:
            ends.append((one.next_update_utc.timestamp(), one.last_update_utc.timestamp()))
    return min(ends)[::-1] if ends else None


def _public(key: Ed25519PrivateKey) -> str:
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode()
