"""HDBSCAN of maps of any size: exact, each pixel of a map takes part."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Self

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted

from sigma_scale.clustering.density.engines import choose_engine, library_edges
from sigma_scale.clustering.density.hierarchy import build_dendrogram, cut_dendrogram
from sigma_scale.clustering.density.hierarchy_kernels import label_points
from sigma_scale.clustering.density.kd_tree import build_tree, core_distances
from sigma_scale.clustering.density.parameters import check_parameters, samples_of
from sigma_scale.clustering.density.placer import DensityPlacer
from sigma_scale.clustering.density.spanning_tree import library_tree, spanning_tree
from sigma_scale.compute import check_memory, local_workers
from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.latent.rows import as_matrix, as_rows, row_batches
from sigma_scale.progress import progress_bar

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from sigma_scale.clustering.density.hierarchy import Cut, Dendrogram
    from sigma_scale.clustering.density.kd_tree import KDTree

__all__ = ["HDBSCAN"]

_BYTES_PER_ROW = 110  # at the peak, without coordinates
_WIDEST = 1e150  # squares of distances are finite


class HDBSCAN(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """
    Hierarchical density clustering [1]_ of all rows, exact, with memory for many millions.

    The minimum spanning tree of the mutual reachability comes from Boruvka's algorithm on a k-d
    tree, made for the two or three coordinates of a latent space; it is right, but slow, for
    more than about ten. Labels and probabilities are the same for any number of threads and any
    order of the rows. Where libraries depend on it, at points that lie as far from one cluster as
    from another, neither gets the point, as in [1]_.

    Parameters
    ----------
    min_cluster_size : int, default: 100
        Smallest number of pixels that make a cluster.
    min_samples : int, optional
        Neighbours that a density is measured with, the pixel itself not counted; more of them
        give smoother clusters and more noise. It means the same for every engine, which is what
        the hdbscan library means by it; scikit-learn's HDBSCAN counts the pixel too, and gives
        the same with one more. None: ``min_cluster_size``, but at most 15 (the libraries take
        ``min_cluster_size``).
    max_cluster_size : int, default: 0
        Largest number of pixels of a cluster, for "eom"; 0: no limit.
    cluster_selection_epsilon : float, default: 0.0
        Clusters nearer than this, in units of the latent space, are not split.
    cluster_selection_method : {"eom", "leaf"}, default: "eom"
        Most persistent clusters, or the finest ones.
    engine : {"auto", "exact", "hdbscan", "fast_hdbscan", "cuml"}, default: "auto"
        Who finds the spanning tree: "exact" is this package's own algorithm, the others are
        libraries, "cuml" on a GPU. "cpu" and "gpu" stand for "exact" and "cuml". "auto" follows
        the option ``engine`` and is else "exact". All trees are cut by the same code.
    n_jobs : int, optional
        Threads. None: as many as Dask would use here.

    Attributes
    ----------
    labels_ : numpy.ndarray, shape (n,), int32
        Cluster of each row; -1: noise.
    probabilities_ : numpy.ndarray, shape (n,), float32
        Strength of its membership; 0 for noise.
    n_clusters_ : int
        Number of clusters.
    min_samples_ : int
        Neighbours that densities were measured with.
    engine_ : str
        Engine that found the tree.
    n_features_in_ : int
        Number of latent coordinates.

    References
    ----------
    .. [1] R. Campello, D. Moulavi, J. Sander: Density-based clustering based on hierarchical
       density estimates. PAKDD 2013, 160-172. L. McInnes, J. Healy, S. Astels: hdbscan.
       JOSS 2 (2017) 205.
    """

    labels_: NDArray[np.int32]
    probabilities_: NDArray[np.float32]
    n_clusters_: int
    min_samples_: int
    engine_: str
    n_features_in_: int
    _tree: KDTree
    _cores: tuple[NDArray[np.float64], NDArray[np.float64]]
    _dendrogram: Dendrogram
    _cut: Cut

    def __init__(
        self,
        *,
        min_cluster_size: int = 100,
        min_samples: int | None = None,
        max_cluster_size: int = 0,
        cluster_selection_epsilon: float = 0.0,
        cluster_selection_method: str = "eom",
        engine: str = "auto",
        n_jobs: int | None = None,
    ) -> None:
        self.min_cluster_size = min_cluster_size
        self.min_samples = min_samples
        self.max_cluster_size = max_cluster_size
        self.cluster_selection_epsilon = cluster_selection_epsilon
        self.cluster_selection_method = cluster_selection_method
        self.engine = engine
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002, N803
        """
        Find clusters and label all rows.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
            Latent coordinates of each pixel. float32 is kept as it is; distances are computed
            in double precision.
        y : None
            Not used.

        Returns
        -------
        HDBSCAN
            The fitted model.

        Raises
        ------
        ParameterError
            If a parameter cannot work, a value is NaN or infinite, or there are fewer rows than
            the smallest cluster has.
        EngineUnavailableError
            If the engine is not installed.
        MemoryLimitError
            If the rows are too many for the memory.
        """
        matrix = as_matrix(X, name="latent coordinates")
        check_parameters(self, len(matrix))
        min_samples = samples_of(self)
        engine = choose_engine(self.engine, min_samples=min_samples, n_features=matrix.shape[1])
        kind = np.float32 if matrix.dtype in (np.float16, np.float32) else np.float64
        check_memory(
            len(matrix) * (_BYTES_PER_ROW + 2 * matrix.shape[1] * np.dtype(kind).itemsize),
            what=f"HDBSCAN of {len(matrix)} pixels",
            remedy="Bin the map, crop it, or raise memory_limit.",
        )
        rows = as_rows(matrix, name="latent coordinates", dtype=kind)
        if float(np.abs(rows).max()) > _WIDEST:
            raise ParameterError(
                f"The latent coordinates go beyond {_WIDEST:g}: squares of distances would not "
                "be finite. Scale them."
            )
        threads = self._threads()
        tree = build_tree(rows, threads=threads)
        cores = core_distances(tree, min_samples, threads=threads)
        if engine == "exact":
            edges, weights = spanning_tree(tree, *cores, threads=threads)
        else:
            found = library_edges(engine, rows, min_samples=min_samples, threads=threads)
            edges, weights = library_tree(tree, cores[0], found)
        self._tree, self._cores = tree, cores
        self._dendrogram = build_dendrogram(tree, edges, weights)
        self.engine_ = engine
        self.min_samples_ = min_samples
        self.n_features_in_ = matrix.shape[1]
        return self._labelled()

    def recut(
        self,
        *,
        min_cluster_size: int | None = None,
        max_cluster_size: int | None = None,
        cluster_selection_epsilon: float | None = None,
        cluster_selection_method: str | None = None,
    ) -> Self:
        """
        Choose other clusters from the same tree, without measuring distances again.

        Parameters
        ----------
        min_cluster_size, max_cluster_size : int, optional
        cluster_selection_epsilon : float, optional
        cluster_selection_method : {"eom", "leaf"}, optional
            As in the constructor; None: as they are. ``min_samples`` stays what the tree was
            made with.

        Returns
        -------
        HDBSCAN
            Another fitted model; this one stays as it is. Both share the tree.

        Raises
        ------
        ParameterError
            If a parameter cannot work.
        """
        check_is_fitted(self)
        given = {
            "min_cluster_size": min_cluster_size,
            "max_cluster_size": max_cluster_size,
            "cluster_selection_epsilon": cluster_selection_epsilon,
            "cluster_selection_method": cluster_selection_method,
        }
        other: Self = copy(self).set_params(
            min_samples=self.min_samples_,
            **{name: value for name, value in given.items() if value is not None},
        )
        check_parameters(other, len(self.labels_))
        return other._labelled()

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:  # noqa: N803
        """
        Assign rows to the clusters found; -1: noise.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
            Latent coordinates of each pixel.

        Returns
        -------
        numpy.ndarray, shape (n,), int32
        """
        return self.predict_proba_max(X)[0]

    def predict_proba_max(self, X: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.float32]]:  # noqa: N803
        """
        Assign rows to the clusters found and say how strongly they belong to them.

        A row goes to the cluster of the fitted row with the smallest mutual reachability, if it
        is dense enough there, and else to the cluster around it; it doesn't matter which rows
        come with it. A row of the fit gets what it has in ``labels_`` and ``probabilities_``.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
            Latent coordinates of each pixel.

        Returns
        -------
        labels : numpy.ndarray, shape (n,), int32
        probabilities : numpy.ndarray, shape (n,), float32

        Raises
        ------
        ShapeMismatchError
            If the number of features is another than in the fit.
        ParameterError
            If a value is NaN or infinite.
        """
        check_is_fitted(self)
        matrix = as_matrix(X, name="latent coordinates")
        if matrix.shape[1] != self.n_features_in_:
            raise ShapeMismatchError(
                f"X has {matrix.shape[1]} features, but HDBSCAN is expecting "
                f"{self.n_features_in_} features as input: it was fitted on "
                f"{self.n_features_in_}. Give it the same features in the same order."
            )
        labels = np.empty(len(matrix), np.int32)
        probabilities = np.empty(len(matrix), np.float32)
        place, threads = self.placer(), self._threads()
        with progress_bar("Assigning pixels to clusters", total=len(matrix)) as bar:
            for rows, batch in row_batches(matrix, name="latent coordinates", dtype=np.float64):
                labels[rows], probabilities[rows] = place(batch, threads=threads)
                bar.update(len(batch))
        return labels, probabilities

    def placer(self) -> DensityPlacer:
        """
        Give what is needed to place rows, without what is only needed to find other clusters.

        Returns
        -------
        callable
            It takes rows, shape (n, n_features), and the number of ``threads``, and gives what
            :meth:`predict_proba_max` does. It can be pickled, and its ``save(folder)`` writes its
            arrays to files of a new folder.
        """
        check_is_fitted(self)
        tree, cut = self._tree, self._cut
        return DensityPlacer(
            points=tree.points,
            lower=tree.lower,
            upper=tree.upper,
            starts=tree.starts,
            cores=self._cores[0],
            node_cores=self._cores[1],
            heights=self._dendrogram.heights,
            owners=cut.owners,
            leaving=cut.leaving,
            parents=cut.parents,
            births=cut.births,
            labels=cut.labels,
            peaks=cut.peaks,
            min_samples=self.min_samples_,
        )

    def _labelled(self) -> Self:
        self._cut = cut_dendrogram(
            self._dendrogram,
            min_cluster_size=self.min_cluster_size,
            max_cluster_size=self.max_cluster_size,
            cluster_selection_epsilon=self.cluster_selection_epsilon,
            cluster_selection_method=self.cluster_selection_method,
        )
        cut = self._cut
        n = len(self._tree.points)
        labels, probabilities = np.empty(n, np.int32), np.empty(n, np.float32)
        label_points(
            self._dendrogram.heights,
            cut.owners,
            cut.leaving,
            cut.labels,
            cut.peaks,
            self._tree.order,
            labels,
            probabilities,
        )
        self.labels_, self.probabilities_ = labels, probabilities
        self.n_clusters_ = int(cut.labels.max()) + 1
        return self

    def _threads(self) -> int:
        return local_workers() if self.n_jobs is None else int(self.n_jobs)
