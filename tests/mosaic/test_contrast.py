"""Tiles without a navigation image are compared by a picture of their phases."""

from dataclasses import replace

import numpy as np
import pytest

from sigma_scale.errors import ParameterError
from sigma_scale.mosaic import TileLayout, register
from sigma_scale.mosaic.contrast import Contrast, shared_image
from sigma_scale.synthetic import synthetic_tiles


@pytest.fixture(scope="module")
def tiles():
    return synthetic_tiles((2, 3), (192, 192), overlap=0.15, seed=1, counts_per_pixel=50.0)


@pytest.fixture(scope="module")
def bare(tiles):
    """The layout of the tiles without their pictures."""
    images = {name: replace(image, images={}) for name, image in tiles.images.items()}
    return TileLayout.from_stage(images)


def test_minerals_place_tiles_whose_totals_say_nothing(tiles, bare):
    found = register(bare)
    error = found.layout.offsets - tiles.positions
    error -= error.mean(axis=0)
    assert np.sqrt((error**2).sum(axis=1).mean()) < 0.8
    assert found.pairs["used"].sum() >= 6
    with pytest.raises(ParameterError, match="overlaps don't match"):
        register(bare, image="total")


def test_a_contrast_is_the_mean_weight_of_counts(bare):
    tile = bare.tiles[0]
    chosen = shared_image(bare.tiles)
    assert isinstance(chosen, Contrast)
    np.testing.assert_array_equal(chosen.weights, shared_image(bare.tiles).weights)
    dense = tile.read().source.read_block(0, 0).to_dense().astype(float)
    number = np.floor((tile.energy.values - 0.1) / 0.04).astype(int)
    inside = (number >= 0) & (number < len(chosen.weights))
    weights = np.where(inside, chosen.weights[np.where(inside, number, 0)], 0.0)
    means = dense @ weights / np.maximum(dense[..., weights != 0].sum(axis=2), 1)
    picture = tile.picture(chosen)[: dense.shape[0], : dense.shape[1]]
    assert np.corrcoef(picture.ravel(), means.ravel())[0, 1] > 0.95


def test_navigation_images_come_first(tiles, bare):
    assert shared_image(TileLayout.from_stage(tiles.images).tiles) == "auto"
    assert shared_image(bare.tiles, "total") == "total"


def test_lines_are_pictures_too(bare):
    tile = bare.tiles[0]
    block = tile.read().source.read_block(0, 0).to_dense()
    energies = tile.energy.values
    found = tile.picture("Si_Ka")[: block.shape[0], : block.shape[1]]
    expected = block[..., abs(energies - 1.74) < 0.07].sum(axis=2)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9
    with pytest.raises(ParameterError, match=r"'Si_Kq'.*no such X-ray line; there are total and"):
        tile.picture("Si_Kq")
