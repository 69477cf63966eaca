"""What is public: the rooms of the package, their names, and where each name is written down."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

PACKAGE = "sigma_scale"

ROOMS = [
    "xray",
    "spectra",
    "store",
    "readers",
    "synthetic",
    "mosaic",
    "preprocess",
    "calibration",
    "export",
    "features",
    "latent",
    "clustering",
    "phases",
    "plot",
    "workflow",
    "workflow.norm",
    "gui",
]
"""In the order in which data flows: a room imports only from those above it, and the ground."""

GROUND = ["errors", "files", "config", "progress", "engines", "compute"]
"""What the rooms stand on, in the same order."""

_LONGEST_VALUE = 70


@dataclass(frozen=True)
class Public:
    """
    A public name of a room.

    Attributes
    ----------
    room : str
        Such as ``"xray"``.
    name : str
        Such as ``"find_peaks"``.
    """

    room: str
    name: str

    @property
    def path(self) -> str:
        """By which it is imported."""
        return f"{PACKAGE}.{self.room}.{self.name}"

    @cached_property
    def value(self) -> Any:
        """The object itself."""
        return getattr(module(self.room), self.name)

    @cached_property
    def kind(self) -> str:
        """``"class"``, ``"exception"``, ``"function"``, ``"module"`` or ``"data"``."""
        if inspect.isclass(self.value):
            return "exception" if issubclass(self.value, Exception) else "class"
        if inspect.ismodule(self.value):
            return "module"
        # What has been wrapped, in a cache say, is a function all the same.
        return "function" if inspect.isroutine(inspect.unwrap(self.value)) else "data"

    @cached_property
    def docstring(self) -> str:
        """As it is written; of data, the string that follows the assignment."""
        if self.kind == "data":
            return _data(module(self.room), self.name)[1]
        return inspect.getdoc(self.value) or ""

    @property
    def written(self) -> str:
        """What is assigned to data, in source; empty where it is long."""
        source = _data(module(self.room), self.name)[0]
        return source if len(source) <= _LONGEST_VALUE else ""

    @cached_property
    def members(self) -> dict[str, Any]:
        """Methods and properties of a class that are our own, by name."""
        if self.kind != "class":
            return {}
        named = {name: inspect.getattr_static(self.value, name) for name in _public_of(self.value)}
        return {name: member for name, member in named.items() if _ours(member)}

    @cached_property
    def inherited(self) -> dict[str, list[str]]:
        """Methods and properties that come from other libraries, by the class that has them."""
        found: dict[str, list[str]] = {}
        for name in _public_of(self.value) if self.kind == "class" else []:
            home = next(base for base in self.value.__mro__ if name in vars(base))
            ours = home.__module__.partition(".")[0] == PACKAGE
            if not ours and _is_member(inspect.getattr_static(self.value, name)):
                found.setdefault(f"{home.__module__}.{home.__name__}", []).append(name)
        return found


def module(room: str) -> ModuleType:
    """Module of a room; of the package itself if the room is empty."""
    return importlib.import_module(f"{PACKAGE}.{room}".rstrip("."))


def public_names(room: str) -> list[Public]:
    """All public names of a room."""
    return [Public(room, name) for name in module(room).__all__]


def top_level() -> dict[str, Public]:
    """Names that can be imported from the package, and the rooms that hold them."""
    source = _parsed(module(""))
    homes = {name: home.removeprefix(f"{PACKAGE}.") for name, home in _imports(source)}
    names = (name for name in module("").__all__ if not name.startswith("_"))
    return {name: Public(homes[name], name) for name in names if homes[name] != PACKAGE}


def public_path(value: Any) -> str | None:
    """Path by which the public may import one of our functions or classes; None if it may not."""
    return _paths().get(id(value))


def is_known(base: type) -> bool:
    """Whether a base class is public here, or another library's own."""
    if base.__module__.partition(".")[0] == PACKAGE:
        return public_path(base) is not None
    return base is not object and not base.__name__.startswith("_")


@cache
def _paths() -> dict[int, str]:
    # A name that several rooms show belongs to the last of them: a room passes on what it uses.
    rooms = [*GROUND, *ROOMS]
    entries = [entry for room in rooms for entry in public_names(room) if entry.kind != "data"]
    return {id(entry.value): entry.path for entry in entries}


def summary(docstring: str) -> str:
    """First sentence of a docstring in one line, without the marks of its references."""
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    paragraph = re.sub(r" \[\d+\]_", "", paragraph)
    first, end, _ = paragraph.partition(". ")
    return first + end.strip()


def _public_of(value: type) -> list[str]:
    return [name for name in dir(value) if not name.startswith("_")]


def _is_member(member: Any) -> bool:
    return isinstance(member, property | cached_property) or callable(_function(member))


def _function(member: Any) -> Any:
    """What is called by a method or a property."""
    if isinstance(member, property):
        return member.fget
    if isinstance(member, cached_property):
        return member.func
    return getattr(member, "__func__", member)


def _ours(member: Any) -> bool:
    if not _is_member(member):
        return False
    home = getattr(inspect.unwrap(_function(member)), "__module__", None) or ""
    return home.partition(".")[0] == PACKAGE


def _parsed(of: ModuleType) -> ast.Module:
    return ast.parse(Path(inspect.getfile(of)).read_text(encoding="utf-8"))


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names that a module imports, for type checkers included, and from where."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((alias.asname or alias.name, node.module) for alias in node.names)


def _data(of: ModuleType, name: str) -> tuple[str, str]:
    """Source of what is assigned to a name of a module, and the string that follows it."""
    tree = _parsed(of)
    for place, node in enumerate(tree.body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            after = tree.body[place + 1 : place + 2]
            written = ast.unparse(node.value) if getattr(node, "value", None) else ""
            return written, next(map(_text, after), "")
    home = dict(_imports(tree)).get(name)
    return _data(importlib.import_module(home), name) if home else ("", "")


def _text(node: ast.stmt) -> str:
    value = node.value if isinstance(node, ast.Expr) else None
    text = value.value if isinstance(value, ast.Constant) else None
    return inspect.cleandoc(text) if isinstance(text, str) else ""
