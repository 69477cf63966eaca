"""Pictures of a training: its losses and learning rate by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.plot.figures import INK, MUTED, dress_axes, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_losses"]

_CURVES = {"train": ("Training", "#0072b2"), "evaluation": ("Held out", "#d55e00")}
_NEEDED = ("epoch", "train", "evaluation", "learning_rate")
_FEW_EPOCHS = 30
_WIDE_RANGE = 20.0


def plot_losses(experiment: Any, *, log: bool | None = None, title: str | None = None) -> Figure:
    """
    Draw the losses of a training by epoch, and the learning rate below.

    Parameters
    ----------
    experiment : Experiment or pandas.DataFrame
        Anything trained that has ``losses``, or these themselves: columns ``epoch``, ``train``,
        ``evaluation`` (NaN where nothing was held out) and ``learning_rate``.
    log : bool, optional
        Draw the losses on a logarithmic scale; None: where they span more than a factor of 20.
    title : str, optional
        Written above.

    Returns
    -------
    matplotlib.figure.Figure
        The epoch of the lowest loss, of those held out where there are any, is marked.

    Raises
    ------
    ParameterError
        If a column is missing, or the experiment was not trained yet.
    EmptyMapError
        If there is no epoch.
    """
    losses = _checked(experiment)
    epochs = losses["epoch"].to_numpy()
    figure = new_figure(6.4, 4.4 + (0.3 if title else 0.0))
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    curves = {name: losses[name].to_numpy(float) for name in _CURVES}
    curves = {name: values for name, values in curves.items() if np.isfinite(values).any()}
    marker = "o" if len(epochs) <= _FEW_EPOCHS else ""
    for name, values in curves.items():
        label, colour = _CURVES[name]
        top.plot(epochs, values, color=colour, lw=1.6, marker=marker, ms=3, label=label)
    watched = "evaluation" if "evaluation" in curves else "train"
    _mark_lowest(top, epochs, curves[watched], _CURVES[watched][1])
    if _is_log(log, curves):
        top.set_yscale("log")
    top.set_ylabel("Loss")
    top.legend(fontsize=8, frameon=False, labelcolor=INK)
    _draw_rate(bottom, epochs, losses["learning_rate"].to_numpy(float))
    bottom.set_xlabel("Epoch")
    bottom.xaxis.get_major_locator().set_params(integer=True)
    for ax in (top, bottom):
        dress_axes(ax)
    if title:
        figure.suptitle(title, size=11, color=INK, x=0.01, ha="left", parse_math=False)
    figure.align_ylabels()
    return figure


def _checked(experiment: Any) -> pd.DataFrame:
    losses: pd.DataFrame = getattr(experiment, "losses", experiment)
    missing = [name for name in _NEEDED if name not in getattr(losses, "columns", ())]
    if missing:
        raise ParameterError(
            f"There is no column {', '.join(map(repr, missing))} in the losses; give an Experiment "
            "that was trained, or a table with epoch, train, evaluation and learning_rate."
        )
    if not len(losses):
        raise EmptyMapError("There are no losses to draw: no epoch was finished.")
    return losses


def _is_log(log: bool | None, curves: dict[str, Any]) -> bool:  # noqa: FBT001 - three states
    values = np.concatenate(list(curves.values()))
    values = values[np.isfinite(values)]
    if log is not None:
        return log
    return bool(values.min() > 0 and values.max() > _WIDE_RANGE * values.min())


def _draw_rate(ax: Axes, epochs: Any, rate: Any) -> None:
    """Draw the learning rate on a scale of whole decades, which needs few numbers."""
    from matplotlib.ticker import NullFormatter

    ax.step(epochs, rate, where="mid", color=MUTED, lw=1.4)
    ax.set_yscale("log")
    low, high = np.floor(np.log10(rate.min())), np.ceil(np.log10(rate.max()))
    ax.set_ylim(10 ** (low - 0.15), 10 ** (max(high, low + 1) + 0.15))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylabel("Learning rate")


def _mark_lowest(ax: Axes, epochs: Any, values: Any, colour: str) -> None:
    lowest = int(np.nanargmin(values))
    ax.plot(
        epochs[lowest], values[lowest], marker="o", ms=8, mfc="none", mec=colour, ls="",
        label=f"Lowest: {values[lowest]:.4g} (epoch {int(epochs[lowest])})",
    )  # fmt: skip
