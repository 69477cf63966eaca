from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sigma_scale import xray
from sigma_scale.errors import ParameterError, ShapeMismatchError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ENERGY = -0.2 + 0.01 * np.arange(2048)


def peak(energy: float, area: float, resolution: float = 130.0) -> NDArray[np.float64]:
    """Gaussian written out here, so that it is no copy of the package's own."""
    sigma = np.sqrt(2500 * (energy - 5.8987) + resolution**2) / 2354.82
    height = area * 0.01 / (sigma * np.sqrt(2 * np.pi))
    return height * np.exp(-(((ENERGY - energy) / sigma) ** 2) / 2)


def spectrum(families: dict[str, float], *, seed: int = 0, beam: float = 20.0) -> NDArray[np.int64]:
    """Families such as ``Pb_M``, given by the area of their main line, over Bremsstrahlung."""
    positive = np.maximum(ENERGY, 0.01)
    continuum = 8.0 * (beam - positive) / positive * np.exp(-((0.6 / positive) ** 1.5))
    expected = np.where((ENERGY > 0.02) & (beam > ENERGY), continuum, 0.0)
    expected += 5e4 * np.exp(-0.5 * (ENERGY / 0.025) ** 2)
    for name, area in families.items():
        element, shell = name.split("_")
        for item in xray.lines_of(element):
            if item.shell == shell:
                expected += peak(item.energy_kev, area * item.weight)
    return np.random.default_rng(seed).poisson(expected)


def elements(lines: list[str]) -> set[str]:
    return {name.partition("_")[0] for name in lines}


def read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    from rsciio.bruker import file_reader

    signal: dict[str, Any] = file_reader(path, select_type="spectrum_image")[0]
    axis = signal["axes"][-1]
    instrument = signal["metadata"]["Acquisition_instrument"]
    (microscope,) = instrument.values()
    energy = axis["offset"] + axis["scale"] * np.arange(axis["size"])
    return signal["data"].sum(axis=(0, 1)), energy, float(microscope["beam_energy"])


@pytest.mark.parametrize("known_beam", [True, False])
def test_the_rock_shows_its_ten_elements_and_no_other(real_data: Path, known_beam: bool) -> None:  # noqa: FBT001
    counts, energy, beam = read(real_data / "P45_the_default_job.bcf")
    lines = xray.suggest_lines(counts, energy, beam_energy_kev=beam if known_beam else None)
    assert lines == [
        f"{symbol}_Ka" for symbol in ("C", "O", "Na", "Mg", "Al", "Si", "K", "Ca", "Ti", "Fe")
    ]


@pytest.mark.parametrize(
    ("file", "named", "extras"),
    [
        ("Hitachi_TM3030Plus.bcf", {"C_Ka", "O_Ka", "Al_Ka", "Cu_Ka"}, 0),
        # further small peaks at 1.25 (Mg) and 1.74 keV (Si) are plain to see
        ("bcf_v2_50x50px.bcf", {"C_Ka", "O_Ka", "Al_Ka", "Cu_Ka", "Ag_La"}, 2),
        # Cu, also named by the file, has some 20 counts at 8.05 keV: not enough to be sure.
        # Si is the strongest peak, and one at 2.6 keV would be Cl.
        ("test_TEM.bcf", {"O_Ka", "Ti_Ka", "Pd_La"}, 2),
    ],
)
def test_real_files_show_what_they_name(
    real_data: Path, file: str, named: set[str], extras: int
) -> None:
    counts, energy, beam = read(real_data / file)
    lines = set(xray.suggest_lines(counts, energy, beam_energy_kev=beam))
    assert named <= lines
    assert len(lines - named) <= extras


def test_a_calibration_that_is_off_by_a_channel_does_no_harm(real_data: Path) -> None:
    for file in ("P45_the_default_job.bcf", "Hitachi_TM3030Plus.bcf"):
        counts, energy, beam = read(real_data / file)
        right = xray.suggest_lines(counts, energy, beam_energy_kev=beam)
        for shift in (-0.005, 0.01):
            assert xray.suggest_lines(counts, energy + shift, beam_energy_kev=beam) == right


@pytest.mark.parametrize(
    ("peaks", "expected"),
    [
        # lead, not sulphur: the M lines are at 2.346 and 2.443 keV
        ({"Pb_M": 60e3, "Pb_L": 6e3}, {"Pb"}),
        ({"S_K": 60e3, "Zn_K": 8e3, "Zn_L": 9e3}, {"S", "Zn"}),
        # molybdenum, not sulphur: a second line at 2.395 keV
        ({"Mo_L": 60e3, "O_K": 2e4}, {"Mo", "O"}),
        # titanium's Kb is no vanadium, iron's no cobalt
        ({"Ti_K": 80e3, "O_K": 3e4}, {"Ti", "O"}),
        ({"Fe_K": 80e3, "Fe_L": 30e3}, {"Fe"}),
        # magnesium and aluminium, not arsenic and bromine, whose K lines are missing
        ({"Mg_K": 50e3, "Al_K": 50e3, "O_K": 4e4}, {"Mg", "Al", "O"}),
        # sodium, not zinc, and zinc, not sodium
        ({"Na_K": 40e3, "Cl_K": 50e3}, {"Na", "Cl"}),
        ({"Zn_L": 40e3, "Zn_K": 20e3}, {"Zn"}),
        # silicon, neither tantalum nor tungsten, and the other way round
        ({"Si_K": 90e3, "C_K": 1e4}, {"C", "Si"}),
        ({"W_M": 60e3, "W_L": 8e3, "C_K": 1e4}, {"C", "W"}),
    ],
)
def test_overlaps_are_told_apart(peaks: dict[str, float], expected: set[str]) -> None:
    lines = xray.suggest_lines(spectrum(peaks), ENERGY, beam_energy_kev=20.0)
    assert elements(lines) == expected


def test_continuum_alone_shows_no_element() -> None:
    for seed in range(5):
        assert xray.suggest_lines(spectrum({}, seed=seed), ENERGY, beam_energy_kev=20.0) == []


def test_a_peak_below_the_noise_is_not_proposed_and_a_clear_one_is() -> None:
    for area, there in ((30.0, False), (3000.0, True)):
        lines = xray.suggest_lines(spectrum({"Fe_K": area}), ENERGY, beam_energy_kev=20.0)
        assert ("Fe_Ka" in lines) is there


def test_the_line_follows_the_beam_and_the_axis() -> None:
    copper = {"Cu_L": 40e3}
    weak = spectrum(copper, beam=6.0)
    assert xray.suggest_lines(weak, ENERGY, beam_energy_kev=6.0) == ["Cu_La"]
    strong = spectrum({**copper, "Cu_K": 20e3})
    assert xray.suggest_lines(strong, ENERGY, beam_energy_kev=20.0) == ["Cu_Ka"]
    short = ENERGY < 5.0
    assert xray.suggest_lines(strong[short], ENERGY[short], beam_energy_kev=20.0) == ["Cu_La"]


def test_the_strongest_lines_are_kept_in_order_of_atomic_number() -> None:
    counts = spectrum({"Fe_K": 1e5, "Al_K": 1e5, "Ca_K": 2e3})
    assert xray.suggest_lines(counts, ENERGY, beam_energy_kev=20.0) == ["Al_Ka", "Ca_Ka", "Fe_Ka"]
    two = xray.suggest_lines(counts, ENERGY, beam_energy_kev=20.0, max_lines=2)
    assert two == ["Al_Ka", "Fe_Ka"]


def test_nothing_to_see_gives_an_empty_list() -> None:
    assert xray.suggest_lines(np.zeros(2048), ENERGY) == []
    assert xray.suggest_lines(np.ones(5), np.arange(5) * 0.01) == []


def test_what_goes_in_is_not_changed() -> None:
    counts, energy = spectrum({"Fe_K": 1e4}).astype(float), ENERGY.copy()
    before = counts.copy()
    xray.suggest_lines(counts, energy)
    np.testing.assert_array_equal(counts, before)
    np.testing.assert_array_equal(energy, ENERGY)


@pytest.mark.parametrize(
    ("counts", "energy", "options", "error", "message"),
    [
        (np.ones(10), ENERGY, {}, ShapeMismatchError, "one length"),
        (np.ones((2, 2048)), ENERGY, {}, ShapeMismatchError, "one-dimensional"),
        (-np.ones(2048), ENERGY, {}, ParameterError, "negative"),
        (np.full(2048, np.nan), ENERGY, {}, ParameterError, "non-finite"),
        (np.ones(2048), ENERGY[::-1], {}, ParameterError, "ascend"),
        (np.ones(2048), ENERGY**2, {}, ParameterError, "ascend"),
        (np.ones(2048), ENERGY, {"max_lines": 0}, ParameterError, "max_lines"),
        (np.ones(2048), ENERGY, {"beam_energy_kev": -1.0}, ParameterError, "beam_energy_kev"),
        (np.ones(2048), ENERGY, {"resolution_mn_ka_ev": 0.0}, ParameterError, "resolution"),
    ],
)
def test_bad_input_is_named(
    counts: NDArray[np.float64],
    energy: NDArray[np.float64],
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        xray.suggest_lines(counts, energy, **options)
