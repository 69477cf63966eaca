"""What README.md shows works as it is shown, on a small map."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

import sigma_scale as ss
from sigma_scale.cli import cli
from sigma_scale.synthetic import synthetic_tiles
from sigma_scale.workflow.settings import RunSettings

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


HIDE_PYTORCH = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, path=None, target=None: (
    None if name.partition(".")[0] in ("torch", "safetensors") else find(name, path, target)
)
"""


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def shown_commands() -> list[str]:
    """Every call of the command line in a code block, without what comes before it."""
    lines = "".join(code_blocks("bash")).splitlines()
    calls = [line.partition("sigma-scale ")[2] for line in lines if "sigma-scale " in line]
    return [call for call in calls if call]


def write_hspy(path: Path, side: int) -> None:
    """Write a synthetic map as HyperSpy would, without lines: a reader has to open it."""
    hs: ModuleType = pytest.importorskip("hyperspy.api")
    counts = ss.synthetic_map((side, side), grain_size=16.0).image.to_xarray()
    signal = hs.signals.Signal1D(counts.to_numpy())
    for axis, name in zip(signal.axes_manager._axes, ("y", "x", "energy"), strict=True):
        steps = counts[name].to_numpy()
        axis.name, axis.units = name, "keV" if name == "energy" else "µm"
        axis.scale, axis.offset = float(steps[1] - steps[0]), float(steps[0])
    signal.set_signal_type("EDS_SEM")
    signal.set_microscope_parameters(beam_energy=20.0)
    signal.save(path)


@pytest.mark.slow
# The map is small, so that some clusters have hardly any counts; users are told the same.
@pytest.mark.filterwarnings("ignore:The weights of the fit")
def test_python_runs_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_hspy(tmp_path / "my_map.hspy", side=96)
    for name, tile in synthetic_tiles((1, 2), (128, 128), jitter=1.0).images.items():
        ss.write_map(tile, tmp_path / "tiles" / f"{name}.zarr")
    namespace: dict[str, object] = {}
    blocks = code_blocks("python")
    for block in blocks:
        # The one thing changed: a file of Bruker's can't be written here.
        exec(block.replace("my_map.bcf", "my_map.hspy"), namespace)  # noqa: S102
    assert len(blocks) == 9
    assert [path.name for path in tmp_path.glob("clusters*.svg")] == ["clusters.svg"]
    assert (tmp_path / "clusters.csv").is_file()
    assert (tmp_path / "my_map-python" / "report.html").is_file()
    assert namespace["area"].shape[1] > 128
    # Two ways of reading the counts of a pixel agree, and with the image they were written from.
    dataset, image = namespace["dataset"], ss.read("my_map.hspy")
    expected = image.spectrum(10, 20).to_numpy()
    np.testing.assert_array_equal(dataset["counts"][10, 20].to_numpy(), expected)
    assert int(dataset["total"][10, 20]) == expected.sum() > 0


def test_imports_in_the_place_of_sigmas_need_no_extra() -> None:
    """As after the plain install: without PyTorch, which autoencoders need when they are made."""
    (block,) = [block for block in code_blocks("python") if "AutoEncoder" in block]
    imports = [node for node in ast.parse(block).body if isinstance(node, ast.ImportFrom)]
    assert "SEMDataset" in {alias.name for alias in imports[0].names}
    code = "\n".join([HIDE_PYTORCH, *map(ast.unparse, imports)])
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("call", shown_commands())
def test_commands_and_options_exist(call: str) -> None:
    # Options are parsed before --help is answered, so an unknown one fails here.
    outcome = CliRunner().invoke(cli, [*shlex.split(call), "--help"])
    assert outcome.exit_code == 0, outcome.output


def test_commands_in_the_table_are_all_there_are() -> None:
    in_table = re.findall(r"^\| `sigma-scale (\w+)", README, flags=re.MULTILINE)
    assert sorted(in_table) == sorted(cli.commands)


def test_options_in_the_table_exist() -> None:
    named = re.findall(r"^\| `(-{1,2}[\w-]+)", README, flags=re.MULTILINE)
    known = {name for parameter in cli.commands["run"].params for name in parameter.opts}
    assert named
    assert set(named) <= known


def test_settings_are_the_whole_of_what_can_be_set() -> None:
    (block,) = code_blocks("yaml")
    values = yaml.safe_load(block)
    assert list(values) == list(yaml.safe_load(RunSettings().to_yaml()))
    assert RunSettings.from_mapping(values).bin == (2, 2)


def test_defaults_in_the_settings_example_are_the_real_ones() -> None:
    (block,) = code_blocks("yaml")
    shown, real = yaml.safe_load(block), yaml.safe_load(RunSettings().to_yaml())
    for name in ("normalise", "remove_below_kev", "normalisation", "navigation", "latent"):
        assert shown[name] == real[name]


def test_map_of_the_house_names_every_module() -> None:
    package = ROOT / "sigma_scale"
    modules = {path.stem for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}
    modules = {name for name in modules if not name.startswith("_")}
    house = README.partition("## Map of the house")[2].partition("\n## ")[0]
    assert modules <= set(re.findall(r"`(\w+)`", house))


def test_files_that_are_linked_exist() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    local = [target for target in targets if not target.startswith("http")]
    assert local
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_commands_to_install_fit_one_line_each() -> None:
    lines = "".join(code_blocks("bash")).splitlines()
    (demo,) = [line for line in lines if line.endswith("sigma-scale demo")]
    (tests,) = [line for line in lines if line.endswith("-m pytest")]
    for line in (demo, tests):
        assert line.startswith("python -m venv .venv && ")
        assert "-c constraints.txt" in line
