"""SEMDataset as the tutorial uses it: its steps against plain NumPy, HyperSpy and golden values."""

from __future__ import annotations

import itertools
import json

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from PIL import Image

from sigma_scale import config, preprocess
from sigma_scale.errors import (
    BinningError,
    EmptyMapError,
    EnergyRangeError,
    ParameterError,
    ShapeMismatchError,
    SigmaScaleWarning,
    SourceNotFoundError,
    UnknownLineError,
)
from sigma_scale.features.pca import denoise_pca
from sigma_scale.spectra import ArraySource, EnergyAxis, MapMetadata, SpectrumImage
from sigma_scale.store import write_map
from sigma_scale.workflow import norm
from sigma_scale.workflow.datasets import SEMDataset

SHAPE = (24, 20, 300)
AXIS = EnergyAxis(300, 0.01, -0.2)
LINES = ["O_Ka", "Al_Ka", "Si_Ka"]
FIRST = 30
"""First channel at 0.1 keV."""


@pytest.fixture
def counts():
    rng = np.random.default_rng(5)
    dense = rng.poisson(0.2, SHAPE).astype(np.uint16)
    dense[..., 68:78] += rng.poisson(2.0, (*SHAPE[:2], 10)).astype(np.uint16)
    dense[..., 15:25] += 20
    dense[0, 0] = 0
    return dense


@pytest.fixture
def picture():
    return np.random.default_rng(2).integers(0, 256, SHAPE[:2], dtype=np.uint8)


@pytest.fixture
def image(counts, picture):
    return SpectrumImage(
        ArraySource(counts, (16, 16)),
        AXIS,
        metadata=MapMetadata(title="granite", lines=tuple(LINES)),
        images={"navigation": xr.DataArray(picture, dims=("y", "x"))},
    )


@pytest.fixture
def sem(image):
    return SEMDataset(image)


def window(line):
    """Channels of a line by the formula and the rounding of the reference."""
    energy = {"O_Ka": 0.5249, "Al_Ka": 1.4865, "Si_Ka": 1.7397}[line]
    fwhm = np.sqrt(2.5 * (energy - 5.8987) * 1000 + 130**2) / 1000
    return slice(*(int(np.rint((energy + side * fwhm + 0.2) / 0.01)) for side in (-1, 1)))


def line_maps(spectra):
    return np.stack([spectra[..., window(line)].sum(axis=-1) for line in LINES], axis=-1)


def sums(counts, factor_x, factor_y):
    rows, columns = counts.shape[0] // factor_y, counts.shape[1] // factor_x
    kept = counts[: rows * factor_y, : columns * factor_x].astype(np.int64)
    return kept.reshape(rows, factor_y, columns, factor_x, *counts.shape[2:]).sum(axis=(1, 3))


def shares(spectra):
    total = spectra.sum(axis=-1, keepdims=True)
    return np.divide(spectra, total, out=np.zeros(spectra.shape), where=total > 0)


def test_a_map_as_read(sem, counts, picture):
    assert sem.feature_list == LINES
    assert sem.shape == SHAPE[:2]
    np.testing.assert_array_equal(sem.spectra.to_xarray(), counts)
    np.testing.assert_array_equal(sem.nav_img, picture)
    assert sem.spectra_bin is None
    assert sem.nav_img_bin is None
    np.testing.assert_array_equal(sem.get_feature_maps(), line_maps(counts))
    assert repr(sem) == "<SEMDataset: 24 x 20 pixels, O_Ka, Al_Ka, Si_Ka>"
    assert sem.processed.metadata.instrument == "SEM"


def sources(counts, image, tmp_path, write_hspy):
    import hyperspy.api as hs

    signal = hs.signals.Signal1D(counts)
    axis = signal.axes_manager[-1]
    axis.scale, axis.offset, axis.units, axis.name = 0.01, -0.2, "keV", "Energy"
    labelled = image.to_xarray()
    yield write_hspy(tmp_path / "map.hspy", image), None
    write_map(image, tmp_path / "map.zarr")
    yield str(tmp_path / "map.zarr"), None
    yield counts, AXIS
    yield da.from_array(counts, chunks=(10, 7, 300)), AXIS
    yield labelled, None
    yield signal, None


def test_every_kind_of_source_gives_the_same(counts, image, tmp_path, write_hspy):
    for source, energy in sources(counts, image, tmp_path, write_hspy):
        sem = SEMDataset(source, energy=energy)
        sem.set_feature_list(LINES)
        np.testing.assert_allclose(sem.spectra.energy.values, AXIS.values, atol=1e-9)
        np.testing.assert_array_equal(sem.spectra.to_xarray(), counts)
        np.testing.assert_array_equal(sem.get_feature_maps(), line_maps(counts))


def test_sources_that_cannot_be(counts, image, tmp_path):
    with pytest.raises(SourceNotFoundError):
        SEMDataset(tmp_path / "none.bcf")
    with pytest.raises(ParameterError, match="energy="):
        SEMDataset(counts)
    with pytest.raises(ParameterError, match="as it was measured"):
        SEMDataset(preprocess.rebin(image, (2, 2)))


def test_a_navigation_image_of_ones_own(image, tmp_path):
    import hyperspy.api as hs

    other = np.random.default_rng(8).integers(0, 256, SHAPE[:2], dtype=np.uint8)
    Image.fromarray(other).save(tmp_path / "bse.tif")
    kinds = [
        tmp_path / "bse.tif",
        str(tmp_path / "bse.tif"),
        other,
        da.from_array(other),
        xr.DataArray(other, dims=("a", "b")),
        hs.signals.Signal2D(other),
    ]
    for kind in kinds:
        np.testing.assert_array_equal(SEMDataset(image, kind).nav_img, other)


def test_without_a_navigation_image_the_total_counts_take_its_place(counts):
    sem = SEMDataset(counts, energy=AXIS)
    np.testing.assert_array_equal(sem.nav_img, counts.sum(axis=2))
    sem.rebin_signal((2, 2))
    np.testing.assert_array_equal(sem.nav_img_bin, sums(counts, 2, 2).sum(axis=2))
    with config.options(memory_limit="1kB"):
        lazy = SEMDataset(counts, energy=AXIS).nav_img
        assert lazy.chunks is not None
        np.testing.assert_array_equal(lazy, counts.sum(axis=2))


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (np.zeros((20, 24)), ShapeMismatchError),
        (np.zeros((24, 20, 3)), ParameterError),
        (np.full(SHAPE[:2], "a"), ParameterError),
    ],
)
def test_navigation_images_that_cannot_be(image, given, error):
    with pytest.raises(error, match="navigation image"):
        SEMDataset(image, given)


def test_a_navigation_file_of_another_shape(image, tmp_path):
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(tmp_path / "bse.png")
    with pytest.raises(ShapeMismatchError, match="Resize"):
        SEMDataset(image, tmp_path / "bse.png")


def test_lines_of_a_file_that_cannot_be_used_are_left_out(counts):
    metadata = MapMetadata(lines=("O_Ka", "Fe_Ka", "O_Ka", "Xx_Ka"), elements=("Si",))
    image = SpectrumImage(ArraySource(counts), AXIS, metadata=metadata)
    with pytest.warns(SigmaScaleWarning, match="Fe_Ka|Xx_Ka") as caught:
        sem = SEMDataset(image)
    assert sem.feature_list == ["O_Ka"]
    assert len(caught) == 2


def test_rebinning(sem, counts, picture):
    spectra = sem.rebin_signal(size=(2, 3))
    assert sem.shape == (8, 10)
    np.testing.assert_array_equal(spectra.to_xarray(), sums(counts, 2, 3))
    np.testing.assert_array_equal(sem.spectra_bin.to_xarray(), sums(counts, 2, 3))
    np.testing.assert_array_equal(sem.processed.to_xarray(), sums(counts, 2, 3))
    np.testing.assert_array_equal(sem.nav_img_bin, sums(picture, 2, 3))
    np.testing.assert_array_equal(sem.get_feature_maps(), line_maps(sums(counts, 2, 3)))
    np.testing.assert_array_equal(sem.spectra.to_xarray(), counts)
    np.testing.assert_array_equal(sem.nav_img, picture)


def test_rebinning_again_starts_from_the_map_as_measured(sem, counts):
    sem.rebin_signal((2, 2))
    sem.peak_intensity_normalisation()
    with pytest.warns(SigmaScaleWarning, match="2 columns at the end left out"):
        sem.rebin_signal((3, 3))
    np.testing.assert_allclose(sem.spectra_bin.to_xarray(), shares(sums(counts, 3, 3)), rtol=1e-5)
    np.testing.assert_array_equal(sem.spectra.to_xarray(), counts)


def test_normalisation_of_the_spectra(sem, counts):
    image = sem.peak_intensity_normalisation()
    np.testing.assert_allclose(image.to_xarray(), shares(counts), rtol=1e-5)
    np.testing.assert_array_equal(sem.spectra.to_xarray(), counts)
    assert not sem.get_feature_maps()[0, 0].any()


def test_the_order_of_normalisation_and_removal_matters(image, counts):
    first, other = SEMDataset(image), SEMDataset(image)
    first.peak_intensity_normalisation()
    first.remove_first_peak(end=0.1)
    other.remove_first_peak(end=0.1)
    other.peak_intensity_normalisation()
    cut = np.where(np.arange(300) >= FIRST, counts, 0)
    expected = np.where(np.arange(300) >= FIRST, shares(counts), 0)
    np.testing.assert_allclose(first.processed.to_xarray(), expected, rtol=1e-5)
    np.testing.assert_allclose(other.processed.to_xarray(), shares(cut), rtol=1e-5)
    for again in (first, other):
        before = again.processed.to_xarray()
        again.remove_first_peak(end=0.1)
        again.peak_intensity_normalisation()
        np.testing.assert_array_equal(again.processed.to_xarray(), before)


def test_the_last_end_of_the_first_peak_counts(sem):
    sem.remove_first_peak(0.2)
    sem.remove_first_peak(0.1)
    assert sem.processed.processing.zeroed_below == FIRST


STEPS = {
    "rebin": lambda sem: sem.rebin_signal((2, 3)),
    "denoise": lambda sem: sem.peak_denoising_PCA(3),
    "spectra": lambda sem: sem.peak_intensity_normalisation(),
    "features": lambda sem: sem.set_feature_list(["Si_Ka", "O_Ka"]),
    "maps": lambda sem: sem.normalisation([norm.neighbour_averaging, norm.zscore]),
}


@pytest.mark.parametrize("order", list(itertools.permutations(STEPS))[::17], ids="-".join)
def test_steps_in_any_order_and_again_give_the_same(image, order):
    expected, sem = SEMDataset(image), SEMDataset(image)
    for step in STEPS.values():
        step(expected)
    for name in (*order, *order[:2]):
        STEPS[name](sem)
    np.testing.assert_array_equal(sem.normalised_elemental_data, expected.normalised_elemental_data)
    assert sem.recipe() == expected.recipe()


def test_denoising(sem, image, counts):
    with pytest.warns(SigmaScaleWarning, match="left out"):
        sem.rebin_signal((3, 3))
    sem.peak_denoising_PCA(n_components_to_reconstruct=2)
    with pytest.warns(SigmaScaleWarning):
        expected = denoise_pca(preprocess.rebin(image, (3, 3)), 2)
    np.testing.assert_array_equal(sem.spectra_bin.to_xarray(), expected.to_xarray())
    sem.peak_intensity_normalisation()
    expected = preprocess.normalise(expected)
    np.testing.assert_array_equal(sem.processed.to_xarray(), expected.to_xarray())
    np.testing.assert_array_equal(sem.spectra.to_xarray(), counts)
    np.testing.assert_allclose(
        sem.get_feature_maps(), line_maps(expected.to_xarray().values), rtol=1e-4, atol=1e-6
    )


def bad_calls():
    yield lambda sem: sem.rebin_signal((0, 2)), BinningError, "at least 1"
    yield lambda sem: sem.rebin_signal((21, 1)), BinningError, "don't fit"
    yield lambda sem: sem.rebin_signal(2), BinningError, "two whole numbers"
    yield lambda sem: sem.remove_first_peak(end=5), EnergyRangeError, "lie below"
    yield lambda sem: sem.remove_first_peak("x"), ParameterError, "must be a number"
    yield lambda sem: sem.peak_denoising_PCA(0), ParameterError, "from 1 to"
    yield lambda sem: sem.set_feature_list(["O_Ka", "O_Ka"]), ParameterError, "twice: O_Ka"
    yield lambda sem: sem.set_feature_list(["Xx_Ka"]), UnknownLineError, "Xx"
    yield lambda sem: sem.set_feature_list("O_Ka"), ParameterError, "list of names"
    yield lambda sem: sem.set_feature_list(["Navigator"]), ParameterError, "with_nav_img"
    yield lambda sem: sem.set_xray_lines(["O_Ka", "Xx_Ka"]), UnknownLineError, "Xx"
    yield lambda sem: sem.get_feature_maps(["Fe_Ka"]), EnergyRangeError, "Fe_Ka"
    yield lambda sem: sem.normalisation(["z"]), ParameterError, "there are"
    yield lambda sem: sem.normalisation(norm.zscore), ParameterError, "list"
    yield lambda sem: sem.normalisation([lambda maps: maps[1:]]), ShapeMismatchError, "shape"
    yield lambda sem: sem.get_feature_maps_with_nav_img(["z"]), ParameterError, "there are"
    yield lambda sem: sem.set_axes_scale(-1), ParameterError, "positive width"
    yield lambda sem: sem.set_axes_offset(None), ParameterError, "must be a number"
    yield lambda sem: sem.set_axes_unit("MeV"), ParameterError, "keV or eV"
    yield lambda sem: sem.calibrate_spectra({"O_Ka": 0.5}), ParameterError, "two peaks"
    yield lambda sem: sem.replay([{"method": "recipe"}]), ParameterError, "there are"
    yield (
        lambda sem: sem.replay([{"method": "set_axes_scale", "arguments": {"x": 1}}]),
        ParameterError,
        "can't be",
    )
    yield (
        lambda sem: sem.replay(
            [
                {"method": "set_axes_scale", "arguments": {"scale": 0.02}},
                {"method": "rebin_signal", "arguments": {"size": [50, 50]}},
            ]
        ),
        BinningError,
        "don't fit",
    )


@pytest.mark.parametrize(("call", "error", "message"), list(bad_calls()))
def test_a_bad_call_changes_nothing(sem, call, error, message):
    for step in STEPS.values():
        step(sem)
    before = sem.normalised_elemental_data.copy(), sem.recipe(), sem.processed.energy
    with pytest.raises(error, match=message):
        call(sem)
    np.testing.assert_array_equal(sem.normalised_elemental_data, before[0])
    assert sem.recipe() == before[1]
    assert sem.processed.energy == before[2]


def test_reset(sem, counts):
    for step in STEPS.values():
        step(sem)
    sem.reset()
    assert sem.feature_list == LINES
    assert sem.recipe() == [{"method": "set_feature_list", "arguments": {"feature_list": LINES}}]
    np.testing.assert_array_equal(sem.processed.to_xarray(), counts)


@pytest.fixture
def unfinished(counts, picture):
    dense = counts.astype(np.float32)
    dense[17:] = np.nan
    dense[:, 18:] = 0
    return SEMDataset(dense, picture, energy=AXIS)


def test_rows_where_nothing_was_acquired_are_removed(unfinished, counts, picture):
    unfinished.remove_NaN()
    assert unfinished.shape == (17, 18)
    np.testing.assert_array_equal(unfinished.spectra.to_xarray(), counts[:17, :18])
    np.testing.assert_array_equal(unfinished.nav_img, picture[:17, :18])
    unfinished.set_feature_list(LINES)
    np.testing.assert_allclose(unfinished.get_feature_maps(), line_maps(counts[:17, :18]))
    unfinished.remove_NaN()
    assert unfinished.shape == (17, 18)
    unfinished.reset()
    assert unfinished.shape == SHAPE[:2]


def test_a_full_map_stays_as_it_is_and_an_empty_one_is_refused(sem):
    sem.remove_NaN()
    assert sem.shape == SHAPE[:2]
    with pytest.raises(EmptyMapError):
        SEMDataset(np.zeros(SHAPE, np.uint8), energy=AXIS).remove_NaN()


@pytest.mark.filterwarnings("ignore:The navigation image was normalised")
def test_a_recipe_makes_the_same_again(image):
    sem = SEMDataset(image)
    sem.set_axes_scale(0.0101)
    sem.calibrate_spectra({"O_Ka": 0.53, "Si_Ka": 1.76})
    sem.remove_NaN()
    sem.set_xray_lines(["Si_Ka", "O_Ka"])
    sem.set_feature_list(["O_Ka", "Si_Ka", "Al_Ka"])
    sem.remove_first_peak(0.1)
    for name in ("rebin", "denoise", "spectra", "maps"):
        STEPS[name](sem)
    sem.get_feature_maps_with_nav_img(normalisation=[norm.zscore])
    again = SEMDataset(image)
    again.replay(json.loads(json.dumps(sem.recipe())))
    assert again.recipe() == sem.recipe()
    assert again.processed.energy == sem.processed.energy
    assert again.spectra.metadata == sem.spectra.metadata
    assert again.feature_list == ["O_Ka", "Si_Ka", "Al_Ka", "Navigator"]
    np.testing.assert_array_equal(again.normalised_elemental_data, sem.normalised_elemental_data)
