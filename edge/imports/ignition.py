"""Ignition: tags that its Designer exports as JSON, as MQTT Transmission publishes them.

Transmission makes Sparkplug B of the folders below its tag path: group, edge node, device; what is
deeper is the name of a metric. A value that is bound is not known here, and never guessed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from edge.errors import UNREADABLE, ConfigError
from edge.imports.alarms import levels_of
from edge.imports.places import Place, named, sources_of
from edge.imports.tags import TAGS_MAX, Export, Remark, Tag, fault_of, unit_of

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPTH_MAX: Final = 64
FLOATS: Final = frozenset({"Float4", "Float8"})
WHOLE: Final = frozenset({"Int1", "Int2", "Int4", "Int8"})
SOURCES: Final = frozenset({"opc", "expr", "reference", "derived"})
TOP: Final = "Edge Nodes"  # the folder that Transmission and Engine have by default
_BELOW: Final = ("Folder", "Provider", "UdtInstance", "UdtType")


class Atom(NamedTuple):
    """A tag of the export. path: its folders and name; why: it cannot be taken; "": it may."""

    at: str
    path: tuple[str, ...]
    node: dict[str, Any]
    why: str


class _Up(NamedTuple):
    """What holds for all that is below a node."""

    at: str
    path: tuple[str, ...]
    why: str
    open: bool  # within an instance whose type is not known


@dataclass(slots=True)
class _Walk:
    """A walk through the tree. types: definitions by their path below `_types_`."""

    name: str
    types: dict[str, dict[str, Any]]
    visited: int = field(default=0)

    def atoms(self, node: dict[str, Any], up: _Up) -> Iterator[Atom]:
        """Every tag below a node, and itself if it is one. Raises ConfigError."""
        self._count(up)
        kind = node.get("tagType", "Folder" if "tags" in node else "AtomicTag")
        why, unknown = up.why or _disabled(node), up.open
        if kind not in _BELOW:
            if node.get("tags"):
                raise ConfigError(f"{self.name}, {up.at}: a tag of type {kind!r:.40} has tags")
            if not why and unknown and ("dataType" not in node or "valueSource" not in node):
                why = "the type of its UDT is not in the export; add it with --types"
            yield Atom(up.at, up.path, node, why or _unusable(node, kind))
            return
        by_name = False
        if kind == "UdtType":
            why = why or "of a type, not of an instance"
        elif kind == "UdtInstance":
            effective = self._effective(node, 0)
            unknown = effective is None
            if effective is not None:
                by_name, node = effective is not node, effective
        listed = _listed(node, self.name, up.at)
        if kind == "UdtInstance" and unknown and not listed:
            why = why or "the type of its UDT is not in the export; add it with --types"
            yield Atom(up.at, up.path, node, why)
        for i, child in enumerate(listed):
            key = json.dumps(child["name"]) if by_name else i
            below = _Up(f"{up.at}.tags[{key}]", (*up.path, child["name"]), why, unknown)
            yield from self.atoms(child, below)

    def _count(self, up: _Up) -> None:
        """Raise ConfigError beyond what may be visited: types may hold types, and grow."""
        self.visited += 1
        if self.visited > 4 * TAGS_MAX:
            raise ConfigError(f"{self.name}: more than {TAGS_MAX} tags; export single folders")
        if len(up.path) > DEPTH_MAX:
            raise ConfigError(f"{self.name}, {up.at}: more than {DEPTH_MAX} folders deep")

    def _effective(self, node: dict[str, Any], depth: int) -> dict[str, Any] | None:
        """An instance or type with what it has from its type; None: that is not known."""
        told = node.get("typeId")
        if told in (None, ""):
            return node
        base = self.types.get(_type_path(told)) if isinstance(told, str) else None
        if base is None or depth > DEPTH_MAX:
            return None
        whole = self._effective(base, depth + 1)
        return None if whole is None else _merged(whole, node, 0)


def read_json(text: bytes, *, name: str) -> dict[str, Any]:
    """The tree of an export. Raises ConfigError naming file and line."""
    try:
        found = json.loads(text.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{name}, line {error.lineno}: {error.msg}; expected JSON, as the Designer exports tags"
        ) from error
    except (*UNREADABLE, RecursionError) as error:
        raise ConfigError(f"{name}: {error}; expected JSON, as the Designer exports it") from error
    if isinstance(found, list):
        found = {"tagType": "Folder", "name": "", "tags": found}
    if not isinstance(found, dict) or not ("tags" in found or "tagType" in found):
        raise ConfigError(f"{name}, $: expected an object with `tags`, as the Designer exports it")
    return found


def read_ignition(
    tree: dict[str, Any],
    *,
    name: str,
    root: str = "",
    below: str = "",
    types: dict[str, Any] | None = None,
) -> Export:
    """Read an export. root: folders that are above the group; below: levels that come before.

    types: another export that has the definitions. Raises ConfigError naming file and JSON path.
    """
    known = _types(tree, name)
    if types is not None:
        known = {**_types(types, name), **known}
    atoms = []
    top = tree.get("name")
    path = (top,) if isinstance(top, str) and top and tree.get("tagType") != "Provider" else ()
    for atom in _Walk(name, known).atoms(tree, _Up("$", path, "", open=False)):
        atoms.append(atom)
        if len(atoms) > TAGS_MAX:
            raise ConfigError(
                f"{name}, {atom.at}: more than {TAGS_MAX} tags; export single folders"
            )
    return _placed(atoms, root=root, below=below)


def _placed(atoms: list[Atom], *, root: str, below: str) -> Export:
    left_out: list[Remark] = []
    remarks: list[Remark] = []
    placed: list[tuple[Atom, Place, str]] = []
    seen: dict[tuple[Place, str], str] = {}
    for at, path, node, fault in atoms:
        found = None if fault else _place(path, root=root, below=below)
        why = fault or (found if isinstance(found, str) else "")
        if found is not None and not isinstance(found, str):
            place, tag = found
            why = fault_of(tag)
            if not why and (place, tag) in seen:
                why = f"its name comes twice, before at {seen[place, tag]}"
            if not why:
                seen[place, tag] = at
                placed.append((Atom(at, path, node, ""), place, tag))
        if why:
            left_out.append(Remark(where=at, name="/".join(path), why=why))
    ids = named({place for _, place, _ in placed})
    tags = []
    for atom, place, tag in placed:
        if place in ids:
            tags.append(_tag(atom, ids[place], tag, remarks))
            continue
        why = f"{'/'.join(place)!r:.80} cannot be the id of an asset"
        left_out.append(Remark(where=atom.at, name="/".join(atom.path), why=why))
    return Export(
        product="Ignition",
        form="sparkplug",
        tags=tuple(tags),
        left_out=tuple(left_out),
        remarks=tuple(remarks),
        sources=sources_of(ids),
        notes=(
            "group, edge node and device are the first three levels below a transmitter's tag path",
            "UDTs have to be sent as single metrics (Convert UDTs): templates are not read",
        ),
    )


def _place(path: tuple[str, ...], *, root: str, below: str) -> tuple[Place, str] | str:
    """Group, node and device of a tag with the name of its metric, or why it has none."""
    above = tuple(filter(None, root.split("/")))
    if not above and path[:1] == (TOP,):
        above = (TOP,)
    if path[: len(above)] != above:
        return f"it is not below {root}"
    levels = (*filter(None, below.split("/")), *path[len(above) :])
    if len(levels) < 3:
        return "it is above the level of an edge node; see --root and --below"
    deep = 3 if len(levels) > 3 else 2
    for level in levels[:deep]:
        if not level.isprintable() or any(c in level for c in "/+#{}") or level != level.strip():
            return f"{level!r:.80} cannot be a level of a topic"
    return levels[:deep], "/".join(levels[deep:])


def _unusable(node: dict[str, Any], kind: object) -> str:
    """Why a tag is not taken; "": it is. What an export leaves out has its default."""
    if kind != "AtomicTag":
        return f"its type {kind!r:.40} is not known"
    for key in ("valueSource", "dataType"):
        if not isinstance(node.get(key, ""), str):
            return f"`{key}` is bound"
    source = node.get("valueSource", "memory")
    data = node.get("dataType", "Int4")
    if source not in SOURCES:
        return {"memory": "a memory tag: nothing measures it", "db": "a query of a database"}.get(
            source, f"its value source {source!r:.40} is not known"
        )
    if data in FLOATS or data in WHOLE or data == "Boolean":
        return ""
    texts = {"String": "a text", "Text": "a text", "DateTime": "a date", "DataSet": "a data set"}
    return texts.get(data, f"its data type {data!r:.40} is no number")


def _tag(atom: Atom, asset: str, tag: str, remarks: list[Remark]) -> Tag:
    full = "/".join(atom.path)
    told = atom.node.get("engUnit", "")
    unit, why = "", "`engUnit` is bound, so its unit is not known"
    if isinstance(told, str):
        unit, why = unit_of(told)
    if why:
        remarks.append(Remark(where=atom.at, name=full, why=why))
    levels, faults = levels_of(atom.node, at=atom.at)
    remarks += [Remark(where=where, name=full, why=why) for where, why in faults]
    data = atom.node.get("dataType", "Int4")
    return Tag(
        where=atom.at,
        name=full,
        asset=asset,
        tag=tag,
        unit=unit.strip(),
        binary=data == "Boolean",
        whole=data in WHOLE,
        levels=tuple(levels),
    )


def _disabled(node: dict[str, Any]) -> str:
    """Why nothing comes of a node and what is below it; "": it may come."""
    if node.get("enabled", True) is True:
        return ""
    return "disabled" if node["enabled"] is False else "`enabled` is bound"


def _listed(node: dict[str, Any], name: str, at: str) -> list[dict[str, Any]]:
    """The nodes below one. Raises ConfigError for what is none."""
    found = node.get("tags", [])
    if not isinstance(found, list):
        raise ConfigError(f"{name}, {at}.tags: expected a list of tags")
    for i, child in enumerate(found):
        if not isinstance(child, dict) or not isinstance(child.get("name"), str):
            raise ConfigError(f"{name}, {at}.tags[{i}]: expected an object with a `name`")
    return found


def _types(tree: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """Definitions by their path below `_types_`. Raises ConfigError."""
    found: dict[str, dict[str, Any]] = {}
    waiting: list[tuple[dict[str, Any], str, str, int]] = [(tree, "$", "", 0)]
    while waiting:
        node, at, path, depth = waiting.pop()
        if node.get("tagType") == "UdtType":
            found[path or str(node.get("name"))] = node
            continue
        if depth > DEPTH_MAX:
            raise ConfigError(f"{name}, {at}: more than {DEPTH_MAX} folders deep")
        for i, child in enumerate(_listed(node, name, at)):
            under = child["name"] if not path else f"{path}/{child['name']}"
            told = "" if child["name"] == "_types_" else under
            waiting.append((child, f"{at}.tags[{i}]", told, depth + 1))
    return found


def _type_path(told: str) -> str:
    """A `typeId` as a path: without a provider in brackets, and without `_types_`."""
    return told.rpartition("]")[2].removeprefix("_types_/")


def _merged(base: dict[str, Any], own: dict[str, Any], depth: int) -> dict[str, Any]:
    """A node with what it overrides: keys one by one, members by their names."""
    whole = {**base, **own}
    if "tags" in base and isinstance(base["tags"], list) and depth <= DEPTH_MAX:
        mine = own.get("tags", [])
        if not isinstance(mine, list):
            return whole
        over = {
            c["name"]: c for c in mine if isinstance(c, dict) and isinstance(c.get("name"), str)
        }
        names = [c.get("name") for c in base["tags"] if isinstance(c, dict)]
        both = [
            _merged(c, over[c["name"]], depth + 1)
            if isinstance(c, dict) and isinstance(c.get("name"), str) and c["name"] in over
            else c
            for c in base["tags"]
        ]
        rest = [c for c in mine if not isinstance(c, dict) or c.get("name") not in names]
        whole["tags"] = both + rest
    return whole
