"""Which streams of events a Velox file has, and the shape and frames of the map they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sigma_scale.errors import EmptyMapError, FileFormatError, ParameterError
from sigma_scale.readers.velox.metadata import detector_name, number, scanned_shape
from sigma_scale.readers.velox.source import count_separators, stream_words
from sigma_scale.readers.velox.structure import (
    children,
    dataset,
    json_column,
    json_text,
)
from sigma_scale.spectra.events import MAX_CHANNELS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import h5py

__all__ = [
    "Stream",
    "chosen_frames",
    "chosen_streams",
    "count_frames",
    "find_shape",
    "find_streams",
    "n_channels_of",
]

_GROUP = "Data/SpectrumStream"


@dataclass(frozen=True)
class Stream:
    """
    One detector's events.

    Parameters
    ----------
    name : str
        Group in the file.
    n_words : int
        Length.
    settings : dict
        Text of the acquisition's settings.
    texts, last_texts : dict
        Texts of the first and of the last frame.
    n_texts : int
        Number of such texts.
    """

    name: str
    n_words: int
    settings: dict[str, Any]
    texts: dict[str, Any]
    last_texts: dict[str, Any]
    n_texts: int

    @property
    def detector(self) -> str:
        """Name of the detector, or of the stream where it has none."""
        return detector_name(self.texts) or self.name.rsplit("/", 1)[-1]

    def n_frames(self, file: h5py.File, grid: tuple[int, int]) -> int:
        """Frames in the stream, the last perhaps not complete; it is read for that."""
        passed = count_separators(file[f"{self.name}/Data"])
        return max(1, -(-passed // (grid[0] * grid[1])))


def find_streams(file: h5py.File) -> list[Stream]:
    """
    Streams of a file, in the order of the microscope's list of detectors.

    Raises
    ------
    FileFormatError
        If one is no list of words.
    ValueError
        If its settings or texts can't be read.
    """
    found = []
    for key in children(file, _GROUP):
        name = f"{_GROUP}/{key}"
        data, settings, texts = (
            dataset(file, f"{name}/{part}") for part in ("Data", "AcquisitionSettings", "Metadata")
        )
        if data is None or stream_words(data) == 0:
            continue
        if settings is None or texts is None:
            raise ValueError(f"{name} has no settings or metadata")
        n_texts = int(texts.shape[-1])
        first = json_column(texts, 0)
        last = _last_text(texts, first)
        found.append(Stream(name, stream_words(data), json_text(settings), first, last, n_texts))
    return sorted(found, key=_place)


def _last_text(texts: h5py.Dataset, first: dict[str, Any]) -> dict[str, Any]:
    """Text of the last frame; a stopped acquisition may have left it empty."""
    try:
        return first if texts.shape[-1] == 1 else json_column(texts, texts.shape[-1] - 1)
    except (ValueError, RecursionError):
        return first


def _place(stream: Stream) -> tuple[float, str, str]:
    index = number(stream.texts, "BinaryResult", "DetectorIndex")
    return (float("inf") if index is None else index, stream.detector, stream.name)


def chosen_streams(
    path: Path, streams: list[Stream], detectors: Sequence[str | int] | str | int | None
) -> list[Stream]:
    """
    Streams of some detectors, given by name or number.

    Raises
    ------
    ParameterError
        If there is no such detector, or none is asked for.
    """
    if detectors is None:
        return streams
    wanted = [detectors] if isinstance(detectors, str | int) else list(detectors)
    there_are = ", ".join(f"{i}: {stream.detector}" for i, stream in enumerate(streams))
    chosen = set()
    for key in wanted:
        places = [
            i
            for i, stream in enumerate(streams)
            if key in (i, stream.detector)  # i is no bool
        ]
        if not places or isinstance(key, bool):
            raise ParameterError(f"{path} has no detector {key!r}. It has {there_are}.")
        chosen.update(places)
    if not chosen:
        raise ParameterError(f"No detector of {path} was asked for. It has {there_are}.")
    return [stream for i, stream in enumerate(streams) if i in chosen]


def n_channels_of(path: Path, streams: list[Stream]) -> int:
    """
    Channels of the spectra.

    Raises
    ------
    FileFormatError
        If the streams differ, or the number can't be right.
    """
    told = {number(stream.settings, "bincount") for stream in streams}
    channels = told.pop()
    if told or channels is None or channels != int(channels) or not 0 <= channels <= MAX_CHANNELS:
        raise FileFormatError(
            f"{path} is damaged: its spectra have {channels} channels"
            + (f", or {', '.join(map(str, told))}." if told else ".")
        )
    if channels == 0:
        raise EmptyMapError(f"{path}: its spectra have no channels.")
    return int(channels)


def count_frames(file: h5py.File, stream: Stream) -> int | None:
    """
    Number of frames that the file tells, or None.

    As RosettaSciIO does, those that Velox shows in its spectrum image count; else those of the
    stream's table of frames. Not more than the stream can hold are believed.
    """
    for name in children(file, "Data/SpectrumImage"):
        settings = dataset(file, f"Data/SpectrumImage/{name}/SpectrumImageSettings")
        told = None if settings is None else number(json_text(settings), "endFramePosition")
        if told is not None and 1 <= told <= stream.n_words + 1:
            return int(told)
        break
    table = dataset(file, f"{stream.name}/FrameLocationTable")
    if table is None or not table.shape or not 1 <= table.shape[0] <= stream.n_words + 1:
        return None
    return int(table.shape[0])


def find_shape(
    file: h5py.File, stream: Stream, images: list[tuple[int, int]], n_frames: int | None
) -> tuple[int, int]:
    """
    Rows and columns of the map.

    The scanned part of the raster is believed where an image has the same shape. Otherwise the
    pixels in the stream decide between what the file tells: they are read for that.

    Raises
    ------
    FileFormatError
        If the file doesn't tell, or none of it can be.
    """
    scanned = scanned_shape(stream.texts)
    if scanned is not None and (scanned in images or not images):
        return _plausible(file, stream, scanned)
    told = [scanned, _raster(stream), *reversed(images)]
    shapes = list(dict.fromkeys(shape for shape in told if shape is not None))
    if not shapes:
        raise FileFormatError(
            f"{file.filename} doesn't tell how many rows and columns its map has."
        )
    passed = count_separators(file[f"{stream.name}/Data"])
    for shape in shapes:
        pixels = shape[0] * shape[1]
        complete = max(1, round(passed / pixels)) if n_frames is None else n_frames
        # The last separator may be missing.
        if passed in (complete * pixels - 1, complete * pixels):
            return shape
    return _plausible(file, stream, next((s for s in shapes if s in images), shapes[0]))


def _raster(stream: Stream) -> tuple[int, int] | None:
    sides = [number(stream.settings, "RasterScanDefinition", key) for key in ("Height", "Width")]
    if any(side is None or not 1 <= side <= MAX_CHANNELS or side != int(side) for side in sides):
        return None
    return int(sides[0] or 0), int(sides[1] or 0)


def _plausible(file: h5py.File, stream: Stream, shape: tuple[int, int]) -> tuple[int, int]:
    """Shape, unless the stream is far too short for it: a stopped scan misses some rows only."""
    if shape[0] * shape[1] > _SMALL_MAP and shape[0] * shape[1] > _STOPPED_EARLY * stream.n_words:
        raise FileFormatError(
            f"{file.filename} is damaged: it tells of {shape[0]:,} x {shape[1]:,} pixels, but has "
            f"{stream.n_words:,} words of events and pixel ends."
        )
    return shape


_SMALL_MAP = 2**20
_STOPPED_EARLY = 1000


def chosen_frames(path: Path, frames: tuple[int, int] | None, n_frames: int) -> tuple[int, int]:
    """
    Check a range of frames.

    Raises
    ------
    ParameterError
        If it isn't one, or is outside of what there is.
    """
    if frames is None:
        return 0, n_frames
    try:
        first, stop = (int(frame) for frame in frames)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"Frames are given as (first, one after the last), not {frames!r}."
        ) from error
    if not 0 <= first < stop <= n_frames:
        raise ParameterError(
            f"{path} has no frames {first} to {stop - 1}: its {n_frames} frames have the numbers 0 "
            f"to {n_frames - 1}; give (first, one after the last)."
        )
    return first, stop
