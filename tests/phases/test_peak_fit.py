"""Fitted line areas against spectra of known amounts, SciPy, and eXSpy's model components."""

import warnings

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import minimize
from scipy.stats import exponnorm, norm

from sigma_scale.errors import EnergyRangeError, ParameterError, UnknownLineError
from sigma_scale.phases import peak_fit
from sigma_scale.phases.net_lines import net_lines
from sigma_scale.phases.peak_fit import fit_lines
from sigma_scale.readers import read
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


def nominal_fit(*args: object, **options: object) -> xr.Dataset:
    """The linear fit alone."""
    return fit_lines(*args, refine=False, **options)


AREAS = {"S_Ka": 4000.0, "Pb_Ma": 2500.0, "Mo_La": 3000.0, "Ti_Ka": 9000.0, "V_Ka": 1200.0}


@pytest.mark.parametrize("non_negative", [False, True])
def test_overlaps_are_resolved_without_noise(non_negative):
    counts = spectra(expected(AREAS, background=0.0) + 25.0)
    found = nominal_fit(counts, OVERLAPPING, non_negative=non_negative)
    np.testing.assert_allclose(found["net"], list(AREAS.values()), rtol=1e-5)
    np.testing.assert_allclose(found["continuum"][20:], 25.0, rtol=1e-4)
    np.testing.assert_allclose(found["fitted"][20:], counts[20:], rtol=1e-4)
    assert np.isnan(found["fitted"][:10]).all()
    # what a window can't do
    assert abs(net_lines(counts, OVERLAPPING)["net"][0] / 4000 - 1) > 0.3


def test_errors_and_chi_square_hold_by_chance() -> None:
    rng = np.random.default_rng(0)
    counts = spectra(rng.poisson(expected(AREAS), (100, ENERGY.size)))
    found = nominal_fit(counts, OVERLAPPING)
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
    found = nominal_fit(counts, OVERLAPPING).sel(line=["Pb_Ma", "Mo_La", "V_Ka"])
    np.testing.assert_allclose(found["signal_to_noise"].mean("phase"), 0.0, atol=0.6)
    assert (found["net"] < found["detection_limit"]).mean() > 0.99
    # an overlap raises the limit
    free = nominal_fit(counts[:5], ["V_Ka", "S_Ka"])["detection_limit"].sel(line="V_Ka")
    both = nominal_fit(counts[:5], ["V_Ka", "S_Ka", "Ti_Ka"])["detection_limit"].sel(line="V_Ka")
    assert (both > free * 0.5).all()


def test_it_is_the_maximum_of_poissons_likelihood() -> None:
    counts = np.random.default_rng(4).poisson(expected({"Fe_Ka": 400.0, "Mn_Ka": 200.0}, 2.0))
    options = {"energy_range": (4.0, 9.0)}
    found = nominal_fit(spectra(counts), ["Mn_Ka", "Fe_Ka"], **options)
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
    free = nominal_fit(spectra(counts), OVERLAPPING)
    held = nominal_fit(spectra(counts), OVERLAPPING, non_negative=True)
    assert (free["net"] < 0).any()
    assert (held["net"] >= 0).all()
    assert np.isfinite(held["net_error"]).all()


def test_lines_of_a_family_share_their_amount() -> None:
    counts = spectra(np.random.default_rng(6).poisson(expected({"Fe_Ka": 5000.0})))
    found = nominal_fit(counts, ["Fe_Ka", "Fe_Kb"])
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
    found = nominal_fit(counts, ["Pb_Ma", "Ti_Ka"], energy_range=(1.0, 8.0))
    np.testing.assert_allclose(found["net"], [700.0, 300.0], rtol=2e-3)


def test_attributes_and_dimensions() -> None:
    counts = np.random.default_rng(7).poisson(expected({"Fe_Ka": 5000.0}), (2, 3, ENERGY.size))
    data = xr.DataArray(
        counts,
        dims=("y", "x", "energy"),
        coords={"energy": ENERGY},
        attrs={"beam_energy_kev": 10.0},
    )
    found = nominal_fit(data, ["Fe_Ka", "Mn_Ka"])
    assert found["net"].dims == ("y", "x", "line")
    assert found["net_covariance"].dims == ("y", "x", "line", "line_2")
    assert found["reduced_chi_square"].shape == (2, 3)
    assert found.attrs["recipe"]["energy_range_kev"][1] == pytest.approx(10.0)
    one = nominal_fit(data[1, 2], ["Fe_Ka", "Mn_Ka"])
    np.testing.assert_allclose(one["net"], found["net"][1, 2], rtol=1e-9)


def test_given_variances_serve_means() -> None:
    counts = np.random.default_rng(8).poisson(expected(AREAS))
    plain = nominal_fit(spectra(counts), OVERLAPPING)
    mean = nominal_fit(
        spectra(counts / 50.0), OVERLAPPING, variance=spectra(plain["fitted"].fillna(1) / 2500.0)
    )
    np.testing.assert_allclose(mean["net"] * 50.0, plain["net"], rtol=1e-4)
    np.testing.assert_allclose(mean["net_error"] * 50.0, plain["net_error"], rtol=1e-4)


def test_an_empty_spectrum_has_nothing() -> None:
    found = nominal_fit(spectra(np.zeros(ENERGY.size)), ["Fe_Ka"])
    assert found["net"].item() == pytest.approx(0.0, abs=1e-9)
    assert np.isfinite(found["net_error"]).all()


def test_bad_input_is_named() -> None:
    counts = spectra(expected({"Fe_Ka": 100.0}))
    with pytest.raises(UnknownLineError):
        nominal_fit(counts, ["Xx_Ka"])
    with pytest.raises(EnergyRangeError, match="Mo_Ka"):
        nominal_fit(counts, ["Mo_Ka"])
    with pytest.raises(ParameterError, match="only once"):
        nominal_fit(counts, ["Fe_Ka", "Fe_Ka"])
    with pytest.raises(EnergyRangeError, match="No energies"):
        nominal_fit(counts, ["Fe_Ka"], energy_range=(20.0, 30.0))
    near = (line_energy("Fe_Ka") - 0.02, line_energy("Fe_Ka") + 0.02)
    with pytest.raises(ParameterError, match=r"5 shapes to fit to [34] channels"):
        nominal_fit(counts, ["Fe_Ka"], energy_range=near)


def test_equal_shapes_are_named() -> None:
    shape = peaks("S_Ka", 1.0)[200:280]
    design = peak_fit._Design(
        np.stack([shape, peaks("Ti_Ka", 1.0)[200:280] + 1e-6, shape], axis=1),
        ((), (), ()),
        np.array([0, 1, 2]),
        np.ones(3),
    )
    with pytest.raises(ParameterError, match="S_Ka and Pb_Ma have the same shape"):
        peak_fit._covariance(
            design.columns, np.ones(80), design, ["S_Ka", "Ti_Ka", "Pb_Ma"], np.ones(3)
        )


RESPONSE = {"resolution": 136.0, "offset": 0.006, "gain": 0.9985, "tail": 0.04}
MANY = {"O_Ka": 1.0, "S_Ka": 4.0, "Pb_Ma": 2.5, "Mo_La": 3.0, "Ti_Ka": 9.0, "V_Ka": 1.2, "Fe_Ka": 6}


def distorted(areas: dict[str, float], background: float = 30.0) -> np.ndarray:
    """Counts of a detector that is out of calibration, with tails and escape peaks."""
    energy = RESPONSE["gain"] * ENERGY + RESPONSE["offset"]
    step = RESPONSE["gain"] * SCALE
    counts = np.zeros_like(ENERGY)
    for name, area in areas.items():
        own = line(name)
        for other in lines_of(own.element):
            if other.shell != own.shell:
                continue
            whole = area * other.weight / own.weight
            escaped = 0.02 * (1.84 / other.energy_kev) ** 2 if other.energy_kev > 1.84 else 0.0
            places = [(other.energy_kev, whole)]
            if escaped:
                places.append((other.energy_kev - 1.74, whole * escaped))
            for place, (centre, amount) in enumerate(places):
                sigma = fwhm_kev(other.energy_kev, resolution_mn_ka_ev=RESPONSE["resolution"])
                sigma /= 2.3548200450309493
                share = 0.0 if place else RESPONSE["tail"]
                # A Gaussian and its convolution with an exponential of 0.1 keV below it.
                gauss = norm.pdf(energy, centre, sigma)
                tail = exponnorm.pdf(-energy, 0.1 / sigma, -centre, sigma)
                counts += amount * step * ((1 - share) * gauss + share * tail)
    return expected({}, background) + counts


def test_calibration_width_and_tails_are_refined() -> None:
    areas = {name: 2e4 * share for name, share in MANY.items()}
    counts = spectra(np.random.default_rng(9).poisson(distorted(areas)))
    found, nominal = fit_lines(counts, list(areas)), nominal_fit(counts, list(areas))
    response = found.attrs["response"]
    assert response["resolution_mn_ka_ev"] == pytest.approx(136.0, abs=0.5)
    assert response["gain"] == pytest.approx(0.9985, abs=2e-4)
    # The same energies: offset and gain make up for each other.
    at_s = response["gain"] * 2.3 + response["offset_ev"] / 1000
    assert at_s == pytest.approx(0.9985 * 2.3 + 0.006, abs=5e-4)
    assert response["tail"] == pytest.approx(0.04, abs=0.01)
    assert found["reduced_chi_square"] < 1.15
    assert nominal["reduced_chi_square"] > 5
    np.testing.assert_allclose(found["net"], list(areas.values()), rtol=0.03)
    wrong = np.abs(nominal["net"] / np.array(list(areas.values())) - 1)
    assert wrong.max() > 0.1


def test_refined_amounts_and_errors_hold_by_chance() -> None:
    areas = {name: 1500 * share for name, share in MANY.items()}
    truth = distorted(areas)
    rng = np.random.default_rng(10)
    fits = [fit_lines(spectra(rng.poisson(truth)), list(areas)) for _ in range(12)]
    net = np.array([fit["net"] for fit in fits])
    error = np.array([fit["net_error"] for fit in fits])
    pulls = (net - np.array(list(areas.values()))) / error
    assert np.sqrt((pulls**2).mean()) == pytest.approx(1.0, abs=0.3)
    np.testing.assert_allclose(pulls.mean(axis=0), 0.0, atol=0.9)
    # What the response leaves open is part of the errors.
    nominal = nominal_fit(spectra(truth), list(areas))
    linear = nominal["net_error"].to_numpy()
    bias = (nominal["net"].to_numpy() - np.array(list(areas.values()))) / linear
    assert np.abs(bias).max() > 4
    assert (error.mean(axis=0) > 0.9 * linear).all()
    assert error.mean(axis=0)[-2] > 1.02 * linear[-2]


def test_phases_share_one_response() -> None:
    both = [{"S_Ka": 6e4, "Ti_Ka": 3e4}, {"S_Ka": 50.0, "Ti_Ka": 300.0}]
    counts = np.random.default_rng(11).poisson([distorted(both[0]), distorted(both[1], 1.0)])
    found = fit_lines(spectra(counts), ["S_Ka", "Ti_Ka"])
    alone = fit_lines(spectra(counts[1]), ["S_Ka", "Ti_Ka"])
    assert found.attrs["response"]["resolution_mn_ka_ev"] == pytest.approx(136.0, abs=1.0)
    # Few counts can't tell: what is known of the detector holds.
    assert alone.attrs["response"]["resolution_mn_ka_ev"] == pytest.approx(130.0, abs=6.0)
    pulls = (found["net"][1] - np.array([50.0, 300.0])) / found["net_error"][1]
    assert (np.abs(pulls) < 3.5).all()
    turned = fit_lines(spectra(counts[::-1]), ["S_Ka", "Ti_Ka"])
    np.testing.assert_allclose(turned["net"][::-1], found["net"], rtol=1e-5)


def test_a_detector_as_known_stays_so() -> None:
    empty = fit_lines(spectra(np.zeros(ENERGY.size)), ["Fe_Ka"])
    assert empty["net"].item() == pytest.approx(0.0, abs=1e-9)
    assert empty.attrs["response"]["gain"] == 1.0
    assert fit_lines(spectra(np.zeros((0, ENERGY.size))), ["Fe_Ka"])["net"].shape == (0, 1)
    plain = nominal_fit(spectra(np.ones(ENERGY.size)), ["Fe_Ka"]).attrs["response"]
    assert not plain["escape"]


def test_real_spectra_are_described_better(real_data) -> None:
    image = read(real_data / "bcf_v2_50x50px.bcf")
    counts = image.sum_spectrum().compute().assign_attrs(beam_energy_kev=20.0)
    lines = ["C_Ka", "O_Ka", "Al_Ka", "Cu_Ka", "Ag_La"]
    before = nominal_fit(counts, lines)["reduced_chi_square"].item()
    after = fit_lines(counts, lines)["reduced_chi_square"].item()
    assert after < before / 4
