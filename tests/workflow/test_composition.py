"""Elements, compositions and neighbours that the main job reports."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sigma_scale.errors import ParameterError, SigmaScaleWarning
from sigma_scale.phases import cliff_lorimer, fit_lines, phase_contacts
from sigma_scale.plot import write_report
from sigma_scale.workflow.composition import choose_quantified, composition_table
from sigma_scale.workflow.outputs import OutputFolder
from sigma_scale.workflow.pipeline import check_settings
from sigma_scale.workflow.report import make_report
from sigma_scale.workflow.report_tables import composition_shown, contact_table, evidence_shown

K = {"O_Ka": 2.0, "Al_Ka": 1.1, "Si_Ka": 1.0, "Fe_Ka": 1.2, "Ca_Ka": 1.0, "Pb_Ma": 2.0}

pytestmark = pytest.mark.filterwarnings("ignore:The weights of the fit:UserWarning")


def matrix(table, name, elements):
    """Column as an array over phases and elements."""
    return table[name].to_numpy().reshape(-1, len(elements))


@pytest.fixture(scope="module")
def quantified(mapped):
    lines = mapped.settings.lines
    with pytest.warns(SigmaScaleWarning, match="no k-factors for C_Ka"):
        chosen = choose_quantified(lines, K)
    table = composition_table(mapped.spectra["counts"], lines, chosen, K)
    return replace(mapped, composition=table)


def test_one_line_of_each_element_is_quantified():
    with pytest.warns(SigmaScaleWarning, match="k-factors for O_Ka: these elements are left out"):
        assert choose_quantified(["Fe_La", "O_Ka", "Fe_Ka", "Si_Ka"], {"Fe_Ka": 1, "Si_Ka": 1}) == [
            "Fe_Ka",
            "Si_Ka",
        ]
    both = {"Fe_La": 1.0, "Fe_Ka": 1.0, "Si_Ka": 1.0}
    assert choose_quantified(["Fe_La", "Fe_Ka", "Si_Ka"], both) == ["Fe_La", "Si_Ka"]


@pytest.mark.parametrize("factors", [{}, {"Si_Ka": 1.0}, {"Pb_Ma": 1.0, "Au_Ma": 2.0}])
def test_too_few_k_factors_name_the_lines_before_anything_is_read(made, quick, factors):
    settings = replace(quick, lines=("O_Ka", "Fe_Ka"), k_factors=factors)
    with pytest.raises(ParameterError, match="There are none for O_Ka, Fe_Ka"):
        check_settings(made.image, settings)


def test_compositions_are_those_of_fitted_lines(quantified):
    table = quantified.composition
    found = fit_lines(quantified.spectra["counts"], quantified.settings.lines)
    chosen = list(table.index.unique("element"))
    lines = [f"{element}_Ka" for element in chosen]
    net = found["net"].sel(line=lines).to_numpy()
    amounts = net * np.array([K[name] for name in lines])
    expected = 100 * amounts / amounts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(matrix(table, "weight_percent", chosen), expected)
    parts = cliff_lorimer(found.sel(line=lines, line_2=lines), K, unit="atomic")
    np.testing.assert_allclose(
        matrix(table, "atomic_percent_error", chosen),
        parts["composition_error"],
    )
    assert set(table["measure"]) == {"relative measure, no quantification"}
    assert "No quantification".lower() in table.attrs["statement"].lower()


def test_the_report_shows_it_with_its_statement(quantified, mapped, tmp_path):
    content = make_report(quantified, {})
    (section,) = [part for part in content.sections if part.heading == "Composition"]
    assert quantified.composition.attrs["statement"] in section.text
    assert "O_Ka 2" in section.text
    frame = section.tables[0].frame
    assert list(frame.columns) == ["Phase", *quantified.composition.index.unique("element")]
    assert frame["Phase"].tolist() == [str(phase) for phase in mapped.spectra["phase"].to_numpy()]
    assert "Composition" not in [part.heading for part in make_report(mapped, {}).sections]
    page = write_report(tmp_path / "report.html", content).read_text(encoding="utf-8")
    assert "<small>" in page
    assert 'class="n faint"' in page


def test_what_is_not_detected_is_a_limit(quantified):
    shown = composition_shown(quantified.composition)
    for (phase, element), row in quantified.composition.iterrows():
        text = shown.frame.set_index("Phase").loc[str(phase), element]
        if row["detected"]:
            shown_number = float(text.split(" ± ")[0])
            assert shown_number == pytest.approx(row["weight_percent"], abs=0.5)
        else:
            assert text == f"< {row['weight_percent_limit']:.2g}"


def test_the_evidence_has_a_row_per_phase_and_agrees_with_the_elements(mapped):
    shown = evidence_shown(mapped.evidence)
    named = [name.replace("_Ka", " Kα").replace("_La", " Lα") for name in mapped.settings.lines]
    assert list(shown.frame.columns) == ["Phase", *named]
    for number, row in enumerate(shown.frame.itertuples(index=False)):
        phase = int(row[0])
        strong = {
            name.split("_")[0]
            for k, name in enumerate(mapped.settings.lines)
            if not shown.faint[number][k + 1]
        }
        assert strong == set(mapped.elements.loc[phase, "elements"].split())


def test_tables_hold_errors_evidence_contacts_and_compositions(quantified, tmp_path, one_figure):
    folder = OutputFolder(tmp_path / "out")
    folder.open()
    folder.write(quantified)
    tables = folder.working / "tables"
    spectra = pd.read_csv(tables / "phase_spectra.csv", index_col="energy_kev")
    np.testing.assert_allclose(spectra["counts_error_0"], np.sqrt(spectra["counts_0"]))
    np.testing.assert_allclose(
        spectra["mean_error_1"], quantified.spectra["mean_error"].sel(phase=1)
    )
    elements = pd.read_csv(tables / "elements.csv", index_col=["phase", "line"])
    np.testing.assert_allclose(elements["net"], quantified.evidence["net"])
    composition = pd.read_csv(tables / "composition.csv", index_col=["phase", "element"])
    np.testing.assert_allclose(
        composition["weight_percent"], quantified.composition["weight_percent"]
    )
    contacts = pd.read_csv(tables / "contacts.csv", index_col=["phase", "neighbour"])
    assert {"edges", "length_um", "share", "share_error"} == set(contacts)
    phases = pd.read_csv(tables / "phases.csv", index_col="phase")
    assert {"share_error", "area_error_um2"} <= set(phases)


def test_a_map_without_scale_has_borders_in_pixels():
    table = contact_table(phase_contacts(np.array([[0, 0, 1], [0, 2, 1]])))
    assert "length_px" in table
    assert table.loc[(0, 1), "edges"] == 1
    assert (0, 0) not in table.index
