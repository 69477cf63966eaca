"""
Files like those of Velox, made of known counts.

Small ones are written from dense arrays; :func:`write_random_velox` writes large ones of random
counts with bounded memory. RosettaSciIO reads both.
"""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SEPARATOR = 65535
FRAME_TIME = 2.5
PIXEL_M = 2e-8
ELEMENT_MAPS = ("Fe", "Cu")


def words_of(dense: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """
    Stream of one frame: each pixel's pulses in random order, then the separator.

    Parameters
    ----------
    dense : array, shape (y, x, energy)
        Counts.
    rng : numpy.random.Generator
        For the order.
    """
    flat = dense.reshape(-1, dense.shape[-1]).astype(np.int64)
    pixel, channel = np.nonzero(flat)
    times = flat[pixel, channel]
    pixels = np.concatenate([np.repeat(pixel, times), np.arange(len(flat))])
    words = np.concatenate([np.repeat(channel, times), np.full(len(flat), SEPARATOR)])
    last = words == SEPARATOR
    return words[np.lexsort((rng.random(words.size), last, pixels))].astype(np.uint16)


class VeloxWriter:
    """Appends to the streams of a file under construction."""

    def __init__(self, file: h5py.File, streams: list[str], storage: dict[str, Any]) -> None:
        self.file = file
        self.streams = streams
        for name in streams:
            file.create_dataset(f"{name}/Data", (0, 1), maxshape=(None, 1), dtype="<u2", **storage)

    def append(self, detector: int, words: np.ndarray) -> None:
        """Add words to a detector's stream."""
        data = self.file[f"{self.streams[detector]}/Data"]
        start = data.shape[0]
        data.resize(start + words.size, axis=0)
        data[start:, 0] = words

    def length(self, detector: int) -> int:
        """Words of a detector so far."""
        return int(self.file[f"{self.streams[detector]}/Data"].shape[0])

    def shorten(self, detector: int, by: int) -> None:
        """Take the last words away again."""
        self.file[f"{self.streams[detector]}/Data"].resize(self.length(detector) - by, axis=0)

    def write_table(self, detector: int, starts: Sequence[int]) -> None:
        """Write the table of the frames' first words."""
        name = f"{self.streams[detector]}/FrameLocationTable"
        self.file[name] = np.array(starts, dtype=np.uint64)[:, None]


def detector_entry(name: str, number: int, **changes: Any) -> dict[str, str]:
    """Entry of a segment of a four-fold detector in the list of detectors."""
    entry = {
        "DetectorName": name,
        "DetectorType": "AnalyticalDetector",
        "ElevationAngle": str(math.radians(18)),
        "AzimuthAngle": str(math.radians(45 + 90 * number)),
        "Dispersion": "10",
        "OffsetEnergy": "-250",
        "RealTime": "5",
        "LiveTime": "4.5",
        "BeginEnergy": "120",
    }
    return {**entry, **{key: str(value) for key, value in changes.items()}}


def texts_of(index: int, detectors: list[dict[str, str]], scan: dict[str, Any]) -> dict[str, Any]:
    """Text of a frame of a detector of a list."""
    return {
        "Instrument": {"InstrumentClass": "Talos"},
        "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1500000000"}},
        "Optics": {"AccelerationVoltage": "200000"},
        "Stage": {
            "Position": {"x": "0.0001", "y": "-0.0002", "z": "1e-05"},
            "AlphaTilt": str(math.radians(10)),
            "BetaTilt": "0",
        },
        "Scan": scan,
        "Detectors": {f"Detector-{i}": entry for i, entry in enumerate(detectors)},
        "BinaryResult": {
            "DetectorIndex": str(index),
            "Detector": detectors[index]["DetectorName"],
            "PixelSize": {"width": str(PIXEL_M), "height": str(2 * PIXEL_M)},
            "PixelUnitX": "m",
            "PixelUnitY": "m",
            "Offset": {"x": "0", "y": "0"},
        },
        "Sample": {"SampleId": "", "SampleDescription": ""},
        "CustomProperties": "",
    }


def _put_text(file: h5py.File, name: str, content: dict[str, Any]) -> None:
    text = np.array([json.dumps(content)], dtype=object)
    file.create_dataset(name, data=text, dtype=h5py.string_dtype("ascii"))


def _put_frame_texts(file: h5py.File, name: str, texts: Sequence[dict[str, Any]]) -> None:
    table = np.zeros((6000, len(texts)), dtype=np.uint8)
    for column, text in enumerate(texts):
        content = np.frombuffer(json.dumps(text).encode(), dtype=np.uint8)
        table[: content.size, column] = content
    file.create_dataset(name, data=table, chunks=(6000, 1))


@contextmanager
def new_velox(
    path: Path,
    shape: tuple[int, int, int],
    n_frames: int,
    names: Sequence[str],
    *,
    version: int = 11,
    images: dict[str, np.ndarray] | None = None,
    elements: Sequence[int] = (26, 29),
    entry_changes: Sequence[dict[str, Any]] = (),
    scan: dict[str, Any] | None = None,
    raster: tuple[int, int] | None = None,
    end_frame: int | None = None,
    storage: dict[str, Any] | None = None,
) -> Iterator[VeloxWriter]:
    """
    Start a file with everything but the streams' words.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    shape : tuple of int
        Rows, columns and channels.
    n_frames : int
        Frames.
    names : sequence of str
        Names of the detectors.
    version : int
        Version of the format; displays and settings moved with version 11.
    images : dict of str to array, shape (y, x) or (y, x, frame)
        Images by their labels; by default one of the map's shape, of HAADF.
    elements : sequence of int
        Atomic numbers of the elements chosen in Velox.
    entry_changes : sequence of dict
        Changes of the entries of the detectors.
    scan : dict
        Size of the raster and scanned part, by default all of it.
    raster : tuple of int
        Rows and columns in the acquisition's settings, by default those of the map.
    end_frame : int
        Last frame that Velox shows; by default all, 0 for no such settings.
    storage : dict
        Chunks and compression of the streams.
    """
    rows, columns, channels = shape
    changes = [*entry_changes, *[{}] * (len(names) - len(entry_changes))]
    detectors = [{"DetectorName": "HAADF", "DetectorType": "ScanningDetector"}]
    detectors += [detector_entry(name, i, **changes[i]) for i, name in enumerate(names)]
    whole = {"ScanSize": {"width": str(columns), "height": str(rows)}, "FrameTime": str(FRAME_TIME)}
    scan = whole if scan is None else {"FrameTime": str(FRAME_TIME), **scan}
    if images is None:
        images = {"HAADF": np.arange(rows * columns, dtype=np.uint16).reshape(rows, columns)}
    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        _put_text(file, "Version", {"format": "Velox", "version": str(version)})
        file.create_group("Data/SpectrumStream")
        for number, (label, image) in enumerate(images.items()):
            texts = texts_of(0, detectors, scan)
            if label in ELEMENT_MAPS:
                texts["BinaryResult"].pop("DetectorIndex")
                texts["BinaryResult"]["Detector"] = "SuperXG2"
            _put_image(file, f"{number:032x}", label, image, texts=texts, version=version)
        settings = "Data/SpectrumImage/" + 32 * "a" + "/SpectrumImageSettings"
        file.create_group(settings.rsplit("/", 1)[0])
        if end_frame != 0:
            shown = n_frames if end_frame is None else end_frame
            content = {"startFramePosition": "1", "endFramePosition": str(shown)}
            _put_text(file, settings, content)
        place = (
            "SharedProperties/EDSSpectrumQuantificationSettings"
            if version >= 11
            else "Operations/ImageQuantificationOperation"
        )
        selection = [str(z) if version < 11 else z for z in elements]
        _put_text(file, f"{place}/{32 * 'b'}", {"elementSelection": selection})
        # Against the order of the detectors, as the real names of groups are random.
        streams = [f"Data/SpectrumStream/{len(names) - i:032x}" for i in range(len(names))]
        for i, name in enumerate(streams):
            height, width = raster or (rows, columns)
            acquisition = {
                "encoding": "uint16",
                "bincount": str(channels),
                "StreamEncoding": "uint16",
                "RasterScanDefinition": {"Width": str(width), "Height": str(height)},
            }
            _put_text(file, f"{name}/AcquisitionSettings", acquisition)
            _put_frame_texts(file, f"{name}/Metadata", [texts_of(i + 1, detectors, scan)])
        yield VeloxWriter(file, streams, {"chunks": (8192, 1), **(storage or {})})


def _put_image(
    file: h5py.File, key: str, label: str, image: np.ndarray, *, texts: dict[str, Any], version: int
) -> None:
    stack = image if image.ndim == 3 else image[:, :, None]
    file.create_dataset(
        f"Data/Image/{key}/Data", data=stack, chunks=(*stack.shape[:2], 1) if stack.size else None
    )
    _put_frame_texts(file, f"Data/Image/{key}/Metadata", [texts])
    path = f"/Data/Image/{key}"
    if version >= 11:
        reference = f"/SharedProperties/ImageSeriesDataReference/{key}"
        _put_text(file, reference, {"dataPath": path, "frameIndex": 0})
        display = {"data": reference, "id": label, "title": label}
        _put_text(file, f"Displays/ImageDisplay/{key}", display)
    else:
        display = {"dataPath": path, "display": {"label": label}}
        _put_text(file, f"Presentation/Displays/ImageDisplay/{key}", display)


def write_velox(
    path: Path,
    counts: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    last_separator: bool = False,
    table: bool = True,
    table_offset: int = 0,
    seed: int = 0,
    **options: Any,
) -> Path:
    """
    Write a map of known counts.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    counts : array, shape (frame, detector, y, x, energy)
        Counts.
    names : sequence of str, optional
        Names of the detectors.
    last_separator : bool
        Whether the last pixel of all has a separator; both kinds of files exist.
    table : bool
        Whether to write the table of the frames' first words.
    table_offset : int
        Error to make in that table.
    seed : int
        For the order of pulses within a pixel.
    **options
        See :func:`new_velox`.
    """
    rng = np.random.default_rng(seed)
    n_frames, n_detectors = counts.shape[:2]
    names = names or [f"SuperXG2{i + 1}" for i in range(n_detectors)]
    with new_velox(path, counts.shape[2:], n_frames, names, **options) as file:
        for detector in range(n_detectors):
            starts = []
            for frame in range(n_frames):
                starts.append(file.length(detector) + table_offset)
                file.append(detector, words_of(counts[frame, detector], rng))
            if not last_separator:
                file.shorten(detector, 1)
            if table:
                file.write_table(detector, starts)
    return path


@njit(cache=False)
def _random_words(
    rng: np.random.Generator, n_pixels: int, mean: float, channels: np.ndarray, words: np.ndarray
) -> int:
    """Fill ``words`` with random pixels; the number of words, or -1 if there is no room."""
    k = 0
    for _ in range(n_pixels):
        number = rng.poisson(mean)
        if k + number + 1 > words.shape[0]:
            return -1
        for _ in range(number):
            words[k] = channels[rng.integers(0, channels.shape[0])]
            k += 1
        words[k] = 65535
        k += 1
    return k


def write_random_velox(
    path: Path,
    shape: tuple[int, int, int],
    *,
    counts_per_pixel: float = 25.0,
    n_frames: int = 1,
    n_detectors: int = 1,
    rows_at_once: int = 64,
    seed: int = 0,
    **options: Any,
) -> Path:
    """
    Write a map of random counts, of any size, with the memory of some rows.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    shape : tuple of int
        Rows, columns and channels.
    counts_per_pixel : float
        Mean over pixels of the sum over channels, frames and detectors.
    n_frames, n_detectors : int
        Frames and detectors that the counts come from.
    rows_at_once : int
        Rows to make at a time.
    seed : int
        For the random numbers.
    **options
        See :func:`new_velox`.
    """
    rows, columns, n_channels = shape
    rng = np.random.default_rng(seed)
    # Some peaks on a background that falls off, as a table to draw from.
    peaks = rng.normal(rng.choice(n_channels // 2, 8)[:, None], 4.0, (8, 4096)).ravel()
    background = rng.exponential(n_channels / 8, 32768)
    channels = np.concatenate([peaks, background]).clip(0, n_channels - 1).astype(np.uint16)
    mean = counts_per_pixel / (n_frames * n_detectors)
    words = np.empty(int(rows_at_once * columns * (2 + 3 * mean)) + 1000, dtype=np.uint16)
    names = [f"SuperXG2{i + 1}" for i in range(n_detectors)]
    with new_velox(path, shape, n_frames, names, **options) as file:
        for detector in range(n_detectors):
            starts = []
            for _ in range(n_frames):
                starts.append(file.length(detector))
                for top in range(0, rows, rows_at_once):
                    n_pixels = min(rows_at_once, rows - top) * columns
                    number = _random_words(rng, n_pixels, mean, channels, words)
                    if number < 0:
                        raise RuntimeError("a part was longer than ever expected")
                    file.append(detector, words[:number])
            file.write_table(detector, starts)
    return path
