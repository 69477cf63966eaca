import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from drawing import make_map, pixels

import sigma_scale.plot
from sigma_scale.errors import ParameterError
from sigma_scale.plot import plot_image, plot_phase_map, save_figure


def test_endings_say_the_format(tmp_path):
    from PIL import Image

    figure = plot_image(make_map(np.eye(9), 1.0))
    png = save_figure(figure, tmp_path / "a" / "b" / "map.PNG")
    size = Image.open(png).size
    np.testing.assert_allclose(size, figure.get_size_inches() * 150, atol=1)
    svg = save_figure(figure, str(tmp_path / "map.svg"))
    assert "<svg" in svg.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["map.jpg", "map", "map.png.bak"])
def test_other_endings_are_refused(tmp_path, name):
    with pytest.raises(ParameterError, match=r"'\.png' or '\.svg'"):
        save_figure(plot_image(make_map(np.eye(3))), tmp_path / name)
    assert not list(tmp_path.iterdir())


def png_size(content):
    from PIL import Image

    with Image.open(BytesIO(content)) as picture:
        assert picture.format == "PNG"
        return picture.size


def test_notebooks_show_figures_without_pyplot():
    """They ask for ``_repr_png_``: a PNG, and how large to show it (96 pixels per inch)."""
    figure = plot_image(make_map(np.eye(9), 1.0))
    content, shown = figure._repr_png_()
    inches = figure.get_size_inches()
    np.testing.assert_allclose(png_size(content), inches * 150, atol=1)
    np.testing.assert_allclose([shown["width"], shown["height"]], inches * 96, atol=1)
    saved = BytesIO()
    figure.savefig(saved)
    assert png_size(saved.getvalue()) == png_size(content)
    figure.dpi = 60
    np.testing.assert_allclose(png_size(figure._repr_png_()[0]), inches * 60, atol=1)


def test_a_copied_figure_is_shown_the_same():
    figure = plot_image(make_map(np.eye(9), 1.0))
    copy = pickle.loads(pickle.dumps(figure))  # noqa: S301 - our own bytes
    assert copy._repr_png_() == figure._repr_png_()


@pytest.mark.parametrize("magic", [False, True], ids=["plain", "matplotlib inline"])
def test_ipython_shows_a_figure_once(magic):
    formatters = pytest.importorskip("IPython.core.formatters")
    pylabtools = pytest.importorskip("IPython.core.pylabtools")
    formatter = formatters.DisplayFormatter()
    if magic:  # what ``%matplotlib inline`` does
        from matplotlib.figure import Figure

        by_type = formatter.formatters["image/png"]
        by_type.for_type(Figure, lambda figure: pylabtools.print_figure(figure, "png"))
    shown, _ = formatter.format(plot_image(make_map(np.eye(9), 1.0)))
    assert set(shown) == {"text/plain", "image/png"}
    assert min(png_size(shown["image/png"])) > 100


def test_figures_made_in_threads_are_those_made_alone():
    def draw(seed):
        labels = np.random.default_rng(seed).integers(-1, 9, (30, 40)).astype(np.int32)
        return pixels(plot_phase_map(make_map(labels, 1.0), title=f"Map {seed}"))

    alone = [draw(seed) for seed in range(6)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(draw, range(6)))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_importing_loads_no_heavy_library_and_names_load_on_use():
    code = (
        "import sys, sigma_scale.plot as p;"
        "heavy = {'matplotlib', 'datashader', 'pandas', 'jinja2', 'holoviews', 'skimage'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        "p.plot_image; p.write_report; p.plot_latent;"
        "assert 'matplotlib.pyplot' not in sys.modules;"
        "assert 'datashader' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)  # noqa: S603


def test_public_names_exist():
    for name in sigma_scale.plot.__all__:
        assert getattr(sigma_scale.plot, name) is not None
    assert set(sigma_scale.plot.__all__) <= set(dir(sigma_scale.plot))
    with pytest.raises(AttributeError, match="plot_nothing"):
        sigma_scale.plot.plot_nothing  # noqa: B018
