"""Grains of synthetic maps: their size, shape and share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage, spatial

from sigma_scale.synthetic import DEFAULT_MINERALS, synthetic_map

if TYPE_CHECKING:
    from numpy.typing import NDArray


def grain_numbers(size: int, grain_size: float) -> NDArray[np.int32]:
    """Labels where nearly every grain has a number of its own."""
    rock = synthetic_map((size, size), grain_size=grain_size, rare_share=0.0)
    return replace(rock.image.source.grains, n_phases=1_000_000).labels((0, 0), (size, size))


@pytest.mark.parametrize("grain_size", [13.5, 40.0])
def test_grains_are_as_large_as_asked(grain_size: float) -> None:
    size = round(25 * grain_size)
    labels = grain_numbers(size, grain_size)
    inner = np.setdiff1d(labels, [labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    areas = np.bincount(np.unique(labels, return_inverse=True)[1].ravel())
    inner_areas = areas[np.isin(np.unique(labels), inner)]
    assert inner_areas.mean() == pytest.approx(grain_size**2, rel=0.06)
    assert 0.2 < inner_areas.std() / inner_areas.mean() < 0.6


@pytest.mark.parametrize(("grain_size", "origin"), [(40.0, (0, 0)), (7.3, (1000, 333))])
def test_a_pixel_belongs_to_the_nearest_grain(grain_size: float, origin: tuple[int, int]) -> None:
    from sigma_scale.synthetic.kernels import _place_key, _uniform
    from sigma_scale.synthetic.source import _GRAINS, _key

    rock = synthetic_map((8, 8), grain_size=grain_size, rare_share=0.0, seed=9)
    grains, size = rock.image.source.grains, 150
    cells = [
        (i, j)
        for i in range(int(origin[0] / grain_size) - 6, int((origin[0] + size) / grain_size) + 7)
        for j in range(int(origin[1] / grain_size) - 6, int((origin[1] + size) / grain_size) + 7)
    ]
    keys = [np.uint64(_place_key(_key(9, _GRAINS), i, j)) for i, j in cells]
    draws = np.array([[_uniform(key, np.uint64(n)) for n in range(3)] for key in keys])
    tree = spatial.KDTree((np.array(cells) + draws[:, :2]) * grain_size)
    pixels = np.stack(np.mgrid[:size, :size], axis=-1) + np.array(origin)
    nearest = tree.query(pixels)[1]
    expected = (draws[nearest, 2] * grains.n_phases).astype(int)
    np.testing.assert_array_equal(grains.labels(origin, (size, size)), expected)


def test_grains_are_whole_and_convex() -> None:
    labels = grain_numbers(400, 40.0)
    for number in np.unique(labels)[::7]:
        mask = labels == number
        assert ndimage.label(mask)[1] == 1
        # each row of a convex region is one run
        starts = np.diff(np.pad(mask, ((0, 0), (1, 0))).astype(np.int8), axis=1) == 1
        assert starts.sum(axis=1).max() == 1


def test_phases_share_the_grains_equally() -> None:
    labels = synthetic_map((1500, 1500), grain_size=10.0, rare_share=0.0).labels.values
    shares = np.bincount(labels.ravel(), minlength=10) / labels.size
    # 22,500 grains, areas vary: one phase's share has a standard deviation of about 0.0022
    assert np.abs(shares - 0.1).max() < 0.009
    assert labels.dtype == np.int32


@pytest.mark.parametrize(
    ("share", "size", "tolerance"), [(0.0005, 5000, 0.08), (0.01, 2000, 0.05), (0.5, 600, 0.03)]
)
def test_the_rare_phase_has_its_share(share: float, size: int, tolerance: float) -> None:
    rock = synthetic_map((size, size), rare_share=share, seed=4)
    assert rock.phases[-1] == "zircon"
    measured = float((rock.labels == len(rock.phases) - 1).mean())
    assert measured == pytest.approx(share, rel=tolerance)


def test_every_place_is_as_likely_to_be_rare() -> None:
    grains = synthetic_map((8, 8), rare_share=0.05).image.source.grains
    hits = np.zeros((60, 60))
    for seed in range(3000):
        hits += replace(grains, seed=seed).labels((0, 0), (60, 60)) == 10
    share = hits / 3000
    assert share.mean() == pytest.approx(0.05, rel=0.03)
    # neither edges nor the middle are special; neighbours are correlated, so look at quarters
    quarters = share.reshape(4, 15, 4, 15).mean(axis=(1, 3))
    assert quarters.min() > 0.04
    assert quarters.max() < 0.06


def test_inclusions_are_discs_of_six_pixels_radius() -> None:
    rock = synthetic_map((2000, 2000), rare_share=0.002)
    regions, number = ndimage.label(rock.labels.values == 10)
    boxes = ndimage.find_objects(regions)
    inside = [box for box in boxes if all(piece.start > 0 and piece.stop < 2000 for piece in box)]
    assert number > 40
    for box in inside:
        assert {piece.stop - piece.start for piece in box} <= {11, 12, 13}
        area = np.count_nonzero(regions[box])
        assert area == pytest.approx(np.pi * 36, abs=12)


def test_without_a_rare_share_there_is_no_rare_phase() -> None:
    rock = synthetic_map((300, 300), rare_share=0.0)
    assert rock.phases == tuple(item.name for item in DEFAULT_MINERALS)
    assert int(rock.labels.max()) < 10
