"""Fitted line areas against spectra of known amounts, SciPy, and eXSpy's model components."""

import warnings

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import minimize

from sigma_scale.errors import EnergyRangeError, ParameterError, UnknownLineError
from sigma_scale.phases import peak_fit
from sigma_scale.phases.net_lines import net_lines
from sigma_scale.phases.peak_fit import fit_lines
from sigma_scale.xray import fwhm_kev, line, line_energy, lines_of

SCALE = 0.01
ENERGY = np.arange(1200) * SCALE
OVERLAPPING = ["S_Ka", "Pb_Ma", "Mo_La", "Ti_Ka", "V_Ka"]


def peaks(name: str, area: float, resolution: float = 130.0) -> np.ndarray:
    """Peaks of a line's family, of which the line itself has the area."""
    own = line(name)
    counts = np.zeros_like(ENERGY)
    for other in lines_of(own.element):
        if other.shell == own.shell:
            sigma = fwhm_kev(other.energy_kev, resolution_mn_ka_ev=resolution) / 2.3548200450309493
            shape = np.exp(-0.5 * ((ENERGY - other.energy_kev) / sigma) ** 2)
            height = SCALE / (sigma * np.sqrt(2 * np.pi))
            counts += area * other.weight / own.weight * height * shape
    return counts


def expected(areas: dict[str, float], background: float = 30.0) -> np.ndarray:
    counts = background * np.clip(12.5 - ENERGY, 0, None) * (1 - np.exp(-ENERGY / 0.8))
    return counts + sum((peaks(name, area) for name, area in areas.items()), start=0.0)


def spectra(counts: np.ndarray, **attrs: float) -> xr.DataArray:
    dims = ("phase", "energy")[-counts.ndim :]
    return xr.DataArray(counts, dims=dims, coords={"energy": ENERGY}, attrs=attrs)


AREAS = {"S_Ka": 4000.0, "Pb_Ma": 2500.0, "Mo_La": 3000.0, "Ti_Ka": 9000.0, "V_Ka": 1200.0}


@pytest.mark.parametrize("non_negative", [False, True])
def test_overlaps_are_resolved_without_noise(non_negative):
    counts = spectra(expected(AREAS, background=0.0) + 25.0)
    found = fit_lines(counts, OVERLAPPING, non_negative=non_negative)
    np.testing.assert_allclose(found["net"], list(AREAS.values()), rtol=1e-5)
    np.testing.assert_allclose(found["continuum"][20:], 25.0, rtol=1e-4)
    np.testing.assert_allclose(found["fitted"][20:], counts[20:], rtol=1e-4)
    assert np.isnan(found["fitted"][:10]).all()
    # what a window can't do
    assert abs(net_lines(counts, OVERLAPPING)["net"][0] / 4000 - 1) > 0.3


def test_errors_and_chi_square_hold_by_chance() -> None:
    rng = np.random.default_rng(0)
    counts = spectra(rng.poisson(expected(AREAS), (100, ENERGY.size)))
    found = fit_lines(counts, OVERLAPPING)
    pulls = (found["net"] - np.array(list(AREAS.values()))) / found["net_error"]
    np.testing.assert_allclose(pulls.std("phase"), 1.0, atol=0.25)
    np.testing.assert_allclose(pulls.mean("phase"), 0.0, atol=0.35)
    assert found["reduced_chi_square"].mean().item() == pytest.approx(1.0, abs=0.02)
    measured = np.corrcoef(found["net"].to_numpy().T)
    predicted = found["net_covariance"].mean("phase").to_numpy()
    spread = np.sqrt(np.diag(predicted))
    np.testing.assert_allclose(measured, predicted / spread / spread[:, None], atol=0.3)
    assert measured[0, 2] < -0.3, measured  # S and Mo do compete


def test_an_absent_line_under_another_is_not_found() -> None:
    rng = np.random.default_rng(2)
    areas = {"S_Ka": 4000.0, "Ti_Ka": 9000.0}
    counts = spectra(rng.poisson(expected(areas), (40, ENERGY.size)))
    found = fit_lines(counts, OVERLAPPING).sel(line=["Pb_Ma", "Mo_La", "V_Ka"])
    np.testing.assert_allclose(found["signal_to_noise"].mean("phase"), 0.0, atol=0.6)
    assert (found["net"] < found["detection_limit"]).mean() > 0.99
    # an overlap raises the limit
    free = fit_lines(counts[:5], ["V_Ka", "S_Ka"])["detection_limit"].sel(line="V_Ka")
    both = fit_lines(counts[:5], ["V_Ka", "S_Ka", "Ti_Ka"])["detection_limit"].sel(line="V_Ka")
    assert (both > free * 0.5).all()


def test_it_is_the_maximum_of_poissons_likelihood() -> None:
    counts = np.random.default_rng(4).poisson(expected({"Fe_Ka": 400.0, "Mn_Ka": 200.0}, 2.0))
    options = {"energy_range": (4.0, 9.0)}
    found = fit_lines(spectra(counts), ["Mn_Ka", "Fe_Ka"], **options)
    inside = (ENERGY >= 4.0) & (ENERGY <= 9.0)
    columns = np.stack([peaks("Mn_Ka", 1.0), peaks("Fe_Ka", 1.0)], axis=1)[inside]
    continuum = found["continuum"].to_numpy()[inside]

    def loss(amounts: np.ndarray) -> float:
        model = columns @ amounts + continuum
        return float((model - counts[inside] * np.log(model)).sum())

    best = minimize(loss, found["net"].to_numpy() * 0.9, method="Nelder-Mead", tol=1e-7)
    np.testing.assert_allclose(found["net"], best.x, rtol=2e-3)


def test_non_negative_amounts_are_not_negative() -> None:
    counts = np.random.default_rng(5).poisson(expected({"Ti_Ka": 3000.0}), (10, ENERGY.size))
    free = fit_lines(spectra(counts), OVERLAPPING)
    held = fit_lines(spectra(counts), OVERLAPPING, non_negative=True)
    assert (free["net"] < 0).any()
    assert (held["net"] >= 0).all()
    assert np.isfinite(held["net_error"]).all()


def test_lines_of_a_family_share_their_amount() -> None:
    counts = spectra(np.random.default_rng(6).poisson(expected({"Fe_Ka": 5000.0})))
    found = fit_lines(counts, ["Fe_Ka", "Fe_Kb"])
    ratio = line("Fe_Kb").weight
    assert found["net"][1] == pytest.approx(ratio * found["net"][0])
    assert found["net_error"][1] == pytest.approx(ratio * found["net_error"][0])


def test_shapes_are_those_of_exspys_model() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import exspy

        signal = exspy.signals.EDSSEMSpectrum(np.zeros(ENERGY.size))
        axis = signal.axes_manager[-1]
        axis.scale, axis.units = SCALE, "keV"
        signal.set_microscope_parameters(beam_energy=30, energy_resolution_MnKa=130.0)
        signal.set_elements(["Pb", "Ti"])
        signal.set_lines(["Pb_Ma", "Ti_Ka"])
        model = signal.create_model(auto_background=False, auto_add_lines=True)
        model["Pb_Ma"].A.value = 700.0
        model["Ti_Ka"].A.value = 300.0
        # Gaussians of eXSpy hold their area in keV; the lines of a family are twins of the first.
        theirs = SCALE * sum(component.function(ENERGY) for component in model)
    counts = spectra(theirs + 5.0)
    found = fit_lines(counts, ["Pb_Ma", "Ti_Ka"], energy_range=(1.0, 8.0))
    np.testing.assert_allclose(found["net"], [700.0, 300.0], rtol=2e-3)


def test_attributes_and_dimensions() -> None:
    counts = np.random.default_rng(7).poisson(expected({"Fe_Ka": 5000.0}), (2, 3, ENERGY.size))
    data = xr.DataArray(
        counts,
        dims=("y", "x", "energy"),
        coords={"energy": ENERGY},
        attrs={"beam_energy_kev": 10.0},
    )
    found = fit_lines(data, ["Fe_Ka", "Mn_Ka"])
    assert found["net"].dims == ("y", "x", "line")
    assert found["net_covariance"].dims == ("y", "x", "line", "line_2")
    assert found["reduced_chi_square"].shape == (2, 3)
    assert found.attrs["recipe"]["energy_range_kev"][1] == pytest.approx(10.0)
    one = fit_lines(data[1, 2], ["Fe_Ka", "Mn_Ka"])
    np.testing.assert_allclose(one["net"], found["net"][1, 2], rtol=1e-9)


def test_given_variances_serve_means() -> None:
    counts = np.random.default_rng(8).poisson(expected(AREAS))
    plain = fit_lines(spectra(counts), OVERLAPPING)
    mean = fit_lines(
        spectra(counts / 50.0), OVERLAPPING, variance=spectra(plain["fitted"].fillna(1) / 2500.0)
    )
    np.testing.assert_allclose(mean["net"] * 50.0, plain["net"], rtol=1e-4)
    np.testing.assert_allclose(mean["net_error"] * 50.0, plain["net_error"], rtol=1e-4)


def test_an_empty_spectrum_has_nothing() -> None:
    found = fit_lines(spectra(np.zeros(ENERGY.size)), ["Fe_Ka"])
    assert found["net"].item() == pytest.approx(0.0, abs=1e-9)
    assert np.isfinite(found["net_error"]).all()


def test_bad_input_is_named() -> None:
    counts = spectra(expected({"Fe_Ka": 100.0}))
    with pytest.raises(UnknownLineError):
        fit_lines(counts, ["Xx_Ka"])
    with pytest.raises(EnergyRangeError, match="Mo_Ka"):
        fit_lines(counts, ["Mo_Ka"])
    with pytest.raises(ParameterError, match="only once"):
        fit_lines(counts, ["Fe_Ka", "Fe_Ka"])
    with pytest.raises(EnergyRangeError, match="No energies"):
        fit_lines(counts, ["Fe_Ka"], energy_range=(20.0, 30.0))
    near = (line_energy("Fe_Ka") - 0.02, line_energy("Fe_Ka") + 0.02)
    with pytest.raises(ParameterError, match=r"5 shapes to fit to [34] channels"):
        fit_lines(counts, ["Fe_Ka"], energy_range=near)


def test_equal_shapes_are_named() -> None:
    shape = peaks("S_Ka", 1.0)[200:280]
    design = peak_fit._Design(
        np.stack([shape, peaks("Ti_Ka", 1.0)[200:280] + 1e-6, shape], axis=1),
        3,
        np.array([0, 1, 2]),
        np.ones(3),
    )
    with pytest.raises(ParameterError, match="S_Ka and Pb_Ma have the same shape"):
        peak_fit._covariance(design.columns, np.ones(80), design, ["S_Ka", "Ti_Ka", "Pb_Ma"])
