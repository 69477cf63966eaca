from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from drawing import pixels

from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.plot.losses import plot_losses


def table(n=8, *, held_out=True, fall=0.7):
    train = fall ** np.arange(n)
    evaluation = train + 0.1
    evaluation[n // 2] = 0.01
    return pd.DataFrame(
        {
            "epoch": np.arange(1, n + 1),
            "train": train,
            "evaluation": evaluation if held_out else np.nan,
            "learning_rate": np.where(np.arange(n) < n // 2, 1e-4, 5e-5),
        }
    )


def curves(ax):
    return {line.get_label(): line for line in ax.lines}


def test_both_losses_and_the_learning_rate_are_drawn():
    losses = table()
    figure = plot_losses(SimpleNamespace(losses=losses), title="zscore")
    top, bottom = figure.axes
    drawn = curves(top)
    np.testing.assert_array_equal(drawn["Training"].get_xydata(), losses[["epoch", "train"]])
    np.testing.assert_array_equal(drawn["Held out"].get_ydata(), losses["evaluation"])
    np.testing.assert_array_equal(bottom.lines[0].get_ydata(), losses["learning_rate"])
    (lowest,) = (line for name, line in drawn.items() if name.startswith("Lowest"))
    assert lowest.get_label() == "Lowest: 0.01 (epoch 5)"
    np.testing.assert_array_equal(lowest.get_xydata(), [[5, 0.01]])
    assert figure.get_suptitle() == "zscore"
    assert top.get_ylabel() == "Loss"
    assert bottom.get_xlabel() == "Epoch"
    assert len({tuple(c) for c in pixels(figure).reshape(-1, 4)[::7]}) > 3


def test_nothing_held_out_has_one_curve_and_its_own_lowest():
    figure = plot_losses(table(held_out=False))
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[0] == "Training"
    assert labels[1].endswith("(epoch 8)")
    assert len(labels) == 2


@pytest.mark.parametrize(
    ("log", "fall", "scale"),
    [(None, 0.99, "linear"), (None, 0.5, "log"), (True, 0.99, "log"), (False, 0.5, "linear")],
)
def test_scale_follows_the_range_of_the_losses_unless_chosen(log, fall, scale):
    figure = plot_losses(table(held_out=False, fall=fall), log=log)
    assert figure.axes[0].get_yscale() == scale


def test_epochs_are_whole_numbers():
    axis = plot_losses(table(3)).axes[1].xaxis
    assert all(float(tick).is_integer() for tick in axis.get_majorticklocs())


def test_what_is_no_table_of_losses_is_refused():
    with pytest.raises(ParameterError, match="'learning_rate'"):
        plot_losses(table().drop(columns="learning_rate"))
    with pytest.raises(ParameterError, match="trained"):
        plot_losses([1, 2])
    with pytest.raises(EmptyMapError, match="no epoch"):
        plot_losses(table().head(0))
