"""Results that are kept beside the counts they were made from, as groups of the store."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import zarr

from sigma_scale.errors import SigmaScaleError, StoreError
from sigma_scale.store.layout import COUNTS, EDITS, STATE, consolidate, open_group, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    import xarray as xr

__all__ = ["draft_results", "open_result", "write_result"]


def write_result(path: str | Path, name: str, result: xr.Dataset) -> None:
    """
    Write a derived result into a group of a store; one of that name is replaced.

    The raw counts are never touched, and what is replaced stays until the new result is complete.

    Parameters
    ----------
    path : path
        Folder of the store.
    name : str
        Name of the group, such as ``"latent"``.
    result : xarray.Dataset
        The result, with its recipe in the attributes; lazy or not.

    Raises
    ------
    StoreError
        If the store can't be written.
    """
    with draft_results(path, {name: result}) as publish:
        publish()


@contextmanager
def draft_results(
    path: str | Path, results: Mapping[str, xr.Dataset]
) -> Iterator[Callable[..., None]]:
    """
    Write derived results beside a store, to be moved into it once all of them are complete.

    Parameters
    ----------
    path : path
        Folder of the store.
    results : mapping of str to xarray.Dataset
        Results by the names of their groups; lazy or not.

    Yields
    ------
    callable
        ``publish(remove=())`` puts them into the store, in place of those of the same names, and
        takes away the groups that it is told to remove. If it is not called, or fails, the store
        stays as it was.

    Raises
    ------
    StoreError
        If something can't be written.
    """
    if any(name == COUNTS or name.startswith(EDITS) for name in results):
        raise StoreError(
            "Derived results can't replace the counts or the edits. Choose another name."
        )
    open_group(path)
    folder = Path(path).resolve()
    names = ", ".join(map(repr, results))
    try:
        drafts = Path(tempfile.mkdtemp(".results", f".{folder.name}.", folder.parent))
        try:
            for name, result in results.items():
                _write(drafts / name, result)
            yield partial(_publish, folder, drafts, list(results))
        finally:
            shutil.rmtree(drafts, ignore_errors=True)
    except SigmaScaleError:
        raise
    except OSError as error:
        raise StoreError(f"The result {names} can't be written to {path}: {error}") from error


def _write(path: Path, result: xr.Dataset) -> None:
    with warnings.catch_warnings():
        # zarr warns that text coordinates are not yet part of its v3 specification.
        warnings.filterwarnings("ignore", message=".*(specification|data type).*")
        marked = result.assign_attrs({STATE: {"state": "unfinished"}})
        marked.to_zarr(path, mode="w", consolidated=False, zarr_format=3)
        group = zarr.open_group(str(path), mode="r+", use_consolidated=False)
        group.attrs[STATE] = {"state": "complete"}


def _publish(folder: Path, drafts: Path, names: list[str], remove: Collection[str] = ()) -> None:
    replaced = drafts / "replaced"
    replaced.mkdir()
    moved: list[tuple[Path, Path]] = []
    try:
        # What follows from the others goes first: whoever looks, or kills this, finds too little,
        # but nothing that doesn't belong together.
        for name in [*remove, *names]:
            if (folder / name).exists():
                (folder / name).rename(replaced / name)
                moved.append((folder / name, replaced / name))
        for name in names:
            (drafts / name).rename(folder / name)
            moved.append((drafts / name, folder / name))
        consolidate(folder)
    except OSError:
        for before, after in reversed(moved):
            after.rename(before)
        raise


def open_result(path: str | Path, name: str) -> xr.Dataset:
    """
    Open a derived result, lazily.

    Parameters
    ----------
    path : path
        Folder of the store.
    name : str
        Name of the group.

    Returns
    -------
    xarray.Dataset
        Lazy.

    Raises
    ------
    StoreError
        If there is no such result, or its writing was interrupted.
    """
    import xarray as xr

    if name not in open_group(path):
        raise StoreError(f"{path} holds no result {name!r}.")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(specification|data type).*")
        result: xr.Dataset = xr.open_zarr(path, group=name, consolidated=False)
    if state_of(result.attrs) != "complete":
        raise StoreError(f"The result {name!r} of {path} is unfinished. Make it again.")
    return result
