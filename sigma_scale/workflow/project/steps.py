"""
The long steps of a project: each replaces a result in the store and drops what followed.

What they work with is imported when they begin: opening a store should not wait for it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sigma_scale import progress, store
from sigma_scale.errors import BusyError, ConflictError, EmptyMapError, ParameterError
from sigma_scale.workflow.datasets.stored_maps import loaded
from sigma_scale.workflow.project.edits import ProjectEdits
from sigma_scale.workflow.project.lock import locked, writable_folder
from sigma_scale.workflow.project.opening import GROUPS, stamps
from sigma_scale.workflow.project.stored_settings import known_sum_spectrum, with_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    import xarray as xr

    from sigma_scale.workflow.settings import RunSettings

__all__ = ["ProjectSteps"]

_EVENTS = {"binned": "features", "latent": "latent", "phases": "clusters"}


class ProjectSteps(ProjectEdits):
    """A project whose results can be made anew."""

    def __init__(self, *args: Any) -> None:
        self._busy = threading.Lock()
        self._doing = ""
        super().__init__(*args)

    def measure_features(self, settings: RunSettings | None = None) -> None:
        """
        Measure the lines and make the feature maps, as the main job does.

        The latent space and the clusters there were go; edits of the clusters are kept aside.

        Parameters
        ----------
        settings : RunSettings, optional
            Settings; None: those of the project. Lines and bins that they leave open are chosen.

        Raises
        ------
        BusyError
            If another long step of this project is running.
        ParameterError, EmptyMapError, MemoryLimitError
            If the settings can't work for this map. What there was stays.
        StoreError
            If the result can't be written. What there was stays.
        ConflictError
            If another process has replaced results meanwhile; its results are taken over.
        CancelledError
            If the work was cancelled. What there was stays.
        """
        from sigma_scale.workflow import job_steps, outputs, pipeline

        settings = settings or self._opened.settings
        with self._long_step("Measuring features"):
            image = self._image
            base = self._opened.stamps
            pipeline.check_settings(image, settings)
            spectrum = known_sum_spectrum(image)
            if spectrum is None:
                spectrum = job_steps.measure_sum_spectrum(image)
            if not spectrum.any():
                raise EmptyMapError(f"The map {image.metadata.title!r} holds no counts.")
            settings = replace(
                settings,
                lines=pipeline.choose_lines(image, settings, spectrum),
                bin=pipeline.choose_bin(image, settings, int(spectrum.sum())),
            )
            seen = job_steps.preprocess_map(image, settings)
            intensities = job_steps.line_intensities(seen, settings)
            progress.check()
            maps = job_steps.feature_maps(seen, settings, intensities["line_intensity"])
            self._replace("binned", outputs.binned_group(intensities, maps), settings, base)

    def embed(self, settings: RunSettings | None = None) -> None:
        """
        Make the latent space of the feature maps, as the main job does.

        The clusters there were go; their edits are kept aside.

        Parameters
        ----------
        settings : RunSettings, optional
            Settings, of which only ``latent`` and ``random_state`` count: the feature maps are
            there. None: those of the project.

        Raises
        ------
        ParameterError
            If there are no feature maps, or a parameter can't work.
        BusyError, EmptyMapError, StoreError, ConflictError, CancelledError
            As for :meth:`measure_features`.
        """
        from sigma_scale.workflow import job_steps, outputs

        with self._long_step("Embedding"):
            opened = self._opened
            given = settings or opened.settings
            merged = replace(opened.settings, latent=given.latent, random_state=given.random_state)
            if opened.maps is None:
                raise ParameterError("There are no feature maps yet. Measure the features first.")
            latent = job_steps.embed_features(loaded(opened.maps), merged)
            self._replace("latent", outputs.latent_group(latent), merged, opened.stamps)

    def cluster(self, settings: RunSettings | None = None) -> None:
        """
        Cluster the pixels in their latent space and sum the clusters' spectra, as the main job.

        Edits of the clusters there were are kept aside.

        Parameters
        ----------
        settings : RunSettings, optional
            Settings, of which only ``clustering``, ``clustering_args`` and ``random_state``
            count. None: those of the project.

        Raises
        ------
        ParameterError
            If there is no latent space, or a parameter can't work.
        BusyError, EmptyMapError, StoreError, ConflictError, CancelledError
            As for :meth:`measure_features`.
        """
        from sigma_scale import features, phases
        from sigma_scale.workflow import job_steps, outputs

        with self._long_step("Clustering"):
            opened = self._opened
            given = settings or opened.settings
            merged = replace(
                opened.settings,
                clustering=given.clustering,
                clustering_args=given.clustering_args,
                random_state=given.random_state,
            )
            if opened.latent is None:
                raise ParameterError("There is no latent space yet. Embed the features first.")
            found = job_steps.cluster_pixels(opened.latent, merged)
            progress.check()
            total = loaded(store.open_result(self.path, "binned")["total"])
            seen = job_steps.preprocess_map(self._image, merged)
            clusters = features.mark_measured(found, seen)
            spectra = phases.phase_spectra(seen, clusters["labels"], total=total)
            self._replace("phases", outputs.phases_group(clusters, spectra), merged, opened.stamps)

    def unmix(
        self, n_components: int | str = "All", **options: Any
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """
        Unmix the mean spectra of the clusters as they are now; nothing is stored.

        Parameters
        ----------
        n_components : int or "All", default: "All"
            Number of end-members; "All": as many as clusters.
        **options
            Further arguments of :meth:`PixelSegmenter.get_unmixed_spectra_profile`.

        Returns
        -------
        weights, components : pandas.DataFrame
            They stay as :attr:`unmixing` until the clusters change.

        Raises
        ------
        ParameterError
            If there are no clusters, or a parameter can't work.
        BusyError, EmptyMapError, CancelledError
            As for :meth:`measure_features`.
        """
        with self._long_step("Unmixing", stored=False):
            segmenter, revision = self._clusters(), self._revision
            found = segmenter.get_unmixed_spectra_profile(n_components=n_components, **options)
            progress.check()
            with self._lock:
                # Clusters that were edited meanwhile have other spectra.
                if self._segmenter is segmenter and self._revision == revision:
                    self._unmixing = found
        self._notify(["unmixing"])
        return found

    @property
    def unmixing(self) -> tuple[pd.DataFrame, pd.DataFrame] | None:
        """Weights and components of the present clusters, if they were unmixed."""
        return self._unmixing

    @contextmanager
    def _long_step(self, what: str, *, stored: bool = True) -> Iterator[None]:
        if stored:
            writable_folder(self.path)  # Before any work is done for nothing.
        if not self._busy.acquire(blocking=False):
            raise BusyError(
                f"{self._doing} of {self.path.name} is still running. Wait for its end, or cancel "
                "it."
            )
        self._doing = what
        try:
            progress.check()
            yield
        finally:
            self._busy.release()

    def _replace(
        self, name: str, group: xr.Dataset, settings: RunSettings, base: tuple[Any, ...]
    ) -> None:
        """Put a result into the store in place of an earlier one and of all that followed."""
        progress.check()
        later = GROUPS[GROUPS.index(name) + 1 :]
        with store.draft_results(self.path, {name: with_settings(group, settings)}) as publish:
            # The last chance: from here on it is done.
            progress.check()
            with self._lock, locked(self._folder):
                replaced = stamps(self.path) != base
                if replaced:
                    events = self._take_over(writable=True)
                else:
                    self._keep_and_say()
                    publish(remove=tuple(reversed(later)))
                    self._reopen()
                    self._begin_edits()
                    events = [_EVENTS[each] for each in (name, *later)] + ["edits"]
        self._notify(events)
        if replaced:
            raise ConflictError(
                f"Another process has replaced results of {self.path.name} meanwhile; they are "
                "shown now, and this result was dropped. Start it again if it is still needed."
            )
