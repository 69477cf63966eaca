"""UMAP of maps of any size: laid out on landmarks, every pixel placed on its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sigma_scale.engines import choose_engine
from sigma_scale.errors import FileFormatError, ParameterError
from sigma_scale.latent.landmark_model import LandmarkModel
from sigma_scale.latent.landmarks import find_landmarks
from sigma_scale.latent.layout import check_gpu_parameters, check_parameters, lay_out
from sigma_scale.latent.placement import LandmarkIndex, Placement, radii_of
from sigma_scale.latent.rows import random_generator
from sigma_scale.latent.sources import feature_source
from sigma_scale.latent.targets import landmark_targets
from sigma_scale.latent.umap_files import SavedUMAP, read_umap, write_umap

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from sigma_scale.latent.rows import RandomState_

__all__ = ["UMAP"]

_LOGGER = logging.getLogger(__name__)


class UMAP(LandmarkModel):
    """
    Uniform manifold approximation and projection, fitted on landmarks.

    umap-learn [1]_ (or cuML on a GPU) lays out the landmarks, whose neighbours are exact. Every
    row is then placed at the weighted mean of its nearest landmarks: a function of that row
    alone, so that its place does not depend on the batch, the order, the chunk or the worker it
    comes in. A row that is a landmark lands on it, and where all rows are landmarks the result is
    that of the library.

    Features may be an array, a Dask array, a map as an xarray.DataArray (y, x, line), a dataset
    with feature maps, or the folder of a store that holds some; see
    :func:`~sigma_scale.latent.sources.feature_source`. They are read once in a fit and once in a
    transform, chunk by chunk; results of lazy features are lazy.

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
        Start of the layout: ``"spectral"``, ``"random"``, ``"pca"`` or ``"tswspectral"`` (the
        last two not on a GPU), or the first places of the landmarks.
    min_dist : float, default: 0.1
        How close points may lie in the latent space.
    spread : float, default: 1.0
        Scale of the latent space; at least ``min_dist``.
    set_op_mix_ratio, local_connectivity, repulsion_strength : float, default: 1.0
        As in umap-learn; on a GPU ``local_connectivity`` is a whole number.
    negative_sample_rate : int, default: 5
        As in umap-learn.
    a, b : float, optional
        Shape of the layout's attraction; None: from ``min_dist`` and ``spread``.
    target_n_neighbors : int, default: -1
        As in umap-learn, for a fit with ``y``.
    target_metric : str, default: "categorical"
        Distance between the values of ``y``: ``"categorical"`` for labels, ``"euclidean"`` for
        numbers, or another one of umap-learn (not on a GPU).
    target_weight : float, default: 0.5
        Say of ``y``, 0 to 1.
    densmap : bool, default: False
        Keep the densities of the landmarks as well (not on a GPU). The landmarks are denser
        where phases are rare than the pixels are.
    dens_lambda, dens_frac, dens_var_shift : float
        As in umap-learn, for ``densmap``.
    disconnection_distance : float, optional
        As in umap-learn (not on a GPU).
    n_landmarks : int, default: 20_000
        Rows to fit on at most; see :func:`~sigma_scale.latent.choose_landmarks`.
    engine : {"auto", "cpu", "gpu"}, default: "auto"
        Where landmarks are laid out: by umap-learn or by cuML. ``"auto"`` follows the option
        ``engine``, and takes a GPU where it can. Layouts of the two differ. Rows are always
        placed on processors.
    random_state : int, RandomState or None, default: None
        Seed. With one, umap-learn's layout runs in a single thread and comes out the same each
        time.
    n_jobs : int, default: -1
        Threads; -1: as many as Dask would use.

    Attributes
    ----------
    landmarks_ : numpy.ndarray, shape (m, n_features), float32
        Features of the landmarks, all different.
    landmark_rows_ : numpy.ndarray, shape (m,), int64
        Their row numbers in the fit, ``y * width + x`` in a map.
    embedding_ : numpy.ndarray, shape (m, n_components), float32
        Their places in the latent space (umap-learn's attribute has the places of all rows).
    engine_ : str
        ``"cpu"`` or ``"gpu"``.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : numpy.ndarray of str, shape (n_features,)
        Names of the features; only where those of the fit had names.

    Notes
    -----
    Parameters of umap-learn that concern its approximate neighbours and its own transform are
    left out, since there are none here; as is ``output_metric``, since a mean needs a flat space.

    References
    ----------
    .. [1] L. McInnes, J. Healy, J. Melville: UMAP: Uniform Manifold Approximation and
       Projection for Dimension Reduction. arXiv:1802.03426 (2018).
    """

    landmarks_: NDArray[np.float32]
    landmark_rows_: NDArray[np.int64]
    engine_: str

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
        target_n_neighbors: int = -1,
        target_metric: str = "categorical",
        target_weight: float = 0.5,
        densmap: bool = False,
        dens_lambda: float = 2.0,
        dens_frac: float = 0.3,
        dens_var_shift: float = 0.1,
        disconnection_distance: float | None = None,
        n_landmarks: int = 20_000,
        engine: str = "auto",
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
        self.target_n_neighbors = target_n_neighbors
        self.target_metric = target_metric
        self.target_weight = target_weight
        self.densmap = densmap
        self.dens_lambda = dens_lambda
        self.dens_frac = dens_frac
        self.dens_var_shift = dens_var_shift
        self.disconnection_distance = disconnection_distance
        self.n_landmarks = n_landmarks
        self.engine = engine
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """
        Choose landmarks among the rows and lay them out.

        Parameters
        ----------
        X : array-like, shape (n, n_features) or (y, x, n_features)
            Features of each pixel.
        y : array-like, shape (n,) or (y, x), optional
            What supervises the layout: labels, -1 where they are not known, or numbers; see
            ``target_metric``. Only the values at the landmarks count.

        Returns
        -------
        UMAP
            The fitted model.

        Raises
        ------
        ParameterError
            If a parameter cannot work, a value is NaN or infinite, there is only one feature,
            or there are not more different rows than neighbours.
        EmptyMapError
            If no pixel has features.
        ShapeMismatchError
            If ``y`` is not that of the pixels.
        EngineUnavailableError
            If an engine was asked for that can't be used here.
        """
        source = feature_source(X)
        parameters = self.get_params(deep=False)
        check_parameters(parameters, source.n_features)
        engine = choose_engine(self.engine, what="UMAP", needs=("cuml",))
        if engine == "gpu":
            check_gpu_parameters(parameters, type(self)().get_params(deep=False))
        generator = None if self.random_state is None else random_generator(self.random_state)
        chosen = find_landmarks(source, self.n_landmarks, random_state=self.random_state)
        which = _distinct(chosen.rows)
        landmarks, numbers = np.ascontiguousarray(chosen.rows[which]), chosen.numbers[which]
        if len(landmarks) <= self.n_neighbors:
            raise ParameterError(
                f"UMAP needs more different pixels than n_neighbors={self.n_neighbors}, but among "
                f"the {len(chosen.rows)} landmarks of {chosen.n_rows} sample(s) there are only "
                f"{len(landmarks)}. Lower n_neighbors, raise n_landmarks={self.n_landmarks}, or "
                "check that the features are not constant."
            )
        if len(landmarks) < chosen.n_rows:
            _LOGGER.info(
                "UMAP is fitted on %d of %d pixels, chosen to stand for all",
                len(landmarks),
                chosen.n_rows,
            )
        targets = None
        if y is not None:
            targets = landmark_targets(y, source.table, numbers, self.target_metric)
        index = LandmarkIndex.of(landmarks, self.metric)
        distances, nearest = index.query(landmarks, self.n_neighbors, workers=self._workers())
        embedding = lay_out(
            landmarks,
            (nearest, distances.astype(np.float32)),
            parameters,
            targets=targets,
            generator=generator,
            n_jobs=self.n_jobs,
            engine=engine,
        )
        self._keep(
            SavedUMAP(
                parameters={},
                landmarks=landmarks,
                landmark_rows=numbers,
                embedding=embedding,
                feature_names=source.names,
                engine=engine,
            )
        )
        self._placement = Placement(
            index, embedding, radii_of(distances, nearest), self.n_neighbors
        )
        return self

    def save(self, path: str | Path) -> Path:
        """
        Write the fitted model to a file, without pickle.

        Parameters
        ----------
        path : path
            File to write (an npz archive); a saved UMAP that is there is replaced.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        OutputExistsError
            If something else is there.
        StoreError
            If it can't be written, for example because its folder is read-only or the disk full.
        """
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        saved = SavedUMAP(
            parameters=self.get_params(deep=False),
            landmarks=self.landmarks_,
            landmark_rows=self.landmark_rows_,
            embedding=self.embedding_,
            feature_names=None if names is None else tuple(names),
            engine=self.engine_,
        )
        return write_umap(path, saved)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """
        Read a model that :meth:`save` wrote; it places rows as the saved one did, to the last bit.

        Parameters
        ----------
        path : path
            The file.

        Returns
        -------
        UMAP

        Raises
        ------
        SourceNotFoundError
            If there is no such file.
        FileFormatError
            If it is no saved UMAP, or is damaged.
        MemoryLimitError
            If it would not fit into memory.
        """
        saved = read_umap(path)
        try:
            model = cls(**saved.parameters)
            check_parameters(model.get_params(deep=False), saved.landmarks.shape[1])
        except (TypeError, ValueError) as error:
            raise FileFormatError(f"{path} holds a UMAP that can't be: {error}") from error
        index = LandmarkIndex.of(saved.landmarks, model.metric)
        # How far the landmarks are from each other is found again: quicker than it is read.
        neighbours = index.query(saved.landmarks, model.n_neighbors, workers=model._workers())
        model._keep(saved)
        model._placement = Placement(
            index, saved.embedding, radii_of(*neighbours), model.n_neighbors
        )
        return model

    def _keep(self, fitted: SavedUMAP) -> None:
        self.landmarks_, self.embedding_ = fitted.landmarks, fitted.embedding
        self.landmark_rows_ = fitted.landmark_rows
        self.engine_ = fitted.engine
        self.n_features_in_ = fitted.landmarks.shape[1]
        if hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        if fitted.feature_names is not None:
            self.feature_names_in_ = np.array(fitted.feature_names, dtype=object)


def _distinct(rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """Find the first of equal rows, in order: twins would be each other's only neighbours."""
    # Adding zero makes -0 the same as 0.
    first = np.unique(rows + np.float32(0), axis=0, return_index=True)[1]
    return np.sort(first)
