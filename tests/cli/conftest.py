"""The command, called in an empty folder. `commands.py` holds what else its tests share."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from sigma_scale import cli, config, store
from sigma_scale.mosaic import TileLayout, compose, register
from sigma_scale.synthetic import synthetic_map, synthetic_tiles
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


@pytest.fixture(scope="session")
def made():
    """Six tiles with pictures and places of the stage."""
    return synthetic_tiles(
        (2, 3),
        (96, 96),
        overlap=0.25,
        jitter=2,
        seed=4,
        channels=420,
        scale_kev=0.02,
        grain_size=12,
    )


@pytest.fixture(scope="session")
def stores(made, tmp_path_factory):
    """Their stores, which are not to be changed."""
    folder = tmp_path_factory.mktemp("tiles")
    for name, image in made.images.items():
        store.write_map(image, folder / f"{name}.zarr")
    return folder


@pytest.fixture
def tiles(stores, tmp_path):
    """A folder of six tiles as stores."""
    shutil.copytree(stores, tmp_path / "tiles")
    return tmp_path / "tiles"


@pytest.fixture(scope="session")
def expected(made):
    """Counts of the mosaic, composed in memory."""
    found = register(TileLayout.from_stage(made.images))
    return compose(found, doses="equal").to_xarray().values


@pytest.fixture(scope="session")
def bright():
    """Tiles with enough counts to be compared by them."""
    return synthetic_tiles(
        (2, 3), (96, 96), overlap=0.25, jitter=2, seed=6, channels=420, scale_kev=0.01,
        grain_size=12, counts_per_pixel=500,
    )  # fmt: skip


@pytest.fixture(scope="session")
def files(bright, tmp_path_factory):
    """Tiles as files of HyperSpy, without a place or an image."""
    from commands import hspy

    folder = tmp_path_factory.mktemp("files")
    for name, image in bright.images.items():
        hspy(folder / f"{name}.hspy", image.to_xarray().values, xray_lines=["O_Ka", "Si_Ka"])
    return folder


@pytest.fixture
def manifest(call, tiles, tmp_path):
    """The manifest of the six tiles, with its rows."""
    from mosaic_tiles import rows_of

    assert call("mosaic", "tiles", "plan.zarr", "--plan-only", "--no-register")[0] == 0
    (tmp_path / "plan.layout.png").unlink()
    path = (tmp_path / "plan.tiles.csv").rename(tmp_path / "mine.csv")
    return path, rows_of(path)
