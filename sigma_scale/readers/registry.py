"""Which reader takes which file."""

from __future__ import annotations

import inspect
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from sigma_scale.errors import FileFormatError, NoSpectraError, ParameterError, SourceNotFoundError
from sigma_scale.store import is_store, locate, open_map
from sigma_scale.store.location import UrlPath

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.store import PathOrUrl

__all__ = ["Reader", "known_suffixes", "read"]


class Reader(Protocol):
    """A module's function that reads one format."""

    def __call__(self, path: Path, **options: Any) -> SpectrumImage:
        """
        Read the EDS map of a file, without reading its counts yet.

        Raises
        ------
        FileFormatError
            If the file is damaged or of another format.
        NoSpectraError
            If it holds no EDS map.
        """


# Modules are imported when a file of theirs is opened: some bring large libraries.
_MODULES: dict[str, str] = {
    ".bcf": "bruker",
    ".emd": "velox",
    ".emi": "tia",
    ".h5oina": "oxford",
    ".hspy": "hyperspy_files.reader",
    ".nc": "xarray_files.reader",
    ".nc4": "xarray_files.reader",
    ".npy": "arrays",
    ".pts": "jeol.reader",
    ".raw": "ripple.reader",
    ".rpl": "ripple.reader",
    ".ser": "tia",
    ".zarr": "xarray_files.reader",
    ".zip": "xarray_files.reader",
    ".zspy": "hyperspy_files.reader",
}


def known_suffixes() -> tuple[str, ...]:
    """File name endings that can be read, besides stores."""
    return tuple(sorted({*_MODULES, *_generic_suffixes()}))


def _generic_suffixes() -> tuple[str, ...]:
    from sigma_scale.readers.generic import SUFFIXES

    return SUFFIXES


def read(
    path: PathOrUrl,
    *,
    storage_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> SpectrumImage:
    """
    Read a map from a microscope's file, or open a store.

    Parameters
    ----------
    path : path or URL
        File, or folder of a store; or the URL of a store (``s3://``, ``gs://``, ``memory://``).
    storage_options : mapping, optional
        Options of the file system behind a URL; see :func:`sigma_scale.store.open_map`.
    **options
        What to read of a file that holds more than one map or detector; see the ``read``
        function of the format's module.

    Returns
    -------
    SpectrumImage
        Its counts are read block by block when they are needed.

    Raises
    ------
    SourceNotFoundError
        If there is nothing at the path.
    FileFormatError
        If no reader knows the format, or the file is damaged.
    NoSpectraError
        If the file holds no EDS map.
    ParameterError
        If the format has no such option.
    """
    path = locate(path, storage_options)
    if not path.exists():
        raise SourceNotFoundError(f"There is no file {path}.")
    if is_store(path):
        _check_options(_open_store, options, "stores of sigma-scale")
        return open_map(path)
    if isinstance(path, UrlPath):
        raise FileFormatError(
            f"{path} is not a store of sigma-scale, and other files are not read by URL. Copy it "
            f"to a local folder, and make a store of it: sigma-scale ingest {path.name} "
            f"{path.with_name(f'{path.stem}.zarr')}."
        )
    suffix = path.suffix.lower()
    if suffix not in known_suffixes():
        if path.is_dir() and _holds_images(path):
            raise NoSpectraError(
                f"{path} is a folder of images, without spectra. Read it with "
                "sigma_scale.read_element_maps."
            )
        what, remedy = "file", ""
        if path.is_dir():
            # Most often one with the tiles of a stage scan.
            what = "folder"
            remedy = f" Put tiles together with: sigma-scale mosaic {path} area.zarr"
        raise FileFormatError(
            f"No reader knows the {what} {path}. Known are stores of sigma-scale and files "
            f"ending in {', '.join(known_suffixes())}.{remedy}"
        )
    module = import_module(f"sigma_scale.readers.{_MODULES.get(suffix, 'generic')}")
    reader: Reader = module.read
    _check_options(reader, options, f"{suffix} files")
    image = reader(path.absolute(), **options)  # workers may run in other folders
    return replace(image, metadata=replace(image.metadata, selection=_selection(reader, options)))


def _open_store(path: Path) -> SpectrumImage:
    """Open a store: there are no options of what to read."""
    return open_map(path)


def _selection(reader: Reader, options: dict[str, Any]) -> dict[str, Any]:
    """Options of a reader as the store keeps them; those not given have their defaults."""
    known = list(inspect.signature(reader).parameters.values())[1:]
    chosen = {option.name: options.get(option.name, option.default) for option in known}
    return {
        name: list(value) if isinstance(value, tuple | range) else value
        for name, value in chosen.items()
        if value is not None
    }


def _holds_images(folder: Path) -> bool:
    from sigma_scale.readers.element_maps.grey_images import SUFFIXES

    try:
        return any(file.suffix.lower() in SUFFIXES for file in folder.iterdir())
    except OSError as error:
        raise FileFormatError(f"{folder} can't be read: {error}") from error


def _check_options(reader: Callable[..., Any], options: dict[str, Any], what: str) -> None:
    known = list(inspect.signature(reader).parameters)[1:]
    unknown = [name for name in options if name not in known]
    if unknown:
        there_are = f"there are {', '.join(known)}" if known else "there are none"
        raise ParameterError(f"There is no option {unknown[0]!r} for {what}; {there_are}.")
