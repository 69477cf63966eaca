"""
Export to HyperSpy's HDF5 format (.hspy).

HDF5 lets one thread write at a time and compresses in it. So chunks are compressed by the threads
that read them, and written as they are.
"""

from __future__ import annotations

import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import StoreError
from sigma_scale.export.hyperspy_layout import FORMAT_VERSION, group_name, signal_tree, write_tree
from sigma_scale.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from sigma_scale.export.tiles import DenseTiles, Tile
    from sigma_scale.spectra import SpectrumImage

__all__ = ["CHUNK_BYTES", "is_export", "write"]

CHUNK_BYTES = 2 * 2**20


def is_export(path: Path) -> bool:
    """Whether there is a HyperSpy file at a path."""
    import h5py

    if not (path.is_file() and h5py.is_hdf5(path)):
        return False
    try:
        with h5py.File(path, "r") as file:
            kind = file.attrs.get("file_format", "")
    except (OSError, RuntimeError, ValueError, TypeError):
        return False
    return str(kind).lower() == "hyperspy"


def write(path: Path, image: SpectrumImage, tiles: DenseTiles, level: int) -> None:
    """
    Write a .hspy file; see :func:`~sigma_scale.export.export_counts`.

    Raises
    ------
    StoreError
        If HDF5 can't write.
    """
    with _new_file(path) as file:
        data = _lay_out(file, image, tiles, level)
        with progress_bar("Writing spectra", total=tiles.shape[0] * tiles.shape[1]) as bar:
            for written in compute.stream(
                _Compression(tiles, level), tiles, description="Compressing counts"
            ):
                for place, content in written.chunks:
                    with _named_errors(path):
                        data.id.write_direct_chunk((*place, 0), content)
                bar.update(written.pixels)


@contextmanager
def _new_file(path: Path) -> Iterator[Any]:
    import h5py

    with _named_errors(path):
        file = h5py.File(path, "w-")
    whole = False
    try:
        yield file
        whole = True
    finally:
        # What HDF5 still holds back after a failure can't be written either; that is not the
        # error to report.
        with _named_errors(path) if whole else suppress(OSError, RuntimeError):
            file.close()


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Name the file where HDF5, short of disk space for example, raises a RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        raise StoreError(f"HDF5 can't write {path.name}: {error}") from error


def _lay_out(file: Any, image: SpectrumImage, tiles: DenseTiles, level: int) -> Any:
    """Write everything but the spectra, and make the array for them."""
    with _named_errors(Path(file.filename)):
        file.attrs["file_format"] = "HyperSpy"
        file.attrs["file_format_version"] = FORMAT_VERSION
        signal = file.create_group("Experiments").create_group(group_name(image.metadata.title))
        signal.attrs.update({"package": "", "package_version": ""})
        write_tree(signal, signal_tree(image), _add_list)
        compression: dict[str, Any] = {"compression": "gzip", "compression_opts": level}
        return signal.create_dataset(
            "data",
            shape=tiles.shape,
            dtype=tiles.dtype,
            chunks=tiles.chunk_shape,
            fillvalue=0,
            shuffle=_shuffled(tiles.dtype, level),
            **(compression if level else {}),
        )


def _add_list(group: Any, name: str, values: Sequence[Any]) -> None:
    import h5py

    dtype = h5py.string_dtype() if isinstance(values[0], str) else None
    group.create_dataset(name, data=np.array(values, dtype=dtype))


def _shuffled(dtype: np.dtype[Any], level: int) -> bool:
    """Whether bytes are sorted by significance, which makes wide numbers easier to compress."""
    return level > 0 and dtype.itemsize > 1


class _Compressed(NamedTuple):
    """Chunks of a tile as they lie in the file."""

    pixels: int
    chunks: list[tuple[tuple[int, int], bytes]]


@dataclass(frozen=True)
class _Compression:
    """Reads a tile and compresses its chunks as HDF5's own filters would."""

    tiles: DenseTiles
    level: int

    def __call__(self, tile: Tile) -> _Compressed:
        chunks = []
        for row, column, values in self.tiles.chunks_of(tile):
            chunks.append(((row, column), self._stored(values)))
        return _Compressed(tile.size, chunks)

    def _stored(self, values: NDArray[Any]) -> bytes:
        shape = self.tiles.chunk_shape
        if values.shape != shape:  # Chunks at the map's end are stored whole.
            whole = np.zeros(shape, dtype=values.dtype)
            whole[: values.shape[0], : values.shape[1]] = values
            values = whole
        if not self.level:
            return values.tobytes()
        if not _shuffled(values.dtype, self.level):
            return zlib.compress(values.tobytes(), self.level)
        import numcodecs

        shuffle = numcodecs.Shuffle(values.itemsize)
        return zlib.compress(shuffle.encode(np.ascontiguousarray(values)), self.level)
