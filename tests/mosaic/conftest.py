"""Tiles that several tests look at."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from sigma_scale.spectra import EnergyAxis, MapMetadata, SpectrumImage

sys.path.insert(0, str(Path(__file__).parents[1] / "readers"))  # the writers of files
sys.path.insert(0, str(Path(__file__).parent))  # the dense oracles


@pytest.fixture
def make_image():
    """Small map with a scale and a place of the stage (mm)."""

    def make(
        stage=None, *, shape=(20, 30), size=0.5, unit="µm", axis=None, instrument="SEM", kev=20.0
    ):
        x, y = (None, None) if stage is None else stage
        axis = axis or EnergyAxis(4, 0.01)
        about = MapMetadata(stage_x_mm=x, stage_y_mm=y, instrument=instrument, beam_energy_kev=kev)
        counts = np.ones((*shape, axis.size), np.uint8)
        return SpectrumImage.from_array(
            counts, axis, pixel_size=(size, size), pixel_unit=unit, metadata=about
        )

    return make


@pytest.fixture
def folder(tmp_path):
    """Six tiles of 20 x 30 pixels in files, without a scale."""
    for number in range(1, 7):
        np.save(tmp_path / f"map {number}.npy", np.full((20, 30, 4), number, np.uint16))
    return tmp_path


@pytest.fixture
def spies():
    """Six tiles of random counts, by their cells in a grid of 2 x 3."""
    from spied_tiles import SIDE, Spied

    rng = np.random.default_rng(0)
    return {
        (i, j): Spied(f"{i}-{j}", rng.poisson(0.3, (SIDE, SIDE, 16)).astype(np.uint8))
        for i in range(2)
        for j in range(3)
    }
