"""What the JSON texts of a Velox file say, in the units of this package."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sigma_scale.readers.signals import micrometres
from sigma_scale.spectra import MapMetadata, SourceFile
from sigma_scale.xray import symbols

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = [
    "Times",
    "calibration",
    "detector",
    "detector_name",
    "elements",
    "frame_range_time",
    "get",
    "map_metadata",
    "number",
    "pixel_size",
    "scanned_shape",
]

_MOST_PIXELS_A_SIDE = 2**20
_SAME_ANGLE_DEG = 0.05
_SAME_TIME = 0.2


def get(texts: Any, *keys: str) -> Any:
    """Value at a path of keys, or None."""
    for key in keys:
        if not isinstance(texts, dict):
            return None
        texts = texts.get(key)
    return texts


def number(texts: Any, *keys: str) -> float | None:
    """Finite number at a path of keys (Velox writes numbers as texts), or None."""
    value = get(texts, *keys)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def detector_name(texts: dict[str, Any]) -> str:
    """Name of the detector that a stream or image comes from, such as ``"SuperXG21"``."""
    name = get(detector(texts), "DetectorName") or get(texts, "BinaryResult", "Detector")
    return str(name) if name else ""


def detector(texts: dict[str, Any]) -> dict[str, Any]:
    """Entry of the detector that a stream or image comes from; empty if there is none."""
    index = number(texts, "BinaryResult", "DetectorIndex")
    if index is not None:
        found = get(texts, "Detectors", f"Detector-{index:.0f}")
        if isinstance(found, dict):
            return found
    name = get(texts, "BinaryResult", "Detector")
    every = get(texts, "Detectors")
    entries = [e for e in every.values() if isinstance(e, dict)] if isinstance(every, dict) else []
    if not isinstance(name, str) or not name:
        return entries[0] if len(entries) == 1 else {}
    # Older files name the detector (SuperXG2) where its segments are listed (SuperXG21, ...).
    exact = [entry for entry in entries if entry.get("DetectorName") == name]
    within = [entry for entry in entries if name in str(entry.get("DetectorName"))]
    return (exact or within or [{}])[0]


def calibration(texts: dict[str, Any]) -> tuple[float, float] | None:
    """Width of a channel and energy of channel 0, in keV, or None if the file doesn't say."""
    entry = detector(texts)
    width, offset = number(entry, "Dispersion"), number(entry, "OffsetEnergy")
    if width is None or width <= 0 or offset is None:
        return None
    return width / 1000, offset / 1000


def pixel_size(texts: dict[str, Any]) -> tuple[float, float] | None:
    """Height and width of a pixel in micrometres, or None."""
    sizes = []
    for side, axis in (("height", "Y"), ("width", "X")):
        unit = get(texts, "BinaryResult", f"PixelUnit{axis}")
        size = micrometres(number(texts, "BinaryResult", "PixelSize", side), unit)
        if size is None:
            return None
        sizes.append(size)
    return sizes[0], sizes[1]


def scanned_shape(texts: dict[str, Any]) -> tuple[int, int] | None:
    """
    Rows and columns of the part of the raster that was scanned, or None.

    ``ScanSize`` is the whole raster and ``ScanArea`` the part of it, in fractions. The raster
    alone is what ``RasterScanDefinition`` gives, which is too large for a part.
    """
    shape = []
    for size, low, high in (("height", "top", "bottom"), ("width", "left", "right")):
        whole = number(texts, "Scan", "ScanSize", size)
        start, stop = (number(texts, "Scan", "ScanArea", name) for name in (low, high))
        if whole is None or not 1 <= whole <= _MOST_PIXELS_A_SIDE:
            return None
        share = 1.0 if start is None or stop is None else stop - start
        if not 0 < share <= 1:
            return None
        shape.append(max(1, round(whole * share)))
    return shape[0], shape[1]


@dataclass(frozen=True, slots=True)
class Times:
    """
    A detector's times in seconds as the first and the last frame's text give them.

    Velox files differ in whether each frame's text gives the time of that frame or of all frames
    so far, so a value is used only where it fits the time that the frames took.
    """

    first: float | None
    last: float | None
    n_texts: int

    def of_all_frames(self, frame_time: float | None, n_frames: int) -> float | None:
        """Time of all frames, or None where that is uncertain."""
        if self.n_texts == 1 and n_frames == 1:
            return self.first
        if frame_time is None or self.first is None or self.last is None:
            return None
        expected = frame_time * n_frames
        for value in (self.last, (self.first + self.last) / 2 * n_frames):
            if abs(value - expected) <= _SAME_TIME * expected:
                return value
        return None


def frame_range_time(
    texts: Sequence[tuple[dict[str, Any], dict[str, Any], int]],
    key: str,
    frames: tuple[int, int],
    n_frames: int,
) -> float | None:
    """
    Mean over detectors of the live or real time of the frames that are read.

    Parameters
    ----------
    texts : sequence of tuple
        For each detector its first and last text and how many there are.
    key : {"LiveTime", "RealTime"}
        Which time.
    frames : tuple of int
        First frame and the one after the last; all frames count as equally long.
    n_frames : int
        Frames of the map.
    """
    times = []
    for first, last, n_texts in texts:
        told = Times(number(detector(first), key), number(detector(last), key), n_texts)
        time = told.of_all_frames(number(first, "Scan", "FrameTime"), n_frames)
        if time is None or time <= 0:
            return None
        times.append(time)
    if not times:
        return None
    return sum(times) / len(times) * (frames[1] - frames[0]) / n_frames


def elements(settings: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    """Symbols of the elements chosen for quantification in Velox, by atomic number."""
    table = symbols()
    found = set()
    for entry in settings:
        selection = entry.get("elementSelection")
        for value in selection if isinstance(selection, list) else []:
            atomic_number = number({"z": value}, "z")
            if atomic_number is not None and 1 <= atomic_number <= len(table):
                found.add(int(atomic_number))
    return tuple(table[z - 1] for z in sorted(found))


def map_metadata(
    path: Path,
    texts: Sequence[dict[str, Any]],
    *,
    live_time_s: float | None,
    real_time_s: float | None,
    chosen_elements: tuple[str, ...],
) -> MapMetadata:
    """
    Metadata of a map from the texts of its detectors.

    Parameters
    ----------
    path : pathlib.Path
        File.
    texts : sequence of dict
        Text of each detector that is read. What they share comes from the first; directions are
        given only where all have the same.
    live_time_s, real_time_s : float, optional
        Times of the frames that are read.
    chosen_elements : tuple of str
        Elements that the file lists.
    """
    first = texts[0]
    voltage = number(first, "Optics", "AccelerationVoltage")
    sample = get(first, "Sample", "SampleDescription") or get(first, "Sample", "SampleId")
    return MapMetadata(
        title=sample.strip() if isinstance(sample, str) and sample.strip() else path.stem,
        instrument="TEM",
        beam_energy_kev=voltage / 1000 if voltage else None,
        live_time_s=live_time_s,
        real_time_s=real_time_s,
        elevation_deg=_common_angle(texts, "ElevationAngle"),
        azimuth_deg=_common_angle(texts, "AzimuthAngle"),
        stage_x_mm=_scaled(number(first, "Stage", "Position", "x"), 1000),
        stage_y_mm=_scaled(number(first, "Stage", "Position", "y"), 1000),
        stage_z_mm=_scaled(number(first, "Stage", "Position", "z"), 1000),
        stage_tilt_deg=_scaled(number(first, "Stage", "AlphaTilt"), 180 / math.pi),
        elements=chosen_elements,
        sources=(SourceFile.at(path),),
    )


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _common_angle(texts: Sequence[dict[str, Any]], key: str) -> float | None:
    angles = [_scaled(number(detector(text), key), 180 / math.pi) for text in texts]
    known = [angle for angle in angles if angle is not None]
    if len(known) < len(angles) or max(known) - min(known) > _SAME_ANGLE_DEG:
        return None
    return known[0]
