"""Net lines, as maps and of spectra, against eXSpy on eager signals, and their limits by chance."""

import math
import warnings

import dask
import numpy as np
import pytest
import xarray as xr

from sigma_scale import preprocess
from sigma_scale.errors import (
    EnergyRangeError,
    ParameterError,
    ShapeMismatchError,
    SigmaScaleWarning,
)
from sigma_scale.features.net_lines import background_windows, line_windows, net_line_intensity
from sigma_scale.phases.net_lines import detection_limits, net_lines
from sigma_scale.spectra import ArraySource, EnergyAxis, MapMetadata, SpectrumImage

AXIS = EnergyAxis(450, 0.01, -0.1)
LINES = ["C_Ka", "O_Ka", "Al_Ka", "Si_Ka", "S_Ka", "Pb_Ma", "Ca_Ka"]


def make_counts(shape=(12, 18), seed=3, rate=0.3):
    return np.random.default_rng(seed).poisson(rate, (*shape, AXIS.size)).astype(np.uint8)


def make_image(counts, *, chunk=(128, 128), resolution=130.0, instrument="TEM"):
    metadata = MapMetadata(resolution_mn_ka_ev=resolution, instrument=instrument)
    return SpectrumImage(ArraySource(counts, chunk), AXIS, metadata=metadata)


def make_spectra(counts, **attrs):
    dims = ("phase", "energy")[-counts.ndim :]
    return xr.DataArray(counts, dims=dims, coords={"energy": AXIS.values}, attrs=attrs)


def exspy_nets(counts, lines, *, resolution=130.0, distance=(2.0, 2.0), sides=1.0, width=2.0):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import exspy

        signal = exspy.signals.EDSSEMSpectrum(counts.astype(float))
        energy = signal.axes_manager[-1]
        energy.name, energy.units = "Energy", "keV"
        energy.scale, energy.offset = AXIS.scale_kev, AXIS.offset_kev
        signal.set_microscope_parameters(beam_energy=30.0, energy_resolution_MnKa=resolution)
        windows = signal.estimate_background_windows(
            line_width=list(distance), windows_width=sides, xray_lines=lines
        )
        found = signal.get_lines_intensity(
            lines, background_windows=windows, integration_windows=width, only_one=False
        )
    nets = {str(one.metadata.Sample.xray_lines[0]): one.data for one in found}
    return windows, np.stack([nets[name] for name in lines], axis=-1)


@pytest.mark.parametrize("resolution", [125.0, 143.7])
@pytest.mark.parametrize(
    ("distance", "sides", "width"), [((2.0, 2.0), 1.0, 2.0), ((2.5, 1.0), 0.7, 1.3)]
)
def test_maps_and_spectra_equal_exspy(resolution, distance, sides, width):
    counts = make_counts()
    windows, nets = exspy_nets(
        counts, LINES, resolution=resolution, distance=distance, sides=sides, width=width
    )
    ours = background_windows(LINES, resolution_mn_ka_ev=resolution, distance=distance, width=sides)
    np.testing.assert_allclose(ours, windows, rtol=1e-12)
    options = {"distance": distance, "background_width": sides, "window_width": width}
    maps = net_line_intensity(make_image(counts, resolution=resolution), LINES, **options)
    assert maps["net"].dims == ("y", "x", "line")
    assert maps["net"].dtype == np.float64
    assert dask.is_dask_collection(maps["net"].data)
    np.testing.assert_allclose(maps["net"], nets, rtol=1e-12, atol=1e-9)
    flat = make_spectra(counts.reshape(-1, AXIS.size), resolution_mn_ka_ev=resolution)
    spectra = net_lines(flat, LINES, **options)
    np.testing.assert_allclose(spectra["net"], nets.reshape(-1, len(LINES)), rtol=1e-12, atol=1e-9)
    for name in ("gross", "background", "net_error"):
        np.testing.assert_allclose(
            maps[name].to_numpy().reshape(-1, len(LINES)), spectra[name], rtol=1e-12
        )


def test_chunks_binning_and_eager_sums_change_nothing():
    counts = make_counts((24, 30))
    whole = preprocess.rebin(make_image(counts), (2, 3))
    pieces = preprocess.rebin(make_image(counts, chunk=(8, 8)), (2, 3))
    wanted = net_line_intensity(whole, LINES).compute()
    factor_y, factor_x = whole.processing.bin_factors
    rows, columns = whole.shape[:2]
    cut = counts[: rows * factor_y, : columns * factor_x].astype(int)
    binned = cut.reshape(rows, factor_y, columns, factor_x, -1).sum(axis=(1, 3))
    np.testing.assert_allclose(wanted["net"], exspy_nets(binned, LINES)[1], atol=1e-9)
    for other in (
        net_line_intensity(pieces, LINES),
        net_line_intensity(pieces, LINES, lazy=False),
    ):
        for name in wanted:
            np.testing.assert_array_equal(other[name], wanted[name])


def test_shares_are_counts_over_the_total():
    counts = make_counts()
    counts[3, 4] = 0
    image = make_image(counts)
    plain = net_line_intensity(image, LINES)
    shares = net_line_intensity(preprocess.normalise(image), LINES)
    total = counts.sum(axis=2, dtype=float)[..., None]
    expected = np.divide(
        plain["net"].to_numpy(), total, out=np.zeros((*total.shape[:2], 7)), where=total > 0
    )
    np.testing.assert_allclose(shares["net"], expected, atol=1e-15)
    assert shares.attrs["units"] == "share"
    assert plain.attrs["instrument"] == "TEM"


def test_channels_removed_below_are_no_background():
    counts = make_counts()
    cut = preprocess.remove_first_peak(make_image(counts), 0.3)
    (windows,) = line_windows(["O_Ka"], AXIS, resolution_mn_ka_ev=130.0, first_channel=48)
    assert windows.left == range(48, 51)
    found = net_line_intensity(cut, ["C_Ka"])
    whole = net_line_intensity(make_image(counts), ["C_Ka"])
    # Left of C Ka nothing is left: only the right window tells its background.
    first = AXIS.first_channel_from(0.3)
    (own,) = line_windows(["C_Ka"], AXIS, resolution_mn_ka_ev=130.0, first_channel=first)
    assert len(own.left) == 0
    right = counts[..., own.right.start : own.right.stop].sum(axis=2) * own.scale
    np.testing.assert_allclose(found["background"][..., 0], right)
    assert (found["gross"] <= whole["gross"]).all()


def test_a_line_without_background_is_nan_and_said_so():
    narrow = make_spectra(np.full(450, 9.0))[200:206]
    axis = EnergyAxis(6, 0.01, float(narrow["energy"][0]))
    name = "P_Ka"
    assert axis.low < 2.01 < axis.high + 0.1
    with pytest.warns(SigmaScaleWarning, match=f"beside {name}"):
        found = net_lines(narrow, [name])
    assert np.isnan(found["net"]).all()
    assert np.isnan(found["detection_limit"]).all()


def test_errors_and_limits_hold_by_chance():
    rng = np.random.default_rng(1)
    flat = make_spectra(rng.poisson(40.0, (4000, AXIS.size)))
    found = net_lines(flat, ["Si_Ka"])
    nets = found["net"].to_numpy().ravel()
    assert nets.std() == pytest.approx(found["net_error"].mean().item(), rel=0.05)
    false_alarms = (found["net"] > found["critical_level"]).mean().item()
    assert false_alarms == pytest.approx(0.05, abs=0.012)
    (windows,) = line_windows(["Si_Ka"], AXIS, resolution_mn_ka_ev=130.0)
    counts = np.full((4000, AXIS.size), 40.0)
    limit = found["detection_limit"].mean().item()
    counts[:, windows.window.start : windows.window.stop] += limit / len(windows.window)
    with_line = net_lines(make_spectra(rng.poisson(counts)), ["Si_Ka"])
    missed = (with_line["net"] < with_line["critical_level"]).mean().item()
    assert missed == pytest.approx(0.05, abs=0.012)


def test_limits_are_curries():
    critical, limit = detection_limits(np.array([100.0]), np.array([1.0]))
    assert critical[0] == pytest.approx(2.33 * math.sqrt(100), rel=2e-3)  # Currie's table
    assert limit[0] == pytest.approx(2.71 + 4.65 * math.sqrt(100), rel=2e-3)


def test_a_scaled_spectrum_with_its_variance_scales_everything():
    counts = make_counts((5,), rate=30)
    plain = net_lines(make_spectra(counts), LINES)
    scaled = net_lines(make_spectra(counts / 7.0), LINES, variance=make_spectra(counts / 49.0))
    for name in ("net", "net_error", "critical_level", "detection_limit"):
        np.testing.assert_allclose(scaled[name] * 7.0, plain[name], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(scaled["signal_to_noise"], plain["signal_to_noise"], atol=1e-12)


def test_bad_input_is_named():
    counts = make_counts()
    with pytest.raises(EnergyRangeError, match="Fe_Ka"):
        net_line_intensity(make_image(counts), ["Fe_Ka"])
    with pytest.raises(ParameterError, match="only once; twice: Si_Ka"):
        net_line_intensity(make_image(counts), ["Si_Ka", "Si_Ka"])
    with pytest.raises(ParameterError, match="positive width"):
        background_windows(LINES, width=0.0)
    spectrum = make_spectra(counts[0, 0])
    with pytest.raises(ShapeMismatchError, match="variance"):
        net_lines(spectrum, LINES, variance=make_spectra(counts[0]))
    with pytest.raises(ParameterError, match="variance has negative"):
        net_lines(spectrum, LINES, variance=-1.0 - spectrum.astype(float))
    with pytest.raises(ParameterError, match="not counts"):
        net_lines(spectrum * np.nan, LINES)
    with pytest.raises(ParameterError, match="dimension and coordinate energy"):
        net_lines(spectrum.rename(energy="channel"), LINES)
