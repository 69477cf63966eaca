"""What the report says of a result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from skimage import measure

from sigma_scale.phases import proportions
from sigma_scale.plot import FigurePanel, Section, phase_colours
from sigma_scale.workflow.figures import phase_names
from sigma_scale.workflow.report import make_report, phase_table, versions


def section(content, heading):
    return next(part for part in content.sections if part.heading == heading)


def test_facts_are_those_of_the_map(mapped):
    facts = make_report(mapped, {}).facts
    counts = int(mapped.sum_spectrum.sum())
    assert facts["Map"] == "128 × 128 pixels, 1,024 channels"
    assert facts["Counts"] == f"{counts:,} ({counts / 128**2:.3g} per pixel)"
    assert facts["Instrument"] == "SEM, 20 kV"
    assert facts["Bins"] == "2 × 2 pixels"
    assert facts["Pixel"] == "1 × 1 µm"
    assert facts["Lines"] == ", ".join(mapped.settings.lines)
    assert facts["Phases"] == mapped.spectra.sizes["phase"]


def test_a_map_without_scale_gets_no_micrometres(mapped):
    image = replace(mapped.image, pixel_unit="pixel")
    content = make_report(replace(mapped, image=image), {})
    assert "Pixel" not in content.facts
    assert "no scale" in section(content, "The map").text


def test_pixels_without_a_phase_are_counted(mapped):
    labels = mapped.clusters["labels"].copy()
    labels[:16] = -1
    noisy = replace(mapped, proportions=proportions(labels))
    share = float((labels < 0).mean())
    assert make_report(noisy, {}).facts["Not assigned"] == f"{share:.1%} of the area"
    none = proportions(labels.copy(data=np.abs(labels.to_numpy())))
    assert "Not assigned" not in make_report(replace(mapped, proportions=none), {}).facts


def test_figures_are_shown_where_there_are_any(mapped):
    from matplotlib.figure import Figure

    panel = FigurePanel(Figure(), "A phase map.")
    content = make_report(mapped, {"phase_map": panel})
    assert section(content, "Phases").figures == [panel]
    assert section(content, "Latent space").figures == []


def test_notes_extra_sections_settings_and_versions_come_along(mapped):
    extra = Section("More", "text")
    content = make_report(mapped, {}, notes=["A note."], extra=[extra])
    assert list(content.warnings) == ["A note."]
    assert content.sections[-1] is extra
    assert content.settings == mapped.settings.to_yaml()
    assert content.versions == versions()
    assert content.versions["numpy"] == np.__version__


def test_the_table_has_a_row_and_a_colour_for_each_phase(mapped):
    table = phase_table(mapped)
    shown = section(make_report(mapped, {}), "Phases").tables[0]
    assert len(shown.frame) == len(shown.chips) == len(table)
    colours = phase_colours([int(label) for label in table.index])
    assert list(shown.chips) == [colours[int(label)] for label in table.index]
    areas = shown.frame["Area, µm²"].str.replace(",", "").astype(float)
    np.testing.assert_allclose(areas, table["pixels"] * 4, rtol=1e-3)
    found = measure.label(mapped.clusters["labels"].to_numpy(), background=-1, connectivity=2)
    regions = measure.regionprops_table(found, properties=["label", "equivalent_diameter_area"])
    labels = mapped.clusters["labels"].to_numpy()
    phase = np.array([labels[found == number][0] for number in regions["label"]])
    side = float(mapped.clusters["x"][1] - mapped.clusters["x"][0])
    for number, row in table.drop(-1, errors="ignore").iterrows():
        assert row["regions"] == (phase == number).sum()
        diameters = regions["equivalent_diameter_area"][phase == number] * side
        assert row["median_diameter_um"] == pytest.approx(np.median(diameters))
    assert "Median diameter, µm" in shown.frame
    if -1 in table.index:
        assert shown.frame["Phase"].iloc[-1] == "not assigned"


def test_phases_are_named_by_number_and_elements(mapped):
    names = phase_names(mapped)
    assert list(names) == list(mapped.spectra["phase"].values)
    assert names[0] == f"0: {mapped.elements['elements'][0]}"
    assert "Si" in names[0] or "O" in names[0]


def test_a_library_that_is_not_installed_is_said_so(monkeypatch):
    from importlib import metadata

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert versions()["umap-learn"] == "not installed"


@pytest.mark.parametrize("title", ["granite", ""])
def test_the_title_names_the_map(mapped, title):
    metadata = replace(mapped.image.metadata, title=title)
    content = make_report(replace(mapped, image=replace(mapped.image, metadata=metadata)), {})
    assert content.title == f"Phases of {title or 'an untitled map'}"


def test_elements_that_were_not_looked_for_are_named(mapped):
    lines = mapped.settings.lines
    fewer = tuple(line for line in lines if line != "Si_Ka")
    assert len(fewer) < len(lines)
    without = replace(mapped, settings=replace(mapped.settings, lines=fewer))
    text = section(make_report(without, {}), "Elements").text
    assert "The sum spectrum also suggests Si_Ka" in text
    assert "Si_Ka" not in section(make_report(mapped, {}), "Elements").text
