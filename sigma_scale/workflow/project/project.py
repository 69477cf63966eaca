"""Project: one stored map, with what was derived from it and the edits of its clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from sigma_scale import store
from sigma_scale.workflow.project.opening import find_store
from sigma_scale.workflow.project.steps import ProjectSteps

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.store import Location, PathOrUrl
    from sigma_scale.workflow.datasets import SEMDataset, TEMDataset
    from sigma_scale.workflow.segmenter import PixelSegmenter
    from sigma_scale.workflow.settings import RunSettings

__all__ = ["Project"]


class Project(ProjectSteps):
    """
    One stored map, with what was derived from it and the edits of its clusters.

    It is made by :meth:`open`. Any number of threads may use it at once, and any number of
    processes may have the same store open. Its results are replaced by long steps, never changed:
    take :attr:`segmenter` and the others anew after an event.

    Parameters
    ----------
    path : pathlib.Path or UrlPath
        The store. One in an object store can be looked at; edits and results are not saved there.
    image : SpectrumImage
        Its map.
    settings_file : pathlib.Path or None
        Settings that a run left beside it.
    name : str
        What to call it.

    Attributes
    ----------
    path : pathlib.Path or UrlPath
        The store. One in an object store can be looked at; edits and results are not saved there.
    name : str
        Name of the store, or of the folder of results that it lies in.

    Examples
    --------
    >>> project = Project.open("granite.zarr")  # doctest: +SKIP
    >>> seen = project.revision  # doctest: +SKIP
    >>> project.edit(lambda ps: ps.merge_clusters([0, 3]), seen=seen)  # doctest: +SKIP
    0
    """

    def __init__(
        self, path: Location, image: SpectrumImage, settings_file: Path | None, name: str
    ) -> None:
        self.name = name
        super().__init__(path, image, settings_file)

    @classmethod
    def open(cls, path: PathOrUrl) -> Self:
        """
        Open a stored map; its counts are not read.

        Parameters
        ----------
        path : path or URL
            A store that ``sigma-scale ingest`` wrote, with or without the results of
            ``sigma-scale run``; or the folder of results that holds it.

        Returns
        -------
        Project

        Raises
        ------
        SourceNotFoundError
            If there is nothing at the path.
        FileFormatError
            If it is a file: make a store of it first.
        StoreError
            If it is no store, is unfinished or damaged.
        ParameterError
            If the settings beside it can't work for its map.

        Warns
        -----
        SigmaScaleWarning
            If results don't belong together, or edits are of other clusters: they are left out,
            and edits are kept under another name.
        """
        found, name, settings_file = find_store(path)
        return cls(found, store.open_map(found), settings_file, name)

    def __repr__(self) -> str:
        rows, columns = self._image.source.shape[:2]
        there = [
            text
            for text, value in (
                ("features", self.maps),
                ("latent space", self.latent),
                ("clusters", self.segmenter),
            )
            if value is not None
        ]
        return f"<Project {self.name}: {rows} x {columns} pixels, {', '.join(there) or 'counts'}>"

    @property
    def image(self) -> SpectrumImage:
        """The map as it was measured."""
        return self._image

    @property
    def settings(self) -> RunSettings:
        """Settings that the results were made with, or that would be chosen."""
        return self._opened.settings

    @property
    def dataset(self) -> SEMDataset | TEMDataset:
        """The map with the steps of the settings."""
        return self._opened.dataset

    @property
    def maps(self) -> xr.DataArray | None:
        """Feature maps, shape (y, x, line), lazy; None before :meth:`measure_features`."""
        return self._opened.maps

    @property
    def latent(self) -> xr.DataArray | None:
        """Latent space, shape (y, x, component), in memory; None before :meth:`embed`."""
        return self._opened.latent

    @property
    def segmenter(self) -> PixelSegmenter | None:
        """Clusters with their edits; None before :meth:`cluster`. Change it by :meth:`edit`."""
        return self._segmenter
