"""Random exports: each tag is in the tables or in the report, and anything is read or refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ConfigError
from edge.imports.ignition import read_ignition, read_json
from edge.imports.kepware import read_kepware
from edge.imports.sorting import sorted_out
from edge.imports.written import written
from tests.edge.exports import BOUND, COLUMNS, configured, folder, kepware, opc, row

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from edge.imports.tags import Export

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=12
) | st.sampled_from(["a", "b", "PT_101", " x", "x;y", 'q"', "#[", "_s", "+", "a" * 300])
KINDS = st.sampled_from(["Float", "Word", "Boolean", "String", "Float Array", "?", ""])
CELLS = st.sampled_from(["", "bar", "1", "-1", "1e99", "x", "Linear"])


def conserved(export: Export, names: list[str], folder: Path) -> None:
    """Each tag is in the tables as what it is, or in the report; and nothing else is."""
    imported = sorted_out(export)
    told = imported.export
    assert sorted([t.name for t in told.tags] + [o.name for o in told.left_out]) == sorted(names)
    report = "\n".join(written(
        imported, name="x", site="s", host="h", port=1, period_s=1.0
    )[name] for name in ("report.md",))  # fmt: skip
    assert report.count("\n| ") >= len(told.left_out)
    if not imported.assets:
        return
    config = configured(export, folder)
    read = {
        (one.id, tag)
        for one in config.asset
        for tag in (*one.tags, *(context.tag for context in one.context))
    }
    assert read == {(tag.asset, tag.tag) for tag in told.tags}
    assert {(a.id, tag): unit for a in config.asset for tag, unit in a.units.items()} == {
        (tag.asset, tag.tag): tag.unit
        for one in imported.assets
        for tag in one.channels
        if tag.unit
    }


@given(st.lists(st.tuples(st.lists(NAMES, min_size=1, max_size=3), KINDS, CELLS, CELLS)))
def test_kepware_loses_no_tag(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[list[str], str, str, str]]
) -> None:
    """Whatever it is called, and whatever its cells hold."""
    rows = [
        row(".".join(name), kind, Eng_Units=one, Scaled_High=two, Scaling="Linear", Clamp_High="1")
        for name, kind, one, two in cells
    ]
    folder = tmp_path_factory.getbasetemp() / "kepware"
    conserved(kepware(rows), [one["Tag Name"] for one in rows], folder)


ATOMS = st.builds(
    opc,
    NAMES,
    st.sampled_from(["Float4", "Int2", "Boolean", "String", "?"]) | st.just(BOUND),
    valueSource=st.sampled_from(["opc", "memory", "expr"]),
    engUnit=st.sampled_from(["bar", "", BOUND, 3]),
    enabled=st.sampled_from([True, True, True, False, BOUND]),
    engHigh=st.floats() | st.just(BOUND),
    alarms=st.sampled_from([[], [{"mode": "BelowValue"}], [{"mode": BOUND}], [3], "x"]),
)
TREES = st.recursive(
    ATOMS, lambda below: st.builds(folder, NAMES, below, below, below), max_leaves=12
)


def atoms(node: dict[str, Any], path: tuple[str, ...] = ()) -> list[str]:
    """Names of all tags below a node."""
    here = (*path, node["name"]) if node["name"] else path
    if "tags" not in node:
        return ["/".join(here)]
    return [name for child in node["tags"] for name in atoms(child, here)]


@given(st.lists(TREES, max_size=4))
def test_ignition_loses_no_tag(
    tmp_path_factory: pytest.TempPathFactory, trees: list[dict[str, Any]]
) -> None:
    """Whatever it is called, and whatever is bound."""
    tree = folder("G", folder("N", folder("D", *trees)))
    place = tmp_path_factory.getbasetemp() / "ignition"
    conserved(read_ignition(tree, name="x"), atoms(tree), place)


@given(
    st.text(max_size=200) | st.lists(st.sampled_from([*COLUMNS, ",", "\n", '"', ";"])).map("".join)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    """And never fails otherwise."""
    try:
        read_kepware(text, name="x", device="D", topic="t")
    except ConfigError as error:
        assert str(error).startswith("x")  # noqa: PT017 - either way is right


JSON_TREES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "tags", "tagType", "typeId", "enabled", "alarms"]), below
        )
    ),
)


@given(JSON_TREES)
def test_any_tree_is_read_or_refused(tree: object) -> None:
    """And never fails otherwise."""
    try:
        read_ignition(read_json(json.dumps(tree).encode(), name="x"), name="x")
    except ConfigError as error:
        assert str(error).startswith("x")  # noqa: PT017 - likewise
