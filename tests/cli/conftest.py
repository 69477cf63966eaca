"""The command, called in an empty folder. `commands.py` holds what else its tests share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sigma_scale import cli, config, store
from sigma_scale.synthetic import synthetic_map
from sigma_scale.workflow import outputs

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def quick_figures(monkeypatch):
    """Draw one empty figure: drawing all takes seconds and is tested elsewhere."""
    from matplotlib.figure import Figure

    from sigma_scale.plot import FigurePanel

    figures = {"phase_map": FigurePanel(Figure((1, 1)))}
    monkeypatch.setattr(outputs, "make_figures", lambda result: figures)


@pytest.fixture(autouse=True)
def own_options():
    """Options that a command sets end with it, as they do with its process."""
    with config.options(progress=False, memory_limit=None, engine="auto"):
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def image():
    return synthetic_map((64, 64), counts_per_pixel=150, seed=3).image


@pytest.fixture(scope="module")
def map_store(home, image):
    store.write_map(image, home / "map.zarr")
    return home / "map.zarr"


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """A function that runs the command in an empty folder: exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        try:
            cli.main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as end:
            code = end.code
        written = capsys.readouterr()
        return code, written.out, written.err

    return run
