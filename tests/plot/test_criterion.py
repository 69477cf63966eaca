"""A criterion against the number of components."""

from __future__ import annotations

import numpy as np
import pytest

from sigma_scale.errors import EmptyMapError, ShapeMismatchError
from sigma_scale.plot.criterion import plot_criterion


def test_the_lowest_is_marked():
    ax = plot_criterion([2, 4, 6], [3.0, 1.0, np.nan], name="AIC", title="Mixture").axes[0]
    assert ax.get_ylabel() == "AIC"
    assert ax.get_title(loc="left") == "Mixture"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Lowest: 4 components"]
    assert list(ax.lines[1].get_xdata()) == [4]


def test_wrong_values():
    with pytest.raises(ShapeMismatchError, match="1 values for 2"):
        plot_criterion([1, 2], [1.0])
    with pytest.raises(EmptyMapError, match="BIC"):
        plot_criterion([1], [np.nan])
