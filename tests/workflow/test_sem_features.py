"""Feature maps of SEMDataset: golden values, HyperSpy's line intensities, the navigation image."""

from __future__ import annotations

import warnings

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from sigma_scale import config
from sigma_scale.errors import ParameterError, SigmaScaleWarning
from sigma_scale.features import append_navigation
from sigma_scale.spectra import ArraySource, EnergyAxis, MapMetadata, SpectrumImage
from sigma_scale.workflow import norm
from sigma_scale.workflow.datasets import SEMDataset

LINES = ["O_Ka", "Al_Ka", "Si_Ka"]
STEPS = [norm.neighbour_averaging, norm.zscore]
GOLDEN = {"p45": "P45_the_default_job.bcf", "hitachi": "Hitachi_TM3030Plus.bcf"}


@pytest.fixture
def image():
    rng = np.random.default_rng(5)
    counts = rng.poisson(0.5, (24, 20, 300)).astype(np.uint16)
    navigation = xr.DataArray(rng.integers(0, 256, (24, 20)), dims=("y", "x"))
    return SpectrumImage(
        ArraySource(counts),
        EnergyAxis(300, 0.01, -0.2),
        metadata=MapMetadata(lines=tuple(LINES)),
        images={"navigation": navigation},
    )


@pytest.fixture
def sem(image):
    return SEMDataset(image)


@pytest.fixture(scope="module", params=sorted(GOLDEN))
def tutorial(request, golden, real_data):
    """The tutorial's cells on a real file, up to the normalisation, and what the original gives."""
    name = request.param
    values = {k.removeprefix(f"{name}_"): v for k, v in golden.items() if k.startswith(name)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sem = SEMDataset(real_data / GOLDEN[name])
        sem.set_feature_list([str(line) for line in values["lines"]])
        raw = sem.get_feature_maps()
        sem.rebin_signal(size=tuple(int(n) for n in values["bin_xy"]))
        binned = sem.get_feature_maps()
        sem.peak_intensity_normalisation()
        sem.remove_first_peak(end=0.1)
    return sem, values, raw, binned


def test_raw_and_binned_maps_equal_the_golden_values(tutorial):
    sem, values, raw, binned = tutorial
    np.testing.assert_array_equal(raw, values["raw_maps"])
    np.testing.assert_array_equal(binned, values["binned_maps"])
    np.testing.assert_array_equal(sem.nav_img_bin, values["binned_nav"])
    np.testing.assert_array_equal(sem.spectra.sum_spectrum(), values["sum_spectrum"])


@pytest.mark.parametrize(
    ("key", "steps"),
    [
        ("normalised_maps", []),
        ("navg", [norm.neighbour_averaging]),
        ("navg_z", [norm.neighbour_averaging, norm.zscore]),
        ("navg_z_softmax", [norm.neighbour_averaging, norm.zscore, norm.softmax]),
    ],
)
def test_normalised_maps_agree_with_the_golden_values(tutorial, key, steps):
    sem, values, *_ = tutorial
    returned = sem.normalisation(steps)
    np.testing.assert_allclose(returned, values[key], rtol=1e-5, atol=1e-5 if steps else 0)
    np.testing.assert_array_equal(sem.normalised_elemental_data, returned)
    assert sem.normalised_elemental_data.dtype == np.float32


def test_line_intensities_equal_those_of_exspy(sem, image):
    import exspy

    signal = exspy.signals.EDSSEMSpectrum(np.asarray(image.to_xarray()))
    axis = signal.axes_manager[-1]
    axis.scale, axis.offset, axis.units, axis.name = 0.01, -0.2, "keV", "Energy"
    signal.set_microscope_parameters(energy_resolution_MnKa=130.0, beam_energy=20.0)
    signal.set_lines(LINES)
    binned = signal.rebin(scale=(2, 3, 1))
    expected = np.stack([s.data for s in binned.get_lines_intensity(sorted(LINES))], axis=-1)
    sem.rebin_signal((2, 3))
    np.testing.assert_array_equal(sem.get_feature_maps(sorted(LINES)), expected)
    assert sem.feature_list == LINES
    maps = sem.get_feature_maps()
    np.testing.assert_array_equal(maps, expected[..., [1, 0, 2]])
    maps[:] = 0
    np.testing.assert_array_equal(sem.get_feature_maps(), expected[..., [1, 0, 2]])


def test_maps_are_worked_out_once_for_each_state(sem, monkeypatch):
    from sigma_scale import features

    calls = []
    original = features.feature_pass

    def counted(*arguments, **options):
        calls.append(arguments)
        return original(*arguments, **options)

    monkeypatch.setattr(features, "feature_pass", counted)
    sem.get_feature_maps()
    sem.normalisation(STEPS)
    sem.get_feature_maps_with_nav_img(STEPS)
    sem.normalisation([norm.zscore])
    assert len(calls) == 1
    sem.rebin_signal((2, 2))
    assert sem.normalised_elemental_data.shape == (12, 10, 3)
    assert len(calls) == 2
    sem.set_feature_list(["Si_Ka"])
    sem.get_feature_maps()
    assert len(calls) == 3


def test_the_normalised_maps_follow_the_state(sem, image):
    sem.normalisation(STEPS)
    sem.set_feature_list(["Si_Ka", "O_Ka"])
    sem.rebin_signal((2, 2))
    fresh = SEMDataset(image)
    fresh.rebin_signal((2, 2))
    fresh.set_feature_list(["Si_Ka", "O_Ka"])
    expected = norm.zscore(norm.neighbour_averaging(fresh.get_feature_maps()))
    np.testing.assert_array_equal(sem.normalised_elemental_data, expected)
    assert list(sem.normalised_maps["line"].values) == ["Si_Ka", "O_Ka"]
    assert sem.normalised_maps.sizes == {"y": 12, "x": 10, "line": 2}


def test_a_function_of_ones_own(sem):
    sem.normalisation([np.log1p, norm.zscore])
    expected = norm.zscore(np.log1p(sem.get_feature_maps().astype(np.float32)))
    np.testing.assert_allclose(sem.normalised_elemental_data, expected, rtol=1e-6)
    assert sem.recipe()[-1]["arguments"]["norm_list"][1] == "zscore"
    with pytest.raises(ParameterError, match="log1p"):
        sem.replay(sem.recipe())


@pytest.mark.slow
def test_umap_learn_takes_the_data_as_the_tutorial_gives_it(sem):
    from umap import UMAP

    sem.normalisation(STEPS)
    data = sem.normalised_elemental_data.reshape(-1, len(sem.feature_list))
    latent = UMAP(n_neighbors=15, min_dist=0.02, n_components=2, n_epochs=5).fit_transform(data)
    assert latent.shape == (480, 2)
    assert np.isfinite(latent).all()


def test_maps_beyond_the_memory_limit_are_lazy(sem, image):
    sem.normalisation(STEPS)
    expected = sem.normalised_elemental_data
    with config.options(memory_limit="30kB"):
        lazy = SEMDataset(image)
        lazy.normalisation(STEPS)
        data = lazy.normalised_elemental_data
        assert isinstance(data, da.Array)
        assert isinstance(lazy.get_feature_maps(), da.Array)
        np.testing.assert_array_equal(data, expected)
        table = data.reshape(-1, len(lazy.feature_list))
        np.testing.assert_array_equal(table, expected.reshape(-1, 3))
        lazy.get_feature_maps_with_nav_img(STEPS)
        assert isinstance(lazy.normalised_elemental_data, da.Array)
        np.testing.assert_array_equal(
            lazy.normalised_elemental_data, sem.get_feature_maps_with_nav_img(STEPS)
        )


def test_the_navigation_image_as_a_feature(sem, image):
    sem.rebin_signal((2, 2))
    maps = sem.normalisation(STEPS)
    with_image = sem.get_feature_maps_with_nav_img(normalisation=STEPS)
    assert sem.feature_list == [*LINES, "Navigator"]
    assert sem.normalised_elemental_data is with_image
    np.testing.assert_array_equal(with_image[..., :3], maps)
    expected = append_navigation(sem.normalised_maps[..., :3], image.navigation, STEPS)
    np.testing.assert_array_equal(with_image, expected)
    np.testing.assert_allclose(with_image[..., 3].std(), 1, rtol=1e-4)


def test_the_navigation_image_is_not_added_twice(sem):
    sem.normalisation(STEPS)
    first = sem.get_feature_maps_with_nav_img(STEPS)
    again = sem.get_feature_maps_with_nav_img(STEPS)
    np.testing.assert_array_equal(first, again)
    assert sem.feature_list == [*LINES, "Navigator"]
    with pytest.warns(SigmaScaleWarning, match=r"by zscore, .* by neighbour_averaging, zscore"):
        other = sem.get_feature_maps_with_nav_img([norm.zscore])
    assert other.shape == first.shape
    assert not np.allclose(other[..., 3], first[..., 3])
    sem.normalisation(STEPS)
    assert sem.feature_list == LINES


def test_the_feature_list_with_the_navigation_image(sem):
    sem.normalisation(STEPS)
    sem.get_feature_maps_with_nav_img(STEPS)
    sem.feature_list = ["Si_Ka", "Navigator"]
    assert sem.feature_list == ["Si_Ka", "Navigator"]
    assert sem.normalised_elemental_data.shape == (24, 20, 2)
    with pytest.raises(ParameterError, match="at the end"):
        sem.feature_list = ["Navigator", "Si_Ka"]
    sem.feature_list = ["Si_Ka", "O_Ka"]
    assert sem.feature_list == ["Si_Ka", "O_Ka"]
    assert sem.normalised_elemental_data.shape == (24, 20, 2)
    sem.feature_list.append("Al_Ka")
    assert sem.feature_list == ["Si_Ka", "O_Ka"]


def test_calls_out_of_order_say_what_to_call_first(image):
    sem = SEMDataset(image)
    with pytest.raises(ParameterError, match=r"Call normalisation\(\[\.\.\.\]\) first"):
        _ = sem.normalised_elemental_data
    with pytest.raises(ParameterError, match=r"Call normalisation\(\[\.\.\.\]\) first"):
        sem.get_feature_maps_with_nav_img(STEPS)
    sem.set_feature_list([])
    for call in (sem.get_feature_maps, lambda: sem.normalisation(STEPS)):
        with pytest.raises(ParameterError, match="Call set_feature_list"):
            call()
    assert sem.recipe() == [{"method": "set_feature_list", "arguments": {"feature_list": []}}]
