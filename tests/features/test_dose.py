"""Doses and gaps of mosaics in feature maps, against loops over the pixels."""

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from sigma_scale import features, preprocess, store
from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.features.dose import bin_dose_images, crop_dose_images
from sigma_scale.features.pca import denoise_pca
from sigma_scale.spectra import EnergyAxis, MapMetadata, SpectrumImage

LINES = ["O_Ka", "Si_Ka"]
DOSES = np.array([1.3, 0.8, 1.0])


def mosaic(shape=(26, 33), *, seed=0, chunks=None, flat=False):
    """Map of three tiles with a gap, whose counts follow the doses."""
    rng = np.random.default_rng(seed)
    tile = np.repeat(np.array([0, -1, 1, 2], np.int32), [9, 5, 12, 7])[None, :].repeat(26, axis=0)
    tile[:5, :4] = -1
    tile[15:21, 10:18] = -1
    dose = np.where(tile >= 0, DOSES[tile], 1.0).astype(np.float32)
    expected = 2.0 * np.where(tile >= 0, dose, 0)[..., None] * np.ones(300)
    counts = (np.round(10 * expected) if flat else rng.poisson(expected)).astype(np.uint16)

    def picture(values, **attrs):
        data = values if chunks is None else da.from_array(values, chunks=chunks)
        return xr.DataArray(data, dims=("y", "x"), attrs=attrs)

    return SpectrumImage.from_array(
        counts[: shape[0], : shape[1]],
        EnergyAxis(300, 0.01),
        metadata=MapMetadata(lines=tuple(LINES)),
        images={
            "navigation": picture((100 * dose).astype(np.uint16)),
            "tile": picture(tile, tiles=["a", "b", "c"]),
            "dose": picture(dose),
        },
    )


def binned(image, size):
    with pytest.warns(match="left out"):
        return preprocess.rebin(image, size)


def expected_features(maps, image):
    """Counts over the doses of the measured pixels, times the pixels of a bin."""
    tile, dose = (image.images[name].to_numpy() for name in ("tile", "dose"))
    fy, fx = image.processing.bin_factors
    found = np.full(maps.shape, np.nan)
    for y in range(maps.shape[0]):
        for x in range(maps.shape[1]):
            where = np.s_[y * fy : (y + 1) * fy, x * fx : (x + 1) * fx]
            measured = tile[where] >= 0
            if measured.any():
                of_bin = dose[where][measured].astype(float).sum()
                found[y, x] = maps[y, x].to_numpy() * (fy * fx / of_bin)
    return found


@pytest.mark.parametrize("size", [(4, 3), (2, 4), (5, 5)])
def test_counts_are_divided_by_the_doses_of_the_bins_measured_pixels(size):
    image = binned(mosaic(), size)
    counts = features.line_intensity(image, LINES).compute()
    before = counts.copy(deep=True)
    found = features.correct_dose(counts, image)
    assert found.dtype == np.float32
    assert found.attrs["units"] == "counts per unit of dose"
    assert found.attrs["recipe"]["dose_correction"]["tile_doses"] is True
    assert found.attrs["recipe"]["lines"] == LINES
    np.testing.assert_allclose(found, expected_features(counts, image), rtol=1e-6)
    xr.testing.assert_identical(counts, before)


def test_a_half_covered_bin_is_comparable_with_full_ones():
    image = binned(mosaic(flat=True), (4, 3))
    maps = features.correct_dose(features.line_intensity(image, LINES).compute(), image)
    measured = maps.values[np.isfinite(maps).all("line").values]
    spread = measured / measured.mean(axis=0)
    # Counts are whole numbers: they follow the doses to a fortieth.
    np.testing.assert_allclose(spread, 1.0, atol=0.03)


@pytest.mark.parametrize("lazy_maps", [True, False])
@pytest.mark.parametrize("chunks", [None, (7, 5), (26, 33)])
def test_the_result_is_the_same_for_any_chunks(chunks, lazy_maps):
    plain = binned(mosaic(), (4, 3))
    counts = features.line_intensity(plain, LINES).compute()
    expected = features.correct_dose(counts, plain)
    image = binned(mosaic(chunks=chunks), (4, 3))
    given = counts.chunk({"y": 3, "x": 2, "line": 1}) if lazy_maps else counts
    found = features.correct_dose(given, image)
    assert (found.chunks is not None) is lazy_maps
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_shares_of_the_total_do_not_depend_on_the_dose_but_need_the_gaps():
    image = preprocess.normalise(binned(mosaic(), (4, 3)))
    shares = features.line_intensity(image, LINES).compute()
    found = features.correct_dose(shares, image)
    assert found.attrs["units"] == "share"
    assert found.attrs["recipe"]["dose_correction"]["tile_doses"] is False
    missing = np.isnan(found.values)
    tile = image.images["tile"].to_numpy()[:24, :32].reshape(8, 3, 8, 4)
    np.testing.assert_array_equal(missing[..., 0], (tile < 0).all(axis=(1, 3)))
    assert missing.any()
    np.testing.assert_array_equal(found.values[~missing], shares.values[~missing])


def test_what_is_no_mosaic_stays_as_it_is():
    image = mosaic()
    alone = replace(image, images={"navigation": image.navigation})
    other = replace(image, images={"tile": image.images["tile"][:3], "dose": image.images["dose"]})
    for plain in (alone, other):
        counts = features.line_intensity(plain, LINES)
        assert features.correct_dose(counts, plain) is counts
        assert features.mask_gaps(counts, plain) is counts
        assert features.mark_measured(counts, plain) is counts
        assert features.measured_pixels(plain) is None
        assert features.count_measured(plain) == 26 * 33
        assert bin_dose_images(plain) == {}


def test_a_mosaic_without_doses_has_gaps_only():
    image = mosaic()
    image = replace(image, images={"tile": image.images["tile"]})
    counts = features.line_intensity(image, LINES).compute()
    found = features.correct_dose(counts, image)
    measured = image.images["tile"].to_numpy() >= 0
    np.testing.assert_array_equal(found.values[measured], counts.values[measured])
    assert np.isnan(found.values[~measured]).all()
    assert found.attrs["recipe"]["dose_correction"]["tile_doses"] is False


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan])
def test_doses_that_are_not_positive_are_refused(bad):
    image = mosaic()
    dose = image.images["dose"].copy(deep=True)
    dose[20, 3] = bad
    broken = replace(image, images={**image.images, "dose": dose})
    counts = features.line_intensity(broken, LINES)
    with pytest.raises(ParameterError, match="not positive"):
        features.correct_dose(counts.compute(), broken)
    with pytest.raises(ParameterError, match="not positive"):
        features.correct_dose(counts, broken).compute()


def test_maps_of_other_pixels_are_refused():
    image = mosaic()
    counts = features.line_intensity(image, LINES)
    with pytest.raises(ShapeMismatchError, match="Bin both alike"):
        features.correct_dose(counts.compute(), binned(image, (4, 3)))


@pytest.mark.parametrize("chunks", [None, (7, 5)])
def test_measured_pixels_are_found_and_marked(chunks):
    image = binned(mosaic(chunks=chunks), (4, 3))
    measured = features.measured_pixels(image)
    expected = (mosaic().images["tile"].to_numpy()[:24, :32] >= 0).reshape(8, 3, 8, 4)
    expected = expected.any(axis=(1, 3))
    np.testing.assert_array_equal(measured, expected)
    assert measured.dtype == bool
    assert features.count_measured(image) == expected.sum() < 64
    labels = xr.DataArray(np.zeros((8, 8), np.int32), dims=("y", "x"))
    marked = features.mark_measured(labels, image)
    np.testing.assert_array_equal(marked.coords["measured"], expected)
    shown = features.mask_gaps(labels, image)
    assert shown.dtype == np.float32
    np.testing.assert_array_equal(np.isfinite(shown), expected)


def test_a_mosaic_without_gaps_is_not_marked():
    image = mosaic()
    full = replace(image, images={"tile": xr.zeros_like(image.images["tile"])})
    labels = xr.DataArray(np.zeros((26, 33), np.int32), dims=("y", "x"))
    assert "measured" not in features.mark_measured(labels, full).coords


def test_denoised_maps_keep_doses_and_gaps():
    image = binned(mosaic(), (4, 3))
    counts = features.line_intensity(image, LINES).compute()
    denoised = denoise_pca(image, 3)
    np.testing.assert_array_equal(
        features.correct_dose(counts, denoised), features.correct_dose(counts, image)
    )


def test_images_are_cut_with_the_map():
    image = mosaic()
    cut = crop_dose_images(image, (10, 12))
    assert sorted(cut) == ["dose", "tile"]
    np.testing.assert_array_equal(cut["tile"], image.images["tile"][:10, :12])
    assert cut["tile"].attrs == image.images["tile"].attrs


def test_a_store_of_a_mosaic_gives_the_same(tmp_path):
    image = mosaic()
    stored = store.write_map(image, tmp_path / "mosaic.zarr")
    assert stored.images["tile"].dtype == np.int32
    counts = features.line_intensity(image, LINES).compute()
    np.testing.assert_array_equal(
        features.correct_dose(counts, stored), features.correct_dose(counts, image)
    )


def test_the_navigation_image_is_resized_beside_gaps():
    image = mosaic(flat=True)
    flat = xr.DataArray(np.full((26, 33), 7, np.uint16), dims=("y", "x"))
    navigation = features.mask_gaps(flat, image)
    assert np.isnan(navigation).any()
    maps = xr.DataArray(
        np.zeros((8, 8, 1), np.float32), dims=("y", "x", "line"), coords={"line": ["O_Ka"]}
    )
    found = features.append_navigation(maps, navigation).sel(line="Navigator")
    known = np.isfinite(found.values)
    assert known.any()
    np.testing.assert_allclose(found.values[known], 7.0, rtol=1e-6)
    whole = features.append_navigation(maps, flat).sel(line="Navigator")
    np.testing.assert_allclose(whole, 7.0, rtol=1e-6)
