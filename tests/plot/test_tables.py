"""Pictures of weights, proportions and colours."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.plot.tables import plot_colours, plot_proportions, plot_weights


def test_weights_are_written_where_they_count():
    table = pd.DataFrame([[1.0, 0.25], [0.001, 0.5]], index=["c0", "c1"], columns=["w0", "w1"])
    figure = plot_weights(table, title="T")
    ax = figure.axes[0]
    assert sorted(text.get_text() for text in ax.texts) == ["0.25", "0.50", "1.00"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["c0", "c1"]
    assert figure.get_suptitle() == "T"


def test_many_weights_are_shades_only():
    table = pd.DataFrame(np.ones((3, 20)), columns=[f"w_{j}" for j in range(20)])
    ax = plot_weights(table).axes[0]
    assert not ax.texts
    assert ax.images[0].get_array().shape == (3, 20)
    with pytest.raises(EmptyMapError):
        plot_weights(table.iloc[:0])


def test_proportions_are_sorted_with_noise_last():
    ax = plot_proportions(
        {-1: 0.5, 0: 0.1, 1: 0.4}, names={0: "rim"}, colours={1: "#ff0000"}, title="T"
    ).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Phase 1", "rim", "Noise"]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([40, 10, 50])
    assert to_hex(ax.patches[0].get_facecolor()) == "#ff0000"
    assert {text.get_text() for text in ax.texts} == {"40.0 %", "10.0 %", "50.0 %"}
    with pytest.raises(EmptyMapError):
        plot_proportions({})


def test_colours_have_their_codes():
    ax = plot_colours(["#ff0000", "#00ff00"] * 4).axes[0]
    assert [to_hex(patch.get_facecolor()) for patch in ax.patches] == ["#ff0000", "#00ff00"] * 4
    assert [text.get_text() for text in ax.texts] == ["#ff0000", "#00ff00"] * 4
    assert len({patch.get_y() for patch in ax.patches}) == 2
    with pytest.raises(EmptyMapError):
        plot_colours([])
    with pytest.raises(ParameterError):
        plot_colours(["no colour"])
