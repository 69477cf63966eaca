"""UMAP of maps of any size: umap-learn on landmarks, every pixel placed on its own."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sigma_scale import config
from sigma_scale.errors import ParameterError
from sigma_scale.latent.landmarks import choose_landmarks
from sigma_scale.latent.placement import METRICS, place_rows
from sigma_scale.latent.rows import as_matrix, as_rows, random_generator, row_batches

if TYPE_CHECKING:
    from numpy.random import RandomState
    from numpy.typing import ArrayLike, NDArray
    from scipy.spatial import cKDTree

    from sigma_scale.latent.rows import RandomState_

__all__ = ["UMAP"]

_LOGGER = logging.getLogger(__name__)


class UMAP(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """
    Uniform manifold approximation and projection, fitted on landmarks.

    umap-learn [1]_ lays out the landmarks, whose neighbours are exact. Every row is then placed
    at the weighted mean of its nearest landmarks: a function of that row alone, so that its
    place does not depend on the batch, the order or the chunk it comes in. A row that is a
    landmark lands on it, and where all rows are landmarks the result is umap-learn's own.

    Parameters
    ----------
    n_neighbors : int, default: 15
        Neighbours of each landmark, and landmarks that have a say in the place of a row.
    n_components : int, default: 2
        Dimensions of the latent space.
    metric : {"euclidean", "manhattan", "chebyshev"}, default: "euclidean"
        Distance between features.
    n_epochs : int, optional
        Rounds of the layout; None: 500 for at most 10,000 landmarks, 200 for more.
    learning_rate : float, default: 1.0
        Initial step of the layout.
    init : str or numpy.ndarray, default: "spectral"
        Start of the layout: ``"spectral"``, ``"random"``, ``"pca"`` or ``"tswspectral"``.
    min_dist : float, default: 0.1
        How close points may lie in the latent space.
    spread : float, default: 1.0
        Scale of the latent space; at least ``min_dist``.
    set_op_mix_ratio, local_connectivity, repulsion_strength : float, default: 1.0
        As in umap-learn.
    negative_sample_rate : int, default: 5
        As in umap-learn.
    a, b : float, optional
        Shape of the layout's attraction; None: from ``min_dist`` and ``spread``.
    n_landmarks : int, default: 20_000
        Rows to fit on at most; see :func:`~sigma_scale.latent.choose_landmarks`.
    random_state : int, RandomState or None, default: None
        Seed. With one, the layout runs in a single thread and comes out the same each time.
    n_jobs : int, default: -1
        Threads; -1: all processors.

    Attributes
    ----------
    landmarks_ : numpy.ndarray, shape (m, n_features), float32
        Features of the landmarks, all different.
    embedding_ : numpy.ndarray, shape (m, n_components), float32
        Their places in the latent space (umap-learn's attribute has the places of all rows).
    n_features_in_ : int
        Number of features.

    References
    ----------
    .. [1] L. McInnes, J. Healy, J. Melville: UMAP: Uniform Manifold Approximation and
       Projection for Dimension Reduction. arXiv:1802.03426 (2018).
    """

    landmarks_: NDArray[np.float32]
    embedding_: NDArray[np.float32]
    n_features_in_: int

    def __init__(
        self,
        *,
        n_neighbors: int = 15,
        n_components: int = 2,
        metric: str = "euclidean",
        n_epochs: int | None = None,
        learning_rate: float = 1.0,
        init: str | NDArray[np.floating] = "spectral",
        min_dist: float = 0.1,
        spread: float = 1.0,
        set_op_mix_ratio: float = 1.0,
        local_connectivity: float = 1.0,
        repulsion_strength: float = 1.0,
        negative_sample_rate: int = 5,
        a: float | None = None,
        b: float | None = None,
        n_landmarks: int = 20_000,
        random_state: RandomState_ = None,
        n_jobs: int = -1,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.metric = metric
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.init = init
        self.min_dist = min_dist
        self.spread = spread
        self.set_op_mix_ratio = set_op_mix_ratio
        self.local_connectivity = local_connectivity
        self.repulsion_strength = repulsion_strength
        self.negative_sample_rate = negative_sample_rate
        self.a = a
        self.b = b
        self.n_landmarks = n_landmarks
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002, N803
        """
        Choose landmarks among the rows and lay them out.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
            Features of each pixel.
        y : None
            Not used.

        Returns
        -------
        UMAP
            The fitted model.

        Raises
        ------
        ParameterError
            If a parameter cannot work, a value is NaN or infinite, there is only one feature,
            or there are not more different rows than neighbours.
        """
        features = as_rows(X, name="features", dtype=np.float32)
        self._check_parameters(features.shape[1])
        generator = random_generator(self.random_state)
        chosen = choose_landmarks(features, self.n_landmarks, random_state=generator)
        landmarks = _distinct(features[chosen])
        if len(landmarks) <= self.n_neighbors:
            raise ParameterError(
                f"UMAP needs more different pixels than n_neighbors={self.n_neighbors}, but among "
                f"the {len(chosen)} landmarks of {len(features)} sample(s) there are only "
                f"{len(landmarks)}. Lower n_neighbors, raise n_landmarks={self.n_landmarks}, or "
                "check that the features are not constant."
            )
        _LOGGER.info("UMAP: %d landmarks for %d pixels", len(landmarks), len(features))
        tree = _tree(landmarks)
        self.embedding_ = self._lay_out(landmarks, tree, generator)
        self.landmarks_ = landmarks
        self.n_features_in_ = features.shape[1]
        self._tree = tree
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:  # noqa: N803
        """
        Place every row by its nearest landmarks.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
            Features of each pixel.

        Returns
        -------
        numpy.ndarray, shape (n, n_components), float32

        Raises
        ------
        ParameterError
            If a value is NaN or infinite, or the features are not those of the fit.
        """
        check_is_fitted(self)
        matrix = as_matrix(X, name="features", n_features=self.n_features_in_)
        placed = np.empty((len(matrix), self._n_features_out), np.float32)
        workers = self._workers()
        for rows, batch in row_batches(matrix, name="features", dtype=np.float32):
            placed[rows] = place_rows(
                batch,
                self._tree,
                self.embedding_,
                n_neighbors=self.n_neighbors,
                metric=self.metric,
                workers=workers,
            )
        return placed

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_.shape[1])

    def _workers(self) -> int:
        from dask.system import CPU_COUNT

        return CPU_COUNT if self.n_jobs < 0 else self.n_jobs

    def _check_parameters(self, n_features: int) -> None:
        if n_features == 1:
            raise ParameterError(
                "UMAP needs at least two features, got 1 feature(s). Choose more X-ray lines."
            )
        if self.metric not in METRICS:
            raise ParameterError(
                f"metric must be one of {', '.join(METRICS)}, got {self.metric!r}. For angles "
                "between spectra, scale each row to unit length and use 'euclidean'."
            )
        if self.n_jobs == 0:
            raise ParameterError("n_jobs must be a number of threads or -1, got 0.")
        for name, least in (("n_neighbors", 2), ("n_components", 1), ("n_landmarks", 1)):
            if getattr(self, name) < least:
                raise ParameterError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if not 0 <= self.min_dist <= self.spread:
            raise ParameterError(
                f"min_dist must lie between 0 and spread={self.spread}, got {self.min_dist}."
            )

    def _lay_out(
        self, landmarks: NDArray[np.float32], tree: cKDTree, generator: RandomState
    ) -> NDArray[np.float32]:
        """Run umap-learn on the landmarks with their exact neighbours."""
        import umap

        distance, nearest = tree.query(
            tree.data, k=self.n_neighbors, p=METRICS[self.metric], workers=self._workers()
        )
        seeded = self.random_state is not None
        model = umap.UMAP(
            n_neighbors=self.n_neighbors,
            n_components=self.n_components,
            metric=self.metric,
            n_epochs=self.n_epochs,
            learning_rate=self.learning_rate,
            init=self.init,
            min_dist=self.min_dist,
            spread=self.spread,
            set_op_mix_ratio=self.set_op_mix_ratio,
            local_connectivity=self.local_connectivity,
            repulsion_strength=self.repulsion_strength,
            negative_sample_rate=self.negative_sample_rate,
            a=self.a,
            b=self.b,
            random_state=generator if seeded else None,
            # With a seed umap-learn is single-threaded, and warns unless it is told so.
            n_jobs=1 if seeded else self.n_jobs,
            tqdm_kwds={"disable": not config.get("progress"), "desc": "UMAP layout"},
            precomputed_knn=(nearest.astype(np.int32), distance.astype(np.float32)),
        )
        with warnings.catch_warnings():
            # Its transform is not used, so it needs no search index.
            warnings.filterwarnings("ignore", message=r"precomputed_knn\[2\]", category=UserWarning)
            # Separate phases are separate parts of the graph: what is expected here.
            warnings.filterwarnings("ignore", message="Graph is not fully connected")
            try:
                model.fit(landmarks)
            except ValueError as error:
                raise ParameterError(f"umap-learn refuses the parameters: {error}") from error
        embedding = np.asarray(model.embedding_, np.float32)
        if not np.isfinite(embedding).all():
            raise ParameterError(
                "The layout of UMAP ran out of bounds. Lower learning_rate="
                f"{self.learning_rate} or repulsion_strength={self.repulsion_strength}."
            )
        return embedding


def _distinct(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Keep the first of equal rows, in order: twins would be each other's only neighbours."""
    # Adding zero makes -0 the same as 0.
    first = np.unique(rows + np.float32(0), axis=0, return_index=True)[1]
    return np.ascontiguousarray(rows[np.sort(first)])


def _tree(landmarks: NDArray[np.float32]) -> cKDTree:
    from scipy.spatial import cKDTree

    return cKDTree(landmarks.astype(np.float64), leafsize=16)
