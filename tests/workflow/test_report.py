"""What the report says of a result."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from skimage import measure

from sigma_scale.phases import phase_contacts, proportions
from sigma_scale.plot import FigurePanel, ReportTable, Section, phase_colours
from sigma_scale.workflow.figures import make_figures, phase_names
from sigma_scale.workflow.report import make_report, phase_table, versions
from sigma_scale.workflow.report_numbers import plain, with_error
from sigma_scale.workflow.report_tables import contacts_shown, shortened, weights_shown


@pytest.fixture(scope="module")
def crowded(mapped):
    """A result of 60 phases: those of the small map, again and again."""
    n = mapped.spectra.sizes["phase"]
    spectra = mapped.spectra.isel(phase=np.arange(60) % n).assign_coords(phase=np.arange(60))
    spectra = spectra.assign(n_pixels=("phase", np.arange(60, 0, -1)))
    labels = mapped.clusters["labels"].copy(data=np.arange(4096).reshape(64, 64) % 60)
    evidence = pd.concat({k: mapped.evidence.loc[k % n] for k in range(60)}, names=["phase"])
    elements = mapped.elements.iloc[np.arange(60) % n].set_axis(range(60))
    weights = mapped.weights.iloc[np.arange(60) % n].set_axis([f"cluster_{k}" for k in range(60)])
    return replace(
        mapped, spectra=spectra, evidence=evidence, elements=elements, weights=weights,
        proportions=proportions(labels), clusters=mapped.clusters.assign(labels=labels),
    )  # fmt: skip


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
    assert facts["Lines"].startswith("C Kα, O Kα, F Kα")
    assert facts["Lines"].count(",") == len(mapped.settings.lines) - 1
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


def test_many_clusters_are_warned_of_with_what_helps(mapped, crowded):
    assert list(make_report(mapped, {}).warnings) == []
    first, note = make_report(crowded, {}, notes=["A note."]).warnings
    assert first == "A note."
    assert "60 clusters" in note
    assert "min_cluster_size" in note
    assert "--bin, now 2,2" in note
    assert "averaging" not in note
    averaged = replace(crowded.settings, normalisation=("neighbour_averaging", "zscore"))
    (note,) = make_report(replace(crowded, settings=averaged), {}).warnings
    assert "--normalisation zscore" in note
    mixture = replace(crowded.settings, clustering="GaussianMixture")
    (note,) = make_report(replace(crowded, settings=mixture), {}).warnings
    assert "min_cluster_size" not in note
    assert "fewer components" in note


def test_long_tables_are_cut_and_say_so(crowded):
    content = make_report(crowded, {})
    for heading in ("Phases", "Elements", "Unmixing"):
        (table,) = section(content, heading).tables
        assert table.frame["Phase"].tolist() == [str(k) for k in range(50)]
        assert len(table.chips) == 50
        assert np.shape(table.faint) in {(0,), table.frame.shape}
        assert table.caption.startswith("The first 50 of 60 phases.")


def test_a_cut_table_keeps_the_pixels_without_a_phase():
    names = [*(str(k) for k in range(52)), "not assigned"]
    table = ReportTable(pd.DataFrame({"Phase": names}), "About.", ["red"] * 52 + ["blue"])
    cut = shortened(table)
    assert cut.frame["Phase"].tolist() == [*names[:50], "not assigned"]
    assert cut.chips == ["red"] * 50 + ["blue"]
    few = replace(table, frame=table.frame[3:], chips=table.chips[3:])
    assert shortened(few) is few


def test_weights_have_phases_colours_and_the_same_decimals():
    weights = pd.DataFrame(
        [[0.852, 0.0], [0.041, 0.8]], index=["cluster_0", "cluster_12"], columns=["w_0", "w_1"]
    )
    shown = weights_shown(weights)
    assert shown.frame.columns.tolist() == ["Phase", "End-member 0", "End-member 1"]
    assert shown.frame.to_numpy().tolist() == [["0", "0.852", "0.000"], ["12", "0.041", "0.800"]]
    assert list(shown.chips) == list(phase_colours([0, 12]).values())
    assert list(shown.faint) == [[False, False, True], [False, False, False]]


def test_neighbours_have_plain_numbers():
    rng = np.random.default_rng(0)
    contacts = phase_contacts(rng.integers(0, 2, (4, 4)), pixel_size=1000.0)
    shown = contacts_shown(contacts).frame
    assert not re.search(r"\de[+-]", shown.to_string())
    assert re.fullmatch(r"\d+,\d{3}", shown["Border, µm"][0])


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (11108.4, 4, "11,108"), (1364.2, 3, "1,364"), (19.6, 1, "20"), (9.996, 2, "10"),
        (0.03214, 3, "0.0321"), (5e-5, 1, "0.00005"), (0.0, 3, "0"), (-0.5, 2, "-0.50"),
        (float("nan"), 3, "–"),
    ],
)  # fmt: skip
def test_numbers_are_plain(value, digits, text):
    assert plain(value, digits) == text


def test_numbers_without_zeros_at_the_end_and_with_errors():
    assert plain(1.0, 4, trim=True) == "1"
    assert plain(0.25, 4, trim=True) == "0.25"
    assert plain(1200.0, 2, trim=True) == "1,200"
    assert with_error(56.2, 19.3) == ("56", "19")
    assert with_error(6.6667, 0.912) == ("6.7", "0.9")
    assert with_error(12.345, 0.0) == ("12.3", "0")


def test_figures_show_the_largest_phases_and_say_so(crowded):
    panels = make_figures(crowded)
    spectra = panels["phase_spectra"]
    assert len(spectra.figure.axes) == 20
    assert "The 20 largest of 60 phases are drawn; all are in tables/phase_spectra.csv." in (
        spectra.caption
    )
    legend = panels["phase_map"].figure.axes[0].get_legend().get_texts()
    assert len(legend) == 21
    assert legend[-1].get_text().startswith("and 40 more")
    assert len(panels["latent"].figure.axes[0].texts) <= 20
    for name in ("phase_map", "latent"):
        assert "The 20 largest of 60 phases are listed" in panels[name].caption


def test_figures_name_what_is_in_them(mapped):
    panels = make_figures(mapped)
    present = mapped.evidence[mapped.evidence["decision"] == "present"]
    for phase, ax in enumerate(panels["phase_spectra"].figure.axes):
        lines = {text.get_text() for text in ax.texts if text.get_rotation() == 90}
        assert {line.split()[0] for line in lines} <= set(present.loc[phase, "element"])
        assert "O Kα" in lines
    axes = panels["end_members"].figure.axes
    assert [ax.texts[0].get_text() for ax in axes] == [
        f"End-member {k}" for k in range(mapped.weights.shape[1])
    ]
    assert panels["element_maps"].caption.startswith("Share of each pixel's counts")
    start = panels["sum_spectrum"].figure.axes[0].get_xlim()[0]
    assert start == pytest.approx(0.1, abs=0.011)
    plain_settings = replace(mapped.settings, normalise=False, remove_below_kev=None)
    panels = make_figures(replace(mapped, settings=plain_settings))
    assert panels["element_maps"].caption.startswith("Counts in the window")
    assert panels["sum_spectrum"].figure.axes[0].get_xlim()[0] == 0
    assert "begins" not in panels["sum_spectrum"].caption
