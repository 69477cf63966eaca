"""The extras of the package can be installed together with what it requires."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
PLATFORMS = ["manylinux_2_28", "manylinux_2_27", "manylinux_2_24", "manylinux_2_17"]
NO_NETWORK = ("No matching distribution found for click", "Connection", "Temporary failure")


@pytest.mark.slow
def test_the_gpu_extra_resolves(tmp_path):
    """RAPIDS limits numba, pandas and dask: the bounds of the package must leave room for it."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    requirements = tmp_path / "requirements.txt"
    extra = project["optional-dependencies"]["gpu"]
    requirements.write_text("\n".join([*project["dependencies"], *extra]))
    report = tmp_path / "report.json"
    platforms = [f"--platform={name}_x86_64" for name in [*PLATFORMS, "manylinux2014"]]
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    wheels = ["--only-binary=:all:", "--python-version=3.12", "--implementation=cp"]
    files = [f"--target={tmp_path / 'none'}", f"--report={report}", f"--requirement={requirements}"]
    done = subprocess.run(  # noqa: S603
        [*pip, *wheels, *platforms, "--platform=any", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    if any(words in done.stderr for words in NO_NETWORK):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    chosen = {
        entry["metadata"]["name"]: entry["metadata"]["version"]
        for entry in json.loads(report.read_text())["install"]
    }
    assert chosen["cuml-cu13"].startswith("26.10")
    assert {"cupy-cuda13x", "dask-cuda", "numba", "zarr"} <= set(chosen)
