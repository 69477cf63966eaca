import pickle

import numpy as np
import pytest
from whole_maps import whole

from sigma_scale.errors import ParameterError
from sigma_scale.synthetic import synthetic_tiles


@pytest.fixture(scope="module")
def tiles():
    return synthetic_tiles(
        (2, 3), (140, 150), whole_pixels=True, seed=4, channels=128, scale_kev=0.1
    )


def labels(tiles, name):
    return tiles.images[name].source.grains.labels((0, 0), (140, 150))


def test_tiles_show_the_map_at_their_true_positions(tiles):
    truth = tiles.whole.labels.values
    for (y, x), name in zip(tiles.positions.astype(int), tiles.images, strict=True):
        np.testing.assert_array_equal(labels(tiles, name), truth[y : y + 140, x : x + 150])


def test_positions_are_the_nominal_ones_with_jitter():
    tiles = synthetic_tiles((20, 20), (64, 64), overlap=0.25, jitter=3.0, dose=0.1, seed=1)
    steps = np.unique(np.diff(tiles.nominal[:20, 1]))
    np.testing.assert_array_equal(steps, [48])
    assert np.std(tiles.positions - tiles.nominal) == pytest.approx(3.0, rel=0.1)
    assert np.std(np.log(tiles.doses)) == pytest.approx(0.1, rel=0.1)
    assert (tiles.positions > 0).all()
    still = synthetic_tiles((2, 2), (64, 64), jitter=0.0, dose=0.0)
    np.testing.assert_array_equal(still.positions, still.nominal)
    np.testing.assert_array_equal(still.doses, 1)


def test_the_stage_says_the_nominal_centres(tiles):
    for nominal, image in zip(tiles.nominal, tiles.images.values(), strict=True):
        centre = nominal + (np.array([140, 150]) - 1) / 2
        about = image.metadata
        assert (-about.stage_y_mm, about.stage_x_mm) == pytest.approx(tuple(centre / 1000))


def test_counts_and_noise_are_each_tiles_own(tiles):
    (y, x), (v, u) = tiles.positions.astype(int)[:2]
    top, left = max(y, v), u
    one, other = (
        (slice(top - a, top - a + 120), slice(left - b, x + 150 - b)) for a, b in ((y, x), (v, u))
    )
    first, second = (tiles.images[name] for name in ("tile_0_0", "tile_0_1"))
    pictures = [i.images["navigation"].values.astype(float) for i in (first, second)]
    difference = pictures[0][one] / tiles.doses[0] - pictures[1][other] / tiles.doses[1]
    noise = 800 * np.hypot(1 / tiles.doses[0], 1 / tiles.doses[1])
    assert difference.std() == pytest.approx(noise, rel=0.05)
    assert (whole(first.source)[one] != whole(second.source)[other]).any(axis=2).mean() > 0.9


def test_counts_follow_the_dose(tiles):
    spectra = tiles.whole.spectra.values.sum(axis=1)
    for name, dose in zip(tiles.images, tiles.doses, strict=True):
        found = whole(tiles.images[name].source).sum(dtype=np.int64)
        expected = dose * spectra[labels(tiles, name)].sum()
        assert abs(found - expected) < 5 * np.sqrt(expected)


def test_blocks_join_and_travel(tiles):
    source = tiles.images["tile_1_2"].source
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301 - our own
    np.testing.assert_array_equal(
        copy.read_block(1, 1).to_dense(), source.read_block(1, 1).to_dense()
    )
    assert source.shape == (140, 150, 128)
    from dask.base import tokenize

    tokens = {tokenize(image.source) for image in tiles.images.values()}
    assert len(tokens) == 6


@pytest.mark.parametrize(
    "wrong", [{"grid": (0, 3)}, {"overlap": 0.95}, {"jitter": -1.0}, {"dose": 2.0}]
)
def test_impossible_tiles_are_refused(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        synthetic_tiles(**wrong)
