"""Notebooks run from top to bottom, on small maps, and carry no outputs."""

from __future__ import annotations

import ast
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import panel as pn
import pytest
from matplotlib.figure import Figure

import sigma_scale as ss
from sigma_scale.errors import ParameterError
from sigma_scale.gui import View
from sigma_scale.plot.notebook_figure import NotebookFigure

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
FOLDER = NOTEBOOKS[0].parent if NOTEBOOKS else Path()

pytestmark = pytest.mark.filterwarnings(
    # Rows that bins leave out and files without calibration are what notebooks tell about.
    "default::sigma_scale.errors.SigmaScaleWarning"
)


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return found


def code_cells(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in cells(path) if cell["cell_type"] == "code"]


def run(path: Path, **settings: object) -> dict[str, Any]:
    """Run the code cells of a notebook in one namespace; what ends a cell is shown."""
    namespace: dict[str, Any] = {}
    for number, cell in enumerate(code_cells(path)):
        source = "".join(cell["source"])
        for name, value in settings.items():
            source = re.sub(rf"^{name} = .*", f"{name} = {value!r}", source, flags=re.MULTILINE)
        tree = ast.parse(source, f"{path.name}[{number}]")
        last = tree.body[-1] if tree.body else None
        last = last if isinstance(last, ast.Expr) else None
        if last is not None:
            tree.body.pop()
        exec(compile(tree, f"{path.name}[{number}]", "exec"), namespace)  # noqa: S102
        if last is not None:
            expression = ast.Expression(last.value)
            shown = eval(compile(expression, f"{path.name}[{number}]", "eval"), namespace)  # noqa: S307
            show(shown)
            left_out = shown is None and isinstance(last.value, ast.IfExp)
            if makes_picture(last) and not left_out:
                assert isinstance(shown, Figure | View | pd.DataFrame), ast.unparse(last)
    return namespace


def show(value: object) -> None:
    """What a notebook asks of what ends a cell."""
    assert repr(value)
    if isinstance(value, View):
        assert value._repr_html_()  # without Panel's extension
        value.__panel__().get_root()  # with it
    if isinstance(value, Figure):
        # A plain one is text in a notebook, unless pyplot has told IPython of figures.
        assert isinstance(value, NotebookFigure)
        content, size = value._repr_png_()
        assert content.startswith(b"\x89PNG")
        assert min(size.values()) > 100


def makes_picture(node: ast.AST) -> bool:
    """Whether a statement calls something of ``plot`` or ``gui``."""
    calls = (call.func for call in ast.walk(node) if isinstance(call, ast.Call))
    rooms = (func.value for func in calls if isinstance(func, ast.Attribute))
    return any(isinstance(room, ast.Name) and room.id in ("plot", "gui") for room in rooms)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_pictures_end_their_cells(path: Path) -> None:
    """Only the value of a cell's last line is shown."""
    for cell in code_cells(path):
        *before, last = ast.parse("".join(cell["source"])).body
        unseen = [node for node in before if isinstance(node, ast.Expr) and makes_picture(node)]
        assert not unseen, ast.unparse(unseen[0])
        assert isinstance(last, ast.Expr) or not makes_picture(last), ast.unparse(last)


def test_there_are_notebooks() -> None:
    assert [path.name for path in NOTEBOOKS] == [
        "00_first_steps_in_jupyter.ipynb",
        "01_sem_tutorial.ipynb",
        "02_tem_tutorial.ipynb",
        "03_element_images.ipynb",
        "04_aztec_calibration.ipynb",
        "05_large_area_mosaic.ipynb",
        "06_cluster.ipynb",
        "quickstart.ipynb",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_carry_no_outputs(path: Path) -> None:
    found = code_cells(path)
    assert found
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in found)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_of_the_common_kind(path: Path) -> None:
    book = json.loads(path.read_text(encoding="utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    names = [cell["id"] for cell in book["cells"]]
    assert len(set(names)) == len(names)
    first = book["cells"][0]
    assert first["cell_type"] == "markdown"
    assert "".join(first["source"]).startswith("# ")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_name_only_notebooks_that_there_are(path: Path) -> None:
    text = "".join("".join(cell["source"]) for cell in cells(path))
    assert set(re.findall(r"`(\w+\.ipynb)`", text)) <= {other.name for other in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_views_are_live_in_all_notebooks(path: Path) -> None:
    sources = ["".join(cell["source"]) for cell in code_cells(path)]
    views = [k for k, source in enumerate(sources) if re.search(r"\bgui\.\w+\(", source)]
    loads = [k for k, source in enumerate(sources) if "pn.extension(" in source]
    assert len(loads) == bool(views)
    assert not views or loads[0] < views[0]
    assert all('pn.extension("tabulator", inline=True)' in sources[k] for k in loads)


@pytest.fixture
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A folder to write into; options that a notebook sets don't outlive the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    # What Panel keeps of ``pn.extension`` is put back as well.
    monkeypatch.setattr(pn.extension, "_loaded", pn.extension._loaded)
    monkeypatch.setattr(pn.extension, "_loaded_extensions", [])
    with ss.options(progress=False), pn.config.set(inline=pn.config.inline):
        yield


@pytest.mark.slow
def test_quickstart_runs(quiet: None) -> None:
    namespace = run(FOLDER / "quickstart.ipynb", SIDE=160)
    assert namespace["labels"].shape == (80, 80)
    assert namespace["score"] > 0.8


@pytest.mark.slow
def test_first_steps_run(quiet: None, capsys: pytest.CaptureFixture[str]) -> None:
    namespace = run(FOLDER / "00_first_steps_in_jupyter.ipynb")
    assert namespace["sem"].shape == (96, 128)
    assert "Xx" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("autoencoder", [True, False], ids=["with PyTorch", "without"])
def test_the_sem_tutorial_runs(quiet: None, tmp_path: Path, *, autoencoder: bool) -> None:
    if autoencoder:
        pytest.importorskip("torch", reason="a section of the notebook trains an autoencoder")
    namespace = run(FOLDER / "01_sem_tutorial.ipynb", SIDE=120, AUTOENCODER=autoencoder)
    assert namespace["sem"].shape == (40, 40)
    assert namespace["latent"].shape == (1600, 2)
    assert ("latent_ae" in namespace) is autoencoder
    assert not autoencoder or namespace["latent_ae"].shape == (1600, 2)
    assert namespace["ps_gmm"].n_components == 14
    assert namespace["ps_hdb"].n_components > 4
    np.testing.assert_array_equal(namespace["again"].labels, namespace["ps_hdb"].labels)
    checkpoints = list(tmp_path.glob("zscore/checkpoints/*.safetensors"))
    assert len(checkpoints) == (10 if autoencoder else 0)


@pytest.mark.parametrize("present", [("torch", "safetensors"), ("torch",), ("safetensors",), ()])
def test_the_sem_tutorial_knows_whether_pytorch_is_there(present: tuple[str, ...]) -> None:
    body = ast.parse("".join(code_cells(FOLDER / "01_sem_tutorial.ipynb")[0]["source"])).body
    (flag,) = [
        node.value
        for node in body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "AUTOENCODER"
    ]
    found = eval(  # noqa: S307 - our own notebook
        compile(ast.Expression(flag), "first cell", "eval"),
        {"find_spec": lambda name: name if name in present else None},
    )
    assert found is (len(present) == 2)


@pytest.mark.slow
def test_the_tem_tutorial_runs_on_a_synthetic_map(quiet: None) -> None:
    namespace = run(FOLDER / "02_tem_tutorial.ipynb", SIDE=96)
    assert namespace["tem"].shape == (24, 24)
    assert namespace["ps"].labels.shape == (576,)
    assert len(set(namespace["ps"].labels)) > 2


@pytest.mark.slow
def test_the_tem_tutorial_runs_on_a_file(quiet: None, real_data: Path) -> None:
    namespace = run(FOLDER / "02_tem_tutorial.ipynb", FILE=str(real_data / "test_TEM.bcf"))
    assert namespace["tem"].feature_list == ["Cu_Ka", "O_Ka", "Pd_La", "Ti_Ka"]
    assert namespace["tem"].shape == (16, 16)
    assert len(set(namespace["ps"].labels)) > 1


@pytest.mark.slow
def test_the_tem_tutorial_says_that_a_velox_file_has_no_lines(quiet: None, real_data: Path) -> None:
    """All counts of this file lie in the peak at 0 keV: there is nothing to cluster."""
    path = str(real_data / "velox_EELS_EDS_128x128x4096.emd")
    with pytest.raises(ParameterError, match="features are not constant"):
        run(FOLDER / "02_tem_tutorial.ipynb", FILE=path, BIN=2)


@pytest.mark.slow
def test_the_notebook_on_element_images_runs(quiet: None) -> None:
    namespace = run(FOLDER / "03_element_images.ipynb", SIDE=96)
    assert namespace["images"].shape == (48, 48)
    assert namespace["images"].feature_list[:2] == ["Al_Ka", "Ca_Ka"]
    assert namespace["ps"].n_components > 3


@pytest.mark.slow
def test_the_notebook_on_calibration_puts_energies_right(quiet: None) -> None:
    namespace = run(FOLDER / "04_aztec_calibration.ipynb")
    for name in ("calibration", "by_hand"):
        found = namespace[name]
        # The file says 10 eV from -0.2 keV, and it is 9.9 eV from -0.17 keV.
        assert found.gain == pytest.approx(0.99, abs=0.0002)
        assert found.gain * -0.2 + found.shift_kev == pytest.approx(-0.17, abs=0.0005)
        # No line is taken for another: each lies within some eV of its place.
        assert max(abs(peak.residual_ev) for peak in found.peaks) < 4
    assert "C_Ka" in {peak.line for peak in namespace["calibration"].used}
    assert namespace["sem"].spectra.energy.scale_kev == 0.0099


@pytest.mark.slow
def test_the_large_area_tutorial_runs(quiet: None, capsys: pytest.CaptureFixture[str]) -> None:
    namespace = run(FOLDER / "05_large_area_mosaic.ipynb")
    assert namespace["rms_error"](namespace["registration"].layout) < 0.5
    checked = namespace["checked"]
    assert len(checked) == 16 + 1
    assert checked["same in every pixel"].all()
    np.testing.assert_array_equal(checked["in the map"], checked["in the file"])
    assert (namespace["doses"]["found"] / namespace["doses"]["true"] - 1).abs().max() < 0.02
    assert namespace["score"] > 0.85
    assert (namespace["grains"]["tiles"] > 1).any()
    assert "line 8: tile 'tile_1_2'" in capsys.readouterr().out


@pytest.mark.slow
def test_the_cluster_tutorial_runs(quiet: None, capsys: pytest.CaptureFixture[str]) -> None:
    """The notebook itself compares the arrays of threads, processes and a killed worker."""
    namespace = run(FOLDER / "06_cluster.ipynb", SIDE=192)
    assert {name.partition("/")[0] for name in namespace["one"]} == {
        "map", "binned", "latent", "phases",
    }  # fmt: skip
    told = capsys.readouterr().out
    assert "Dashboard: http://127.0.0.1:" in told
    assert "killed: tcp://" in told
    assert told.count("36,864 pixels compared") == 2
