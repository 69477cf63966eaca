"""The original's tutorial runs from its first cell to its last with only the imports changed."""

from __future__ import annotations

import re
import shutil
import textwrap
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import sigma_scale as ss
from sigma_scale.errors import SigmaScaleWarning
from sigma_scale.gui import View

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

THEIRS = re.compile(r"^(from sigma\.\w.*|sys\.path\.insert.*)\n", flags=re.MULTILINE)
OURS = """\
from sigma_scale import (
    AutoEncoder, Experiment, PixelSegmenter, SEMDataset, TEMDataset, gui, norm, same_seeds,
)
"""
LINES = ["Al_Ka", "C_Ka", "Ca_Ka", "Fe_Ka", "K_Ka", "Mg_Ka", "Na_Ka", "O_Ka", "Si_Ka", "Ti_Ka"]
"""The tutorial's file names its lines, "starting with Al_Ka"; the one that we have names none."""

ALTERNATIVE = "sem.get_feature_maps_with_nav_img(normalisation=[norm.neighbour_averaging])\n"
"""What the text says to run *instead* of the cell before, after another normalisation."""


def python_blocks(text: str) -> list[str]:
    """Code of the blocks marked as Python, also of those without an empty line at their start."""
    blocks: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        if line.startswith(".. code-block:: python"):
            blocks.append([])
            inside = True
        elif inside and (not line.strip() or line.startswith("   ")):
            blocks[-1].append(line)
        else:
            inside = False
    return [textwrap.dedent("\n".join(block)).strip() + "\n" for block in blocks]


def with_our_imports(cell: str) -> str:
    """Put one import in the place of all those of the original program."""
    return OURS + THEIRS.sub("", cell) if THEIRS.search(cell) else cell


@pytest.fixture(scope="module")
def cells(real_data: Path) -> list[str]:
    path = real_data.parent / "seeds" / "sigma2_tutorial.rst"
    if not path.is_file():
        pytest.skip(f"no tutorial: there is no file {path}")
    return python_blocks(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run(
    cells: list[str], real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the tutorial leaves behind, its views by their cells, and its folder."""
    pytest.importorskip("torch", reason="the tutorial trains an autoencoder")
    folder = tmp_path_factory.mktemp("tutorial")
    shutil.copy(real_data / "P45_the_default_job.bcf", folder / "test.bcf")
    shutil.copy(real_data / "test_TEM.bcf", folder / "tem_dataset.bcf")
    namespace: dict[str, Any] = {}
    views: list[Any] = []
    with (
        pytest.MonkeyPatch.context() as patch,
        ss.options(progress=False),
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always", SigmaScaleWarning)
        patch.chdir(folder)
        for number, cell in enumerate(cells):
            source = re.sub(
                r"^(gui\..*)$", r"VIEW = \1", with_our_imports(cell), flags=re.MULTILINE
            )
            exec(compile(source, f"tutorial[{number}]", "exec"), namespace)  # noqa: S102
            if "VIEW" in namespace:
                views.append(namespace.pop("VIEW"))
                assert views[-1].figures  # drawn now, as a notebook does
            if "sem = SEMDataset" in cell:
                namespace["sem"].set_feature_list(LINES)
            if cell == ALTERNATIVE:
                exec(cells[number - 1], namespace)  # noqa: S102
    said = {str(warning.message) for warning in warned if warning.category is SigmaScaleWarning}
    return {"names": namespace, "views": views, "folder": folder, "warnings": said}


def test_all_cells_are_found(cells: list[str]) -> None:
    assert len(cells) == 20
    assert ALTERNATIVE in cells
    assert cells[0].startswith("from umap import UMAP")
    assert cells[-1].startswith("gui.interactive_latent_plot(")
    assert all(compile(cell, "cell", "exec") for cell in cells)


def test_only_imports_are_replaced(cells: list[str]) -> None:
    changed = [number for number, cell in enumerate(cells) if with_our_imports(cell) != cell]
    assert changed == [1]
    assert with_our_imports(cells[1]).removeprefix(OURS).strip() == ""


@pytest.mark.slow
def test_the_datasets_are_as_the_tutorial_leaves_them(run: dict[str, Any]) -> None:
    sem, tem = run["names"]["sem"], run["names"]["tem"]
    assert sem.spectra.shape == (75, 100, 2048)
    assert sem.spectra_bin.shape == (25, 33, 2048)
    assert sem.feature_list == [*LINES, "Navigator"]
    assert sem.normalised_elemental_data.shape == (25, 33, 11)
    assert sem.recipe()[-1] == {
        "method": "get_feature_maps_with_nav_img",
        "arguments": {"normalisation": ["neighbour_averaging", "zscore"]},
    }
    left_out, unscaled = sorted(run["warnings"])
    assert "1 column at the end left out" in left_out
    assert unscaled.startswith("The navigation image was normalised by neighbour_averaging, the")
    assert tem.feature_list
    assert tem.spectra.shape == (64, 64, 2048)


@pytest.mark.slow
def test_the_latent_space_and_its_clusters_are_there(
    run: dict[str, Any], hdbscan_in_other_orders: Callable[..., np.ndarray]
) -> None:
    names = run["names"]
    latent = names["latent"]
    assert latent.shape == (25 * 33, 2)
    assert np.isfinite(latent).all()
    assert latent.std(axis=0).min() > 0
    assert len(names["ex"].losses) == 50
    assert len(list(run["folder"].glob("zscore/checkpoints/*.safetensors"))) == 50
    assert names["ps_gmm"].n_components == 50
    assert set(names["ps_gmm"].labels) <= set(range(50))
    assert len(set(names["ps_gmm"].labels)) > 25
    hdbscan = pytest.importorskip("hdbscan")
    arguments, labels = names["ps_hdb"].method_args, names["ps_hdb"].labels
    oracle = hdbscan.HDBSCAN(**arguments).fit_predict(latent)
    # The library's labels of a few pixels depend on the order of the rows; here these are noise.
    open_to_order = np.ptp(hdbscan_in_other_orders(latent, arguments, oracle), axis=0) > 0
    assert open_to_order.mean() < 0.02
    np.testing.assert_array_equal(labels, np.where(open_to_order, -1, oracle))


@pytest.mark.slow
def test_every_view_can_be_shown(run: dict[str, Any]) -> None:
    views = run["views"]
    assert [list(view.panels) for view in views] == [
        ["Navigation image", "Sum spectrum", "Elemental maps (raw)"],
        [
            "Navigation image", "Sum spectrum", "Elemental maps (raw)", "Elemental maps (binned)",
        ],
        ["Al_Ka"],
        ["Intensity maps"],
        ["Latent space"],
        ["Latent space"],
        ["Latent space", "Colours"],
    ]  # fmt: skip
    for view in views:
        assert isinstance(view, View)
        assert view._repr_html_().count("data:image/png;base64,") == len(view.panels)
