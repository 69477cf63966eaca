"""Spectra of synthetic maps: peaks, continuum and metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import optimize

from sigma_scale import xray
from sigma_scale.synthetic import DEFAULT_MINERALS, ZIRCON, SyntheticMap, synthetic_map

if TYPE_CHECKING:
    from numpy.typing import NDArray


@pytest.mark.parametrize("resolution", [125.0, 140.0])
@pytest.mark.parametrize(
    ("mineral", "line"),
    [("quartz", "O_Ka"), ("albite", "Na_Ka"), ("ilmenite", "Ti_Ka"), ("magnetite", "Fe_Ka")],
)
def test_peaks_have_their_place_and_width(mineral: str, line: str, resolution: float) -> None:
    rock = synthetic_map((8, 8), resolution_mn_ka_ev=resolution)
    spectrum = rock.spectra.sel(phase=mineral)
    energy = xray.line_energy(line)
    fwhm = np.sqrt(2500 * (energy - 5.8987) + resolution**2) / 1000
    near = spectrum.sel(energy=slice(energy - fwhm, energy + fwhm))

    def model(e: Any, *parameters: float) -> Any:
        area, centre, width, level, slope = parameters
        peak = area * np.exp(-4 * np.log(2) * ((e - centre) / width) ** 2)
        return peak + level + slope * (e - energy)

    start = [float(near.max()), energy, fwhm, 0.0, 0.0]
    found, _ = optimize.curve_fit(model, near.energy.values, near.values, p0=start)
    assert found[1] == pytest.approx(energy, abs=0.003)
    assert abs(found[2]) == pytest.approx(fwhm, rel=0.03)


def test_each_phase_shows_its_elements_and_only_those() -> None:
    rock = synthetic_map((8, 8))
    assert rock.minerals == (*DEFAULT_MINERALS, ZIRCON)
    best = {"Si": "Si_Ka", "Na": "Na_Ka", "Mg": "Mg_Ka", "Al": "Al_Ka", "K": "K_Ka", "Ti": "Ti_Ka"}
    for mineral in rock.minerals:
        spectrum = rock.spectra.sel(phase=mineral.name)
        for symbol, line in best.items():
            energy = xray.line_energy(line)
            middle = float(spectrum.sel(energy=energy, method="nearest"))
            sides = [float(spectrum.sel(energy=energy + d, method="nearest")) for d in (-0.1, 0.1)]
            stands_out = middle > 1.5 * np.mean(sides)
            near = {"Si": {"Zr", "P"}, "K": {"Ca"}}.get(symbol, set())
            if not near & set(mineral.atoms):
                assert stands_out == (symbol in mineral.atoms), (mineral, symbol)


def test_share_of_continuum() -> None:
    shares = []
    for share in (0.2, 0.4):
        rock = synthetic_map((8, 8), continuum_share=share)
        quartz = rock.spectra.sel(phase="quartz")
        # nothing but continuum above the silicon lines
        shares.append(float(quartz.sel(energy=slice(2.2, None)).sum() / quartz.sum()))
    assert shares[1] == pytest.approx(2 * shares[0], rel=1e-6)
    assert 0.05 < shares[1] < 0.4
    bare = synthetic_map((8, 8), continuum_share=1.0).spectra
    np.testing.assert_allclose(
        bare / bare.sum("energy"), bare[[0] * 11].values / bare[0].sum().item()
    )


def test_zero_peak() -> None:
    plain, rock = synthetic_map((8, 8)), synthetic_map((8, 8), zero_peak=True)
    assert plain.image.energy.offset_kev == 0.0
    assert rock.image.energy.offset_kev == -0.2
    for spectrum in rock.spectra:
        zero = spectrum.sel(energy=slice(-0.1, 0.1)).sum() / spectrum.sum()
        assert float(zero) == pytest.approx(0.25, abs=0.01)
        assert abs(float(spectrum.idxmax("energy"))) < 0.006
    low = plain.spectra.sel(energy=slice(0, 0.1))
    assert float(low.sum() / plain.spectra.sum()) < 1e-3


def test_the_sum_spectrum_shows_what_is_in_the_map(
    rock: SyntheticMap, counts: NDArray[Any]
) -> None:
    lines = xray.suggest_lines(
        counts.sum(axis=(0, 1)), rock.image.energy.values, beam_energy_kev=20.0
    )
    abundant = {
        "O_Ka",
        "Na_Ka",
        "Mg_Ka",
        "Al_Ka",
        "Si_Ka",
        "P_Ka",
        "K_Ka",
        "Ca_Ka",
        "Ti_Ka",
        "Fe_Ka",
    }
    assert abundant <= set(lines)
    assert set(lines) <= abundant | {"C_Ka", "F_Ka", "Zr_La"}


def test_metadata_say_what_was_simulated(rock: SyntheticMap) -> None:
    metadata = rock.image.metadata
    assert metadata.instrument == "SEM"
    assert metadata.beam_energy_kev == 20.0
    assert metadata.resolution_mn_ka_ev == 130.0
    elements = ["C", "O", "F", "Na", "Mg", "Al", "Si", "P", "K", "Ca", "Ti", "Fe", "Zr"]
    assert metadata.elements == tuple(elements)
    assert metadata.lines == (*(f"{symbol}_Ka" for symbol in elements[:-1]), "Zr_La")
    assert rock.labels.attrs["phases"] == list(rock.phases)
    assert rock.labels.x.attrs["units"] == "µm"
    assert rock.image.shape == (256, 256, 1024)
