from __future__ import annotations

import pytest

from sigma_scale.errors import ParameterError, UnknownLineError
from sigma_scale.synthetic import DEFAULT_MINERALS, ZIRCON, Mineral


def test_composition_of_quartz_is_that_of_the_textbooks() -> None:
    quartz = Mineral("quartz", "SiO2")
    assert quartz.mass_fractions == pytest.approx({"Si": 0.4674, "O": 0.5326}, abs=1e-4)
    assert quartz.mean_atomic_number == pytest.approx(10.80, abs=0.01)


def test_a_formula_may_repeat_elements_and_have_fractions() -> None:
    assert Mineral("olivine", "Mg1.8Fe0.2SiO4").atoms == {"Mg": 1.8, "Fe": 0.2, "Si": 1, "O": 4}
    assert Mineral("acetic acid", "CH3COOH").atoms == {"C": 2, "H": 4, "O": 2}


def test_there_are_ten_different_minerals_and_a_rare_one() -> None:
    assert len(DEFAULT_MINERALS) == 10
    assert len({item.formula for item in (*DEFAULT_MINERALS, ZIRCON)}) == 11
    for mineral in (*DEFAULT_MINERALS, ZIRCON):
        assert sum(mineral.mass_fractions.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("formula", ["", "sio2", "Si(OH)4", "Si0", "2SiO", "Si-O"])
def test_a_formula_that_cannot_be_read_is_named(formula: str) -> None:
    with pytest.raises(ParameterError, match=r"cannot be read.*CaMgSi2O6"):
        Mineral("wrong", formula)


def test_a_mineral_needs_a_name_and_known_elements() -> None:
    with pytest.raises(ParameterError, match="needs a name"):
        Mineral("", "SiO2")
    with pytest.raises(UnknownLineError, match="Xx"):
        _ = Mineral("wrong", "XxO2").mass_fractions
