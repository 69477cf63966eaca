"""The package's public names: light to import, complete, and the same everywhere."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import sigma_scale

HEAVY = {
    "cuml", "cupy", "dask", "datashader", "exspy", "hdbscan", "holoviews", "hyperspy",
    "matplotlib", "numba", "numpy", "panel", "pybaselines", "rsciio", "scipy", "skimage",
    "sklearn", "torch", "umap", "xarray", "zarr",
}  # fmt: skip
PACKAGES = ["", "clustering", "latent", "mosaic", "phases", "plot", "workflow"]


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_no_other_library():
    assert not loaded_by("import sigma_scale") & HEAVY


def test_importing_the_lazy_packages_loads_no_models_and_no_plotting():
    names = ", ".join(f"sigma_scale.{name}" for name in PACKAGES if name)
    assert not loaded_by(f"import {names}") & HEAVY


def test_the_rooms_of_a_reader_load_no_models_and_no_plotting():
    """What `ingest` needs besides the vendor's reader."""
    used = loaded_by("from sigma_scale import readers, store, preprocess, features")
    assert not used & {
        "cuml", "datashader", "hdbscan", "hyperspy", "matplotlib", "panel", "sklearn", "torch",
        "umap",
    }  # fmt: skip


def test_a_name_loads_only_what_it_needs():
    assert "umap" not in loaded_by("from sigma_scale import read, rebin, RunSettings")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_loads_and_is_what_type_checkers_see(package):
    name = f"sigma_scale.{package}".rstrip(".")
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    assert set(dir(module)) >= set(module.__all__) - {"__version__"}
    promised = dict(type_checking_imports(Path(module.__file__)))
    assert set(promised) == set(module.__all__) - {"__version__"}
    for public, home in promised.items():
        assert getattr(module, public) is getattr(importlib.import_module(home), public)


def type_checking_imports(path: Path):
    """Names that a package imports for type checkers only, and from where."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                for alias in statement.names:
                    yield alias.name, statement.module


def test_what_the_issue_names_is_public():
    assert set(sigma_scale.__all__) >= {
        "read", "open_map", "write_map", "SpectrumImage", "EnergyAxis", "MapMetadata",
        "synthetic_map", "rebin", "normalise", "remove_first_peak", "line_intensity",
        "feature_pass", "neighbour_averaging", "zscore", "softmax", "UMAP", "embed",
        "cluster_latent", "GaussianMixture", "HDBSCAN", "phase_spectra", "proportions", "unmix",
        "element_summary", "suggest_lines", "RunSettings", "map_phases", "run_job", "options",
        "__version__",
    }  # fmt: skip


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no_such_name"):
        sigma_scale.no_such_name  # noqa: B018


def test_the_version_is_the_installed_one():
    assert sigma_scale.__version__ == metadata.version("sigma-scale")
