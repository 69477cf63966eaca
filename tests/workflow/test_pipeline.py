"""The main job on small maps: what is chosen, what is refused, what comes out."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from sigma_scale import features, preprocess, synthetic
from sigma_scale.clustering import agreement
from sigma_scale.config import options
from sigma_scale.errors import (
    BinningError,
    EmptyMapError,
    EnergyRangeError,
    MemoryLimitError,
    ParameterError,
    SigmaScaleWarning,
    UnknownLineError,
)
from sigma_scale.spectra import EnergyAxis, MapMetadata, SpectrumImage
from sigma_scale.workflow import RunSettings, map_phases
from sigma_scale.workflow.pipeline import check_settings, choose_bin, choose_lines


def blank(rows, columns, **metadata):
    counts = np.zeros((rows, columns, 1000), np.uint8)
    return SpectrumImage.from_array(
        counts, EnergyAxis(1000, 0.01), metadata=MapMetadata(**metadata)
    )


def sum_spectrum(image):
    return image.sum_spectrum().compute()


# What is chosen


@pytest.mark.parametrize(
    ("rows", "columns", "per_pixel", "expected"),
    [
        (1000, 1000, 400, 1),  # enough counts as it is
        (1000, 1000, 150, 1),
        (1000, 1000, 149, 2),
        (1000, 1000, 60, 2),
        (1000, 1000, 17, 3),
        (1000, 1000, 0.1, 8),  # never more than 8
        (100, 75, 20, 3),  # 75 // 24
        (1000, 50, 0.1, 2),  # the shorter side keeps 24 bins
        (1, 400, 0.1, 1),
        (23, 23, 0.1, 1),
    ],
)
def test_bins_are_as_small_as_counts_allow(rows, columns, per_pixel, expected):
    counts = round(rows * columns * per_pixel)
    chosen = choose_bin(blank(rows, columns), RunSettings(), counts)
    assert chosen == (expected, expected)


def test_bins_that_are_asked_for_are_taken():
    assert choose_bin(blank(10, 10), RunSettings(bin=(3, 5)), 1) == (3, 5)


def test_lines_asked_for_come_before_those_named_by_the_file():
    image = blank(4, 4, lines=("Fe_Ka", "O_Ka"))
    asked = RunSettings(lines=("Si_Ka",))
    assert choose_lines(image, asked, sum_spectrum(image)) == ("Si_Ka",)
    assert choose_lines(image, RunSettings(), sum_spectrum(image)) == ("Fe_Ka", "O_Ka")


def test_lines_are_suggested_where_the_file_names_none(made):
    anonymous = replace(made.image, metadata=replace(made.image.metadata, lines=(), elements=()))
    chosen = choose_lines(anonymous, RunSettings(), sum_spectrum(made.image))
    assert {"O_Ka", "Si_Ka", "Al_Ka", "Fe_Ka", "Ca_Ka"} <= set(chosen)


@pytest.mark.parametrize("bad", ["Cu_Ka", "Li_Ka", "Xx_Ka"], ids=["outside", "removed", "unknown"])
def test_lines_of_the_file_that_cannot_be_used_are_left_out_with_a_warning(bad):
    energies = EnergyAxis(550, 0.01, -0.2)  # to 5.3 keV
    metadata = MapMetadata(lines=("Si_Ka", bad, "O_Ka", "Si_Ka"))
    image = SpectrumImage.from_array(np.zeros((2, 2, 550), np.uint8), energies, metadata=metadata)
    with pytest.warns(SigmaScaleWarning, match=f"{bad} is not used"):
        chosen = choose_lines(image, RunSettings(), sum_spectrum(image))
    assert chosen == ("Si_Ka", "O_Ka")


def test_no_lines_at_all_is_an_error_that_says_what_to_do():
    image = blank(2, 2)
    with pytest.raises(ParameterError, match=r"Name them, such as --lines O_Ka,Si_Ka"):
        choose_lines(image, RunSettings(), sum_spectrum(image))


# What comes out


def test_the_steps_are_those_of_the_rooms_below(made, quick, mapped):
    """The features equal the same steps called one by one."""
    image = preprocess.rebin(made.image, (2, 2))
    image = preprocess.remove_first_peak(preprocess.normalise(image), end=0.1)
    maps = features.line_intensity(image, made.image.metadata.lines)
    xr.testing.assert_equal(
        mapped.intensities["line_intensity"], maps.compute().drop_vars("energy", errors="ignore")
    )
    expected = features.zscore(maps).compute()
    np.testing.assert_array_equal(mapped.features, expected)
    np.testing.assert_array_equal(
        mapped.sum_spectrum, np.asarray(made.image.to_xarray()).sum(axis=(0, 1))
    )


def test_settings_that_were_chosen_are_in_the_result(made, mapped):
    assert mapped.settings.lines == made.image.metadata.lines
    assert mapped.settings.bin == mapped.bin_size == (2, 2)


def test_phases_agree_with_the_known_ones(made, mapped):
    labels = mapped.clusters["labels"]
    known = preprocess.rebin_labels(made.labels, mapped.bin_size)
    assert agreement(labels, known) > 0.9


def test_tables_and_spectra_are_of_the_same_phases(mapped):
    labels = mapped.clusters["labels"].to_numpy()
    phases = np.unique(labels[labels >= 0])
    np.testing.assert_array_equal(mapped.spectra["phase"], phases)
    np.testing.assert_array_equal(mapped.spectra["n_pixels"], np.bincount(labels[labels >= 0]))
    assert list(mapped.elements.index) == list(phases)
    assert list(mapped.weights.index) == [f"cluster_{phase}" for phase in phases]
    assert mapped.components.shape == (1024, 5)
    assert mapped.proportions["pixels"].sum() == labels.size


def test_counts_of_the_phases_are_those_of_their_pixels(made, mapped):
    labels = np.kron(mapped.clusters["labels"].to_numpy(), np.ones((2, 2), int))
    dense = np.asarray(made.image.to_xarray())
    expected = [dense[labels == phase].sum(axis=0) for phase in mapped.spectra["phase"].values]
    kept = mapped.spectra["energy"] > 0.2
    np.testing.assert_array_equal(mapped.spectra["counts"][:, kept], np.array(expected)[:, kept])


def test_the_same_seed_gives_the_same_and_another_seed_another(made, quick, mapped):
    again = map_phases(made.image, quick)
    xr.testing.assert_identical(again.clusters, mapped.clusters)
    xr.testing.assert_identical(again.latent, mapped.latent)
    np.testing.assert_array_equal(again.components, mapped.components)
    other = map_phases(made.image, replace(quick, random_state=1))
    assert not np.array_equal(other.latent, mapped.latent)


def test_another_method_and_other_numbers_are_taken(made, quick):
    settings = replace(
        quick, clustering="GaussianMixture", clustering_args={"n_components": 6}, n_end_members=2
    )
    result = map_phases(made.image, settings)
    assert result.spectra.sizes["phase"] == 6
    assert result.components.shape[1] == 2
    assert (result.clusters["labels"] >= 0).all()


# The navigation image as a feature


def test_the_navigation_image_becomes_the_last_feature(made, quick, mapped):
    result = map_phases(made.image, replace(quick, navigation=True))
    assert list(result.features["line"].values) == [*mapped.settings.lines, "Navigator"]
    np.testing.assert_array_equal(result.features[:, :, :-1], mapped.features)
    picture = preprocess.rebin_image(made.image.navigation, (2, 2)).to_numpy().ravel()
    feature = result.features[:, :, -1].to_numpy().ravel()
    assert np.corrcoef(picture, feature)[0, 1] > 0.95
    assert abs(feature.mean()) < 1e-5


def test_without_a_navigation_image_that_is_an_error(made, quick):
    image = replace(made.image, images={})
    with pytest.raises(ParameterError, match="no navigation image"):
        map_phases(image, replace(quick, navigation=True))


# Small and empty maps


def test_a_map_without_counts_is_named(quick):
    with pytest.raises(EmptyMapError, match="'granite' holds no counts"):
        map_phases(blank(64, 64, title="granite", lines=("O_Ka", "Si_Ka")), quick)


@pytest.mark.parametrize("shape", [(1, 400), (400, 1)])
def test_a_map_of_one_row_works(shape, quick):
    made = synthetic.synthetic_map(shape, counts_per_pixel=200, grain_size=20, seed=2)
    result = map_phases(made.image, replace(quick, normalisation=("neighbour_averaging", "zscore")))
    assert result.bin_size == (1, 1)
    assert result.clusters["labels"].shape == shape
    assert agreement(result.clusters["labels"], made.labels) > 0.5
    assert result.proportions["pixels"].sum() == 400


def test_a_map_of_too_few_pixels_says_so(quick):
    image = synthetic.synthetic_map((3, 5), seed=0).image
    with pytest.raises(EmptyMapError, match="15 pixels, too few for n_neighbors=15"):
        map_phases(image, quick)


def test_bins_larger_than_the_map_are_refused(made, quick):
    with pytest.raises(BinningError, match=r"200 x 2 .* don't fit a map of 128 x 128"):
        map_phases(made.image, replace(quick, bin=(200, 2)))


def test_bins_that_do_not_divide_the_map_leave_pixels_out_with_a_warning(made, quick):
    with (
        pytest.warns(SigmaScaleWarning, match="2 columns and 3 rows at the end left out"),
        pytest.warns(SigmaScaleWarning, match="5 by 3 µm are not square"),
    ):
        result = map_phases(made.image, replace(quick, bin=(3, 5)))
    assert result.clusters["labels"].shape == (25, 42)


def test_a_map_that_would_not_fit_the_memory_is_refused(made, quick):
    with (
        options(memory_limit="100kB"),
        pytest.raises(MemoryLimitError, match=r"Feature maps .* Use larger bins"),
    ):
        map_phases(made.image, quick)


# Settings that can't work are refused before anything is read


class Unreadable:
    """Counts that nobody may read."""

    def __init__(self, source):
        self.shape, self.dtype, self.chunk_shape = source.shape, source.dtype, source.chunk_shape

    def read_block(self, row, column, scratch=None):
        raise AssertionError

    def __dask_tokenize__(self):
        return "unreadable"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"lines": ("Xx_Ka", "O_Ka")}, UnknownLineError, "Xx"),
        ({"lines": ("Fe_Zz",)}, UnknownLineError, "Fe_Zz"),
        ({"lines": ("Pb_Ka",)}, EnergyRangeError, "Pb_Ka"),
        ({"lines": ()}, ParameterError, "no X-ray lines"),
        ({"lines": ("O_Ka", "O_Ka")}, ParameterError, "twice: O_Ka"),
        ({"remove_below_kev": 2.0, "lines": ("O_Ka",)}, EnergyRangeError, "O_Ka"),
        ({"remove_below_kev": 70.0}, EnergyRangeError, "70"),
        ({"bin": (0, 2)}, BinningError, "at least 1"),
        ({"bin": (129, 1)}, BinningError, "129 x 1"),
        ({"normalisation": ("zscore", "sharpen")}, ParameterError, "sharpen; there are: neigh"),
        ({"latent": {"neighbours": 3}}, ParameterError, "no parameter neighbours; it has: "),
        ({"latent": {"n_neighbors": "many"}}, ParameterError, "n_neighbors of UMAP must be a whol"),
        ({"latent": {"n_neighbors": 2.5}}, ParameterError, "n_neighbors of UMAP must be a whole"),
        ({"latent": {"min_dist": True}}, ParameterError, "min_dist of UMAP must be a number"),
        ({"latent": {"n_epochs": "few"}}, ParameterError, "n_epochs of UMAP must be a number"),
        ({"latent": {"metric": 2}}, ParameterError, "metric of UMAP must be a word"),
        ({"clustering": "Kmeans"}, ParameterError, "there are: GaussianMixture, HDBSCAN"),
        ({"clustering_args": {"size": 3}}, ParameterError, "no parameter size; it has: "),
        ({"clustering_args": {"min_samples": "x"}}, ParameterError, "min_samples of HDBSCAN must"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_counts_are_read(
    made, changes, error, message
):
    image = replace(made.image, source=Unreadable(made.image.source))
    settings = RunSettings(**changes)
    with pytest.raises(error, match=message):
        check_settings(image, settings)
    with pytest.raises(error, match=message):
        map_phases(image, settings)


def test_settings_that_work_pass_the_check(made, quick):
    image = replace(made.image, source=Unreadable(made.image.source))
    check_settings(image, quick)
    parameters = {"n_components": 3, "tol": 1, "weights_init": [0.2, 0.3, 0.5]}
    check_settings(
        image, replace(quick, clustering="GaussianMixture", clustering_args=parameters, bin=(3, 3))
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"min_cluster_size": 10, "min_samples": 10}),
        ({"min_samples": 3}, {"min_cluster_size": 10, "min_samples": 3}),
        ({"min_cluster_size": 70}, {"min_cluster_size": 70, "min_samples": 10}),
    ],
)
def test_the_recipe_has_the_parameters_of_the_clustering(made, quick, given, expected):
    result = map_phases(made.image, replace(quick, clustering_args=given))
    parameters = result.clusters.attrs["recipe"]["parameters"]
    assert parameters.items() >= expected.items()


def test_a_result_cannot_be_changed(mapped):
    with pytest.raises(dataclasses.FrozenInstanceError):
        mapped.latent = None
