from __future__ import annotations

import subprocess
import sys

import pytest

from sigma_scale import xray
from sigma_scale.errors import ParameterError, UnknownLineError


def test_energies_and_weights_agree_with_exspy() -> None:
    from exspy._misc.eds.utils import _get_energy_xray_line
    from exspy.material import elements

    checked = 0
    for symbol in xray.symbols():
        for item in xray.lines_of(symbol):
            assert item.energy_kev == _get_energy_xray_line(item.name)
            key = item.name.partition("_")[2]
            assert item.weight == elements[symbol].Atomic_properties.Xray_lines[key].weight
            checked += 1
    assert checked > 800


@pytest.mark.parametrize(
    ("name", "energy"),
    # X-ray Data Booklet, Lawrence Berkeley National Laboratory, table 1-2, within 5 eV
    [("C_Ka", 0.277), ("O_Ka", 0.5249), ("Si_Ka", 1.7399), ("Fe_Ka", 6.4004), ("Pb_La", 10.5515)],
)
def test_energies_agree_with_the_xray_data_booklet(name: str, energy: float) -> None:
    assert xray.line_energy(name) == pytest.approx(energy, abs=0.005)


def test_line_tells_all_about_it() -> None:
    assert xray.line("Fe_Ka") == xray.XrayLine("Fe_Ka", "Fe", "K", 6.4039, 1.0)
    assert xray.line("Pb_M2N4").shell == "M"
    assert xray.line("Ag_Lb1").shell == "L"
    with pytest.raises(AttributeError):
        xray.line("Fe_Ka").weight = 2.0  # type: ignore[misc]


def test_symbols_are_ordered_by_atomic_number() -> None:
    symbols = xray.symbols()
    numbers = [xray.atomic_number(symbol) for symbol in symbols]
    assert numbers == sorted(set(numbers))
    assert symbols[:8] == ("H", "He", "Li", "Be", "B", "C", "N", "O")
    assert xray.atomic_number("Fe") == 26
    assert xray.atomic_weight("Fe") == pytest.approx(55.845)


def test_lines_of_an_element_come_shell_by_shell_strongest_first() -> None:
    lines = xray.lines_of("Pb")
    assert [item.name for item in lines if item.weight == 1.0] == ["Pb_Ka", "Pb_La", "Pb_Ma"]
    keys = [(item.shell, -item.weight) for item in lines]
    assert keys == sorted(keys)
    assert {item.element for item in lines} == {"Pb"}


def test_lines_near_an_energy_are_sorted_by_distance() -> None:
    near = xray.lines_near(2.307, tolerance_kev=0.05)
    distances = [abs(item.energy_kev - 2.307) for item in near]
    assert distances == sorted(distances)
    assert max(distances) <= 0.05
    assert {"S_Ka", "Mo_La", "Pb_Ma"} <= {item.name for item in near}
    assert xray.lines_near(6.4039, tolerance_kev=0.0)[0].name == "Fe_Ka"
    assert xray.lines_near(500.0, tolerance_kev=1.0) == ()


@pytest.mark.parametrize(("energy", "tolerance"), [(1.0, -0.1), (float("nan"), 0.1)])
def test_lines_near_refuses_numbers_that_make_no_sense(energy: float, tolerance: float) -> None:
    with pytest.raises(ParameterError, match="keV"):
        xray.lines_near(energy, tolerance_kev=tolerance)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("fe_ka", "Fe_Ka"),
        ("FE_KA", "Fe_Ka"),
        ("Fe-Ka", "Fe_Ka"),
        ("Fe_Kz", "Fe_Ka"),
        ("Fe", "Fe_La"),
    ],
)
def test_an_unknown_line_is_named_with_what_may_be_meant(wrong: str, meant: str) -> None:
    with pytest.raises(UnknownLineError, match=meant) as caught:
        xray.line_energy(wrong)
    assert repr(wrong) in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_an_unknown_element_is_named_with_what_may_be_meant() -> None:
    for function in (xray.lines_of, xray.atomic_number, xray.atomic_weight):
        with pytest.raises(UnknownLineError, match=r"'si'.*Did you mean Si"):
            function("si")


def test_importing_xray_does_not_import_exspy() -> None:
    code = (
        "import sys, sigma_scale.xray as x; "
        "assert not {'exspy', 'hyperspy', 'pybaselines', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603


def test_reading_the_table_warns_of_nothing() -> None:
    code = (
        "import warnings; warnings.simplefilter('error', UserWarning)\n"
        "import sigma_scale.xray as x; x.line_energy('Fe_Ka')"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert "Warning" not in done.stderr
