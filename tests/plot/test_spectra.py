import itertools

import numpy as np
import pytest
import xarray as xr
from drawing import pixels
from hypothesis import given
from hypothesis import strategies as st

from sigma_scale.errors import EmptyMapError, ShapeMismatchError, UnknownLineError
from sigma_scale.plot import plot_components, plot_phase_spectra, plot_sum_spectrum
from sigma_scale.plot.line_labels import line_name, spread
from sigma_scale.plot.spectrum_parts import energy_range

# Energies in keV, from the X-ray Data Booklet.
KNOWN = {"O_Ka": 0.525, "Na_Ka": 1.041, "Al_Ka": 1.487, "Si_Ka": 1.740, "Ca_Ka": 3.691,
         "Fe_Ka": 6.404}  # fmt: skip
AXIS = np.arange(2048) * 0.01 - 0.48


def spectrum(heights, background=5.0, zero_peak=0.0):
    values = np.where(AXIS > 0.1, background * np.exp(-AXIS / 5), 0.0)
    for line, height in heights.items():
        values += height * np.exp(-0.5 * ((AXIS - KNOWN[line]) / 0.04) ** 2)
    values += zero_peak * np.exp(-0.5 * (AXIS / 0.03) ** 2)
    return xr.DataArray(
        values, dims="energy", coords={"energy": ("energy", AXIS, {"units": "keV"})},
        attrs={"beam_energy_kev": 15.0},
    )  # fmt: skip


HEIGHTS = {"O_Ka": 300, "Al_Ka": 200, "Si_Ka": 1000, "Fe_Ka": 100}


def labels_of(ax):
    return {text.get_text(): text for text in ax.texts if text.get_rotation() == 90}


@pytest.mark.parametrize("log", [False, True])
def test_lines_are_named_at_their_energies(log):
    figure = plot_sum_spectrum(spectrum(HEIGHTS), list(HEIGHTS), log=log, title="Sum")
    labels = labels_of(figure.axes[0])
    assert set(labels) == {"O Kα", "Al Kα", "Si Kα", "Fe Kα"}
    for line in HEIGHTS:
        label = labels[line_name(line)]
        assert label.xy[0] == pytest.approx(KNOWN[line], abs=0.005)
    assert figure.axes[0].get_yscale() == ("log" if log else "linear")


def test_guides_start_at_the_peaks():
    figure = plot_sum_spectrum(spectrum(HEIGHTS), list(HEIGHTS))
    guides = [line.get_data() for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    feet = {round(float(x[0]), 1): float(y[0]) for x, y in guides}
    assert feet[1.7] == pytest.approx(1000, rel=0.02)
    assert feet[6.4] == pytest.approx(101, rel=0.05)


def test_crowded_labels_do_not_overlap_and_stay_inside():
    from sigma_scale.xray import lines_near

    lines = [line.name for line in lines_near(2.0, tolerance_kev=0.4)][:40]
    assert len(lines) == 40
    figure = plot_sum_spectrum(spectrum(HEIGHTS), lines)
    picture = pixels(figure)
    boxes = [
        super(type(text), text).get_window_extent() for text in labels_of(figure.axes[0]).values()
    ]
    assert len(boxes) == len({line_name(line) for line in lines})
    boxes.sort(key=lambda box: box.x0)
    for left, right in itertools.pairwise(boxes):
        assert left.x1 <= right.x0 + 0.5
    assert boxes[0].x0 >= 0
    assert boxes[-1].x1 <= picture.shape[1]
    assert max(box.y1 for box in boxes) <= picture.shape[0]


def test_lines_that_cannot_be_shown_are_told():
    figure = plot_sum_spectrum(spectrum(HEIGHTS), ["Si_Ka", "W_Ka"])
    assert "W Kα" in figure.get_supxlabel()
    pixels(figure)
    (remark,) = [text for text in figure.texts if "W Kα" in text.get_text()]
    assert remark.get_window_extent().y1 <= figure.axes[0].get_tightbbox().y0
    assert set(labels_of(figure.axes[0])) == {"Si Kα"}


def test_scale_is_that_of_the_peaks_not_of_the_zero_peak():
    ax = plot_sum_spectrum(spectrum(HEIGHTS, zero_peak=1e6)).axes[0]
    assert 1000 < ax.get_ylim()[1] < 1100
    assert ax.get_xlim()[0] == 0


def test_range_ends_with_counts_lines_or_beam():
    values = spectrum({"Si_Ka": 1000}, background=0)
    assert 1.7 < energy_range(AXIS, values)[1] < 2.2
    assert energy_range(AXIS, values, [6.404])[1] == pytest.approx(6.404 * 1.05)
    flat = np.ones_like(AXIS)
    assert energy_range(AXIS, flat, beam_energy_kev=15)[1] == 15
    assert energy_range(AXIS, flat)[1] == pytest.approx(AXIS[-1], abs=0.5)
    assert energy_range(AXIS, np.zeros_like(AXIS)) == (0.0, AXIS[-1])
    assert energy_range([1.0], [5.0])[1] > 1.0


@pytest.mark.parametrize("log", [False, True])
def test_empty_spectra_say_so(log):
    figure = plot_sum_spectrum(spectrum({}, background=0), ["Si_Ka"], log=log)
    assert "no counts" in [text.get_text() for text in figure.axes[0].texts]
    pixels(figure)


def test_wrong_spectra_are_refused():
    with pytest.raises(UnknownLineError):
        plot_sum_spectrum(spectrum(HEIGHTS), ["Xx_Ka"])
    with pytest.raises(ShapeMismatchError, match="coordinate 'energy'"):
        plot_sum_spectrum(spectrum(HEIGHTS).drop_vars("energy"))
    with pytest.raises(ShapeMismatchError, match="'energy'"):
        plot_sum_spectrum(spectrum(HEIGHTS).expand_dims(phase=[0]))
    with pytest.raises(EmptyMapError, match=r"\(0,\)"):
        plot_sum_spectrum(spectrum(HEIGHTS)[:0])
    with pytest.raises(ShapeMismatchError, match="'phase'"):
        plot_phase_spectra(spectrum(HEIGHTS))


def phases(*heights, numbers=None):
    rows = xr.concat([spectrum(h) for h in heights], "phase")
    return rows.assign_coords(phase=list(range(len(heights)) if numbers is None else numbers))


def test_each_phase_names_only_its_own_peaks():
    figure = plot_phase_spectra(
        phases({"O_Ka": 300, "Si_Ka": 1000}, {"Fe_Ka": 100, "O_Ka": 50}, numbers=[3, 7]),
        list(KNOWN),
        {3: "Quartz"},
    )
    first, second = figure.axes
    assert set(labels_of(first)) == {"O Kα", "Si Kα"}
    assert set(labels_of(second)) == {"O Kα", "Fe Kα"}
    assert [ax.texts[0].get_text() for ax in figure.axes] == ["Quartz", "Phase 7"]
    assert first.get_xlim() == second.get_xlim()
    assert first.get_xlim()[1] > KNOWN["Fe_Ka"]
    assert not figure.get_supxlabel()


def test_lines_that_are_not_in_a_phase_are_not_named_in_it():
    rows = phases({"O_Ka": 300, "Si_Ka": 1000}, {"Fe_Ka": 100, "Si_Ka": 500}, numbers=[3, 7])
    figure = plot_phase_spectra(rows, list(KNOWN), lines_of={3: {"Si_Ka"}})
    assert [set(labels_of(ax)) for ax in figure.axes] == [{"Si Kα"}, {"Fe Kα", "Si Kα"}]
    components = rows.drop_vars("phase").rename(phase="component")
    figure = plot_components(components, list(KNOWN), lines_of={0: [], 1: ["Fe_Ka"]})
    assert [set(labels_of(ax)) for ax in figure.axes] == [set(), {"Fe Kα"}]


@pytest.mark.parametrize(
    ("scale", "label", "ticks"),
    [(1e-5, "10^{-2}", {"0", "1"}), (1e-3, "", {"0.0", "0.5", "1.0"}), (1e3, "10^{6}", {"0", "1"})],
)
def test_powers_of_ten_stand_beside_the_axis(scale, label, ticks):
    figure = plot_phase_spectra(phases(HEIGHTS) * scale, list(HEIGHTS))
    ax = figure.axes[0]
    pixels(figure)
    assert ax.yaxis.get_offset_text().get_text() == ""
    assert label in ax.get_ylabel()
    assert bool(label) == bool(ax.get_ylabel())
    assert {text.get_text() for text in ax.get_yticklabels()} >= ticks
    single = plot_sum_spectrum(spectrum(HEIGHTS) * scale, list(HEIGHTS)).axes[0]
    assert single.get_ylabel().startswith("Counts")
    assert label in single.get_ylabel()


def test_noise_makes_no_peaks():
    rng = np.random.default_rng(0)
    noisy = phases({})
    noisy[:] = rng.poisson(3, noisy.shape)
    figure = plot_phase_spectra(noisy, list(KNOWN))
    assert not labels_of(figure.axes[0])


def test_panels_have_their_phases_colours():
    from matplotlib.colors import to_hex

    figure = plot_phase_spectra(phases(HEIGHTS, HEIGHTS), [], colours={1: "#123456"})
    fills = [to_hex(ax.collections[0].get_facecolor()[0]) for ax in figure.axes]
    assert fills == ["#0072b2", "#123456"]


def test_sixty_phases_do_not_overlap():
    figure = plot_phase_spectra(phases(*[HEIGHTS] * 60), [*HEIGHTS, "W_Ka"])
    assert len(figure.axes) == 60
    pixels(figure)
    boxes = [ax.get_tightbbox() for ax in figure.axes]
    (remark,) = [text for text in figure.texts if "W Kα" in text.get_text()]
    assert boxes[-1].y0 >= remark.get_window_extent().y1
    assert remark.get_window_extent().y0 >= 0
    assert boxes[0].y1 <= figure.get_size_inches()[1] * figure.dpi
    for upper, lower in itertools.pairwise(boxes):
        assert upper.y0 >= lower.y1 - 1


def test_components_share_the_picture():
    rows = phases(HEIGHTS, {"Fe_Ka": 10}).rename(phase="component")
    figure = plot_components(rows, list(KNOWN), {1: "Iron"})
    assert [ax.texts[0].get_text() for ax in figure.axes] == ["Component 0", "Iron"]


@pytest.mark.parametrize(
    ("line", "name"),
    [("Fe_Ka", "Fe Kα"), ("W_Lb3", "W Lβ3"), ("Fe_Ll", "Fe Lℓ"), ("Navigator", "Navigator")],
)
def test_line_names_as_in_print(line, name):
    assert line_name(line) == name


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=30),
    st.floats(0.1, 3),
)
def test_spread_keeps_distance_order_and_bounds(positions, spacing):
    positions = sorted(positions)
    moved = spread(positions, spacing, 0.0, 100.0)
    assert np.all(np.diff(moved) >= spacing - 1e-9)
    assert moved[0] >= -1e-9
    assert moved[-1] <= 100 + 1e-9


def test_spread_moves_nothing_that_is_apart_and_pairs_evenly():
    np.testing.assert_allclose(spread([1, 5, 9], 2, 0, 10), [1, 5, 9])
    np.testing.assert_allclose(spread([5, 5], 2, 0, 10), [4, 6])
    np.testing.assert_allclose(spread([0, 0, 9], 2, 0, 10), [0, 2, 9])
