"""The rules of the house: who may import whom, how long a module may be, what it may not do."""

from __future__ import annotations

import ast
import importlib
import inspect
import runpy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import sigma_scale

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(sigma_scale.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

PUBLIC_ROOMS = runpy.run_path(str(Path(__file__).parents[1] / ".reference" / "names.py"))
ROOMS = [
    "_lazy",
    *PUBLIC_ROOMS["GROUND"],
    *(room for room in PUBLIC_ROOMS["ROOMS"] if "." not in room),
    "cli",
]
"""In the order in which data passes: a room may import from those above it."""

FRONT = ["__init__", "__main__"]
"""The doors of the house, which may open any room."""

MOST_LINES = 400
LONGER: dict[str, str] = {}
"""Modules that may be longer, each with its reason."""


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def label(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported_modules(tree: ast.Module) -> Iterator[str]:
    """Full names of what a module imports, anywhere in it, for type checkers included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_rooms(tree: ast.Module) -> set[str]:
    """Rooms of the house that a module imports from; "" for the package's own lazy names."""
    rooms = set()
    for name in imported_modules(tree):
        first, _, rest = name.partition(".")
        if first == "sigma_scale":
            inner = rest.partition(".")[0]
            rooms.add(inner if inner in ROOMS or inner in FRONT else "")
    return rooms


def forbidden(room: str, imported: set[str]) -> list[str]:
    """Rooms among those imported that a room may not see."""
    if room in FRONT:
        return []
    seen = {*ROOMS[: ROOMS.index(room) + 1]}
    if room == "cli":
        seen.add("")  # The version, which the package itself holds.
    return sorted(imported - seen)


def test_every_module_is_in_a_known_room():
    assert {room_of(path) for path in MODULES} == {*ROOMS, *FRONT}


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_modules_import_only_from_rooms_above(path):
    assert forbidden(room_of(path), imported_rooms(tree_of(path))) == []


def test_a_wrong_direction_would_be_found():
    source = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sigma_scale.cli import cli\n"
        "def f():\n    from sigma_scale import plot, UMAP\n    import sigma_scale.xray.table\n"
    )
    assert imported_rooms(ast.parse(source)) == {"cli", "plot", "", "xray"}
    assert forbidden("store", imported_rooms(ast.parse(source))) == ["", "cli", "plot"]


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_modules_are_short(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES or label(path) in LONGER


def test_the_list_of_longer_modules_is_up_to_date():
    for name, reason in LONGER.items():
        assert reason
        assert len((PACKAGE / name).read_text(encoding="utf-8").splitlines()) > MOST_LINES


def misdeeds(tree: ast.Module, *, may_print: bool = False) -> Iterator[str]:
    """What no module may do, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and (
            node.type is None or caught(node.type) & {"Exception", "BaseException"}
        ):
            yield f"line {node.lineno}: catches everything"
        elif isinstance(node, ast.Assert):
            yield f"line {node.lineno}: assert"
        elif isinstance(node, ast.Global):
            yield f"line {node.lineno}: global state"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called == "print" and not may_print:
                yield f"line {node.lineno}: print"
            if called.split(".")[0] in {"pickle", "eval", "exec", "marshal"}:
                yield f"line {node.lineno}: {called}"


def caught(node: ast.expr) -> set[str]:
    elements = node.elts if isinstance(node, ast.Tuple) else [node]
    return {ast.unparse(element) for element in elements}


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_modules_do_nothing_forbidden(path):
    assert list(misdeeds(tree_of(path), may_print=room_of(path) == "cli")) == []


def test_misdeeds_would_be_found():
    source = (
        "try:\n    assert x\nexcept (ValueError, Exception):\n    print(x)\n"
        "try:\n    pickle.load(x)\nexcept:\n    pass\ndef f():\n    global x\n"
    )
    assert len(list(misdeeds(ast.parse(source)))) == 6


def public_objects() -> Iterator[tuple[str, object]]:
    """Classes and functions that a room shows."""
    for room in ROOMS:
        module = importlib.import_module(f"sigma_scale.{room}")
        for name in module.__all__:
            found = getattr(module, name)
            is_error = isinstance(found, type) and issubclass(found, BaseException | Warning)
            is_protocol = getattr(found, "_is_protocol", False)
            is_command = room == "cli" and name == "cli"
            documented = inspect.isclass(found) or inspect.isfunction(found)
            if documented and not (is_error or is_protocol or is_command):
                yield f"{room}.{name}", found


PUBLIC = dict(public_objects())


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_public_is_documented(name):
    found = PUBLIC[name]
    doc = inspect.getdoc(found)
    assert doc
    signature = inspect.signature(found)
    parameters = [p for p in signature.parameters if p not in {"self", "cls"}]
    if not parameters:
        return
    documented = parameters_section(doc)
    assert [p for p in parameters if p not in documented] == []
    returns = signature.return_annotation
    if inspect.isfunction(found) and returns not in {None, "None", "NoReturn"}:
        assert "\nReturns\n-------" in doc or "\nYields\n------" in doc


def parameters_section(doc: str) -> set[str]:
    """Names in the section Parameters (or Attributes, which dataclasses may use)."""
    names: set[str] = set()
    lines = doc.splitlines()
    for title in ("Parameters", "Attributes"):
        if title not in lines:
            continue
        for line in lines[lines.index(title) + 2 :]:
            if line.startswith("---"):
                break
            if line and not line.startswith(" "):
                listed = line.partition(" : ")[0]
                names |= {name.strip().lstrip("*") for name in listed.split(",")}
    return names
