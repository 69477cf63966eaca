"""Spectra per phase against plain NumPy."""

import numpy as np
import pytest
import xarray as xr

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.features import feature_pass
from sigma_scale.phases.spectra import phase_spectra


def random_labels(shape, seed=0):
    return np.random.default_rng(seed).choice([-1, 0, 3, 7], shape).astype(np.int32)


def as_map(values):
    return xr.DataArray(values, dims=("y", "x"))


@pytest.mark.parametrize("factors", [(1, 1), (2, 3), (7, 5)])
@pytest.mark.parametrize("lazy", [True, False])
def test_sums_and_means_equal_numpy(image, counts, factors, lazy):
    seen = image.with_processing(bin_factors=factors, zeroed_below=25, total_from=10)
    dense = seen.to_xarray().values.astype(float)
    raw = image.with_processing(bin_factors=factors).to_xarray().values
    labels = random_labels(dense.shape[:2])
    given = as_map(labels).chunk(31) if lazy else as_map(labels)
    result = phase_spectra(seen, given)
    assert result["phase"].values.tolist() == [0, 3, 7]
    for phase in (0, 3, 7):
        mask = labels == phase
        one = result.sel(phase=phase)
        np.testing.assert_array_equal(one["counts"], raw[mask].sum(axis=0))
        np.testing.assert_allclose(one["mean"], dense[mask].mean(axis=0), rtol=1e-5, atol=1e-12)
        assert int(one["n_pixels"]) == mask.sum()


def test_given_totals_save_a_pass_and_change_nothing(image):
    seen = image.with_processing(bin_factors=(2, 2), total_from=0)
    labels = as_map(random_labels(seen.shape[:2]))
    total = feature_pass(seen, ["C_Ka"])["total"]
    xr.testing.assert_identical(
        phase_spectra(seen, labels), phase_spectra(seen, labels, total=total)
    )


def test_without_normalisation_the_mean_is_of_counts(image, counts):
    labels = random_labels(counts.shape[:2])
    result = phase_spectra(image, as_map(labels))
    np.testing.assert_allclose(result["mean"][0], counts[labels == 0].mean(axis=0))
    assert result["mean"].attrs["units"] == "counts"


def test_bad_labels_are_refused(image):
    with pytest.raises(ShapeMismatchError, match="150, 140"):
        phase_spectra(image, as_map(np.zeros((3, 3), int)))
    with pytest.raises(ParameterError, match="float"):
        phase_spectra(image, as_map(np.zeros((150, 140))))
    with pytest.raises(EmptyMapError, match="negative"):
        phase_spectra(image, as_map(np.full((150, 140), -1)))
