"""Source of the pages: one for each room, one for each class that has methods, and a front page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from commands import command_page
from names import (
    GROUND,
    PACKAGE,
    ROOMS,
    Public,
    is_known,
    module,
    public_names,
    summary,
    top_level,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FRONT = """\
sigma_scale
===========

sigma_scale turns an X-ray spectrum image (an EDS map from a scanning or transmission electron
microscope) into a phase map: which phases there are, where they lie, how much area each takes,
and what its spectrum looks like. It keeps a map as the X-ray counts it consists of, in chunks,
so that maps may be far larger than memory.

These pages say what each part does and what its parameters mean. The README shows how they are
used, the notebooks show them at work.

Install
-------

In a checkout of the project, with Python 3.11 or later:

.. code-block:: console

   $ python -m pip install -c constraints.txt .

A first look
------------

.. code-block:: console

   $ sigma-scale demo
   $ sigma-scale run my_map.bcf
   $ sigma-scale view my_map-phases

.. code-block:: python

   import sigma_scale as ss

   result = ss.run_job("my_map.bcf", ss.RunSettings(bin=(2, 2)), "my_map-python")
   print(result.elements)

:doc:`names` lists what ``import sigma_scale`` gives, :doc:`tutorial` the names that users of SIGMA
know, and :doc:`command_line` the commands.
"""

TUTORIAL = [
    ("Datasets", ["SEMDataset", "TEMDataset", "ImageDataset"]),
    (
        "Latent spaces",
        ["AutoEncoder", "VariationalAutoEncoder", "UMAP", "Experiment", "same_seeds"],
    ),
    ("Clusters", ["PixelSegmenter"]),
]
"""Names of the tutorial by what they are for, as the package gives them."""

KINDS = {
    "class": "Classes",
    "exception": "Errors and warnings",
    "function": "Functions",
    "data": "Data",
    "module": "Modules",
}


def write_pages(folder: Path) -> None:
    """Write the source of all pages into a folder."""
    pages = {
        "index": _front(),
        "names": _names(),
        "tutorial": _tutorial(),
        "command_line": command_page(),
    }
    for room in [*ROOMS, *GROUND]:
        pages[room] = "\n".join(_room(room))
        for public in public_names(room):
            if public.members:
                pages[f"{room}.{public.name}"] = "\n".join(_class_page(public))
    for name, text in pages.items():
        (folder / f"{name}.rst").write_text(text.rstrip() + "\n", encoding="utf-8")


def _front() -> str:
    lines = [FRONT, *_heading("Rooms, in the order in which data flows", "-"), ""]
    lines += _table((f":doc:`{room}`", _about(room)) for room in ROOMS)
    lines += [*_heading("What they stand on", "-"), ""]
    lines += _table((f":doc:`{room}`", _about(room)) for room in GROUND)
    begin, inner = ["command_line", "names", "tutorial"], {"workflow.norm"}
    lines += _contents("Begin here", begin)
    lines += _contents("Rooms", (room for room in ROOMS if room not in inner))
    lines += _contents("Ground", GROUND)
    return "\n".join(lines)


def _names() -> str:
    lines = [*_heading("Names of the package", "="), ""]
    lines += [
        "``import sigma_scale`` gives the names that are used most. Each loads its module on first",
        "use, so that the import takes no time. The rooms hold the rest.",
        "",
    ]
    rows = sorted(top_level().items(), key=lambda item: item[0].lower())
    lines += _table((_link(public), _summary(public)) for _, public in rows)
    return "\n".join(lines)


def _tutorial() -> str:
    public = top_level()
    lines = [*_heading("The tutorial's names", "="), ""]
    lines += [
        "The calls of SIGMA's tutorial run as they are; only the import differs, for all of these",
        "come from one place:",
        "",
        ".. code-block:: python",
        "",
        "   from sigma_scale import SEMDataset, PixelSegmenter, UMAP, norm, gui",
        "",
    ]
    for title, names in TUTORIAL:
        lines += [*_heading(title, "-"), ""]
        lines += _table((_link(public[name]), _summary(public[name])) for name in names)
    for title, room in (("Normalisations", "workflow.norm"), ("Views", "gui")):
        lines += [*_heading(title, "-"), ""]
        lines += _table((_link(entry), _summary(entry)) for entry in public_names(room))
    return "\n".join(lines)


def _room(room: str) -> Iterator[str]:
    entries = public_names(room)
    yield from [*_heading(room, "="), ""]
    yield from [f".. automodule:: {PACKAGE}.{room}", "   :no-members:", ""]
    yield from [f".. py:currentmodule:: {PACKAGE}.{room}", ""]
    for kind, title in KINDS.items():
        chosen = [entry for entry in entries if entry.kind == kind]
        if not chosen:
            continue
        yield from [*_heading(title, "-"), ""]
        yield from _table((_link(entry), _summary(entry)) for entry in chosen)
        for entry in chosen:
            if not entry.members and kind != "module":
                yield from _entry(entry)
    inner = [name for name in ROOMS if name.startswith(f"{room}.")]
    inner += [f"{room}.{entry.name}" for entry in entries if entry.members]
    if inner:
        yield from [".. toctree::", "   :hidden:", ""]
        yield from [*(f"   {_last(name)} <{name}>" for name in inner), ""]


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _entry(public: Public) -> Iterator[str]:
    """All that is said about a name that needs no page of its own."""
    if public.kind != "data":
        yield from [f".. auto{public.kind}:: {public.path}", *_bases(public), ""]
        return
    yield f".. py:data:: {public.name}"
    if public.written:
        yield f"   :value: {public.written}"
    yield from ["", *(f"   {line}" for line in public.docstring.splitlines()), ""]


def _bases(public: Public) -> list[str]:
    """Bases are worth showing where they can be looked up, here or in another library's pages."""
    if public.kind in {"class", "exception"} and any(map(is_known, public.value.__bases__)):
        return ["   :show-inheritance:"]
    return []


def _class_page(public: Public) -> Iterator[str]:
    yield from [*_heading(public.name, "="), ""]
    yield from [f".. py:currentmodule:: {PACKAGE}.{public.room}", ""]
    yield f".. autoclass:: {public.path}"
    yield from _bases(public)
    yield from [f"   :members: {', '.join(public.members)}", "   :member-order: groupwise", ""]
    if public.inherited:
        yield from [*_heading("From other libraries", "-"), ""]
    for home, names in public.inherited.items():
        listed = ", ".join(f"``{name}``" for name in names)
        yield from [f"From ``{home}``: {listed}.", ""]


def _link(public: Public) -> str:
    role = {"module": "mod", "class": "class", "exception": "exc", "function": "func"}
    return f":py:{role.get(public.kind, 'data')}:`~{public.path}`"


def _about(room: str) -> str:
    return _resolved(summary(module(room).__doc__ or ""), room)


def _summary(public: Public) -> str:
    return _resolved(summary(public.docstring), public.room)


def _resolved(text: str, room: str) -> str:
    """Text whose references to names of its room hold on every page."""
    known = {entry.name for entry in public_names(room)}

    def full(match: re.Match[str]) -> str:
        role, name = match.groups()
        path = f"~{PACKAGE}.{room}.{name}" if name.partition(".")[0] in known else name
        return f":py:{role}:`{path}`"

    return re.sub(r":(\w+):`([^`]+)`", full, text)


def _heading(title: str, line: str) -> list[str]:
    return [title, line * len(title)]


def _table(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield from [".. list-table::", "   :class: names", ""]
    for first, second in rows:
        yield from [f"   * - {first}", f"     - {second}"]
    yield ""


def _contents(caption: str, pages: Iterable[str]) -> Iterator[str]:
    yield from [".. toctree::", "   :hidden:", f"   :caption: {caption}", ""]
    yield from [*(f"   {page}" for page in pages), ""]
