"""The folder that the main job fills."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from sigma_scale import plot, store
from sigma_scale.errors import OutputExistsError, SigmaScaleError, StoreError
from sigma_scale.workflow.figures import make_figures
from sigma_scale.workflow.report import make_report, phase_table
from sigma_scale.workflow.report_tables import contact_table
from sigma_scale.workflow.step_store import StepStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import xarray as xr

    from sigma_scale.plot import Section
    from sigma_scale.store import Location
    from sigma_scale.workflow.pipeline import PhaseMapping

__all__ = [
    "OutputFolder",
    "binned_group",
    "latent_group",
    "phases_group",
    "read_results",
    "write_results",
]

_STORE = "map.zarr"
_SETTINGS = "settings.yaml"
_REPORT = "report.html"


@dataclass(frozen=True)
class OutputFolder:
    """
    A folder of results that appears under its name only once it is complete.

    Until then it is called ``<name>.unfinished``. What an interrupted run left there is used
    again as far as it is the same map.

    Parameters
    ----------
    path : pathlib.Path
        Where the results will be.
    overwrite : bool, default: False
        Replace a folder of results that is there. Anything else is never replaced.
    """

    path: Path
    overwrite: bool = False

    @property
    def working(self) -> Path:
        """Folder to write to until everything is there."""
        return self.path.with_name(f"{self.path.name}.unfinished")

    @property
    def store(self) -> Path:
        """Store of a map that was read from a file, while working."""
        return self.working / _STORE

    @property
    def steps(self) -> Path:
        """Where finished steps are kept for a run that goes on, while working."""
        return self.working / "steps"

    def final(self, path: Location) -> Location:
        """Say where a store will be once the folder has its name."""
        return self.path / _STORE if path == self.store else path

    def open(self) -> None:
        """
        Make the working folder.

        Raises
        ------
        OutputExistsError
            If something is in the way.
        StoreError
            If the folder can't be made, or cleared of what a killed run left half-written.
        """
        self.check()
        try:
            self.working.mkdir(parents=True, exist_ok=True)
            # Results on their way into the store when an earlier run was killed.
            for drafts in self.working.glob(f".{_STORE}.*.results"):
                shutil.rmtree(drafts)
        except OSError as error:
            raise StoreError(
                f"The folder {self.working} can't be made ready: {error}. Mend that, or choose "
                "another folder."
            ) from error

    @contextmanager
    def opened(self) -> Iterator[None]:
        """
        Make the working folder, and remove it if it is left with nothing in it.

        What an earlier run left there stays, and so does what is kept for the next one.

        Raises
        ------
        OutputExistsError, StoreError
            See :meth:`open`.
        """
        there = self.working.exists()
        self.open()
        try:
            yield
        finally:
            if not there:
                for empty in (self.steps, self.working):
                    with suppress(OSError):  # Something is in it, or it has its name by now.
                        empty.rmdir()

    def check(self, source: Location | None = None) -> None:
        """
        Make sure that results may be written, before any work is done for them.

        Parameters
        ----------
        source : pathlib.Path or UrlPath, optional
            What the results will be made of; it must not lie in the folder that is replaced.

        Raises
        ------
        OutputExistsError
            If something is in the way.
        """
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return
        if not self.overwrite:
            raise OutputExistsError(
                f"{self.path} exists already. Choose another folder (-o FOLDER), or overwrite it "
                "(--overwrite; in Python overwrite=True)."
            )
        if not (self.path / _SETTINGS).is_file() or not (self.path / _REPORT).is_file():
            raise OutputExistsError(
                f"{self.path} is not a folder of results: it is not overwritten. Choose another."
            )
        if isinstance(source, Path) and source.resolve().is_relative_to(self.path.resolve()):
            raise OutputExistsError(
                f"{source} lies in the folder {self.path} that it would replace. Choose another "
                "folder for the results."
            )

    def write(
        self, result: PhaseMapping, *, notes: Sequence[str] = (), extra: Sequence[Section] = ()
    ) -> None:
        """
        Write settings, tables, figures and the report.

        Parameters
        ----------
        result : PhaseMapping
            What the main job found.
        notes : sequence of str
            Warnings for the report.
        extra : sequence of Section
            Further sections of the report.

        Raises
        ------
        StoreError
            If something can't be written.
        """
        try:
            for name in ("figures", "tables"):  # An interrupted run may have left others.
                shutil.rmtree(self.working / name, ignore_errors=True)
            (self.working / _SETTINGS).write_text(result.settings.to_yaml(), encoding="utf-8")
            self._write_tables(result)
            figures = make_figures(result)
            for name, panel in figures.items():
                plot.save_figure(panel.figure, self.working / "figures" / f"{name}.png")
            report = make_report(result, figures, notes=notes, extra=extra)
            plot.write_report(self.working / _REPORT, report)
        except SigmaScaleError:  # which says all of it
            raise
        except OSError as error:
            raise StoreError(
                f"Results can't be written to {self.working}: {error}. Once that is mended, run "
                "the same command again: what is finished is kept."
            ) from error

    def _write_tables(self, result: PhaseMapping) -> None:
        folder = self.working / "tables"
        folder.mkdir(exist_ok=True)
        tables = {
            "phases": phase_table(result).rename_axis("phase"),
            "elements": result.evidence,
            "contacts": contact_table(result.contacts),
            "regions": result.regions,
            "phase_spectra": _spectra_table(result.spectra),
            "end_member_weights": result.weights,
            "end_members": result.components,
        }
        if result.composition is not None:
            tables["composition"] = result.composition
        for name, table in tables.items():
            table.to_csv(folder / f"{name}.csv")

    def close(self) -> None:
        """
        Give the folder its name.

        Raises
        ------
        StoreError
            If it can't be renamed.
        """
        try:
            if self.path.exists():
                # Out of the way in one step: half a folder must not look like results.
                replaced = Path(
                    tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=self.path.parent)
                )
                self.path.rename(replaced / self.path.name)
                self.working.rename(self.path)
                shutil.rmtree(replaced)
            else:
                self.working.rename(self.path)
        except OSError as error:
            raise StoreError(
                f"{self.working} can't be renamed to {self.path.name}: {error}. Once that is "
                "mended, run the same command again: what is finished is kept."
            ) from error


def write_results(path: Location, result: PhaseMapping, steps: StepStore | None = None) -> None:
    """
    Write the maps that were derived into groups of the store they come from.

    Maps that are kept on the store's own file system take no room a second time.

    Parameters
    ----------
    path : pathlib.Path or UrlPath
        The store.
    result : PhaseMapping
        What the main job found.
    steps : StepStore, optional
        Where its maps are kept.
    """
    steps = steps or StepStore()
    for name, group in {
        "binned": binned_group(result.intensities, result.features),
        "latent": latent_group(result.latent),
        "phases": phases_group(result.clusters, result.spectra),
    }.items():
        store.write_result(path, name, group, stored=steps.arrays_of(group))


def read_results(path: Location, result: PhaseMapping) -> PhaseMapping:
    """
    Take the maps of a result from the store that :func:`write_results` wrote them to.

    Parameters
    ----------
    path : pathlib.Path or UrlPath
        The store.
    result : PhaseMapping
        What the main job found.

    Returns
    -------
    PhaseMapping
        The same with lazy maps, and counts, that are read from this store.
    """
    stored = store.open_map(path)
    binned = store.open_result(path, "binned")
    clusters = store.open_result(path, "phases")[list(result.clusters.data_vars)]
    return replace(
        result,
        image=replace(result.image, source=stored.source, images=stored.images),
        intensities=binned[list(result.intensities.data_vars)],
        features=binned["features"].rename(feature="line"),
        latent=store.open_result(path, "latent")["latent"],
        clusters=clusters.assign_attrs(result.clusters.attrs),
    )


def binned_group(intensities: xr.Dataset, maps: xr.DataArray) -> xr.Dataset:
    """Group of a store with the measured lines and the feature maps."""
    # On a dimension of their own: they may hold the navigation image as well.
    return intensities.assign(features=maps.rename(line="feature"))


def latent_group(latent: xr.DataArray) -> xr.Dataset:
    """Group of a store with the latent space."""
    return latent.to_dataset(name="latent")


def phases_group(clusters: xr.Dataset, spectra: xr.Dataset) -> xr.Dataset:
    """Group of a store with the clusters, as they were found, and their spectra."""
    return clusters.merge(spectra)


def _spectra_table(spectra: xr.Dataset) -> pd.DataFrame:
    """Counts and mean spectrum of each phase with their errors, one row per channel."""
    columns = {
        f"{kind}_{phase}": spectra[kind].sel(phase=phase).to_numpy()
        for kind in ("counts", "counts_error", "mean", "mean_error")
        for phase in spectra["phase"].to_numpy()
    }
    return pd.DataFrame(columns, index=pd.Index(spectra["energy"].to_numpy(), name="energy_kev"))
