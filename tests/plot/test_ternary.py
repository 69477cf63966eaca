import dask.array as da
import numpy as np
import pytest
import xarray as xr
from drawing import colour_at, pixels

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.plot import phase_colours
from sigma_scale.plot.ternary import plot_ternary, ternary_positions

CORNERS = ["Al", "Si", "Fe"]
TOP = np.sqrt(3) / 2


def composition(values, **coords):
    values = np.asarray(values, float)
    return xr.DataArray(values, dims=("phase", "element"), coords={"element": CORNERS, **coords})


def test_positions_are_barycentric():
    found = ternary_positions([[1, 0, 0], [0, 7, 0], [0, 0, 2], [1, 1, 1], [2, 2, 0]])
    np.testing.assert_allclose(found, [[0, 0], [1, 0], [0.5, TOP], [0.5, TOP / 3], [0.5, 0]])
    # the share of a corner is the distance from the side opposite it
    parts = np.random.default_rng(0).dirichlet([1, 1, 1], 50)
    np.testing.assert_allclose(ternary_positions(parts)[:, 1] / TOP, parts[:, 2])


def test_what_has_no_place_is_nan_and_negatives_are_nothing():
    found = ternary_positions([[0, 0, 0], [np.nan, 1, 1], [-1, -2, 0], [-5, 1, 1]])
    assert np.isnan(found[:3]).all()
    np.testing.assert_allclose(found[3], ternary_positions([[0, 1, 1]])[0])


def test_phases_are_dots_in_their_colours():
    data = composition([[80, 10, 10], [10, 80, 10], [10, 10, 80]], phase=[4, 0, 2])
    figure = plot_ternary(data, names={4: "Corundum"})
    ax = figure.axes[0]
    wanted = phase_colours([4, 0, 2])
    for label, (x, y) in zip([4, 0, 2], ternary_positions(data), strict=True):
        assert colour_at(figure, ax, x, y) == wanted[label]
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["Phase 0", "Phase 2", "Corundum"]
    written = {text.get_text() for text in ax.texts}
    assert {*CORNERS, "20", "40", "60", "80"} <= written


def test_corners_choose_and_order_the_elements():
    wide = xr.DataArray(
        [[5.0, 60.0, 30.0, 5.0]], dims=("phase", "element"),
        coords={"element": ["O", "Fe", "Al", "Si"]},
    )  # fmt: skip
    ax = plot_ternary(wide, CORNERS).axes[0]
    (dots,) = ax.collections
    np.testing.assert_allclose(dots.get_offsets(), ternary_positions([[30, 5, 60]]))
    single = plot_ternary(wide[0], CORNERS).axes[0]
    np.testing.assert_allclose(single.collections[0].get_offsets(), dots.get_offsets())


def test_percentages_stand_at_their_lines():
    ax = plot_ternary([[1.0, 1.0, 1.0]]).axes[0]
    for text in ax.texts:
        if text.get_text() == "20":
            # just outside of the triangle, at the end of a line of 20 %
            x, y = text.get_position()
            inside = min(y / TOP, x - y / TOP / 2, 1 - x - y / TOP / 2)
            assert -0.06 < inside < 0.0


@pytest.mark.parametrize("lazy", [False, True])
def test_many_points_are_a_picture(lazy):
    rng = np.random.default_rng(1)
    centres = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    labels = np.repeat([0, 1], 5000).reshape(100, 100)
    parts = np.clip(centres[labels] + rng.normal(0, 0.005, (100, 100, 3)), 0, None)
    data = xr.DataArray(parts, dims=("y", "x", "element"), coords={"element": CORNERS})
    if lazy:
        data = data.copy(data=da.from_array(parts, chunks=40))
    figure = plot_ternary(data, labels=labels)
    ax = figure.axes[0]
    assert len(ax.images) == 1
    assert not ax.collections
    wanted = phase_colours([0, 1])
    for label, (x, y) in enumerate(ternary_positions(centres)):
        assert colour_at(figure, ax, x, y) == wanted[label]
    density = plot_ternary(data).axes[0]
    assert density.get_legend() is None
    assert len(density.images) == 1


def test_it_draws_into_given_axes():
    from matplotlib.figure import Figure

    own = Figure()
    ax = own.add_subplot()
    assert plot_ternary([[1.0, 2.0, 3.0]], ax=ax, title="Some") is own
    assert ax.get_title(loc="left") == "Some"
    assert pixels(own)[..., :3].min() < 200


def test_wrong_compositions_are_refused():
    data = composition([[80, 10, 10]])
    with pytest.raises(ShapeMismatchError, match=r"\(5, 4\)"):
        plot_ternary(np.ones((5, 4)))
    with pytest.raises(ShapeMismatchError, match=r"\(5, 2\)"):
        ternary_positions(np.ones((5, 2)))
    with pytest.raises(ParameterError, match="no Mg in the composition; it has: Al, Si, Fe"):
        plot_ternary(data, ["Al", "Si", "Mg"])
    with pytest.raises(ParameterError, match="three different names"):
        plot_ternary(data, ["Al", "Si", "Si"])
    with pytest.raises(ShapeMismatchError, match="choose three"):
        plot_ternary(data[:, :2])
    with pytest.raises(ParameterError, match="element"):
        plot_ternary(data.drop_vars("element"))
    with pytest.raises(ShapeMismatchError, match=r"labels of shape \(4,\)"):
        plot_ternary(np.ones((5, 3)), labels=np.zeros(4, int))
    with pytest.raises(ParameterError, match="float64"):
        plot_ternary(np.ones((5, 3)), labels=np.zeros(5))
    with pytest.raises(ParameterError, match="Label -3"):
        plot_ternary(np.ones((5, 3)), labels=np.full(5, -3))
    with pytest.raises(EmptyMapError, match="no point has any Al, Si, Fe"):
        plot_ternary(composition([[0, 0, 0]]))
    with pytest.raises(ParameterError, match="'best'"):
        plot_ternary(data, how="best")
