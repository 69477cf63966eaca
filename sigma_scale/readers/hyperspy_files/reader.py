"""HyperSpy files: .hspy (HDF5) and .zspy (zarr), their counts read part by part."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sigma_scale.errors import SourceNotFoundError
from sigma_scale.readers.guard import decoding, require_file
from sigma_scale.readers.hdf5.files import check_stored, opened
from sigma_scale.readers.hyperspy_files.tree import Tree, experiments, in_hdf5, members, signal_axes
from sigma_scale.readers.signals import choose_eds, image_from_signals, map_layout
from sigma_scale.readers.stored_arrays import Hdf5Source, ZarrSource, open_zarr

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sigma_scale.spectra import SpectrumImage

    Signal = dict[str, Any]

__all__ = ["read"]


def read(path: Path, *, title: str | None = None) -> SpectrumImage:
    """
    Read an EDS signal of a HyperSpy file.

    Parameters
    ----------
    path : pathlib.Path
        The .hspy file, .zspy folder or zipped .zspy file.
    title : str, optional
        Title of the signal, where the file holds several; else the first EDS map.

    Returns
    -------
    SpectrumImage
        Of the file's type; signed counts become unsigned, floats stay as they are.

    Raises
    ------
    SourceNotFoundError
        If there is nothing at the path.
    FileFormatError
        If the file is damaged or not a HyperSpy file.
    NoSpectraError
        If it holds no EDS map.
    ParameterError
        If it holds none with the title.
    MemoryLimitError
        If its chunks are too large for the memory.
    """
    in_zarr = path.suffix.lower() == ".zspy"
    format_name = f"HyperSpy {'.zspy' if in_zarr else '.hspy'}"
    if not in_zarr:
        require_file(path, format_name)
    elif not path.exists():
        raise SourceNotFoundError(f"There is no file {path}.")
    with decoding(path, format_name), _opened(path, in_zarr=in_zarr) as root:
        signals = [_signal(group) for _, group in experiments(root)]
        eds = choose_eds(path, signals, title)
        layout, _ = map_layout(eds)
        kind = ZarrSource if in_zarr else Hdf5Source
        source = kind.of(path, format_name, eds["data"], layout)
        return image_from_signals(path, eds, signals, format_name=format_name, source=source)


@contextmanager
def _opened(path: Path, *, in_zarr: bool) -> Iterator[Any]:
    if in_zarr:
        yield open_zarr(path)
        return
    with opened(path, "HyperSpy .hspy") as file:
        yield file


def _signal(group: Any) -> Signal:
    """A signal in RosettaSciIO's terms, with the array still in the file as its data."""
    found = members(group)
    data = found["data"]
    if in_hdf5(data):
        check_stored(data, sparse=True, others=True)
    metadata = Tree().read(found["metadata"]) if "metadata" in found else {}
    return {"data": data, "axes": signal_axes(group, data.ndim), "metadata": metadata}
