"""Steps of the main job that are kept on disk, so that none has to fit the memory or run twice."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import zarr

from sigma_scale import compute
from sigma_scale.errors import SigmaScaleError, SigmaScaleWarning, StoreError
from sigma_scale.latent.recipe import library_versions
from sigma_scale.store.text import text_of_any_length, text_of_fixed_width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray
    from zarr.core.array_spec import ArrayConfigParams

    Model = TypeVar("Model")

__all__ = ["StepStore"]

_logger = logging.getLogger(__name__)

_STEP = "sigma_scale_step"
_SIDE = 1024
"""Rows and columns of a chunk of what comes in one piece."""
_ONLY_WRITTEN: ArrayConfigParams = {"write_empty_chunks": True}
"""Chunks of zeros are written as well: one that is there is one that is done."""


class StepStore:
    """
    Results of a run's steps, each written chunk by chunk to a folder and read from there lazily.

    A step that a run has finished is not made again by the next one, as long as everything it
    follows from is the same; of one that was interrupted the finished chunks are kept. Steps have
    to be asked for in the order in which they follow from each other: what a step is known by
    contains what the ones before it are known by.

    Parameters
    ----------
    folder : pathlib.Path, optional
        Where to keep the steps; every worker has to see it. None: nothing is kept, and results
        are what their functions give.
    origin : object
        What tells the map from every other, as plain values.
    """

    def __init__(self, folder: Path | None = None, origin: object = None) -> None:
        # Workers may run in another folder than this process.
        self.folder = None if folder is None else folder.resolve()
        self._known_by = _token("", origin, library_versions())
        self._arrays: dict[str, Path] = {}
        """Folders of the lazy arrays that were given, by Dask's names of these."""

    @property
    def on_disk(self) -> bool:
        """Whether steps are kept, and therefore lazy."""
        return self.folder is not None

    def keep(
        self, name: str, make: Callable[[], xr.Dataset], *, recipe: object = None
    ) -> xr.Dataset:
        """
        Write a step's result, or take the one that is there.

        Parameters
        ----------
        name : str
            Name of the step.
        make : callable
            Gives the result, with lazy maps over ``y`` and ``x``; not called where it is there.
        recipe : object
            Parameters of the step, as plain values.

        Returns
        -------
        xarray.Dataset
            The result read from the folder, lazily; what ``make`` gives if nothing is kept.

        Raises
        ------
        StoreError
            If it can't be written or read.

        Warns
        -----
        SigmaScaleWarning
            What ``make`` warned of, also when its result is taken from an earlier run.
        """
        if self.folder is None:
            return make()
        token, path = self._next(name, recipe), self.folder / name
        try:
            state = _state_of(path)
            if state.get("token") != token or not state.get("complete"):
                going_on = state.get("token") == token
                notes = _write(path, make, token, name=name, going_on=going_on)
            else:
                _logger.info("The step %r is there already.", name)
                notes = state.get("notes", [])
            kept = _open(path)
        except SigmaScaleError:
            raise
        except OSError as error:
            raise StoreError(
                f"The step {name!r} can't be kept in {self.folder}: {error}. Once that is mended, "
                "run the same command again: what is finished is kept."
            ) from error
        for note in notes:
            warnings.warn(note, SigmaScaleWarning, stacklevel=2)
        for key, variable in kept.variables.items():
            if variable.chunks is not None:
                self._arrays[variable.data.name] = path / str(key)
        return kept

    def keep_model(
        self,
        name: str,
        fit: Callable[[], Model],
        save: Callable[[Model, Path], object],
        load: Callable[[Path], Model],
        *,
        recipe: object = None,
    ) -> Model:
        """
        Fit a model and save it, or load the one that is there.

        Parameters
        ----------
        name : str
            Name of the step.
        fit, save, load : callable
            Make the model, write it to a path so that it is there whole or not at all, and read
            it from there.
        recipe : object
            Parameters of the model, as plain values.

        Returns
        -------
        object
            The model.

        Raises
        ------
        StoreError
            If it can't be written or read.
        """
        if self.folder is None:
            return fit()
        # The token is part of the name: a file of that name is that model, whole.
        path = self.folder / f"{name}-{self._next(name, recipe)}.npz"
        if path.is_file():
            _logger.info("The model %r is there already.", name)
            return load(path)
        model = fit()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save(model, path)
        except SigmaScaleError:
            raise
        except OSError as error:
            raise StoreError(f"The model {name!r} can't be kept in {path}: {error}") from error
        return model

    def place(self, name: str) -> Path | None:
        """
        Give a place for what the step that is being made needs on disk, free to be written to.

        Parameters
        ----------
        name : str
            What it is for.

        Returns
        -------
        pathlib.Path or None
            Its name is that of no other contents. None: nothing is kept.
        """
        if self.folder is None:
            return None
        path = self.folder / f"{name}-{self._known_by}"
        shutil.rmtree(path, ignore_errors=True)
        return path

    def arrays_of(self, dataset: xr.Dataset) -> dict[str, Path]:
        """
        Say which variables of a dataset are arrays that are kept here, just as they are.

        Parameters
        ----------
        dataset : xarray.Dataset
            Made of what :meth:`keep` gave, under any names.

        Returns
        -------
        dict of str to pathlib.Path
            Folders of the zarr arrays by the names of the variables.
        """
        lazy = {key: v.data for key, v in dataset.variables.items() if v.chunks is not None}
        return {
            str(key): self._arrays[data.name]
            for key, data in lazy.items()
            if data.name in self._arrays
        }

    def clear(self) -> None:
        """Remove all that was kept."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _next(self, name: str, recipe: object) -> str:
        self._known_by = _token(self._known_by, name, recipe)
        return self._known_by


def _token(*parts: object) -> str:
    """Hash plain values; their JSON is the same in every process, unlike most hashes."""
    import hashlib

    text = json.dumps(parts, sort_keys=True, default=repr)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _state_of(path: Path) -> dict[str, Any]:
    """State of what is at a path; nothing where that is no step, or a broken one."""
    try:
        attrs = zarr.open_group(str(path), mode="r", use_consolidated=False).attrs
        return dict(cast("dict[str, Any]", attrs[_STEP]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def _open(path: Path) -> xr.Dataset:
    import xarray as xr

    kept = text_of_fixed_width(xr.open_zarr(path, consolidated=False))
    # How it is stored here has no say in how it will be stored elsewhere, but for the chunks.
    for variable in kept.variables.values():
        variable.encoding = {k: v for k, v in variable.encoding.items() if k == "chunks"}
    del kept.attrs[_STEP]
    return kept


def _write(
    path: Path, make: Callable[[], xr.Dataset], token: str, *, name: str, going_on: bool
) -> list[str]:
    """Write what is missing, and then take the mark of an unfinished step away."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", SigmaScaleWarning)
        dataset = _on_a_grid(make())
        maps = {key: v for key, v in dataset.variables.items() if v.chunks is not None}
        if not going_on:
            _lay_out(path, dataset, token)
        if maps:
            group = zarr.open_group(str(path), mode="r", use_consolidated=False)
            arrays = {str(key): cast("zarr.Array[Any]", group[str(key)]) for key in maps}
            compute.run(*_missing_blocks(path, maps, arrays), description=f"Keeping {name}")
    for draft in path.rglob("*.partial"):  # of killed workers
        draft.unlink(missing_ok=True)
    notes = [str(w.message) for w in caught if issubclass(w.category, SigmaScaleWarning)]
    for other in caught:
        if not issubclass(other.category, SigmaScaleWarning):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    group = zarr.open_group(str(path), mode="r+", use_consolidated=False)
    group.attrs[_STEP] = {"token": token, "complete": True, "notes": notes}
    return notes


def _on_a_grid(dataset: xr.Dataset) -> xr.Dataset:
    """Give all lazy maps the chunks of one grid, each of which one task can write."""
    chunks = [v.chunksizes for v in dataset.variables.values() if v.chunks is not None]
    grid = {
        dim: next((max(sizes[dim]) for sizes in chunks if dim in sizes), _SIDE)
        for dim in ("y", "x")
    }
    result = dataset.drop_encoding()
    for variable in result.variables.values():
        if variable.dims[:2] != ("y", "x"):
            continue
        sides = [grid["y"], grid["x"], *variable.shape[2:]]
        if variable.chunks is not None:
            variable.data = variable.data.rechunk(tuple(sides))
        variable.encoding["chunks"] = tuple(
            min(side, size) for side, size in zip(sides, variable.shape, strict=True)
        )
    return result


def _lay_out(path: Path, dataset: xr.Dataset, token: str) -> None:
    """Write everything but the chunks of the lazy maps."""
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = text_of_any_length(dataset)
    dataset.to_zarr(path, mode="w", compute=False, consolidated=False, zarr_format=3)
    # Only what is laid out completely may be gone on with.
    group = zarr.open_group(str(path), mode="r+", use_consolidated=False)
    group.attrs[_STEP] = {"token": token, "complete": False}


def _missing_blocks(
    path: Path, maps: dict[Any, Any], arrays: dict[str, zarr.Array[Any]]
) -> Iterator[Any]:
    """Give a task for each block of the grid of which a chunk is missing."""
    from dask.delayed import delayed

    write = delayed(_write_block, pure=False)
    names = [str(key) for key in maps]
    data = [variable.data for variable in maps.values()]
    blocks = [each.to_delayed() for each in data]
    heights, widths = data[0].chunks[:2]
    tops = np.concatenate([[0], np.cumsum(heights)[:-1]]).tolist()
    lefts = np.concatenate([[0], np.cumsum(widths)[:-1]]).tolist()
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            places = [(i, j) + (0,) * (each.ndim - 2) for each in data]
            if all(
                (path / name / arrays[name].metadata.encode_chunk_key(place)).is_file()
                for name, place in zip(names, places, strict=True)
            ):
                continue
            parts = [block[place] for block, place in zip(blocks, places, strict=True)]
            yield write(str(path), names, (top, left), parts)


def _write_block(
    path: str, names: list[str], corner: tuple[int, int], parts: list[NDArray[Any]]
) -> None:
    """Write a block of all maps of a step; each chunk appears whole or not at all."""
    group = zarr.open_group(path, mode="r+", use_consolidated=False)
    top, left = corner
    for name, part in zip(names, parts, strict=True):
        array = cast("zarr.Array[Any]", group[name]).with_config(_ONLY_WRITTEN)
        array[top : top + part.shape[0], left : left + part.shape[1]] = part
