"""The main job from a path to a folder of results, and its demonstration."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sigma_scale import store, synthetic
from sigma_scale.clustering import agreement
from sigma_scale.errors import SigmaScaleWarning
from sigma_scale.plot import Section
from sigma_scale.preprocess import rebin_labels
from sigma_scale.readers import read
from sigma_scale.store.layout import open_group
from sigma_scale.workflow.outputs import OutputFolder, read_results, write_results
from sigma_scale.workflow.pipeline import (
    PhaseMapping,
    check_settings,
    check_unread,
    map_phases,
)
from sigma_scale.workflow.step_store import StepStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.synthetic import SyntheticMap
    from sigma_scale.workflow.settings import RunSettings

__all__ = ["DemoResult", "run_demo", "run_job"]


@dataclass(frozen=True)
class DemoResult:
    """
    What the demonstration finds, and how well it agrees with the known phases.

    Parameters
    ----------
    result : PhaseMapping
        What the main job found.
    agreement : float
        Adjusted Rand index of the clusters, merged by majority, against the known phases.
    """

    result: PhaseMapping
    agreement: float


def run_job(
    source: store.PathOrUrl,
    settings: RunSettings,
    output: str | Path,
    *,
    overwrite: bool = False,
    options: Mapping[str, Any] | None = None,
) -> PhaseMapping:
    """
    Map the phases of a file or a store, and write everything to a folder.

    A file is written to a store in the folder first; the derived maps go to groups of the store.
    Nothing of the map's size has to fit the memory: maps are made chunk by chunk, wherever Dask
    runs, which has to see the folder from all its workers. What each step finds is kept until all
    is written, so a run that was interrupted goes on where it was if it is started again.

    Parameters
    ----------
    source : path or URL
        Microscope file, or store.
    settings : RunSettings
        What to do.
    output : path
        Folder for the results.
    overwrite : bool, default: False
        Replace a folder of results that is there.

    options : mapping, optional
        What to read of a file that holds more than one map; see :func:`~sigma_scale.readers.read`.

    Returns
    -------
    PhaseMapping
        What was found; its maps are lazy, and read from the store.

    Raises
    ------
    OutputExistsError
        If something is in the way of the folder; nothing was read then.
    SigmaScaleError
        If the source can't be read, a setting can't work, or something can't be written.
    """
    path = store.locate(source)
    folder = OutputFolder(store.local_path(output, "Results"), overwrite=overwrite)
    folder.check(path)
    check_unread(settings)
    image = read(path, **(options or {}))
    check_settings(image, settings)
    with folder.opened():
        if not store.is_store(path):
            path = folder.store
            # The working folder is ours: what another map left there makes way.
            image = store.write_map(image, path, reuse=True, overwrite=True)
        return _run(image, path, settings, folder)


def run_demo(
    output: str | Path,
    settings: RunSettings,
    *,
    side: int = 1024,
    seed: int = 0,
    overwrite: bool = False,
) -> DemoResult:
    """
    Run the main job on a synthetic map and compare with the phases it was made of.

    Parameters
    ----------
    output : path
        Folder for the results.
    settings : RunSettings
        What to do.
    side : int, default: 1024
        Rows and columns of the map.
    seed : int, default: 0
        Seed of the map.
    overwrite : bool, default: False
        Replace a folder of results that is there.

    Returns
    -------
    DemoResult

    Raises
    ------
    SigmaScaleError
        If a setting can't work, or something can't be written.
    """
    folder = OutputFolder(store.local_path(output, "Results"), overwrite=overwrite)
    folder.check()
    check_unread(settings)
    made = synthetic.synthetic_map((side, side), seed=seed)
    check_settings(made.image, settings)
    scores: list[float] = []

    def compare(result: PhaseMapping) -> Section:
        labels = result.clusters["labels"]
        known = rebin_labels(made.labels, result.bin_size)
        scores.append(agreement(labels, known))
        return _comparison(made, scores[0])

    with folder.opened():
        image = store.write_map(made.image, folder.store, reuse=True, overwrite=True)
        result = _run(image, folder.store, settings, folder, [compare])
    return DemoResult(result, scores[0])


def _run(
    image: SpectrumImage,
    path: store.Location,
    settings: RunSettings,
    folder: OutputFolder,
    sections: Sequence[Callable[[PhaseMapping], Section]] = (),
) -> PhaseMapping:
    # The attributes of a store tell its counts from all others.
    steps = StepStore(folder.steps, origin=dict(open_group(path).attrs))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SigmaScaleWarning)
        result = map_phases(image, settings, steps=steps)
    notes = [str(w.message) for w in caught if issubclass(w.category, SigmaScaleWarning)]
    for note in notes:
        warnings.warn(note, SigmaScaleWarning, stacklevel=3)
    write_results(path, result, steps)
    folder.write(result, notes=notes, extra=[make(result) for make in sections])
    steps.clear()
    folder.close()
    return read_results(folder.final(path), result)


def _comparison(made: SyntheticMap, score: float) -> Section:
    return Section(
        "Compared with the known phases",
        f"This map was made of {len(made.phases)} known phases: {', '.join(made.phases)}. Clusters "
        f"merged by majority agree with them with an adjusted Rand index of {score:.3f}; 1 is "
        "perfect, 0 is chance.",
    )
