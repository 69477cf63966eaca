"""
JEOL .pts: a stream of X-rays, frame after frame, from which blocks of rows are read.

RosettaSciIO reads the header, from a copy without the stream.
"""

from __future__ import annotations

import struct
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from sigma_scale.compute import check_memory
from sigma_scale.errors import FileFormatError, NoSpectraError
from sigma_scale.readers.guard import decoding, require_file
from sigma_scale.readers.jeol.kernels import decode_rows, index_stream
from sigma_scale.readers.signals import energy_axis_of, metadata_of, pixel_size_of
from sigma_scale.spectra import EventBlock, SourceFile, SpectrumImage
from sigma_scale.spectra.image import NAVIGATION
from sigma_scale.spectra.source import block_slices

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from sigma_scale.spectra import Scratch

__all__ = ["PtsSource", "read"]

_FORMAT = "JEOL .pts"
_CHANNELS = 4096
_POSITIONS = 4096
_MAGIC = 304
_HEADER = struct.Struct("<I8s6I")
_MOST_HEADER = 32 * 2**20
_WORDS_AT_ONCE = 4 * 2**20
_ROWS = 64
_BLOCK_WORDS = 8 * 2**20


def read(path: Path) -> SpectrumImage:
    """
    Read the map of a JEOL .pts file, the sum of its complete frames.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    SpectrumImage
        The electron image in the file, summed over the frames too, is the navigation image.

    Raises
    ------
    SourceNotFoundError
        If there is no file.
    FileFormatError
        If the file is damaged or of another format.
    NoSpectraError
        If it holds no complete frame.
    """
    import xarray as xr

    require_file(path, _FORMAT)
    with decoding(path, _FORMAT):
        start, stop = _stream_of(path)
        signal = _header(path, start)
        rows, columns = (int(axis["size"]) for axis in signal["axes"][:2])
        steps = _POSITIONS // rows, _POSITIONS // columns
        doc = signal["original_metadata"]["PTTD Data"]["AnalyzableMap MeasData"]["Doc"]
        index, intensity = _indexed(path, (start, stop), (rows, columns), steps, int(doc["Sweep"]))
        axes = [dict(axis) for axis in signal["axes"]]
        # The header was read with all channels binned to one.
        axes[2] |= {"size": _CHANNELS, "scale": float(axes[2]["scale"]) / _CHANNELS}
        detector = next(iter(signal["metadata"]["Acquisition_instrument"].values()))["Detector"]
        detector["EDS"]["live_time"] = doc.get("LiveTime")
        size, unit = pixel_size_of(axes)
        return SpectrumImage(
            PtsSource(path, (rows, columns, _CHANNELS), index),
            energy_axis_of(axes[2], _CHANNELS),
            pixel_size=size,
            pixel_unit=unit,
            metadata=metadata_of(signal, title=path.stem, sources=(SourceFile.at(path),)),
            images={}
            if intensity is None
            else {NAVIGATION: xr.DataArray(intensity, dims=("y", "x"))},
        )


def _stream_of(path: Path) -> tuple[int, int]:
    """Where the stream begins and ends, in bytes."""
    with path.open("rb") as file:
        content = file.read(_HEADER.size)
    size = path.stat().st_size
    if len(content) < _HEADER.size or _HEADER.unpack(content)[0] != _MAGIC:
        raise FileFormatError(f"{path} is not a {_FORMAT} file.")
    start, length = _HEADER.unpack(content)[6:8]
    if not _HEADER.size < start <= min(size, _MOST_HEADER) or start + length > size:
        raise FileFormatError(
            f"{path} is truncated or damaged: its header describes {start + length:,} bytes, "
            f"but it holds {size:,}."
        )
    return start, start + length - length % 2


def _header(path: Path, start: int) -> dict[str, Any]:
    """Header as RosettaSciIO gives it, of a copy that ends where the stream begins."""
    from rsciio.jeol import file_reader

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "header.pts"
        with path.open("rb") as file:
            copy.write_bytes(file.read(start))
        # One channel instead of 4,096, so that what is made dense is of an image's size.
        signals = file_reader(str(copy), rebin_energy=_CHANNELS, SI_dtype=np.uint16)
    if not signals:
        raise FileFormatError(f"{path} is not a {_FORMAT} file.")
    sizes = [int(axis["size"]) for axis in signals[0]["axes"][:2]]
    if not all(1 <= size <= _POSITIONS for size in sizes):
        raise FileFormatError(f"{path} is damaged: it describes a map of {sizes} pixels.")
    return dict(signals[0])


@dataclass(frozen=True, slots=True, eq=False)
class _Index:
    """
    Where the rows of the complete frames lie in the stream.

    Parameters
    ----------
    start : int
        First byte of the stream.
    steps : tuple of int
        Units of position per pixel in y and x.
    words : array, shape (frames, rows + 1), int64
        Number of the first word of each row.
    columns : array, shape (frames, rows), int16
        Column in which each row begins.
    """

    start: int
    steps: tuple[int, int]
    words: NDArray[np.int64]
    columns: NDArray[np.int16]


def _indexed(
    path: Path,
    limits: tuple[int, int],
    shape: tuple[int, int],
    steps: tuple[int, int],
    sweeps: int,
) -> tuple[_Index, NDArray[np.uint32] | None]:
    """Index of the complete frames, and the sum of their electron images if there are any."""
    starts: list[NDArray[np.int64]] = []
    columns: list[NDArray[np.int16]] = []
    image = np.zeros(shape, dtype=np.uint32)
    has_image = False
    place = 0
    while len(starts) <= sweeps:
        frame = _Frame(shape)
        length = frame.find(path, limits[0] + 2 * place, limits[1], place, steps)
        if length == 0 or not frame.complete(steps):
            break
        starts.append(frame.row_starts)
        columns.append(frame.row_columns)
        check_memory(
            2 * len(starts) * frame.row_starts.nbytes,
            what=f"The index of {path}",
            remedy="Raise memory_limit.",
        )
        image += frame.intensity
        has_image |= bool(frame.state[5])
        place += length
    if not starts:
        raise NoSpectraError(f"{path} holds no complete frame.")
    index = _Index(limits[0], steps, np.stack(starts), np.stack(columns))
    return index, image if has_image else None


class _Frame:
    """A frame while it is searched for."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.state = np.array([0, 0, -1, -1, -1, 0], dtype=np.int64)
        self.row_starts = np.zeros(shape[0] + 1, dtype=np.int64)
        self.row_columns = np.zeros(shape[0], dtype=np.int16)
        self.intensity = np.zeros(shape, dtype=np.uint32)

    def find(self, path: Path, start: int, stop: int, first: int, steps: tuple[int, int]) -> int:
        """Go through the frame that begins at a byte; how many words it has."""
        length = 0
        # What comes before the first row is set counts for row 0.
        self.row_starts[0] = first
        self.state[4] = 0
        while start + 2 * length < stop:
            words = _words(path, start + 2 * length, stop, _WORDS_AT_ONCE)
            taken = index_stream(
                words,
                first + length,
                *steps,
                self.state,
                self.row_starts,
                self.row_columns,
                self.intensity,
            )
            length += taken
            if taken < words.size:
                break
        self.row_starts[int(self.state[4]) + 1 :] = first + length
        return length

    def complete(self, steps: tuple[int, int]) -> bool:
        """Whether the beam came to the last row, and column if it was recorded everywhere."""
        _, _, y, x, _, has_image = (int(value) for value in self.state)
        at_end = x >= _POSITIONS - steps[1] or not has_image
        return y >= _POSITIONS - steps[0] and at_end


def _words(path: Path, start: int, stop: int, most: int) -> NDArray[np.uint16]:
    with path.open("rb") as file:
        file.seek(start)
        content = file.read(min(2 * most, stop - start))
    if len(content) < min(2 * most, stop - start):
        raise FileFormatError(f"{path} became shorter while it was read.")
    return np.frombuffer(content, dtype="<u2").astype(np.uint16, copy=False)


@dataclass(frozen=True, eq=False)
class PtsSource:
    """
    Counts of a .pts file, block of rows by block of rows.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    shape : tuple of int
        Rows, columns and channels.
    index : _Index
        Where the rows lie.
    """

    path: Path
    shape: tuple[int, int, int]
    index: _Index = field(repr=False)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts."""
        return np.dtype(np.uint32)

    @property
    def chunk_shape(self) -> tuple[int, int]:
        """Blocks as wide as the map, and so high that their part of the stream stays small."""
        words = int((self.index.words[:, -1] - self.index.words[:, 0]).sum())
        rows = _ROWS
        while rows > 1 and words * rows > _BLOCK_WORDS * self.shape[0]:
            rows //= 2
        return rows, self.shape[1]

    def read_block(self, row: int, column: int, scratch: Scratch | None = None) -> EventBlock:  # noqa: ARG002
        """
        Events of a block of rows.

        Raises
        ------
        FileFormatError
            If the file can't be read.
        ParameterError
            If there is no such block.
        """
        rows, _ = block_slices(self, row, column)
        shape = (rows.stop - rows.start, *self.shape[1:])
        with decoding(self.path, _FORMAT):
            pixels, channels = self._x_rays(rows.start, rows.stop)
        counts = np.ones(pixels.size, dtype=np.uint32)
        size = (shape[0] * shape[1], shape[2])
        matrix = sp.csr_array(sp.coo_array((counts, (pixels, channels)), shape=size))
        matrix.sum_duplicates()
        narrow = np.min_scalar_type(int(matrix.data.max(initial=0)))
        return EventBlock.from_csr(matrix.astype(narrow), shape)

    def _x_rays(self, first: int, last: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        found = []
        for starts, columns in zip(self.index.words, self.index.columns, strict=True):
            low, high = (self.index.start + 2 * int(starts[row]) for row in (first, last))
            if low == high:
                continue
            words = _words(self.path, low, high, high - low)
            pixels = np.empty(words.size, dtype=np.int32)
            channels = np.empty(words.size, dtype=np.int32)
            limits = (last, *self.shape[1:])
            n = decode_rows(
                words, *self.index.steps, first, int(columns[first]), limits, pixels, channels
            )
            found.append((pixels[:n].copy(), channels[:n].copy()))
        if not found:
            none = np.empty(0, dtype=np.int32)
            return none, none
        return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])

    def __dask_tokenize__(self) -> Hashable:
        stat = self.path.stat()
        return ("PtsSource", str(self.path.resolve()), stat.st_size, stat.st_mtime_ns)
