"""Backups that must not be restored: each is refused with its cause, and leaves nothing."""

from __future__ import annotations

import os
import random
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.boxes import archive_reading
from edge.boxes.archive import FORMAT, MANIFEST, ArchiveWriter, BackupError, Manifest, unsafe
from edge.boxes.identity import new_box
from edge.boxes.replacement import Request, examine, restore_box
from tests.edge.box_site import backed_up, make_box
from tests.told import refused_with

if TYPE_CHECKING:
    from collections.abc import Callable

    Members = list[tuple[zipfile.ZipInfo, bytes]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound backup; it is only read."""
    base = tmp_path_factory.mktemp("site")
    (base / "box").mkdir()
    return backed_up(make_box(base / "box", base / "etc"), base / "b.zip")


def altered(file: Path, out: Path, change: Callable[[Members], object]) -> Path:
    """The same archive with its members changed."""
    with zipfile.ZipFile(file) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    change(members)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in members:
            archive.writestr(info, content)
    return out


def added(name: str, *, mode: int = 0o100644) -> Callable[[Members], object]:
    """A further member."""

    def change(members: Members) -> None:
        info = zipfile.ZipInfo("x")
        info.filename, info.external_attr = name, mode << 16
        members.append((info, b"x"))

    return change


def told(**values: object) -> Callable[[Members], object]:
    """Another manifest."""

    def change(members: Members) -> None:
        info, content = members[-1]
        assert info.filename == MANIFEST
        members[-1] = (info, msgspec.json.encode(msgspec.json.decode(content) | values))

    return change


def content_changed(members: Members) -> None:
    """One byte of the bundle is another one."""
    i = next(i for i, (info, _) in enumerate(members) if info.filename == "bundle/model.onnx")
    members[i] = (members[i][0], members[i][1][:-1] + b"!")


ATTACKS: Final[dict[str, tuple[Callable[[Members], object], str]]] = {
    "absolute": (added("/etc/cron.d/x"), "leads elsewhere"),
    "parent": (added("../x"), "leads elsewhere"),
    "hidden parent": (added("state/../../x"), "leads elsewhere"),
    "backslash": (added("..\\x"), "backslashes"),
    "control character": (added("a\x1bb"), "control"),
    "directory": (added("folder/"), "no name of a file"),
    "long name": (added("a" * 5_000), "no name of a file"),
    "symbolic link": (added("state/link", mode=0o120777), "a link"),
    "device": (added("state/device", mode=0o020666), "no plain file"),
    "pipe": (added("state/pipe", mode=0o010666), "no plain file"),
    "duplicate": (added("gateway.toml"), "there twice"),
    "file as folder": (added("gateway.toml/x"), "a file and a folder"),
    "not listed": (added("state/extra"), "not in its manifest"),
    "newer format": (told(format=FORMAT + 1, andon="9.9"), "install that version"),
    "no format": (told(format="x"), MANIFEST),
    "state elsewhere": (told(state="../x"), "leads elsewhere"),
    "missing": (lambda members: members.pop(3), "is missing"),
    "content": (content_changed, "not as it was written"),
    "no manifest": (lambda members: members.pop(), MANIFEST),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_what_is_no_safe_backup_is_refused_and_leaves_nothing(
    whole: Path, tmp_path: Path, attack: str
) -> None:
    """Before anything of it has a name."""
    change, message = ATTACKS[attack]
    file = altered(whole, tmp_path / "bad.zip", change)
    with pytest.raises(BackupError, match=message) as caught:
        restore_box(Request(file=file, out=tmp_path / "new" / "box"))
    refused_with(caught.value)
    assert not (tmp_path / "new").exists() or not any((tmp_path / "new").iterdir())


def test_bombs_are_refused_before_they_go_off(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the sizes that it states, by what it unpacks to, and by how much it lists."""
    with pytest.raises(BackupError, match="--gigabytes-max"):
        examine(whole, bytes_max=1_000)
    monkeypatch.setattr(archive_reading, "MEMBERS_MAX", 3)
    with pytest.raises(BackupError, match="expected at most 3"):
        examine(whole)
    monkeypatch.undo()
    monkeypatch.setattr(archive_reading, "DIRECTORY_BYTES_MAX", 10)
    with pytest.raises(BackupError, match="too much"):
        examine(whole)
    monkeypatch.undo()

    def grown(members: Members) -> None:
        i = next(i for i, (info, _) in enumerate(members) if info.filename == "tags.csv")
        members[i] = (members[i][0], b"\0" * 10**7)

    with pytest.raises(BackupError, match=r"tags.csv' has 10000000 B"):
        examine(altered(whole, tmp_path / "bomb.zip", grown))


@pytest.mark.parametrize("seed", range(60))
def test_damaged_backups_raise_one_error_only(tmp_path: Path, seed: int) -> None:
    """Cut, flipped, grown: it is refused, or every hash is right."""
    chance = random.Random(seed)
    file = tmp_path / "b.zip"
    with ArchiveWriter(file) as writer:
        writer.add_bytes("gateway.toml", b'site = "s"\n' * chance.randrange(1, 50))
        writer.add_bytes("state/x", chance.randbytes(chance.randrange(3_000)))
        manifest = Manifest(
            format=FORMAT,
            andon="0",
            made_at_ns=1,
            site="s",
            box=new_box(),
            config="gateway.toml",
            state="state",
            files=writer.files,
        )
        writer.finish(manifest)
    content = bytearray(file.read_bytes())
    for _ in range(chance.randrange(1, 6)):
        match chance.randrange(3):
            case 0:
                content[chance.randrange(len(content))] = chance.randrange(256)
            case 1:
                del content[chance.randrange(1, len(content)) :]
            case _:
                at = chance.randrange(len(content))
                content[at:at] = chance.randbytes(chance.randrange(1, 50))
    file.write_bytes(content)
    try:
        found, _ = examine(file)
    except BackupError:
        return
    assert found.files.keys() == manifest.files.keys()


@given(st.text(max_size=40))
def test_a_safe_name_stays_below_its_directory(name: str) -> None:
    """However it is spelled."""
    if not unsafe(name):
        top = Path("/top/of/it")
        assert Path(os.path.normpath(top / name)).is_relative_to(top)
        assert not Path(name).is_absolute()
