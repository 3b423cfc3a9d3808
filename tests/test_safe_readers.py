"""No shipped code runs what it reads; what unpacks is bounded, what parses XML refuses entities."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
SHIPPED: Final = ("andon", "edge", "kb", "models", "simulator")
# They make objects or run code out of what they read.
FORBIDDEN_MODULES: Final = {
    "pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "code",
    "codeop", "jsonpickle",
}  # fmt: skip
FORBIDDEN_CALLS: Final = {"eval", "exec", "compile", "__import__"}
# Readers of XML that follow entities as far as a file says.
PLAIN_XML: Final = ("xml.etree", "xml.dom", "xml.sax", "xml.parsers", "lxml.etree")
ZIP_READERS: Final = {  # file: what bounds it
    "edge/boxes/archive.py": 'ZipFile(self._file, "w"',  # writes only
    "edge/boxes/archive_reading.py": "file_size",
    "kb/reading/hidden_cells.py": "refuse_bomb",
    "kb/reading/pages.py": "UNPACKED_BYTES_MAX",
    "models/bundles/arrays.py": "file_size",
}
OFFICE_READERS: Final = {"openpyxl": "refuse_bomb", "docx": "refuse_bomb"}


@functools.cache
def _sources() -> list[tuple[str, str, ast.Module]]:
    found = []
    for top in SHIPPED:
        for path in sorted((ROOT / top).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            found.append((path.relative_to(ROOT).as_posix(), text, ast.parse(text)))
    return found


def _imported(tree: ast.Module) -> set[str]:
    """Modules that are imported when the code runs, wherever in it."""
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.not_counted
def test_nothing_that_is_read_is_run() -> None:
    """No pickle, no eval, no YAML, no arrays of objects."""
    found = []
    for path, _, tree in _sources():
        found += [f"{path}: {m}" for m in _imported(tree) if m.split(".")[0] in FORBIDDEN_MODULES]
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
                found.append(f"{path}:{node.lineno} {node.func.id}")
            for word in node.keywords:
                value = word.value
                allowed = isinstance(value, ast.Constant) and value.value is False
                if word.arg == "allow_pickle" and not allowed:
                    found.append(f"{path}:{node.lineno} allow_pickle")
            called = node.func
            if isinstance(called, ast.Attribute) and called.attr == "load":
                of = ast.unparse(called.value)
                if of in ("np", "numpy", "torch"):
                    found.append(f"{path}:{node.lineno} {of}.load")
    assert not found


@pytest.mark.not_counted
def test_xml_is_read_without_entities() -> None:
    """defusedxml, or a reader that uses it; HTML has no entities of its own."""
    found = [
        f"{path}: {module}"
        for path, _, tree in _sources()
        for module in _imported(tree)
        if module.startswith(PLAIN_XML)
    ]
    assert not found


@pytest.mark.not_counted
def test_what_unpacks_is_bounded() -> None:
    """Each reader of zips looks first at how much they hold."""
    for path, text, tree in _sources():
        modules = _imported(tree)
        if "zipfile" in modules:
            assert ZIP_READERS[path] in text
        for library, bound in OFFICE_READERS.items():
            reads = "load_workbook(" in text if library == "openpyxl" else "Document(" in text
            if library in {m.split(".")[0] for m in modules} and reads and "BytesIO" in text:
                assert bound in text, path
