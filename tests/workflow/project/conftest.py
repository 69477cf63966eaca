"""One small store with results, copied for each test."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sigma_scale import store
from sigma_scale.synthetic import synthetic_map
from sigma_scale.workflow import map_phases
from sigma_scale.workflow.outputs import write_results
from sigma_scale.workflow.project import Project

if TYPE_CHECKING:
    from sigma_scale.workflow import PhaseMapping

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 64 x 48 pixels from which nothing was derived; not to be changed."""
    path = tmp_path_factory.mktemp("stores") / "granite.zarr"
    store.write_map(synthetic_map((64, 48), seed=1).image, path)
    return path


@pytest.fixture(scope="session")
def mapped_phases(ingested: Path) -> PhaseMapping:
    """What the main job finds in it."""
    from editing import SETTINGS

    return map_phases(store.open_map(ingested), SETTINGS)


@pytest.fixture(scope="session")
def with_results(
    ingested: Path, mapped_phases: PhaseMapping, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same store with the results of the main job; not to be changed."""
    path = tmp_path_factory.mktemp("results") / "granite.zarr"
    shutil.copytree(ingested, path)
    write_results(path, mapped_phases)
    return path


@pytest.fixture
def path(with_results: Path, tmp_path: Path) -> Path:
    """A store with results of the test's own."""
    return Path(shutil.copytree(with_results, tmp_path / "granite.zarr"))


@pytest.fixture
def empty(ingested: Path, tmp_path: Path) -> Path:
    """A store without results of the test's own."""
    return Path(shutil.copytree(ingested, tmp_path / "bare.zarr"))


@pytest.fixture
def project(path: Path) -> Project:
    """That store, opened."""
    return Project.open(path)
