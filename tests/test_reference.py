"""The API reference: built without a warning, every public name in it, nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import click
import pytest

import sigma_scale
from sigma_scale.cli import cli

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / ".reference"
PACKAGE = Path(sigma_scale.__file__).parent
NEEDED = ["furo", "numpydoc", "safetensors", "sphinx", "torch"]
NO_TOOLS = [name for name in NEEDED if importlib.util.find_spec(name) is None]

needs_the_extra = pytest.mark.skipif(
    bool(NO_TOOLS), reason=f'needs {", ".join(NO_TOOLS)}: pip install ".[docs]"'
)


def load_names():
    spec = importlib.util.spec_from_file_location("reference_names", TOOLS / "names.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up.
    spec.loader.exec_module(module)
    return module


names = load_names()


def build(folder: Path, tools: Path = TOOLS) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        [sys.executable, str(tools), str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


def change(path: Path, pattern: str, text: str) -> None:
    source = path.read_text(encoding="utf-8")
    changed, count = re.subn(pattern, text, source, flags=re.DOTALL | re.MULTILINE)
    assert count == 1
    path.write_text(changed, encoding="utf-8")


def entries(folder: Path) -> dict[str, str]:
    """Names that can be referred to, and the page and place of each."""
    content = (folder / "objects.inv").read_bytes().split(b"\n", 4)[4]
    lines = zlib.decompress(content).decode().splitlines()
    found = (re.fullmatch(r"(.+) ((?:py|std):\w+) -?\d+ (\S+) .*", line) for line in lines)
    return {entry[1]: entry[3].replace("$", entry[1]) for entry in found if entry}


def all_options(group: click.Group):
    yield from (("sigma-scale", parameter) for parameter in group.params)
    for name, command in group.commands.items():
        yield from ((f"sigma-scale {name}", parameter) for parameter in command.params)


def test_every_room_has_its_page():
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    rooms = {room for room in rooms if not room.startswith("_")} - {"cli"}  # By its commands.
    assert {room for room in [*names.ROOMS, *names.GROUND] if "." not in room} == rooms


def test_every_public_name_says_what_it_is():
    rooms = [*names.ROOMS, *names.GROUND]
    silent = [public.path for room in rooms for public in names.public_names(room)
              if not names.summary(public.docstring)]  # fmt: skip
    assert silent == []


@pytest.mark.parametrize(
    "name",
    [
        "BinaryMapProfile",
        "ClusterState",
        "Components",
        "DemoResult",
        "PixelState",
        "SegmentableDataset",
        "StepStore",
    ],
)
def test_what_public_calls_take_and_give_has_its_entry(name):
    (entry,) = [public for public in names.public_names("workflow") if public.name == name]
    assert names.public_path(entry.value) == entry.path


@pytest.mark.parametrize(
    ("docstring", "first"),
    [
        ("Sum counts [1]_ of\na map. Then more.\n\nMore.", "Sum counts of a map."),
        ("\n    No full stop\n    in it\n\n    More.", "No full stop in it"),
        ("", ""),
    ],
)
def test_summaries_are_the_first_sentence(docstring, first):
    assert names.summary(docstring) == first


@needs_the_extra
@pytest.mark.slow
def test_the_reference_is_whole(tmp_path):
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    known = entries(tmp_path)
    public = {public.path: public for room in [*names.ROOMS, *names.GROUND]
              for public in names.public_names(room)}  # fmt: skip
    assert public.keys() - known.keys() == set()
    members = {f"{path}.{name}" for path, entry in public.items() for name in entry.members}
    assert members - known.keys() == set()
    short = {f"sigma_scale.{name}" for name in sigma_scale.__all__} - {"sigma_scale.__version__"}
    assert short - known.keys() == set()
    options = {
        f"{command.replace(' ', '-')}.{name}"
        for command, parameter in all_options(cli)
        if isinstance(parameter, click.Option)
        for name in [*parameter.opts, *parameter.secondary_opts]
    }
    assert options - known.keys() == set()
    for place in {place.partition("#") for place in known.values()}:
        page = (tmp_path / place[0]).read_text(encoding="utf-8")
        assert not place[2] or f'id="{place[2]}"' in page, place
    # A page is read without a network: links may lead out, nothing may be loaded from there.
    for path in [*tmp_path.rglob("*.html"), *tmp_path.rglob("*.css")]:
        loaded = r'<(?:script|img|link)[^>]+(?:src|href)="(?:https?:)?//|url\(["\']?https?:|@import'
        assert not re.search(loaded, path.read_text(encoding="utf-8")), path


@needs_the_extra
@pytest.mark.slow
def test_a_broken_reference_is_an_error_and_leaves_what_was_there(tmp_path):
    tools = shutil.copytree(TOOLS, tmp_path / "tools")
    # One small room is enough; the rest only takes time.
    change(tools / "names.py", r"^ROOMS = \[.*?^\]", 'ROOMS = ["engines"]')
    change(tools / "names.py", r"^GROUND = .*?$", "GROUND = []")
    change(tools / "pages.py", r"^Install$", ":py:func:`sigma_scale.no_such`\n\nInstall")
    earlier = tmp_path / "reference"
    earlier.mkdir()
    (earlier / "objects.inv").write_text("of an earlier reference")
    done = build(earlier, tools)
    assert done.returncode != 0
    assert "sigma_scale.no_such" in done.stderr
    assert [path.name for path in earlier.iterdir()] == ["objects.inv"]


@needs_the_extra
def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    done = build(tmp_path)
    assert done.returncode == 1
    assert "choose an empty folder" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
