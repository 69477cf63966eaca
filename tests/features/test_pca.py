"""Denoising by principal components against HyperSpy's decomposition of an eager signal."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from sigma_scale import config, preprocess
from sigma_scale.errors import EmptyMapError, MemoryLimitError, ParameterError
from sigma_scale.features import feature_pass, pca
from sigma_scale.features.pca import denoise_pca
from sigma_scale.spectra import ArraySource, EnergyAxis, SpectrumImage

SHAPE = (26, 21, 60)


def mixed_counts(shape=SHAPE, seed=3, brightness=12.0):
    """Counts of three spectra mixed in each pixel, with an empty pixel and an empty channel."""
    rng = np.random.default_rng(seed)
    rows, columns, channels = shape
    spectra = rng.gamma(0.5, 1.0, (3, channels))
    spectra /= spectra.sum(axis=1, keepdims=True)
    shares = rng.dirichlet(np.ones(3), (rows, columns))
    counts = rng.poisson(brightness * shares @ spectra).astype(np.uint8)
    counts[2, 3] = 0
    counts[:, :, 7] = 0
    return counts


def image_of(counts, chunk=(16, 16)):
    return SpectrumImage(ArraySource(counts, chunk), EnergyAxis(counts.shape[2], 0.05))


def denoised_by_hyperspy(counts, n_components):
    import hyperspy.api as hs

    signal = hs.signals.Signal1D(counts.astype(np.float64))
    signal.decomposition(
        normalize_poissonian_noise=True,
        algorithm="SVD",
        svd_solver="full",  # The default is a random one, of other components than the leading.
        print_info=False,
    )
    return signal.get_decomposition_model(n_components).data


@pytest.mark.parametrize("n_components", [1, 3, 59])
def test_it_equals_hyperspys_decomposition(n_components):
    counts = mixed_counts()
    denoised = denoise_pca(image_of(counts), n_components).to_xarray()
    assert denoised.dtype == np.float32
    expected = denoised_by_hyperspy(counts, n_components)
    np.testing.assert_allclose(denoised, expected, rtol=1e-4, atol=1e-5)


def test_binned_counts_equal_hyperspys_decomposition_of_the_binned_map():
    counts = mixed_counts()
    binned = preprocess.rebin(image_of(counts[:24, :20]), (2, 3))
    denoised = denoise_pca(binned, 2)
    sums = counts[:24, :20].reshape(8, 3, 10, 2, -1).sum(axis=(1, 3))
    assert denoised.shape == (8, 10, 60)
    np.testing.assert_allclose(
        denoised.to_xarray(), denoised_by_hyperspy(sums, 2), rtol=1e-4, atol=1e-5
    )
    assert denoised.pixel_size == (3.0, 2.0)


def test_it_removes_noise():
    rng = np.random.default_rng(0)
    spectra = rng.gamma(0.5, 1.0, (3, 60))
    clean = 40 * rng.dirichlet(np.ones(3), (26, 21)) @ (spectra / spectra.sum(1, keepdims=True))
    counts = rng.poisson(clean).astype(np.uint8)
    denoised = denoise_pca(image_of(counts), 3).to_xarray().values
    assert np.abs(denoised - clean).mean() < 0.4 * np.abs(counts - clean).mean()


def test_the_result_does_not_depend_on_blocks():
    counts = mixed_counts()
    one, other = (denoise_pca(image_of(counts, c), 3).to_xarray() for c in [(64, 64), (8, 16)])
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_sparse_and_dense_sums_agree(monkeypatch):
    image = image_of(mixed_counts(brightness=2.0))
    sums = []
    for pays in (0, 1e9):
        monkeypatch.setattr(pca, "_SPARSE_PAYS", pays)
        sums.append(pca._moments(image))
    np.testing.assert_allclose(sums[0].weighted, sums[1].weighted, rtol=1e-12)
    np.testing.assert_array_equal(sums[0].spectrum, image.sum_spectrum())


def test_blocks_are_as_high_as_memory_allows(monkeypatch):
    image = image_of(mixed_counts())
    source = denoise_pca(image, 3).source
    assert source.chunk_shape == (16, 16)
    whole = source.read_block(0, 0).to_dense()
    monkeypatch.setattr(pca, "_BLOCK_BYTES", 5 * 16 * 60 * 6)
    assert source.chunk_shape == (5, 16)
    np.testing.assert_allclose(source.read_block(0, 0).to_dense(), whole[:5], rtol=1e-5)


def test_line_intensities_of_the_denoised_map_are_sums_of_its_spectra():
    counts = mixed_counts()
    denoised = preprocess.normalise(denoise_pca(image_of(counts), 3))
    spectra = denoised.to_xarray().values
    maps = feature_pass(denoised, ["Si_Ka"], lazy=False)["line_intensity"]
    (window,) = [range(33, 36)]
    np.testing.assert_allclose(
        maps[..., 0], spectra[..., window.start : window.stop].sum(axis=-1), rtol=1e-4, atol=1e-6
    )


def test_what_the_image_knows_is_kept():
    navigation = xr.DataArray(np.arange(26 * 21).reshape(26, 21), dims=("y", "x"))
    image = replace(image_of(mixed_counts()), images={"navigation": navigation})
    seen = preprocess.remove_first_peak(preprocess.rebin(image_of(mixed_counts()), (3, 2)), 0.5)
    seen = replace(seen, images=image.images)
    denoised = denoise_pca(seen, 2)
    np.testing.assert_array_equal(denoised.navigation, preprocess.rebin_image(navigation, (3, 2)))
    assert denoised.energy == image.energy
    assert not denoised.to_xarray()[..., :10].any()
    assert denoised.to_xarray()[..., 10:].any()


def test_a_denoised_map_can_be_sent_to_another_process():
    denoised = denoise_pca(image_of(mixed_counts()), 3)
    again = pickle.loads(pickle.dumps(denoised))  # noqa: S301
    np.testing.assert_array_equal(again.to_xarray(), denoised.to_xarray())
    assert again.source.__dask_tokenize__() == denoised.source.__dask_tokenize__()
    other = denoise_pca(image_of(mixed_counts()), 2)
    assert other.source.__dask_tokenize__() != denoised.source.__dask_tokenize__()


@pytest.mark.parametrize("number", [0, -1, 61, 2.5, "3", None])
def test_numbers_of_components_that_cannot_be(number):
    with pytest.raises(ParameterError, match="from 1 to 60"):
        denoise_pca(image_of(mixed_counts()), number)


def test_maps_that_cannot_be_denoised():
    image = image_of(mixed_counts())
    with pytest.raises(ParameterError, match="before it is normalised"):
        denoise_pca(preprocess.normalise(image), 3)
    with pytest.raises(EmptyMapError, match="no counts"):
        denoise_pca(image_of(np.zeros(SHAPE, np.uint8)), 3)
    with config.options(memory_limit="10kB"), pytest.raises(MemoryLimitError, match="covariance"):
        denoise_pca(image, 3)
