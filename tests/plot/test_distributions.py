"""Maps at several stages with the distributions of their values."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import make_map

from sigma_scale.errors import EmptyMapError
from sigma_scale.plot.distributions import plot_distributions


def test_each_stage_has_its_map_and_all_its_pixels():
    values = np.random.default_rng(0).normal(3.0, 2.0, (20, 30))
    missing = values.copy()
    missing[0] = np.nan
    figure = plot_distributions(
        {"a": make_map(values), "b": make_map(missing)}, cmap="Reds", title="Fe", max_side=10
    )
    above, below = figure.axes[:2], figure.axes[2:4]
    assert [ax.get_title(loc="left") for ax in above] == ["a", "b"]
    assert above[0].images[0].get_array().shape == (10, 10)
    assert above[0].images[0].get_cmap().name == "Reds"
    assert [sum(ax.patches[0].get_data()[0]) for ax in below] == [600, 570]
    wanted = f"mean {values.mean():.3g}, sd {values.std():.3g}"
    assert below[0].get_title(loc="left") == wanted
    assert figure.get_suptitle() == "Fe"


def test_a_mean_of_zero_is_written_as_zero():
    values = np.array([[1.0, -1.0 + 1e-12]])
    figure = plot_distributions({"a": make_map(values)})
    assert figure.axes[1].get_title(loc="left") == "mean 0, sd 1"


def test_nothing_to_draw():
    with pytest.raises(EmptyMapError):
        plot_distributions({})
    figure = plot_distributions({"a": make_map(np.full((3, 4), np.nan))})
    assert [text.get_text() for text in figure.axes[1].texts] == ["no data"]
