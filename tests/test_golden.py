"""Every step equals the original program's numbers on real files."""

from __future__ import annotations

import numpy as np
import pytest

from sigma_scale import features, preprocess
from sigma_scale.readers import read
from sigma_scale.store import write_map

FILES = {"p45": "P45_the_default_job.bcf", "hitachi": "Hitachi_TM3030Plus.bcf"}

pytestmark = pytest.mark.filterwarnings("ignore::sigma_scale.errors.SigmaScaleWarning")


@pytest.fixture(scope="module", params=["file", "store"])
def source(request):
    return request.param


@pytest.fixture(scope="module", params=sorted(FILES))
def case(request, golden, real_data, source, tmp_path_factory):
    name = request.param
    image = read(real_data / FILES[name])
    if source == "store":
        image = write_map(image, tmp_path_factory.mktemp("golden") / f"{name}.zarr")
    values = {k.removeprefix(f"{name}_"): v for k, v in golden.items() if k.startswith(name)}
    return image, values


def binned(image, values):
    return preprocess.rebin(image, tuple(int(n) for n in values["bin_xy"]))


def lines(values):
    return [str(line) for line in values["lines"]]


def normalised_maps(image, values):
    processed = preprocess.normalise(binned(image, values))
    processed = preprocess.remove_first_peak(processed, end=0.1)
    return features.line_intensity(processed, lines(values))


def test_sum_spectrum_and_raw_maps_are_equal(case):
    image, values = case
    result = features.feature_pass(image, lines(values))
    np.testing.assert_array_equal(result["sum_spectrum"], values["sum_spectrum"])
    np.testing.assert_array_equal(result["line_intensity"], values["raw_maps"])


def test_binned_maps_totals_and_navigation_are_equal(case):
    image, values = case
    result = features.feature_pass(binned(image, values), lines(values))
    np.testing.assert_array_equal(result["line_intensity"], values["binned_maps"])
    np.testing.assert_array_equal(result["total"], values["binned_total"])
    size = tuple(int(n) for n in values["bin_xy"])
    navigation = preprocess.rebin_image(image.navigation, size)
    np.testing.assert_array_equal(navigation, values["binned_nav"])


def test_normalised_maps_agree(case):
    image, values = case
    maps = normalised_maps(image, values)
    np.testing.assert_allclose(maps, values["normalised_maps"], rtol=1e-5)


@pytest.mark.parametrize(
    ("key", "steps"),
    [
        ("navg", ["neighbour_averaging"]),
        ("navg_z", ["neighbour_averaging", "zscore"]),
        ("navg_z_softmax", ["neighbour_averaging", "zscore", "softmax"]),
    ],
)
@pytest.mark.parametrize("lazy", [True, False])
def test_normalisations_agree(case, key, steps, lazy):
    image, values = case
    maps = normalised_maps(image, values)
    maps = features.normalise_features(maps if lazy else maps.compute(), steps)
    # z-scores cross zero, where only an absolute tolerance makes sense: theirs have a spread of 1.
    np.testing.assert_allclose(maps, values[key], rtol=1e-5, atol=1e-5)
