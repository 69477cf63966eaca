"""Unmixing in chunks, regions and bins, within bounded memory."""

from __future__ import annotations

import itertools

import dask
import numpy as np
import pytest
import xarray as xr
from unmixing_oracles import AXIS, CHANNELS, drawn, peaks

from sigma_scale import config
from sigma_scale.errors import MemoryLimitError
from sigma_scale.phases.pixel_unmixing import unmix_pixels
from sigma_scale.spectra import ArraySource, SpectrumImage
from sigma_scale.synthetic import synthetic_map


@pytest.mark.parametrize("method", ["least_squares", "poisson"])
def test_chunks_and_threads_change_nothing(method):
    members = peaks(5)
    dense = drawn(members, (70, 50))
    results = []
    chunks = [(128, 128), (16, 24), (7, 50)]
    for factors, chunk in itertools.product([(1, 1), (3, 2)], chunks):
        image = SpectrumImage(ArraySource(dense, chunk), AXIS).with_processing(bin_factors=factors)
        for workers in (1, 3):
            with dask.config.set(scheduler="threads", num_workers=workers):
                results.append(unmix_pixels(image, members, method=method).load())
    for same in (results[:6], results[6:]):
        for other in same[1:]:
            xr.testing.assert_identical(other, same[0])
    now = unmix_pixels(image, members, method=method, lazy=False)
    assert now["abundance"].chunks is None
    xr.testing.assert_identical(now, results[-1])


def test_regions_of_a_map_are_joined_in_place(monkeypatch):
    from sigma_scale.spectra import passes

    members = peaks(3)
    dense = drawn(members, (70, 50))
    image = SpectrumImage(ArraySource(dense, (8, 8)), AXIS)
    whole = unmix_pixels(image, members, lazy=False)
    monkeypatch.setattr(passes, "_REGION_SIDES", (20, 20))
    parts = unmix_pixels(image, members)
    assert parts["abundance"].data.npartitions > 4
    xr.testing.assert_identical(parts.load(), whole)


def test_blocks_that_are_wider_than_a_region():
    members = peaks(3)
    dense = drawn(members, (3, 5000))
    wide = SpectrumImage(ArraySource(dense, (2, 2100)), AXIS)
    result = unmix_pixels(wide, members)
    assert 2100 not in np.cumsum(result["abundance"].chunks[1])
    expected = unmix_pixels(SpectrumImage.from_array(dense, AXIS), members)
    xr.testing.assert_identical(result.load(), expected.load())


@pytest.mark.parametrize("method", ["least_squares", "poisson"])
def test_binned_pixels_are_sums_of_pixels(method):
    members = peaks(4)
    dense = drawn(members, (21, 23))
    image = SpectrumImage(ArraySource(dense, (8, 8)), AXIS)
    binned = dense[:20, :21].reshape(10, 2, 7, 3, CHANNELS).sum(axis=(1, 3)).astype(np.uint16)
    result = unmix_pixels(image.with_processing(bin_factors=(2, 3)), members, method=method)
    expected = unmix_pixels(SpectrumImage.from_array(binned, AXIS), members, method=method)
    for name in ("abundance", "residual"):
        np.testing.assert_array_equal(result[name], expected[name])
    np.testing.assert_allclose(result["x"], image.coordinates()["x"][1][:21].reshape(7, 3).mean(1))


def test_work_that_would_not_fit_is_refused():
    members = peaks(3)
    made = synthetic_map((4096, 4096), channels=CHANNELS)
    with config.options(memory_limit="300MB"), pytest.raises(MemoryLimitError, match="lazy=True"):
        unmix_pixels(made.image, members.drop_vars("energy", errors="ignore"), lazy=False)
