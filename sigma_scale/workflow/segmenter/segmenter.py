"""PixelSegmenter: a map's pixels in clusters, as the tutorial's notebooks hold them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import ParameterError, SigmaScaleWarning
from sigma_scale.workflow.segmenter.areas import ClusterAreas
from sigma_scale.workflow.segmenter.bic import bic_curve, choose_n_components
from sigma_scale.workflow.segmenter.clusters import first_state
from sigma_scale.workflow.segmenter.dataset import (
    SegmentedMap,
    feature_means,
    features_of,
    latent_rows,
    without_gaps,
)
from sigma_scale.workflow.segmenter.editing import EditableClusters
from sigma_scale.workflow.segmenter.given_labels import given_clusters
from sigma_scale.workflow.segmenter.history import History
from sigma_scale.workflow.segmenter.methods import cluster_rows
from sigma_scale.workflow.segmenter.probabilities import Memberships
from sigma_scale.workflow.segmenter.saving import SavableClusters
from sigma_scale.workflow.segmenter.spectra import MapSpectra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from sigma_scale.workflow.segmenter.clusters import ClusterState, PixelState
    from sigma_scale.workflow.segmenter.dataset import SegmentableDataset
    from sigma_scale.workflow.segmenter.mixture import Components

__all__ = ["PixelSegmenter"]

_Number = TypeVar("_Number", bound=np.generic)
_DEFAULT_ARGS = {"n_components": 8, "random_state": 4}


class PixelSegmenter(ClusterAreas, EditableClusters, SavableClusters):
    """
    Clusters of a map's pixels in a latent space.

    Parameters
    ----------
    latent : array-like, shape (y * x, component) or (y, x, component)
        Latent coordinates of the (binned) map's pixels: an array, a DataArray or a dask array.
        Pixels with NaN become noise; those in the gaps of a mosaic have no place in it, and
        belong to no cluster.
    dataset : SEMDataset, TEMDataset, ImageDataset or another SegmentableDataset
        The map, as it is processed now; processing it further doesn't change the segmenter.
    method : str or estimator, default: "BayesianGaussianMixture"
        "GaussianMixture", "BayesianGaussianMixture", "Kmeans", "MiniBatchKmeans", "Birch",
        "HDBSCAN", or any clusterer object of scikit-learn, which is copied.
    method_args : mapping, optional
        Parameters of the method. ``n_components="auto"`` of a mixture chooses the number with
        the lowest :meth:`bic`, at most 50. A seed that is not given is 0. All pixels take part
        in the fit, but for Birch, where ``n_fit`` says how many (100 000).
        None, for the default method: eight components and the seed 4.

    Attributes
    ----------
    latent : numpy.ndarray, shape (y * x, component)
        Latent coordinates; read-only.
    dataset : SEMDataset, TEMDataset or ImageDataset
        The map.
    height, width : int
        Rows and columns of the map.
    feature_list, peak_list : list of str
        Names of the features.
    method : str
        Name of the method.
    method_args : dict
        Its parameters as they were given; "auto" is replaced by what was chosen.
    model : estimator or None
        The fitted estimator; None in a state that was loaded.
    mixture : Components or None
        Centres and covariances of a mixture, also in a state that was loaded; None for other
        methods. They are those of the fit, before any edit.
    bic_list : list of float
        Criterion for 1, 2, ... components, where they were chosen automatically; else empty.
    recipe : dict
        How the clusters were made: model, parameters, versions; plain values.

    Raises
    ------
    ShapeMismatchError
        If latent space and dataset have different numbers of pixels.
    ParameterError
        If there is no such method or parameter, or it can't work.
    EmptyMapError
        If no pixel has latent coordinates.

    Warns
    -----
    SigmaScaleWarning
        If the method finds no cluster: all pixels are noise. If the latent space has collapsed:
        the variance of its coordinates is below a mixture's ``reg_covar``.
    """

    def __init__(
        self,
        latent: ArrayLike | xr.DataArray,
        dataset: SegmentableDataset,
        method: str | Any = "BayesianGaussianMixture",
        method_args: Mapping[str, Any] | None = None,
    ) -> None:
        height, width = dataset.shape[:2]
        self._take_dataset(dataset)
        rows = without_gaps(latent_rows(latent, (height, width)), self._map.gap_pixels)
        arguments = dict(method_args or {})
        if method_args is None and method == "BayesianGaussianMixture":
            arguments = dict(_DEFAULT_ARGS)
        bic_list: list[float] = []
        if isinstance(method, str) and _is_auto(arguments.get("n_components")):
            arguments["n_components"], bic_list = choose_n_components(rows, method, arguments)
        found = cluster_rows(rows, method, arguments)
        self.latent = rows
        self.method = method if isinstance(method, str) else type(method).__name__
        self.method_args = arguments
        self.model = found.model
        self.bic_list = bic_list
        self.recipe = found.recipe
        self._memberships = Memberships(rows, found.mixture, found.strength)
        n_gaussians = 0 if found.mixture is None else len(found.mixture)
        self._history = History(
            first_state(found.labels, found.n_clusters, n_gaussians, self._map.gap_pixels)
        )
        if not (found.labels >= 0).any():
            n_pixels = self.state.pixels.n_measured
            warnings.warn(
                f"{self.method} found no cluster: all {n_pixels} pixels are noise. Try "
                "other parameters, such as a smaller min_cluster_size, or create clusters by hand.",
                SigmaScaleWarning,
                stacklevel=2,
            )
        if found.is_blurred:
            warnings.warn(
                "The latent space has collapsed: the variance of its coordinates is below "
                f"reg_covar={found.model.reg_covar:g}, which {self.method} adds to each variance, "
                "so it can't tell clusters apart. Make the latent space anew, such as by longer "
                "training, or multiply its coordinates.",
                SigmaScaleWarning,
                stacklevel=2,
            )

    def _take_dataset(self, dataset: SegmentableDataset) -> None:
        """Keep what the dataset is now: its later steps make new results, they change none."""
        self.dataset = dataset
        self._map = SegmentedMap.of(dataset)
        self.height, self.width = self._map.shape
        self.feature_list = list(self._map.feature_list)
        self._spectra = MapSpectra(self._map.image, self._map.measured)
        self._features = features_of(dataset)
        self._derived: tuple[PixelState, dict[str, NDArray[Any]]] | None = None

    @classmethod
    def from_saved_state(cls, path: str | Path, dataset: SegmentableDataset) -> Self:
        """
        Make a segmenter from a saved segmentation, without clustering anew.

        Parameters
        ----------
        path : path
            File that :meth:`save_state` wrote.
        dataset : SEMDataset, TEMDataset or ImageDataset
            The map that it was made from, binned as it was then.

        Returns
        -------
        PixelSegmenter

        Raises
        ------
        SourceNotFoundError, StoreError, ShapeMismatchError
            As for :meth:`load_state`.
        """
        segmenter = cls.__new__(cls)
        segmenter._take_dataset(dataset)  # noqa: SLF001 - an object of this very class
        segmenter.load_state(path)
        return segmenter

    @classmethod
    def from_labels(
        cls,
        latent: ArrayLike | xr.DataArray,
        dataset: SegmentableDataset,
        labels: ArrayLike | xr.DataArray,
        *,
        probability: ArrayLike | xr.DataArray | None = None,
        method: str = "labels",
        recipe: Mapping[str, Any] | None = None,
    ) -> Self:
        """
        Make a segmenter of labels that are there already, without clustering anew.

        Parameters
        ----------
        latent, dataset
            As for the class.
        labels : array-like, shape (y, x) or (y * x,), integer
            Cluster of each pixel, from wherever; -1 is noise. A number below the highest that no
            pixel has is a cluster without pixels.
        probability : array-like of the same shape, optional
            How surely each pixel belongs to its cluster, 0 to 1; it is 0 for noise whatever is
            given. None: 1.
        method : str, default: "labels"
            What the labels were made by, for display.
        recipe : mapping, optional
            How they were made, as plain values.

        Returns
        -------
        PixelSegmenter
            Its ``mixture`` and ``model`` are None.

        Raises
        ------
        ShapeMismatchError
            If labels, probability or latent space are of other pixels than the dataset's.
        ParameterError
            If labels are no integers of -1 or more, or reach the number of pixels, or a
            probability is not between 0 and 1.
        """
        segmenter = cls.__new__(cls)
        segmenter._take_dataset(dataset)  # noqa: SLF001 - an object of this very class
        gaps = segmenter._map.gap_pixels  # noqa: SLF001
        shape = segmenter.height, segmenter.width
        segmenter.latent = without_gaps(latent_rows(latent, shape), gaps)
        found = given_clusters(labels, probability, shape, recipe=recipe)
        segmenter.method = method
        segmenter.method_args = {}
        segmenter.model = None
        segmenter.bic_list = []
        segmenter.recipe = found.recipe
        segmenter._memberships = Memberships(segmenter.latent, None, found.strength)  # noqa: SLF001
        first = first_state(found.labels, found.n_clusters, 0, gaps)
        segmenter._history = History(first)  # noqa: SLF001
        return segmenter

    def __repr__(self) -> str:
        n_noise = self.state.pixels.n_noise
        return (
            f"<PixelSegmenter {self.method}: {self.n_components} clusters of "
            f"{self.height} x {self.width} pixels, {n_noise} of them noise, "
            f"{self._history.position} edits>"
        )

    @property
    def peak_list(self) -> list[str]:
        """Names of the features."""
        return self.feature_list

    @property
    def labels(self) -> NDArray[np.int32]:
        """
        Cluster of each pixel in row-major order, shape (y * x,); -1 is noise. Read-only.

        In the gaps of a mosaic they are -1 too; ``label_map.measured`` tells these from noise.
        """
        return self._history.current.pixels.labels

    @property
    def n_components(self) -> int:
        """Number of clusters after the edits, empty ones included."""
        return self._history.current.pixels.n_clusters

    @property
    def cluster_sizes(self) -> NDArray[np.int64]:
        """Pixels of each cluster, shape (cluster,)."""
        return self._history.current.pixels.sizes()

    @property
    def state(self) -> ClusterState:
        """Labels, names and colours as they are now: a :class:`ClusterState`, never changed."""
        return self._history.current

    @property
    def cluster_colors(self) -> dict[int, str]:
        """Colour ``"#rrggbb"`` of each cluster; with -1 for the noise, where there is any."""
        return self._history.current.colours_by_number()

    @property
    def cluster_names(self) -> dict[int, str]:
        """Name of each cluster: the one it was given, or ``cluster_`` and its number."""
        return self._history.current.names_by_number()

    @property
    def mixture(self) -> Components | None:
        """Components of the fitted mixture; None for other methods."""
        return self._memberships.mixture

    @property
    def mu(self) -> NDArray[np.float64]:
        """
        Mean feature vector of each cluster, shape (cluster, feature).

        NaN for clusters without pixels. Of the features as they were when the segmenter was made.
        """
        if self._features is None:
            self._features = self.dataset.normalised_elemental_data
        if self._features is None:
            raise ParameterError(
                "The dataset has no features yet. Call get_feature_maps() and normalisation([...])."
            )

        def means() -> NDArray[np.float64]:
            return feature_means(self._features, self.labels, self.n_components)

        return self._kept("mu", means)

    @property
    def probability(self) -> NDArray[np.float32]:
        """Probability of each pixel for its own cluster, shape (y * x,); 0 for noise."""
        pixels = self._history.current.pixels
        return self._kept("probability", lambda: self._memberships.own(pixels))

    @property
    def prob_map(self) -> NDArray[np.float32]:
        """
        Probability of each pixel, read-only.

        For mixtures of each pixel for each cluster, shape (y * x, cluster); for other methods
        for the pixel's own cluster, shape (y * x,), which is :attr:`probability`.

        Raises
        ------
        MemoryLimitError
            If it would not fit into memory.
        """
        if self.mixture is None:
            return self.probability
        pixels = self._history.current.pixels
        compute.check_memory(
            4 * pixels.labels.size * (pixels.n_clusters + 1),
            what=f"Probabilities of {pixels.labels.size} pixels and {pixels.n_clusters} clusters",
            remedy="Use `probability`, merge clusters, or raise memory_limit.",
        )
        return self._kept("prob_map", lambda: self._memberships.all_clusters(pixels))

    def _kept(self, name: str, make: Callable[[], NDArray[_Number]]) -> NDArray[_Number]:
        """Result that follows from the labels, made once for each state of them."""
        pixels = self._history.current.pixels
        if self._derived is None or self._derived[0] is not pixels:
            self._derived = (pixels, {})
        results = self._derived[1]
        if name not in results:
            results[name] = make()
            results[name].flags.writeable = False
        kept: NDArray[_Number] = results[name]
        return kept

    @staticmethod
    def bic(
        latent: ArrayLike | xr.DataArray,
        n_components: int | Iterable[int] = 20,
        model: str = "BayesianGaussianMixture",
        model_args: Mapping[str, Any] | None = None,
    ) -> list[float]:
        """
        Rate mixtures of several numbers of components; the lower the better.

        Parameters
        ----------
        latent : array-like, shape (n, component) or (y, x, component)
            Latent coordinates. Of more than 100 000 pixels a uniform sample is used.
        n_components : int or iterable of int, default: 20
            Numbers to try; one number means all from 1 to it.
        model : {"BayesianGaussianMixture", "GaussianMixture"}
            Kind of mixture.
        model_args : mapping, optional
            Its parameters, without ``n_components``. None: the seed 6.

        Returns
        -------
        list of float
            Bayesian information criterion for each number.

        Raises
        ------
        ParameterError
            If the model is no mixture, a parameter is unknown, or there are fewer pixels than
            components.
        """
        values = np.asarray(latent)
        rows = values.reshape(-1, values.shape[-1]) if values.ndim else values
        arguments = {"random_state": 6} if model_args is None else model_args
        return bic_curve(rows, n_components, model, arguments)


def _is_auto(value: object) -> bool:
    return isinstance(value, str) and value == "auto"
