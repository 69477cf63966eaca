"""Forms that say how a step is done; they only make settings of what is typed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import panel as pn

from sigma_scale.errors import ParameterError
from sigma_scale.gui.dressing import tick_box

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sigma_scale.workflow.settings import RunSettings

__all__ = ["ClustersForm", "FeaturesForm", "LatentForm", "UnmixingForm"]

_WIDTH = 216
_STEPS = {
    "Average over neighbours": "neighbour_averaging",
    "Z-score": "zscore",
    "Softmax": "softmax",
}
_METHODS = {"Density (HDBSCAN)": "HDBSCAN", "Gaussian mixture": "GaussianMixture"}
_LOSSES = {
    "Squared difference": "frobenius",
    "Kullback-Leibler (counts)": "kullback-leibler",
}
_SOLVERS: dict[str, dict[str, Any]] = {
    "frobenius": {},
    "kullback-leibler": {"beta_loss": "kullback-leibler", "solver": "mu"},
}
_MOST_ITERATIONS = 2000


class _Form:
    """Widgets over a button."""

    def __init__(
        self, title: str, button: str, widgets: Sequence[Any], press: Callable[[], None]
    ) -> None:
        self.button = pn.widgets.Button(label=button, color="primary", width=_WIDTH)
        self.button.on_click(lambda _event: press())
        self.layout = pn.Column(
            pn.pane.HTML(f"<h2>{title}</h2>", margin=(0, 10)),
            *widgets,
            self.button,
            width=_WIDTH + 24,
            css_classes=["form"],
        )


class FeaturesForm(_Form):
    """
    How features are measured.

    Parameters
    ----------
    settings : RunSettings
        What the form shows at first.
    press : callable
        Called when the button is pressed.
    """

    def __init__(self, settings: RunSettings, press: Callable[[], None]) -> None:
        self._settings = settings
        bins = (1, 1) if settings.bin == "auto" else settings.bin
        self._lines = pn.widgets.TextAreaInput(
            label="X-ray lines",
            value=", ".join(settings.lines or ()),
            placeholder="As the file or its sum spectrum suggests",
            rows=4,
            width=_WIDTH,
        )
        self._auto = tick_box("Choose bins by counts", value=settings.bin == "auto")
        half = (_WIDTH - 20) // 2
        self._x = pn.widgets.IntInput(label="Bin x", value=bins[0], start=1, width=half)
        self._y = pn.widgets.IntInput(label="Bin y", value=bins[1], start=1, width=half)
        self._normalise = tick_box("Divide spectra by their sums", value=settings.normalise)
        self._cut = pn.widgets.FloatInput(
            label="Remove below (keV)",
            placeholder="Nothing is removed",
            value=settings.remove_below_kev,
            start=0.0,
            step=0.05,
            width=_WIDTH,
        )
        self._steps = pn.widgets.CheckBoxGroup(
            options=_STEPS, value=list(settings.normalisation), inline=False
        )
        super().__init__(
            "Features",
            "Measure features",
            [
                self._lines,
                self._auto,
                pn.Row(self._x, self._y, margin=0),
                self._normalise,
                self._cut,
                pn.pane.HTML("<label>Normalisation of the maps</label>", margin=(4, 10, 0, 10)),
                self._steps,
            ],
            press,
        )

    def settings(self) -> RunSettings:
        """
        Settings as they are typed.

        Raises
        ------
        ParameterError
            If something can't be understood.
        """
        names = tuple(dict.fromkeys((self._lines.value or "").replace(",", " ").split()))
        return replace(
            self._settings,
            lines=names or None,
            bin="auto" if self._auto.value else (_given(self._x), _given(self._y)),
            normalise=bool(self._normalise.value),
            remove_below_kev=None if self._cut.value is None else float(self._cut.value),
            # In the order in which they make sense, whatever the order of the clicks.
            normalisation=tuple(step for step in _STEPS.values() if step in self._steps.value),
        )


class LatentForm(_Form):
    """
    How the latent space is made.

    Parameters
    ----------
    settings : RunSettings
        What the form shows at first.
    press : callable
        Called when the button is pressed.
    """

    def __init__(self, settings: RunSettings, press: Callable[[], None]) -> None:
        self._settings = settings
        values = settings.latent
        self._neighbours = pn.widgets.IntInput(
            label="Neighbours", value=int(values["n_neighbors"]), start=2, width=_WIDTH
        )
        self._distance = pn.widgets.FloatInput(
            label="Least distance", value=float(values["min_dist"]), start=0.0, step=0.01,
            width=_WIDTH,
        )  # fmt: skip
        self._landmarks = pn.widgets.IntInput(
            label="Landmarks", value=int(values["n_landmarks"]), start=10, step=1000, width=_WIDTH
        )
        self._seed = _seed(settings)
        super().__init__(
            "Latent space (UMAP)",
            "Embed",
            [self._neighbours, self._distance, self._landmarks, self._seed],
            press,
        )

    def settings(self) -> RunSettings:
        """
        Settings as they are typed.

        Raises
        ------
        ParameterError
            If a field is empty.
        """
        chosen = {
            "n_neighbors": _given(self._neighbours),
            "min_dist": float(_given(self._distance)),
            "n_landmarks": _given(self._landmarks),
        }
        return replace(
            self._settings,
            latent={**self._settings.latent, **chosen},
            random_state=_given(self._seed),
        )


class ClustersForm(_Form):
    """
    How pixels are put into clusters.

    Parameters
    ----------
    settings : RunSettings
        What the form shows at first.
    press : callable
        Called when the button is pressed.
    """

    def __init__(self, settings: RunSettings, press: Callable[[], None]) -> None:
        self._settings = settings
        values = settings.clustering_args
        known = settings.clustering in _METHODS.values()
        self._method = pn.widgets.Select(
            label="Method",
            options=_METHODS,
            value=settings.clustering if known else "HDBSCAN",
            width=_WIDTH,
        )
        self._size = pn.widgets.IntInput(
            label="Smallest cluster (pixels)", value=values.get("min_cluster_size"), start=2,
            placeholder="By the map's size", width=_WIDTH,
        )  # fmt: skip
        self._samples = pn.widgets.IntInput(
            label="Samples", value=values.get("min_samples", 10), start=1, width=_WIDTH
        )
        self._number = pn.widgets.IntInput(
            label="Clusters", value=values.get("n_components", 8), start=1, width=_WIDTH
        )
        self._seed = _seed(settings)
        self._method.param.watch(lambda _event: self._show_parameters(), "value")
        self._show_parameters()
        super().__init__(
            "Clusters",
            "Cluster",
            [self._method, self._size, self._samples, self._number, self._seed],
            press,
        )

    def _show_parameters(self) -> None:
        dense = self._method.value == "HDBSCAN"
        self._size.visible = self._samples.visible = dense
        self._number.visible = self._seed.visible = not dense

    def settings(self) -> RunSettings:
        """
        Settings as they are typed.

        Raises
        ------
        ParameterError
            If a field is empty.
        """
        method = self._method.value
        # What else was given for the same method stays as it is.
        same = method == self._settings.clustering
        chosen = dict(self._settings.clustering_args) if same else {}
        if method == "HDBSCAN":
            chosen |= {"min_samples": _given(self._samples)}
            chosen.pop("min_cluster_size", None)
            if self._size.value is not None:
                chosen["min_cluster_size"] = int(self._size.value)
        else:
            chosen |= {"n_components": _given(self._number)}
        return replace(
            self._settings,
            clustering=method,
            clustering_args=chosen,
            random_state=_given(self._seed),
        )


class UnmixingForm(_Form):
    """
    How the clusters' spectra are unmixed.

    Parameters
    ----------
    settings : RunSettings
        What the form shows at first.
    n_clusters : int
        Clusters that there are.
    press : callable
        Called when the button is pressed.
    """

    def __init__(self, settings: RunSettings, n_clusters: int, press: Callable[[], None]) -> None:
        most = settings.n_end_members or min(5, max(1, n_clusters))
        self._number = pn.widgets.IntInput(label="End-members", value=most, start=1, width=_WIDTH)
        self._clusters = pn.widgets.TextInput(
            label="Clusters", value="All", placeholder="All, or 0, 2, 5", width=_WIDTH
        )
        self._loss = pn.widgets.Select(
            label="Loss", options=_LOSSES, value="frobenius", width=_WIDTH
        )
        super().__init__("Unmixing", "Unmix", [self._number, self._clusters, self._loss], press)

    def arguments(self) -> dict[str, Any]:
        """
        Arguments of :meth:`Project.unmix`, as they are typed.

        Raises
        ------
        ParameterError
            If something can't be understood.
        """
        text = (self._clusters.value or "").strip()
        clusters: str | list[int] = "All"
        if text.lower() not in {"", "all"}:
            try:
                clusters = [int(part) for part in text.replace(",", " ").split()]
            except ValueError as error:
                raise ParameterError(
                    f"Clusters are named by their numbers, such as 0, 2, 5, and not {text!r}."
                ) from error
        return {
            "n_components": _given(self._number),
            "clusters_to_be_calculated": clusters,
            "method_args": {"max_iter": _MOST_ITERATIONS, **_SOLVERS[self._loss.value]},
        }


def _seed(settings: RunSettings) -> pn.widgets.IntInput:
    return pn.widgets.IntInput(
        label="Seed", value=settings.random_state, start=0, end=2**32 - 1, width=_WIDTH
    )


def _given(widget: Any) -> Any:
    if widget.value is None:
        raise ParameterError(f"The field {widget.label!r} is empty. Type a number.")
    return widget.value
