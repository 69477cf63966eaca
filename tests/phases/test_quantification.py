"""Compositions against eXSpy's on eager signals, errors against draws, k-ratios by hand."""

import warnings

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_scale.errors import (
    FileFormatError,
    ParameterError,
    SourceNotFoundError,
    UnknownLineError,
)
from sigma_scale.features.net_lines import net_line_intensity
from sigma_scale.phases.k_factors import read_k_factors
from sigma_scale.phases.k_ratios import Standard, k_ratios
from sigma_scale.phases.net_lines import net_lines
from sigma_scale.phases.peak_fit import fit_lines
from sigma_scale.phases.percentages import atomic_to_weight, weight_to_atomic
from sigma_scale.phases.quantification import STATEMENTS, cliff_lorimer
from sigma_scale.spectra import ArraySource, EnergyAxis, MapMetadata, SpectrumImage

LINES = ["Al_Ka", "O_Ka", "Si_Ka", "Fe_Ka"]
FACTORS = {"Fe_Ka": 1.35, "O_Ka": 1.97, "Al_Ka": 1.02, "Si_Ka": 1.0, "Ti_Ka": 1.1}
AXIS = EnergyAxis(800, 0.01)


def make_net(values, **attrs):
    values = np.asarray(values, float)
    dims = ("y", "x", "line")[-values.ndim :]
    return xr.DataArray(values, dims=dims, coords={"line": LINES}, name="net", attrs=attrs)


def exspy_composition(values, unit):
    """Percentages of eXSpy on eager signals."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        import exspy
        from hyperspy.signals import BaseSignal

        signal = exspy.signals.EDSTEMSpectrum(np.ones((*values.shape[:-1], 8)))
        signal.set_microscope_parameters(
            azimuth_angle=0, elevation_angle=20, tilt_stage=0, beam_energy=200
        )
        intensities = []
        for number, name in enumerate(LINES):
            one = BaseSignal(values[..., number].copy()).transpose(signal_axes=0)
            one.metadata.set_item("Sample.elements", [name.split("_")[0]])
            one.metadata.set_item("Sample.xray_lines", [name])
            intensities.append(one)
        found = signal.quantification(
            intensities,
            method="CL",
            factors=[FACTORS[name] for name in LINES],
            composition_units=unit,
            navigation_mask=None,
        )
    return np.stack([one.data for one in found], axis=-1)


@pytest.mark.parametrize("unit", ["weight", "atomic"])
def test_maps_equal_exspy(unit):
    rng = np.random.default_rng(0)
    values = rng.normal(40.0, 30.0, (9, 11, 4))
    values[0, 0] = 0.0
    values[0, 1] = [0.0, 0.0, 17.0, 0.0]
    values[0, 2] = [0.05, 0.0, 17.0, 0.0]
    values[0, 3] = [5.0, 0.0, 17.0, 0.0]
    net = make_net(values)
    expected = exspy_composition(values, unit)
    found = cliff_lorimer(net, FACTORS, unit=unit)
    assert found["composition"].dims == ("y", "x", "element")
    assert found["composition"]["element"].to_numpy().tolist() == ["Al", "O", "Si", "Fe"]
    np.testing.assert_allclose(found["composition"], expected, rtol=1e-9, atol=1e-9)
    lazy = cliff_lorimer(net.chunk(y=4, x=3, line=2), FACTORS, unit=unit)
    assert isinstance(lazy["composition"].data, da.Array)
    np.testing.assert_array_equal(lazy["composition"], found["composition"])


def test_a_map_from_counts_to_composition_equals_exspy():
    counts = np.random.default_rng(1).poisson(0.4, (7, 9, AXIS.size)).astype(np.uint8)
    counts[..., 170:180] += 2
    metadata = MapMetadata(instrument="TEM")
    image = SpectrumImage(ArraySource(counts, (128, 128)), AXIS, metadata=metadata)
    maps = net_line_intensity(image, LINES)
    found = cliff_lorimer(maps, FACTORS)
    assert isinstance(found["composition"].data, da.Array)
    assert found.attrs["statement"] == STATEMENTS["TEM"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import exspy

        signal = exspy.signals.EDSTEMSpectrum(counts.astype(float))
        axis = signal.axes_manager[-1]
        axis.scale, axis.units = AXIS.scale_kev, "keV"
        signal.set_microscope_parameters(
            energy_resolution_MnKa=130.0, beam_energy=200, azimuth_angle=0, elevation_angle=20,
            tilt_stage=0,
        )  # fmt: skip
        sides = signal.estimate_background_windows(xray_lines=LINES)
        nets = signal.get_lines_intensity(LINES, background_windows=sides, only_one=False)
        names = [str(one.metadata.Sample.xray_lines[0]) for one in nets]
        theirs = signal.quantification(
            nets,
            method="CL",
            factors=[FACTORS[name] for name in names],
            composition_units="weight",
            navigation_mask=None,
        )
    for name, one in zip(names, theirs, strict=True):
        ours = found["composition"].sel(element=name.split("_")[0])
        np.testing.assert_allclose(ours, one.data, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("unit", ["weight", "atomic"])
def test_errors_hold_by_chance(unit):
    rng = np.random.default_rng(2)
    true = np.array([3000.0, 8000.0, 5000.0, 900.0])
    draws = rng.normal(true, np.sqrt(true), (20_000, 4))
    factors = rng.normal([FACTORS[name] for name in LINES], 0.02, (20_000, 4))
    single = make_net(true).to_dataset().assign(net_error=make_net(np.sqrt(true)))
    spread = dict.fromkeys(LINES, 0.02)
    for given_factors, given_spread in ((FACTORS, None), (factors, spread)):
        result = cliff_lorimer(single, FACTORS, unit=unit, k_factor_errors=given_spread)
        if given_spread is None:
            repeated = cliff_lorimer(make_net(draws).rename(x="draw"), given_factors, unit=unit)
            scatter = repeated["composition"].std("draw")
        else:
            per_k = draws * given_factors / np.array([FACTORS[name] for name in LINES])
            repeated = cliff_lorimer(make_net(per_k).rename(x="draw"), FACTORS, unit=unit)
            scatter = repeated["composition"].std("draw")
        np.testing.assert_allclose(result["composition_error"], scatter, rtol=0.03)


def test_a_diagonal_covariance_gives_the_errors():
    rng = np.random.default_rng(3)
    values, errors = rng.uniform(10, 90, (2, 5, 4))
    net = make_net(values)
    plain = net.to_dataset().assign(net_error=make_net(errors))
    squares = xr.DataArray(
        np.einsum("...i,ij->...ij", errors**2, np.eye(4)), dims=("x", "line", "line_2")
    )
    options = {"k_factor_errors": {"Fe_Ka": 0.1}}
    expected = cliff_lorimer(plain, FACTORS, **options)["composition_error"]
    found = cliff_lorimer(plain.assign(net_covariance=squares), FACTORS, **options)
    np.testing.assert_allclose(found["composition_error"], expected, rtol=1e-9)


def test_errors_of_factors_alone():
    found = cliff_lorimer(make_net([50, 60, 70, 80]), FACTORS, k_factor_errors={"O_Ka": 0.2})
    moved = FACTORS | {"O_Ka": FACTORS["O_Ka"] + 1e-5}
    slope = cliff_lorimer(make_net([50, 60, 70, 80]), moved)["composition"] - found["composition"]
    np.testing.assert_allclose(found["composition_error"], abs(slope) * 0.2 / 1e-5, rtol=1e-3)


def test_phases_by_windows_and_by_fit():
    counts = np.random.default_rng(4).poisson(30.0, (3, AXIS.size))
    for name_energy, area in ((1.4865, 9), (0.5249, 20), (1.7397, 30), (6.4039, 9)):
        counts[:, AXIS.channel(name_energy) - 4 : AXIS.channel(name_energy) + 5] += area * 20
    spectra = xr.DataArray(
        counts,
        dims=("phase", "energy"),
        coords={"phase": [2, 5, 7], "energy": AXIS.values},
        attrs={"instrument": "SEM"},
    )
    windows = cliff_lorimer(net_lines(spectra, LINES), FACTORS, instrument="SEM")
    fitted = cliff_lorimer(fit_lines(spectra, LINES), FACTORS, unit="atomic")
    for found in (windows, fitted):
        assert found["composition"].dims == ("phase", "element")
        assert found["phase"].to_numpy().tolist() == [2, 5, 7]
        np.testing.assert_allclose(found["composition"].sum("element"), 100.0)
        assert (found["composition_error"] > 0).all()
        assert (found["detection_limit"] > 0).all()
        assert found["line"].to_numpy().tolist() == LINES
    limits = net_lines(spectra, LINES)["detection_limit"]
    factors = np.array([FACTORS[name] for name in LINES])
    total = (net_lines(spectra, LINES)["net"] * factors).sum("line").to_numpy()[:, None]
    np.testing.assert_allclose(windows["detection_limit"], 100 * limits * factors / total)
    assert windows.attrs["statement"] == STATEMENTS["SEM"]
    assert "no ZAF" in windows.attrs["statement"]
    assert fitted.attrs["statement"] == STATEMENTS["SEM"]  # of the spectra
    unknown = cliff_lorimer(net_lines(spectra.drop_attrs(), LINES), FACTORS)
    assert STATEMENTS["SEM"] in unknown.attrs["statement"]  # both are said
    assert STATEMENTS["TEM"] in unknown.attrs["statement"]
    assert (windows.attrs["units"], fitted.attrs["units"]) == ("wt%", "at%")


def test_shares_below_a_tenth_are_divided():
    counts = make_net([50.0, 60.0, 70.0, 80.0])
    shares = (counts / 10_000).assign_attrs(units="share")
    np.testing.assert_allclose(
        cliff_lorimer(shares, FACTORS)["composition"], cliff_lorimer(counts, FACTORS)["composition"]
    )


def test_nothing_measured_has_no_error_and_nan_stays():
    values = make_net([[0.0] * 4, [np.nan, 4.0, 5.0, 6.0]])
    found = cliff_lorimer(values.to_dataset().assign(net_error=values * 0 + 1.0), FACTORS)
    assert (found["composition"][0] == 0).all()
    assert np.isnan(found["composition_error"]).all()
    assert np.isnan(found["composition"][1]).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 100.0), min_size=4, max_size=4))
def test_conversions_undo_each_other_and_agree_with_the_units(values):
    weight = cliff_lorimer(make_net(values), FACTORS, min_intensity=0)["composition"]
    atomic = cliff_lorimer(make_net(values), FACTORS, min_intensity=0, unit="atomic")["composition"]
    np.testing.assert_allclose(weight_to_atomic(weight), atomic, rtol=1e-9)
    np.testing.assert_allclose(atomic_to_weight(atomic), weight, rtol=1e-9)


def test_conversion_of_quartz_and_of_nothing():
    quartz = xr.DataArray(
        [[46.7435, 53.2565], [0.0, 0.0]], dims=("x", "element"), coords={"element": ["Si", "O"]}
    )
    found = weight_to_atomic(quartz.chunk(x=1))
    assert isinstance(found.data, da.Array)
    np.testing.assert_allclose(found, [[33.333, 66.667], [0, 0]], atol=2e-3)
    assert found.attrs["units"] == "at%"
    with pytest.raises(ParameterError, match="element"):
        weight_to_atomic(quartz.rename(element="line"))
    with pytest.raises(UnknownLineError):
        weight_to_atomic(quartz.assign_coords(element=["Si", "Xx"]))


def test_tables_of_k_factors(tmp_path):
    path = tmp_path / "k.csv"
    path.write_text("# 200 kV\nline, k_factor, error\nSi_Ka, 1.0, 0\nFe_Ka, 1.35, 0.01\n")
    assert read_k_factors(path) == {"Si_Ka": 1.0, "Fe_Ka": 1.35}
    path.write_text("k_factor\tline\n1.97\tO_Ka\n")
    assert read_k_factors(path) == {"O_Ka": 1.97}
    path.write_text("line,k_factor\n" + "".join(f"{k},{v}\n" for k, v in FACTORS.items()))
    net = make_net([50.0, 60.0, 70.0, 80.0])
    np.testing.assert_array_equal(
        cliff_lorimer(net, path)["composition"], cliff_lorimer(net, FACTORS)["composition"]
    )
    for text, message in (
        ("line,factor\nSi_Ka,1\n", "no column k_factor"),
        ("line,k_factor\nSi_Ka,1\nSi_Ka,2\n", "Si_Ka more than once"),
        ("line,k_factor\nSi_Ka,high\n", "no number as the k-factor of Si_Ka"),
        ("", "can't be read"),
    ):
        path.write_text(text)
        with pytest.raises(FileFormatError, match=message):
            read_k_factors(path)
    with pytest.raises(SourceNotFoundError, match=r"none\.csv"):
        read_k_factors(tmp_path / "none.csv")


def test_bad_input_is_named():
    net = make_net([50.0, 60.0, 70.0, 80.0])
    with pytest.raises(ParameterError, match="no k-factors for Al_Ka, Fe_Ka"):
        cliff_lorimer(net, {"O_Ka": 1.0, "Si_Ka": 1.0})
    with pytest.raises(ParameterError, match=r"positive k-factor: Si_Ka: 0\.0"):
        cliff_lorimer(net, FACTORS | {"Si_Ka": 0.0})
    with pytest.raises(ParameterError, match="error of the k-factor: O_Ka"):
        cliff_lorimer(net, FACTORS, k_factor_errors={"O_Ka": -1.0})
    with pytest.raises(ParameterError, match="at least two elements, got O_Ka"):
        cliff_lorimer(net[1:2], FACTORS)
    twice = net.assign_coords(line=["Fe_Ka", "O_Ka", "Si_Ka", "Fe_La"])
    with pytest.raises(ParameterError, match="Fe_Ka and Fe_La are lines of one element"):
        cliff_lorimer(twice, FACTORS)
    with pytest.raises(ParameterError, match="'mass'"):
        cliff_lorimer(net, FACTORS, unit="mass")
    with pytest.raises(ParameterError, match="dimension 'line'"):
        cliff_lorimer(net.rename(line="feature"), FACTORS)


def make_standard(**changes):
    known = {"net": 20_000.0, "net_error": 200.0, "live_time_s": 10.0, "beam_current_na": 2.0}
    return Standard(**(known | changes))


def test_k_ratios_by_hand():
    net = make_net([[500.0, 900.0, 0.0, 100.0]], units="counts")
    data = net.to_dataset().assign(net_error=make_net([[25.0, 30.0, 4.0, 10.0]]))
    standards = dict.fromkeys(LINES, make_standard()) | {
        "Fe_Ka": make_standard(net=5000.0, weight_percent=70.0)
    }
    found = k_ratios(data, standards, live_time_s=1.5, beam_current_na=1.0)
    expected = np.array([500, 900, 0, 100]) / 1.5 / np.array([1000, 1000, 1000, 250])
    np.testing.assert_allclose(found["k_ratio"][0], expected)
    content = np.array([100, 100, 100, 70])
    np.testing.assert_allclose(found["weight_percent"][0], expected * content)
    assert found["total"].item() == pytest.approx((expected * content).sum())
    relative = np.hypot(25 / 500, 0.01)
    assert found["k_ratio_error"][0, 0].item() == pytest.approx(expected[0] * relative)
    assert found["weight_percent_error"][0, 3].item() == pytest.approx(
        expected[3] * 70 * np.hypot(0.1, 0.04)
    )
    assert "no ZAF" in found.attrs["statement"]
    lazy = k_ratios(data.chunk(), standards, live_time_s=1.5, beam_current_na=1.0)
    assert isinstance(lazy["k_ratio"].data, da.Array)
    np.testing.assert_allclose(lazy["k_ratio"], found["k_ratio"])


def test_live_times_of_phases():
    data = make_net(np.full((2, 4), 100.0)).rename(x="phase").to_dataset()
    live = xr.DataArray([1.0, 2.0], dims="phase")
    standards = dict.fromkeys(LINES, make_standard())
    found = k_ratios(data, standards, live_time_s=live, beam_current_na=1.0)
    assert found["k_ratio"].dims == ("phase", "line")
    np.testing.assert_allclose(found["k_ratio"][0], 2 * found["k_ratio"][1])


def test_a_standard_from_its_own_spectrum_has_the_ratio_one():
    counts = np.random.default_rng(6).poisson(20.0, AXIS.size)
    counts[165:185] += 900
    spectrum = xr.DataArray(
        counts, dims="energy", coords={"energy": AXIS.values}, attrs={"live_time_s": 7.0}
    )
    net = net_lines(spectrum, ["Si_Ka", "Al_Ka"]).sel(line=["Si_Ka"])
    standard = Standard.from_spectrum(
        spectrum, "Si_Ka", lines=["Si_Ka", "Al_Ka"], beam_current_na=3.0
    )
    assert standard.net == net["net"].item()
    assert standard.net_error == net["net_error"].item()
    found = k_ratios(net, {"Si_Ka": standard}, live_time_s=7.0, beam_current_na=3.0)
    assert found["k_ratio"].item() == pytest.approx(1.0)
    with pytest.raises(ParameterError, match="Si_Ka needs its beam_current_na"):
        Standard.from_spectrum(spectrum, "Si_Ka")


def test_bad_standards_are_named():
    data = make_net([500.0, 900.0, 3.0, 100.0]).to_dataset()
    some = {"O_Ka": make_standard(), "Si_Ka": make_standard()}
    full = dict.fromkeys(LINES, make_standard())
    with pytest.raises(ParameterError, match="no standards for Al_Ka, Fe_Ka"):
        k_ratios(data, some, live_time_s=1.0, beam_current_na=1.0)
    with pytest.raises(ParameterError, match="live_time_s must be positive"):
        k_ratios(data, full, live_time_s=0.0, beam_current_na=1.0)
    with pytest.raises(ParameterError, match="shares of the total"):
        k_ratios(
            make_net([0.1, 0.2, 0.3, 0.4], units="share").to_dataset(), full,
            live_time_s=1.0, beam_current_na=1.0,
        )  # fmt: skip
    with pytest.raises(ParameterError, match="variable 'net'"):
        k_ratios(data.rename(net="gross"), full, live_time_s=1.0, beam_current_na=1.0)
    with pytest.raises(ParameterError, match="several lines of Fe"):
        k_ratios(
            data.assign_coords(line=["Fe_Ka", "O_Ka", "Si_Ka", "Fe_La"]),
            full | {"Fe_La": make_standard()}, live_time_s=1.0, beam_current_na=1.0,
        )  # fmt: skip
    for changes, message in (
        ({"net": 0.0}, "positive net"),
        ({"weight_percent": 101.0}, "100 or less"),
        ({"net_error": -1.0}, "0 or more"),
    ):
        with pytest.raises(ParameterError, match=message):
            make_standard(**changes)
