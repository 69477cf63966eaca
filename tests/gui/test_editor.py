"""The editor of clusters: what events of its figures, table and buttons make of the clusters."""

from types import SimpleNamespace

import numpy as np
import panel as pn
import pytest
from bokeh.events import SelectionGeometry
from matplotlib.path import Path
from numpy.testing import assert_array_equal
from small_clusters import COLUMNS, ROWS, make_segmenter

from sigma_scale import gui
from sigma_scale.errors import ConflictError, ParameterError
from sigma_scale.gui.cluster_table import cluster_frame
from sigma_scale.gui.editor import LatentEditor
from sigma_scale.gui.latent_page import phase_map_page

CORNERS = np.array([(-3.0, -3.0), (3.0, -3.0), (0.2, 3.0)])


@pytest.fixture
def ps():
    return make_segmenter([3])


@pytest.fixture
def editor(ps):
    return LatentEditor(ps)


def draw(figure, kind, *, final=True, **geometry):
    """Let Bokeh tell of a selection, as a browser does."""
    event = SelectionGeometry(figure, {"type": kind, **geometry}, final)
    figure._trigger_event(event)


def lasso(editor, corners=CORNERS, **options):
    x, y = np.asarray(corners).T.tolist()
    draw(editor.latent.figure, "poly", x=x, y=y, **options)


def press(editor, label):
    for button in editor.layout.select(pn.widgets.Button):
        if button.name == label:
            button.clicks += 1
            return
    raise LookupError(label)


def said(editor):
    """What the page says went wrong."""
    return [editor._remark.text] if editor._remark.text else []


def table(editor):
    return next(iter(editor.layout.select(pn.widgets.Tabulator)))


def test_a_lasso_picks_and_a_button_relabels_all_pixels_inside(editor, ps):
    inside = Path(CORNERS).contains_points(ps.latent)
    frames = editor.latent.picture.n_frames
    lasso(editor)
    assert editor.session.n_pixels == inside.sum() > 0
    assert editor.latent.picture.n_frames > frames
    press(editor, "Create cluster")
    assert_array_equal(ps.labels == 3, inside)
    assert table(editor).selection == [3]


def test_of_a_lasso_only_the_end_counts(editor):
    lasso(editor, final=False)
    assert editor.session.pixels is None


def test_a_share_of_the_points_is_drawn_but_edits_act_on_all(ps):
    editor = LatentEditor(ps, share=0.1)
    assert len(editor.latent._points) == ROWS * COLUMNS // 10
    lasso(editor)
    press(editor, "Create cluster")
    assert_array_equal(ps.labels == 3, Path(CORNERS).contains_points(ps.latent))


def test_a_box_and_a_tap_in_the_latent_space(editor, ps):
    draw(editor.latent.figure, "rect", x0=7.0, x1=13.0, y0=-3.0, y1=3.0)
    assert_array_equal(editor.session.pixels, (np.abs(ps.latent - (10.0, 0.0)) <= 3).all(axis=1))
    draw(editor.latent.figure, "point", x=0.0, y=10.0)
    assert editor.session.clusters == (2,)
    draw(editor.latent.figure, "point", x=5.5, y=5.5)  # beside all points
    assert editor.session.clusters == ()
    assert said(editor) == []


def test_what_is_drawn_on_the_map_is_picked(editor, ps):
    draw(editor.map.figure, "rect", x0=9.6, x1=14.4, y0=4.6, y1=8.2)
    expected = np.zeros((ROWS, COLUMNS), bool)
    expected[5:9, 10:15] = True
    assert_array_equal(editor.session.pixels, expected.ravel())
    draw(editor.map.figure, "point", x=38.2, y=3.0)
    assert editor.session.clusters == (2,)


def test_rows_of_the_table_are_merged_recoloured_and_undone(editor, ps):
    before = ps.labels.copy()
    table(editor).selection = [0, 2]
    assert editor.session.clusters == (0, 2)
    press(editor, "Merge")
    assert_array_equal(ps.labels, np.select([before == 2, before == -1], [0, -1], before))
    assert table(editor).selection == [0]
    swatch = editor._controls.colours.objects[1][4]
    swatch.clicks += 1
    assert ps.cluster_colors[0] == "#56b4e9"
    assert table(editor).value.loc[0, ""] == "#56b4e9"
    press(editor, "Undo")
    press(editor, "Undo")
    assert_array_equal(ps.labels, before)
    press(editor, "Redo")
    assert ps.n_components == 2


def test_clusters_are_named_in_the_table(editor, ps):
    edited = SimpleNamespace(column="name", row=1, old="cluster_1", value="quartz")
    editor._table._on_edit(edited)
    assert ps.cluster_names[1] == "quartz"
    editor._table._on_edit(SimpleNamespace(column="name", row=0, old="cluster_0", value="quartz"))
    assert "already" in said(editor)[0]
    assert table(editor).value["name"].tolist() == ["cluster_0", "quartz", "cluster_2", "noise"]


def test_pixels_are_moved_to_a_cluster_or_to_the_noise(editor, ps):
    lasso(editor)
    inside = editor.session.pixels
    editor._controls._target.value = -1
    press(editor, "Move to")
    assert_array_equal(ps.labels[inside], -1)


def test_a_reset_asks_first(editor, ps):
    table(editor).selection = [0, 1]
    press(editor, "Merge")
    question = editor._controls._question
    press(editor, "Reset…")
    assert question.visible
    press(editor, "Keep them")
    assert not question.visible
    assert ps.n_components == 2
    press(editor, "Reset…")
    press(editor, "Yes, reset")
    assert ps.n_components == 3
    assert not question.visible


def test_noise_is_shown_and_picked_only_if_it_is_included(editor, ps):
    editor._controls._noise.value = []
    assert editor.session.hidden == {-1}
    lasso(editor)
    assert not editor.session.pixels[3]


def test_the_noise_cannot_be_named(editor, ps):
    table(editor).value.loc[3, "name"] = "dust"  # as a browser changes it
    editor._table._on_edit(SimpleNamespace(column="name", row=3, old="noise", value="dust"))
    assert said(editor) != []
    assert table(editor).value["name"].tolist()[3] == "noise"
    assert ps.edit_log == []


def test_buttons_can_be_pressed_only_where_they_do_something(editor):
    def enabled():
        buttons = editor.layout.select(pn.widgets.Button)
        return {b.name for b in buttons if b.name[0] != "#" and not b.disabled}

    asking = {"Yes, reset", "Keep them"}
    assert enabled() - asking == set()
    lasso(editor)
    assert enabled() - asking == {"Create cluster", "Move to", "Clear selection"}
    table(editor).selection = [0, 1]
    assert enabled() - asking == {"Merge", "Clear selection", "Use this colour"}
    assert not any(swatch.disabled for swatch in editor._controls.colours.objects[1])
    press(editor, "Merge")
    assert {"Undo", "Reset…"} <= enabled()


@pytest.mark.parametrize("corners", [[(40, 40), (41, 40), (41, 41)], [(0, 0), (1, 1)]])
def test_a_lasso_around_nothing_says_so_and_changes_nothing(editor, ps, corners):
    lasso(editor, corners)
    assert len(said(editor)) == 1
    assert ps.edit_log == []


def test_what_someone_else_edited_meanwhile_is_shown_with_the_conflict(ps):
    def edit(action):
        ps.merge_clusters([1, 2])
        raise ConflictError("Someone else has merged clusters meanwhile.")

    editor = LatentEditor(ps, edit=edit)
    table(editor).selection = [0, 1]
    press(editor, "Merge")
    assert said(editor) == ["Someone else has merged clusters meanwhile."]
    assert len(table(editor).value) == 3  # two clusters and the noise


def test_edits_of_another_page_are_taken_over(editor, ps):
    frames = editor.map.picture.n_frames
    table(editor).selection = [2]
    ps.merge_clusters([0, 1])
    editor.refresh()
    assert editor.session.clusters == (1,)  # the same pixels under another number
    assert table(editor).selection == [1]
    assert table(editor).value["no."].tolist() == [0, 1, -1]
    assert editor.map.picture.n_frames > frames


def test_the_table_adds_up(ps):
    table = cluster_frame(ps.state)
    assert table["pixels"].sum() == ROWS * COLUMNS
    assert table["no."].tolist() == [0, 1, 2, -1]
    assert table.loc[3, "pixels"] == 1


def test_a_view_that_cannot_edit_has_no_buttons(ps):
    editor = LatentEditor(ps, can_edit=False)
    assert list(editor.layout.select(pn.widgets.Button)) == []
    lasso(editor)
    assert editor.session.n_pixels > 0


@pytest.mark.parametrize(
    "make",
    [
        gui.interactive_latent_plot,
        lambda ps: gui.check_latent_space(ps, show_map=True),
        gui.view_latent_space,
        lambda ps: gui.view_latent_space(ps, color=False),
        lambda ps: gui.show_projection(ps.latent),
        gui.view_phase_map,
        lambda ps: gui.plot_latent_density(ps, bins=7),
    ],
)
def test_each_view_has_a_layout_pictures_and_data(make, ps, tmp_path):
    view = make(ps)
    assert pn.panel(view).get_root() is not None
    assert view.save(tmp_path / "view.svg")
    (data, *_) = view.save_data(tmp_path / "view.csv")
    assert len(data.read_text().splitlines()) > 7
    kinds = view.downloads()
    assert set(kinds) == {"PNG", "SVG", "CSV"}
    assert all(len(content().read()) > 100 for _, content in kinds.values())


def test_data_are_saved_as_csv_only(ps, tmp_path):
    with pytest.raises(ParameterError, match="csv"):
        gui.view_phase_map(ps).save_data(tmp_path / "view.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_stacked_map_keeps_its_proportions_above_its_table(ps):
    page = phase_map_page(ps, size=(400, 150), opacity=1.0, stacked=True)
    shown = [part for part in page if isinstance(part, pn.pane.Bokeh | pn.widgets.Tabulator)]
    assert [type(part) for part in shown] == [pn.pane.Bokeh, pn.widgets.Tabulator]
    figure = shown[0].object
    assert (figure.frame_width, figure.frame_height) == (200, 150)
    assert ROWS / COLUMNS == 150 / 200
