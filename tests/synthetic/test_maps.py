"""Synthetic maps: the same everywhere, images, and what is refused."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from whole_maps import whole

from sigma_scale.errors import EmptyMapError, ParameterError, SigmaScaleError
from sigma_scale.synthetic import ZIRCON, SyntheticMap, synthetic_map


def test_equal_seeds_give_equal_maps_and_others_do_not() -> None:
    maps = [synthetic_map((70, 90), seed=seed) for seed in (5, 5, 6)]
    values = [
        (whole(item.image.source), item.labels.values, item.image.images["navigation"].values)
        for item in maps
    ]
    for first, second, other in zip(*values, strict=True):
        np.testing.assert_array_equal(first, second)
        assert (first != other).any()


@pytest.mark.parametrize("chunk_shape", [(64, 32), (50, 70), (300, 300)])
def test_blocks_of_any_size_hold_the_same_counts(chunk_shape: tuple[int, int]) -> None:
    source = synthetic_map((140, 150), seed=1).image.source
    np.testing.assert_array_equal(whole(source), whole(replace(source, chunk_shape=chunk_shape)))


def test_a_larger_map_begins_with_the_smaller_one() -> None:
    options: dict[str, Any] = {"seed": 2, "rare_share": 0.02, "channels": 400}
    small, large = synthetic_map((100, 130), **options), synthetic_map((300, 200), **options)
    np.testing.assert_array_equal(whole(small.image.source), whole(large.image.source)[:100, :130])
    np.testing.assert_array_equal(small.labels, large.labels[:100, :130])
    np.testing.assert_array_equal(
        small.image.images["navigation"], large.image.images["navigation"][:100, :130]
    )


def test_a_block_far_away_is_made_alone() -> None:
    big = synthetic_map((200_000, 200_000))
    block = big.image.source.read_block(1500, 1562)
    assert block.shape == (128, 64, 1024)
    window = big.labels[192_000:192_128, 199_936:]
    expected = big.spectra.values.sum(axis=1)[window.values].sum()
    assert int(block.counts.sum()) == pytest.approx(expected, abs=6 * np.sqrt(expected))


def test_labels_and_images_do_not_depend_on_how_they_are_cut() -> None:
    rock = synthetic_map((1100, 1050), rare_share=0.01)
    labels = rock.labels.values  # four chunks
    np.testing.assert_array_equal(
        rock.labels[1000:1060, 1000:1049].values, labels[1000:1060, 1000:1049]
    )
    grains = rock.image.source.grains
    np.testing.assert_array_equal(grains.labels((1013, 517), (40, 30)), labels[1013:1053, 517:547])


def test_a_source_can_be_pickled_and_named() -> None:
    source = synthetic_map((64, 64)).image.source
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301
    np.testing.assert_array_equal(whole(copy), whole(source))
    tokens = [
        synthetic_map((64, 64), **options).image.source.__dask_tokenize__()
        for options in ({}, {}, {"seed": 1}, {"counts_per_pixel": 61.0}, {"grain_size": 41.0})
    ]
    assert tokens[0] == tokens[1]
    assert len({str(token) for token in tokens}) == 4


def test_the_image_is_brighter_where_atoms_are_heavier(rock: SyntheticMap) -> None:
    image, labels = rock.image.images["navigation"], rock.labels.values
    assert image.dtype == np.uint16
    values = image.values.astype(float)
    for phase, mineral in enumerate(rock.minerals):
        mine = values[labels == phase]
        error = 800 / np.sqrt(mine.size)
        assert mine.mean() == pytest.approx(1000 * mineral.mean_atomic_number, abs=5 * error)
        assert mine.std() == pytest.approx(800, rel=5 / np.sqrt(2 * mine.size))


def test_images_and_labels_are_lazy() -> None:
    big = synthetic_map((200_000, 200_000))
    for array in (big.labels, big.image.images["navigation"]):
        assert array.chunks is not None
        assert max(array.chunks[0]) * max(array.chunks[1]) <= 2**20
        assert array[-3:, -2:].compute().shape == (3, 2)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"channels": 1}, "channels"),
        ({"channels": 70_000}, "channels"),
        ({"counts_per_pixel": 0.0}, "counts_per_pixel"),
        ({"counts_per_pixel": float("nan")}, "counts_per_pixel"),
        ({"counts_per_pixel": 1e6}, "counts_per_pixel"),
        ({"grain_size": 0.5}, "grain_size"),
        ({"rare_share": -0.1}, "rare_share"),
        ({"rare_share": 0.6}, "rare_share"),
        ({"continuum_share": 1.1}, "continuum_share"),
        ({"seed": -1}, "seed"),
        ({"pixel_size_um": 0.0}, "pixel_size_um"),
        ({"beam_energy_kev": 0.0}, "beam_energy_kev"),
        ({"resolution_mn_ka_ev": -1.0}, "resolution_mn_ka_ev"),
        ({"scale_kev": 0.0}, "width"),
        ({"offset_kev": -50.0}, "energy axis"),
        ({"offset_kev": 50.0}, "energy axis"),
        ({"minerals": ()}, "at least one mineral"),
        ({"minerals": (ZIRCON,)}, "its own name"),
        ({"shape": (4,)}, "shape"),
    ],
)
def test_bad_parameters_are_named(options: dict[str, Any], name: str) -> None:
    with pytest.raises(ParameterError, match=name):
        synthetic_map(**{"shape": (8, 8), **options})


@pytest.mark.parametrize("shape", [(0, 8), (8, 0), (-1, 8)])
def test_an_empty_map_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(EmptyMapError, match="rows and columns") as caught:
        synthetic_map(shape)
    assert isinstance(caught.value, SigmaScaleError)


def test_importing_synthetic_compiles_nothing() -> None:
    code = "import sys, sigma_scale.synthetic; assert not {'numba', 'exspy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
