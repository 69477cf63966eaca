"""Results that are kept beside the counts they were made from, as groups of the store."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr

from sigma_scale.errors import SigmaScaleError, StoreError
from sigma_scale.store.layout import COUNTS, EDITS, STATE, consolidate, open_group, state_of
from sigma_scale.store.links import link_chunks
from sigma_scale.store.location import locate
from sigma_scale.store.places import place_at, watched_group, zarr_store
from sigma_scale.store.text import text_of_any_length, text_of_fixed_width

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    import xarray as xr

    from sigma_scale.store.location import Location, PathOrUrl
    from sigma_scale.store.places import Drafts

__all__ = ["draft_results", "open_result", "result_names", "write_result"]


def write_result(
    path: PathOrUrl, name: str, result: xr.Dataset, *, stored: Mapping[str, Path] | None = None
) -> None:
    """
    Write a derived result into a group of a store; one of that name is replaced.

    The raw counts are never touched, and what is replaced stays until the new result is complete.

    Parameters
    ----------
    path : path or URL
        The store.
    name : str
        Name of the group, such as ``"latent"``.
    result : xarray.Dataset
        The result, with its recipe in the attributes; lazy or not.
    stored : mapping of str to pathlib.Path, optional
        Folders of zarr arrays that hold variables of the result just as they are. A store on the
        same file system shares their chunks by hard links, which take no time and no room, and
        outlast those folders.

    Raises
    ------
    StoreError
        If the store can't be written.
    """
    with draft_results(path, {name: result}, stored={name: stored or {}}) as publish:
        publish()


@contextmanager
def draft_results(
    path: PathOrUrl,
    results: Mapping[str, xr.Dataset],
    *,
    stored: Mapping[str, Mapping[str, Path]] | None = None,
) -> Iterator[Callable[..., None]]:
    """
    Write derived results beside a store, to be moved into it once all of them are complete.

    Parameters
    ----------
    path : path or URL
        The store.
    results : mapping of str to xarray.Dataset
        Results by the names of their groups; lazy or not.
    stored : mapping of str to mapping, optional
        What :func:`write_result` takes under this name, by the names of the groups.

    Yields
    ------
    callable
        ``publish(remove=())`` puts them into the store, in place of those of the same names, and
        takes away the groups that it is told to remove. If it is not called, the store stays as
        it was. If it fails, so does a store in a folder; in an object store, results that were to
        be replaced may then say that they are unfinished, and whoever writes results next
        completes what was begun.

    Raises
    ------
    StoreError
        If something can't be written.
    """
    if any(name == COUNTS or name.startswith(EDITS) for name in results):
        raise StoreError(
            "Derived results can't replace the counts or the edits. Choose another name."
        )
    location = locate(path)
    open_group(location)
    place = place_at(location)
    names = ", ".join(map(repr, results))
    try:
        place.recover(partial(consolidate, location))
        with place.drafts() as drafts:
            for name, result in results.items():
                _write(drafts.location / name, result, (stored or {}).get(name, {}))
            yield partial(_publish, location, drafts, list(results))
    except SigmaScaleError:
        raise
    except OSError as error:
        raise StoreError(f"The result {names} can't be written to {location}: {error}") from error


def _write(location: Location, result: xr.Dataset, stored: Mapping[str, Path]) -> None:
    target = zarr_store(location)
    marked = text_of_any_length(result).assign_attrs({STATE: {"state": "unfinished"}})
    if stored and isinstance(location, Path):
        laid_out = marked[list(stored)]
        laid_out.to_zarr(target, mode="w", compute=False, consolidated=False, zarr_format=3)
        linked = [name for name, folder in stored.items() if link_chunks(folder, location / name)]
        marked = marked.drop_vars(linked)
        marked.to_zarr(target, mode="a", consolidated=False, zarr_format=3)
    else:
        marked.to_zarr(target, mode="w", consolidated=False, zarr_format=3)
    group = zarr.open_group(target, mode="r+", zarr_format=3, use_consolidated=False)
    group.attrs[STATE] = {"state": "complete"}


def _publish(
    location: Location, drafts: Drafts, names: list[str], remove: Collection[str] = ()
) -> None:
    drafts.publish(names, remove, partial(consolidate, location))


def open_result(
    path: PathOrUrl,
    name: str,
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """
    Open a derived result, lazily.

    Parameters
    ----------
    path : path or URL
        The store.
    name : str
        Name of the group.
    storage_options : mapping, optional
        Options of the file system behind a URL.

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

    location = locate(path, storage_options)
    if name not in open_group(location):
        raise StoreError(f"{location} holds no result {name!r}.")
    with warnings.catch_warnings():
        # Stores of earlier versions have text of a fixed width, of which zarr warns.
        warnings.filterwarnings("ignore", message=".*(specification|data type).*")
        result: xr.Dataset = text_of_fixed_width(
            xr.open_zarr(
                watched_group(location, name), group=name, consolidated=False, zarr_format=3
            )
        )
    if state_of(result.attrs) != "complete":
        raise StoreError(f"The result {name!r} of {location} is unfinished. Make it again.")
    return result


def result_names(path: PathOrUrl) -> list[str]:
    """
    Names of the groups of a store: its derived results, and its edits.

    Parameters
    ----------
    path : path or URL
        The store.

    Returns
    -------
    list of str
        Sorted.

    Raises
    ------
    StoreError
        If it is no finished store.
    """
    return sorted(name for name, _ in open_group(path).groups())
