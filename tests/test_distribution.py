"""Wheel and source distribution hold what they should, and the wheel works by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import sigma_scale
from sigma_scale.cli import cli

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sigma_scale"
NO_NETWORK = ("No matching distribution found for hatchling", "Connection", "Temporary failure")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PACKAGE.is_dir(), reason="needs the project's own folder"),
]


def run(*command: str | Path, folder: Path) -> str:
    """Output of a command that has to succeed, run where the project's folder can't be imported."""
    environment = {name: os.environ[name] for name in os.environ if name != "PYTHONPATH"}
    done = subprocess.run(  # noqa: S603
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    if any(words in done.stderr + done.stdout for words in NO_NETWORK):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Folder with the source distribution, and the wheel that was made of it."""
    pytest.importorskip("build")
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, folder=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Programs of a fresh environment with the wheel, and the libraries of this environment."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False, symlinks=sys.platform != "win32")
    programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
    pip = [sys.executable, "-m", "pip", f"--python={programs / 'python'}", "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", wheel, folder=folder)
    own = run(programs / "python", "-c", "import site; print(site.getsitepackages()[0])",
              folder=folder)  # fmt: skip
    # Lines of such a file are put on the path as they are: an editable project isn't followed.
    libraries = [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
    Path(own.strip(), "libraries.pth").write_text("\n".join(libraries), encoding="utf-8")
    return programs


def of_the_package() -> set[str]:
    """Every file of the package but what Python and numba leave behind."""
    left = {".pyc", ".nbi", ".nbc"}
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in left)
    return {path.relative_to(ROOT).as_posix() for path in files}


def test_the_wheel_is_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    about = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    assert names - about == of_the_package()
    assert {name.partition("/")[2] for name in about} == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE",
    }  # fmt: skip
    # What isn't code is easily forgotten.
    assert {Path(name).name for name in names} >= {
        "page.html", "page.css", "parts.css", "report.html.j2", "py.typed",
    }  # fmt: skip


def test_the_source_distribution_is_the_project(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {name.partition("/")[0] for name in names} == {
        ".github", ".gitignore", ".reference", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE",
        "PKG-INFO", "README.md", "benchmarks", "constraints.txt", "environment-gpu.yml",
        "notebooks", "pyproject.toml", "sigma_scale", "tests",
    }  # fmt: skip
    assert {name for name in names if name.startswith("sigma_scale/")} == of_the_package()
    assert "tests/test_distribution.py" in names
    assert not [name for name in names if "__pycache__" in name or ".ipynb_checkpoints" in name]


def test_the_wheel_runs_by_itself(installed, tmp_path):
    version = run(installed / "sigma-scale", "--version", folder=tmp_path)
    assert version.strip() == f"sigma-scale, version {sigma_scale.__version__}"
    help_text = run(installed / "sigma-scale", "--help", folder=tmp_path)
    assert [name for name in cli.commands if name not in help_text] == []
    home = run(installed / "python", "-c", "import sigma_scale; print(sigma_scale.__file__)",
               folder=tmp_path)  # fmt: skip
    assert Path(home.strip()).is_relative_to(installed.parent)


def test_all_public_names_load_from_the_wheel(installed, tmp_path):
    code = "import sigma_scale as ss; print(*(type(getattr(ss, name)) for name in ss.__all__))"
    assert run(installed / "python", "-c", code, folder=tmp_path).strip()


def test_the_demo_runs_from_the_wheel(installed, tmp_path):
    command = [installed / "sigma-scale", "--quiet", "demo", "--side", "64", "-o", "demo"]
    last = run(*command, folder=tmp_path).strip().splitlines()[-1]
    name, _, value = last.rpartition(":")
    assert name == "Agreement with the known phases (adjusted Rand index)"
    assert 0.5 < float(value) <= 1.0
    assert "<html" in (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")
