"""Which reader takes which file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sigma_scale.errors import FileFormatError, SourceNotFoundError
from sigma_scale.store import is_store, open_map

if TYPE_CHECKING:
    from sigma_scale.spectra import SpectrumImage

__all__ = ["Reader", "known_suffixes", "read"]


class Reader(Protocol):
    """A module's function that reads one format."""

    def __call__(self, path: Path) -> SpectrumImage:
        """
        Read the EDS map of a file.

        Raises
        ------
        FileFormatError
            If the file is damaged or of another format.
        NoSpectraError
            If it holds no EDS map.
        """


# Modules are imported when a file of theirs is opened: some bring large libraries.
_MODULES: dict[str, str] = {
    ".bcf": "sigma_scale.readers.bruker",
    ".hspy": "sigma_scale.readers.hyperspy_files",
    ".zspy": "sigma_scale.readers.hyperspy_files",
}


def known_suffixes() -> tuple[str, ...]:
    """File name endings that can be read, besides stores."""
    return tuple(sorted(_MODULES))


def read(path: str | Path) -> SpectrumImage:
    """
    Read a map from a microscope's file, or open a store.

    Parameters
    ----------
    path : path
        File, or folder of a store.

    Returns
    -------
    SpectrumImage

    Raises
    ------
    SourceNotFoundError
        If there is nothing at the path.
    FileFormatError
        If no reader knows the format, or the file is damaged.
    NoSpectraError
        If the file holds no EDS map.
    """
    path = Path(path)
    if not path.exists():
        raise SourceNotFoundError(f"There is no file {path}.")
    if is_store(path):
        return open_map(path)
    module = _MODULES.get(path.suffix.lower())
    if module is None:
        what = "folder" if path.is_dir() else "file"
        raise FileFormatError(
            f"No reader knows the {what} {path}. Known are stores of sigma-scale and files "
            f"ending in {', '.join(known_suffixes())}."
        )
    reader: Reader = import_module(module).read
    return reader(path)
