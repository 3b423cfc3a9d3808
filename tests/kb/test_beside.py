"""What stands beside a document is a plain file of a sane size, or it is named and not read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from kb.reading.stored import BESIDE_BYTES_MAX
from kb.snapshots.build import build
from tests.kb.conftest import NOW_NS

if TYPE_CHECKING:
    from pathlib import Path


NAMES: Final = ("seal.meta.toml", "meta.toml", "log.mapping.toml", "mapping.toml", "log.csv.sig")


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        *((name, "pipe") for name in NAMES),
        *((NAMES[at], instead) for at in (0, 2) for instead in ("device", "link", "large")),
        ("meta.toml", "directory"),
    ],
)
def test_what_is_no_plain_file_does_not_stop_a_build(
    tmp_path: Path, name: str, instead: str
) -> None:
    """A pipe says nothing without end, a device something; a link says what is not ours."""
    source, elsewhere = tmp_path / "kb", tmp_path / "elsewhere"
    source.mkdir()
    elsewhere.write_text('kind = "manual"\n', encoding="utf-8")
    (source / "seal.txt").write_text("Replace the mechanical seal yearly.\n", encoding="utf-8")
    (source / "log.csv").write_text("time,asset,text\n2026-01-01T00:00:00Z,p1,ok\n", "utf-8")
    place = source / name
    if instead == "pipe":
        os.mkfifo(place)
    elif instead == "directory":
        place.mkdir()
    elif instead == "large":
        place.write_bytes(b"#" * (BESIDE_BYTES_MAX + 1))
    else:
        place.symlink_to("/dev/zero" if instead == "device" else elsewhere)
    manifest = build(source, tmp_path / "out", now_ns=NOW_NS)
    causes = [one.cause for one in manifest.quarantined]
    if name.endswith(".sig"):
        return  # as if it were not there; nothing that is signed then is
    said = "over 1048576 bytes" if instead == "large" else "no plain file"
    assert any(f"{name}: {said}" in cause for cause in causes), causes
