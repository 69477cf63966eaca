import warnings

import numpy as np
import pytest
import xarray as xr

from sigma_scale.errors import EnergyRangeError, ParameterError, UnknownLineError
from sigma_scale.phases.elements import (
    background_windows,
    element_evidence,
    element_summary,
    guess_elements,
)
from sigma_scale.xray import fwhm_kev, line_energy

SCALE = 0.01
ENERGY = np.arange(1024) * SCALE
LINES = ["O_Ka", "Na_Ka", "Mg_Ka", "Al_Ka", "Si_Ka", "K_Ka", "Ca_Ka", "Ti_Ka", "Fe_Ka"]


def expected(areas: dict[str, float], background: float = 20.0) -> np.ndarray:
    counts = background * (10.3 - ENERGY)
    for name, area in areas.items():
        sigma = fwhm_kev(line_energy(name)) / 2.3548
        peak = np.exp(-0.5 * ((ENERGY - line_energy(name)) / sigma) ** 2)
        counts = counts + area * peak / peak.sum()
    return counts


def spectrum(counts: np.ndarray, **attrs: float) -> xr.DataArray:
    return xr.DataArray(counts, dims="energy", coords={"energy": ENERGY}, attrs=attrs)


def noisy(areas: dict[str, float], seed: int = 0) -> xr.DataArray:
    return spectrum(np.random.default_rng(seed).poisson(expected(areas)))


def exspy_signal(counts: np.ndarray, resolution: float) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import exspy

        signal = exspy.signals.EDSSEMSpectrum(counts.astype(float))
    axis = signal.axes_manager[-1]
    axis.scale, axis.units = SCALE, "keV"
    signal.set_microscope_parameters(beam_energy=15, energy_resolution_MnKa=resolution)
    return signal


@pytest.mark.parametrize("resolution", [130.0, 145.0])
@pytest.mark.parametrize("lines", [LINES, ["Fe_Ka"], ["Si_Ka", "Al_Ka", "Fe_Ka"]])
def test_nets_are_exspys_line_intensities(lines: list[str], resolution: float) -> None:
    counts = np.random.default_rng(0).poisson(expected({"Si_Ka": 5000, "Fe_Ka": 900}))
    signal = exspy_signal(counts, resolution)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sides = signal.estimate_background_windows(xray_lines=lines)
        nets = signal.get_lines_intensity(lines, background_windows=sides, only_one=False)
        gross = signal.get_lines_intensity(lines, only_one=False)
    ours = guess_elements(spectrum(counts), lines, resolution_mn_ka_ev=resolution)
    np.testing.assert_allclose(background_windows(lines, resolution_mn_ka_ev=resolution), sides)
    by_line = {s.metadata.Sample.xray_lines[0]: s.data.item() for s in nets}
    assert ours["net"].to_dict() == pytest.approx(by_line)
    assert ours["gross"].tolist() == [
        {s.metadata.Sample.xray_lines[0]: s.data.item() for s in gross}[name] for name in lines
    ]


def test_net_counts_scatter_as_their_sigma_says() -> None:
    areas = {"Si_Ka": 3000.0, "Fe_Ka": 500.0}
    tables = [guess_elements(noisy(areas, seed), LINES) for seed in range(200)]
    for name in ("Si_Ka", "Fe_Ka", "Ti_Ka"):
        nets = np.array([table.loc[name, "net"] for table in tables])
        sigma = np.mean([table.loc[name, "sigma"] for table in tables])
        assert nets.std() == pytest.approx(sigma, rel=0.2)
    # 98 % of a Gaussian lies within one FWHM of its centre on either side
    nets = [table.loc["Fe_Ka", "net"] for table in tables]
    assert np.mean(nets) == pytest.approx(0.98 * 500, rel=0.05)
    absent = [table.loc["Ti_Ka", "significance"] for table in tables]
    assert abs(np.mean(absent)) < 0.3


def test_columns() -> None:
    table = guess_elements(noisy({"Si_Ka": 3000.0}), ["Si_Ka", "Fe_Ka"])
    assert list(table.index) == ["Si_Ka", "Fe_Ka"]
    assert list(table["element"]) == ["Si", "Fe"]
    assert table.loc["Si_Ka", "energy_kev"] == pytest.approx(1.7397, abs=1e-3)
    np.testing.assert_allclose(table["gross"] - table["background"], table["net"])
    np.testing.assert_allclose(table["net"] / table["sigma"], table["significance"])
    assert table["share"].sum() == pytest.approx(1)


def test_the_resolution_comes_with_the_spectrum() -> None:
    counts = expected({"Fe_Ka": 900})
    broad = guess_elements(spectrum(counts, resolution_mn_ka_ev=160.0), ["Fe_Ka"])
    explicit = guess_elements(spectrum(counts), ["Fe_Ka"], resolution_mn_ka_ev=160.0)
    assert broad.equals(explicit)
    assert not broad.equals(guess_elements(spectrum(counts), ["Fe_Ka"]))


def test_an_empty_spectrum_shows_nothing() -> None:
    table = guess_elements(spectrum(np.zeros(1024)), LINES)
    assert (table[["net", "sigma", "significance", "share"]] == 0).all(axis=None)


def test_a_side_window_beyond_the_axis_is_left_out() -> None:
    flat = spectrum(np.full(1024, 50.0))
    # Zn Ka at 8.64 keV: the axis is cut within its right window
    cut = flat[: round((line_energy("Zn_Ka") + 1.5 * fwhm_kev(8.6)) / SCALE)]
    assert guess_elements(cut, ["Zn_Ka"]).loc["Zn_Ka", "net"] == pytest.approx(0, abs=1e-6)


def test_names_the_elements_of_each_phase_by_their_counts() -> None:
    phases = {
        4: {"O_Ka": 4000.0, "Si_Ka": 9000.0},
        7: {"O_Ka": 5000.0, "Al_Ka": 3000.0, "Si_Ka": 8000.0, "Na_Ka": 1500.0},
        9: {"Ti_Ka": 6000.0, "Fe_Ka": 7000.0, "O_Ka": 2500.0},
        11: {},
    }
    spectra = xr.concat([noisy(areas) for areas in phases.values()], "phase")
    spectra = spectra.assign_coords(phase=list(phases))
    table = element_summary(spectra, LINES)
    assert table["elements"].to_dict() == {4: "Si O", 7: "Si O Al Na", 9: "Fe Ti O", 11: ""}
    assert table["main_line"].to_dict() == {4: "Si_Ka", 7: "Si_Ka", 9: "Fe_Ka", 11: ""}
    assert table.loc[4, "counts"] == spectra[0].sum()


def test_the_floor_leaves_traces_out() -> None:
    spectra = noisy({"Si_Ka": 900_000.0, "Fe_Ka": 4000.0}).expand_dims("phase")
    assert element_summary(spectra, LINES).loc[0, "elements"] == "Si"
    assert element_summary(spectra, LINES, min_share=0.001).loc[0, "elements"] == "Si Fe"


def test_bad_input_is_named() -> None:
    counts = spectrum(expected({}))
    with pytest.raises(UnknownLineError):
        guess_elements(counts, ["Xx_Ka"])
    with pytest.raises(EnergyRangeError, match="Mo_Ka"):
        guess_elements(counts, ["Mo_Ka"])
    with pytest.raises(ParameterError, match="only once"):
        guess_elements(counts, ["Fe_Ka", "Fe_Ka"])
    with pytest.raises(ParameterError, match="not counts"):
        guess_elements(-counts, ["Fe_Ka"])
    with pytest.raises(ParameterError, match="dimension and coordinate energy"):
        guess_elements(counts.drop_vars("energy"), ["Fe_Ka"])
    with pytest.raises(ParameterError, match="phase, energy"):
        element_summary(counts, ["Fe_Ka"])


def phases_of(*areas: dict[str, float]) -> xr.DataArray:
    spectra = xr.concat([noisy(one, seed) for seed, one in enumerate(areas)], "phase")
    return spectra.assign_coords(phase=np.arange(len(areas)) + 3)


def test_the_evidence_names_what_the_summary_names() -> None:
    spectra = phases_of(
        {"O_Ka": 4000.0, "Si_Ka": 9000.0}, {"Ti_Ka": 6000.0, "Fe_Ka": 7000.0, "O_Ka": 2500.0}
    )
    table = element_evidence(spectra, LINES)
    assert table.index.names == ["phase", "line"]
    assert list(table.loc[3].index) == LINES
    present = table[table["decision"] == "present"].groupby("phase")["element"].agg(set)
    summary = element_summary(spectra, LINES)["elements"].str.split().map(set)
    assert present.to_dict() == summary.to_dict() == {3: {"O", "Si"}, 4: {"Ti", "Fe", "O"}}
    silicon = table.loc[(3, "Si_Ka")]
    plain = guess_elements(spectra[0], LINES).loc["Si_Ka"]
    assert silicon["net"] == plain["net"]
    assert silicon["error"] == plain["sigma"]
    assert silicon["signal_to_noise"] == plain["significance"]
    assert silicon["fitted"] == pytest.approx(9000.0, abs=4 * silicon["fitted_error"])
    absent = table.loc[(3, "Fe_Ka")]
    assert absent["decision"] == "not detected"
    assert absent["net"] < absent["detection_limit"]


def test_a_shoulder_is_an_overlap_and_little_is_a_trace() -> None:
    spectra = phases_of({"Ti_Ka": 40_000.0, "Ti_Kb": 5000.0, "Fe_Ka": 2000.0, "Fe_Kb": 250.0})
    table = element_evidence(
        spectra, ["Ti_Ka", "V_Ka", "Fe_Ka"], min_share=0.1, beam_energy_kev=20.0
    ).loc[3]
    # Ti Kb lies 18 eV from V Ka
    assert table.loc["V_Ka", "signal_to_noise"] > 3
    assert table.loc["V_Ka", "decision"] == "overlapped"
    assert table.loc["V_Ka", "overlaps"] == "Ti_Kb"
    assert abs(table.loc["V_Ka", "fitted"]) < 5 * table.loc["V_Ka", "fitted_error"]
    assert table.loc["Fe_Ka", "decision"] == "trace"
    assert table.loc["Ti_Ka", "decision"] == "present"


def test_without_lines_they_are_found() -> None:
    spectra = phases_of({"Si_Ka": 90_000.0, "O_Ka": 40_000.0}, {"Fe_Ka": 70_000.0, "Fe_Kb": 9000.0})
    table = element_evidence(spectra, beam_energy_kev=20.0)
    assert {"Si_Ka", "O_Ka", "Fe_Ka"} <= set(table.index.unique("line"))
    present = table[table["decision"] == "present"].groupby("phase")["element"].agg(set)
    assert present[3] >= {"Si", "O"}
    assert "Fe" in present[4]
    assert "Si" not in present[4]
    nothing = element_evidence(spectra * 0)
    assert len(nothing) == 0
    assert list(nothing.columns) == list(table.columns)
    with pytest.raises(ParameterError, match="phase, energy"):
        element_evidence(spectra[0])
