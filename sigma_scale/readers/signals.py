"""From the signals that RosettaSciIO reads to a spectrum image."""

from __future__ import annotations

import hashlib
import math
import re
import struct
import zlib
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sigma_scale.errors import (
    EmptyMapError,
    FileFormatError,
    NoSpectraError,
    ParameterError,
    SourceNotFoundError,
)
from sigma_scale.spectra import EnergyAxis, MapMetadata, SourceFile, SpectrumImage
from sigma_scale.spectra.image import NAVIGATION
from sigma_scale.spectra.metadata import DEFAULT_RESOLUTION_EV

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    Signal = dict[str, Any]

__all__ = ["choose_eds", "image_from_signals", "load"]

# What vendor decoders raise on damaged files, as far as they raise anything sensible.
_DECODER_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    StopIteration,
    SyntaxError,  # XML that can't be parsed
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def load(
    file_reader: Callable[[str], list[Signal]], path: Path, *, format_name: str
) -> list[Signal]:
    """
    Call a reader of RosettaSciIO and turn what it raises into an error that names the file.

    Raises
    ------
    FileFormatError
        If the file can't be read.
    """
    try:
        return list(file_reader(str(path)))
    except PermissionError as error:
        raise FileFormatError(f"{path} can't be read: {error}") from error
    except _DECODER_ERRORS as error:
        # A file within the folder may be what was not found.
        if not path.exists():
            raise SourceNotFoundError(f"There is no file {path}.") from error
        reason = str(error).replace("\n", " ") or type(error).__name__
        raise FileFormatError(f"{path} is damaged or not a {format_name} file: {reason}") from error


def choose_eds(path: Path, signals: Iterable[Signal]) -> Signal:
    """
    Choose the first EDS map among a file's signals.

    Raises
    ------
    NoSpectraError
        If there is none.
    """
    found = []
    for signal in signals:
        kind = str(_get(signal, "Signal.signal_type") or "")
        if kind.startswith("EDS"):
            return signal
        found.append(f"{_get(signal, 'General.title') or 'untitled'} {np.shape(signal['data'])}")
    listing = "; ".join(found) or "nothing"
    raise NoSpectraError(f"{path} holds no EDS map. It holds: {listing}.")


def image_from_signals(path: Path, eds: Signal, signals: Iterable[Signal]) -> SpectrumImage:
    """
    Make a spectrum image of an EDS signal and the images beside it.

    Parameters
    ----------
    path : pathlib.Path
        File that they were read from.
    eds : dict
        The EDS signal as RosettaSciIO gives it: ``data``, ``axes``, ``metadata``.
    signals : iterable of dict
        All signals of the file; those with two dimensions are images.

    Raises
    ------
    FileFormatError
        If the axes or the data make no sense.
    EmptyMapError
        If the map has no pixels.
    """
    try:
        data, axes = _ordered(eds)
        counts = as_counts(data)
        energy = _energy_axis(axes[2])
        pixel_size, unit = _pixel_size(axes)
        return SpectrumImage.from_array(
            counts,
            energy,
            pixel_size=pixel_size,
            pixel_unit=unit,
            metadata=_metadata(path, eds),
            images=_images(signals, counts.shape[:2]),
        )
    except EmptyMapError as error:
        raise EmptyMapError(f"{path}: {error}") from error
    except (FileFormatError, ParameterError) as error:
        raise FileFormatError(f"{path}: {error}") from error


def as_counts(data: NDArray[Any]) -> NDArray[Any]:
    """
    Give counts an unsigned type; data that aren't counts stay floats.

    Raises
    ------
    FileFormatError
        If there are negative or too large integers, or the type is neither integer nor float.
    """
    kind = data.dtype.kind
    if kind == "f":
        return data if data.dtype.itemsize >= 4 else data.astype(np.float32)  # noqa: PLR2004
    if kind == "b":
        return data.astype(np.uint8)
    if kind not in "iu":
        raise FileFormatError(f"The counts are of the type {data.dtype}, not numbers.")
    low, high = (int(data.min()), int(data.max())) if data.size else (0, 0)
    if low < 0 or high > np.iinfo(np.uint32).max:
        raise FileFormatError(
            f"Counts from {low} to {high} can't be right: they must lie between 0 and 2^32 - 1."
        )
    narrow = np.dtype(f"u{min(data.dtype.itemsize, 4)}")
    return data.astype(narrow, copy=False)


def _ordered(eds: Signal) -> tuple[NDArray[Any], list[dict[str, Any]]]:
    """Data and axes in the order y, x, energy; a line scan becomes a map of one row."""
    data = np.asarray(eds["data"])
    axes = [dict(axis) for axis in eds["axes"]]
    signal_axes = [i for i, axis in enumerate(axes) if not axis.get("navigate", i < len(axes) - 1)]
    if len(signal_axes) != 1 or data.ndim != len(axes) or data.ndim not in (1, 2, 3):
        raise FileFormatError(
            f"An EDS map has one energy axis and up to two others, not the shape {data.shape}."
        )
    energy = signal_axes[0]
    data = np.moveaxis(data, energy, -1)
    axes.append(axes.pop(energy))
    while data.ndim < 3:  # noqa: PLR2004
        data = data[None]
        axes.insert(0, {"scale": 1.0, "offset": 0.0, "units": "pixel"})
    return data, axes


def _energy_axis(axis: dict[str, Any]) -> EnergyAxis:
    if "axis" in axis:
        values = np.asarray(axis["axis"], dtype=np.float64)
        steps = np.diff(values)
        if values.size < 2 or not np.allclose(steps, steps[0], rtol=1e-6):  # noqa: PLR2004
            raise FileFormatError("The energy axis is not uniform.")
        axis = {**axis, "scale": float(steps[0]), "offset": float(values[0]), "size": values.size}
    factor = {"ev": 1e-3, "kev": 1.0}.get(str(axis.get("units", "keV")).lower(), 1.0)
    return EnergyAxis(int(axis["size"]), axis["scale"] * factor, axis["offset"] * factor)


def _pixel_size(axes: list[dict[str, Any]]) -> tuple[tuple[float, float], str]:
    """Height and width of a pixel in micrometres, or in pixels where the file has no scale."""
    sizes = [_micrometres(axis) for axis in axes[:2]]
    if any(size is None for size in sizes):
        return (1.0, 1.0), "pixel"
    return (float(sizes[0] or 0), float(sizes[1] or 0)), "µm"


def _micrometres(axis: dict[str, Any]) -> float | None:
    import pint

    units = str(axis.get("units") or "")
    scale = abs(float(axis.get("scale", 1.0)))
    if units.strip().lower() == "px":  # to pint, a px is a length: 1/96 inch
        return None
    try:
        size = float(pint.Quantity(scale, units.replace("μ", "µ")).to("µm").magnitude)
    except (pint.PintError, AttributeError, ValueError, TypeError):
        return None
    return size if size > 0 and math.isfinite(size) else None


def _metadata(path: Path, eds: Signal) -> MapMetadata:
    instrument: Literal["SEM", "TEM"] = "SEM"
    signal_type = str(_get(eds, "Signal.signal_type"))
    if "TEM" in signal_type or _get(eds, "Acquisition_instrument.TEM") is not None:
        instrument = "TEM"
    base = f"Acquisition_instrument.{instrument}"
    detector = f"{base}.Detector.EDS"
    title = str(_get(eds, "Sample.name") or "")
    return MapMetadata(
        title=path.stem if title.strip() in ("", "Undefined", "Map data") else title.strip(),
        instrument=instrument,
        # eXSpy writes the one for TEM with a space at the end of its name.
        beam_energy_kev=_number(_get(eds, f"{base}.beam_energy"))
        or _number(_get(eds, f"{base}.beam_energy ")),
        resolution_mn_ka_ev=_number(_get(eds, f"{detector}.energy_resolution_MnKa"))
        or DEFAULT_RESOLUTION_EV,
        live_time_s=_number(_get(eds, f"{detector}.live_time")),
        real_time_s=_number(_get(eds, f"{detector}.real_time")),
        elevation_deg=_number(_get(eds, f"{detector}.elevation_angle")),
        azimuth_deg=_number(_get(eds, f"{detector}.azimuth_angle")),
        elements=_strings(_get(eds, "Sample.elements")),
        lines=_strings(_get(eds, "Sample.xray_lines")),
        sources=(source_file(path),),
    )


def source_file(path: Path) -> SourceFile:
    """Size and SHA-256 of a file; of a folder, the hash of its files' names and hashes."""
    if path.is_file():
        return SourceFile(path.name, path.stat().st_size, _sha256(path))
    files = sorted(file for file in path.rglob("*") if file.is_file())
    names = "".join(f"{file.relative_to(path).as_posix()} {_sha256(file)}\n" for file in files)
    size = sum(file.stat().st_size for file in files)
    return SourceFile(path.name, size, hashlib.sha256(names.encode()).hexdigest())


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _images(signals: Iterable[Signal], map_shape: tuple[int, ...]) -> dict[str, xr.DataArray]:
    """Images by their titles; the first of the map's size is the navigation image."""
    import xarray as xr

    images: dict[str, xr.DataArray] = {}
    for signal in signals:
        data = np.asarray(signal["data"])
        if data.ndim != 2 or data.dtype.kind not in "iuf":  # noqa: PLR2004
            continue
        title = str(_get(signal, "General.title") or "image")
        image = xr.DataArray(data, dims=("y", "x"), attrs={"long_name": title})
        if data.shape == map_shape and NAVIGATION not in images:
            images[NAVIGATION] = image
        else:
            images[_unused_name(title, images)] = image
    return images


def _unused_name(title: str, taken: Iterable[str]) -> str:
    base = re.sub(r"\W+", "_", title).strip("_") or "image"
    name, number = base, 2
    while name in {*taken, "counts", "total", "sum_spectrum", "x", "y", "energy"}:
        name, number = f"{base}_{number}", number + 1
    return name


def _get(signal: Signal, key: str) -> Any:
    node: Any = signal.get("metadata", {})
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return None
        node = node[part]
    return node


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _strings(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(item) for item in value) if value is not None else ()
