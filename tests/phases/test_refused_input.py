"""Input that would give wrong numbers, or no named error, if it were not looked at."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sigma_scale.errors import (
    EnergyRangeError,
    FileFormatError,
    ParameterError,
    ShapeMismatchError,
)
from sigma_scale.features.net_lines import background_windows
from sigma_scale.phases.abundance import abundance_maps
from sigma_scale.phases.k_factors import read_k_factors
from sigma_scale.phases.k_ratios import Standard, k_ratios
from sigma_scale.phases.net_lines import net_lines
from sigma_scale.phases.nmf import unmix
from sigma_scale.phases.peak_fit import fit_lines
from sigma_scale.phases.pixel_unmixing import unmix_pixels
from sigma_scale.phases.quantification import cliff_lorimer
from sigma_scale.spectra import EnergyAxis, SpectrumImage

AXIS = EnergyAxis(300, 0.02)
ENERGY = np.arange(300) * 0.02
LINES = ["O_Ka", "Al_Ka", "Si_Ka"]


@pytest.fixture
def image() -> SpectrumImage:
    counts = np.random.default_rng(0).poisson(0.4, (4, 5, AXIS.size)).astype(np.uint8)
    return SpectrumImage.from_array(counts, AXIS)


@pytest.fixture
def members() -> xr.DataArray:
    values = np.random.default_rng(1).random((3, AXIS.size))
    return xr.DataArray(values, dims=("phase", "energy"))


@pytest.fixture
def spectra() -> xr.DataArray:
    counts = np.random.default_rng(2).poisson(20.0, (3, AXIS.size))
    return xr.DataArray(counts, dims=("phase", "energy"), coords={"energy": ENERGY})


@pytest.mark.parametrize("size", [1e300, 1e-300, 1e-318])
@pytest.mark.parametrize("method", ["least_squares", "poisson"])
def test_end_members_of_any_size_unmix_alike(image, members, size, method):
    expected = unmix_pixels(image, members, method=method)["abundance"]
    sizes = xr.DataArray([1.0, size, 3.0], dims="phase")
    found = unmix_pixels(image, members * sizes, method=method)["abundance"]
    # Numbers as small as the last have few digits.
    np.testing.assert_allclose(found, expected, rtol=1e-5 if size > 1e-310 else 0.01, atol=1e-3)


def test_end_members_that_are_none_are_refused(image, members):
    for wrong in (members.to_numpy(), members.to_dataset(name="a"), [1, 2]):
        with pytest.raises(ParameterError, match=r"End-members are an xarray\.DataArray"):
            unmix_pixels(image, wrong)
    for kind in (str, complex):
        with pytest.raises(ParameterError, match="must be numbers"):
            unmix_pixels(image, members.astype(kind))
    table = pd.DataFrame(members.to_numpy().T.astype(str), index=ENERGY)
    with pytest.raises(ParameterError, match="must be numbers"):
        unmix_pixels(image, table)
    unknown = np.where(ENERGY > 3, np.nan, ENERGY)
    with pytest.raises(ShapeMismatchError, match="keV"):
        unmix_pixels(image, members.assign_coords(energy=unknown))


@pytest.mark.parametrize("ranges", [(0.1, 0.2), [(1, 2, 3)]])
def test_ranges_to_leave_out_are_pairs(image, members, ranges):
    with pytest.raises(ParameterError, match="pairs of energies"):
        unmix_pixels(image, members, left_out=ranges)


def test_nmf_needs_labelled_spectra_and_a_whole_number(spectra):
    with pytest.raises(ParameterError, match="coordinate energy"):
        unmix(spectra.drop_vars("energy"), 2)
    with pytest.raises(ParameterError, match="coordinate energy"):
        unmix(spectra.to_numpy(), 2)
    for wrong in ("2", 2.5):
        with pytest.raises(ParameterError, match="whole number"):
            unmix(spectra, wrong)


def test_nmf_begins_with_plain_arrays_too(spectra):
    for initial in (spectra.to_numpy()[:2], spectra.to_numpy()[:2].tolist()):
        _, found = unmix(spectra, 2, random_state=0, initial=initial)
        _, expected = unmix(spectra, 2, random_state=0, initial=spectra[:2])
        np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("kind", [np.uint8, np.uint64, np.int64])
def test_abundance_of_labels_of_any_integers(kind):
    weights = pd.DataFrame([[1.0, 1.0], [3.0, 1.0]], index=["cluster_0", "cluster_1"])
    components = pd.DataFrame(np.ones((4, 2)), columns=["a", "b"])
    labels = xr.DataArray(np.array([[0, 1]], kind), dims=("y", "x"))
    maps = abundance_maps(labels, weights, components, n_clusters=2)
    np.testing.assert_allclose(maps[0], [[0.5, 0.5], [0.75, 0.25]])


@pytest.mark.parametrize("measure", [net_lines, fit_lines])
def test_spectra_with_gaps_or_without_channels_are_refused(spectra, measure):
    gap = spectra.isel(energy=np.r_[0:40, 60:300])
    with pytest.raises(ParameterError, match="even steps"):
        measure(gap, LINES)
    with pytest.raises(EnergyRangeError, match="one channel"):
        measure(spectra[:, :0], LINES)
    with pytest.raises(ParameterError, match="dimension and coordinate energy"):
        measure(spectra.to_numpy(), LINES)
    with pytest.raises(ParameterError, match="must be numbers"):
        measure(spectra * 1j, LINES)
    single = spectra.assign_coords(energy=ENERGY.astype(np.float32))
    np.testing.assert_allclose(
        measure(single, LINES)["net"], measure(spectra, LINES)["net"], rtol=1e-3, atol=0.1
    )


@pytest.mark.parametrize("distance", [3.0, (1.0,), (1.0, 2.0, 3.0)])
def test_the_distance_of_backgrounds_is_a_pair(distance):
    with pytest.raises(ParameterError, match="pair"):
        background_windows(LINES, distance=distance)


def test_intensities_and_factors_that_are_none_are_named(spectra):
    net = net_lines(spectra, LINES)
    factors = dict.fromkeys(LINES, 1.0)
    with pytest.raises(ParameterError, match="ndarray"):
        cliff_lorimer(net["net"].to_numpy(), factors)
    with pytest.raises(ParameterError, match="names the lines"):
        cliff_lorimer(net["net"].drop_vars("line"), factors)
    for wrong in ("a", None):
        with pytest.raises(ParameterError, match="k-factor: Al_Ka"):
            cliff_lorimer(net, factors | {"Al_Ka": wrong})
    for wrong in (np.nan, -1.0):
        with pytest.raises(ParameterError, match="min_intensity"):
            cliff_lorimer(net, factors, min_intensity=wrong)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("line,k_factor\nO_Ka,1,2,3\nSi_Ka,2\n", "can't be read"),
        ("line,k_factor\nO_Ka,1,2\nSi_Ka,2,3\n", "can't be read"),
        ("line,k_factor\n,1\n", "names no line"),
    ],
)
def test_tables_of_factors_that_would_be_misread_are_refused(tmp_path, text, match):
    path = tmp_path / "k.csv"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=match):
        read_k_factors(path)


def test_live_times_fit_the_spectra(spectra):
    net = net_lines(spectra, LINES)
    standard = Standard(net=10.0, live_time_s=1.0, beam_current_na=1.0)
    standards = dict.fromkeys(LINES, standard)
    times = xr.DataArray(np.ones(4), dims="phase")
    with pytest.raises(ShapeMismatchError, match="live times"):
        k_ratios(net, standards, live_time_s=times, beam_current_na=1.0)
    with pytest.raises(ParameterError, match=r"shape \(3,\)"):
        k_ratios(net, standards, live_time_s=np.ones(3), beam_current_na=1.0)
