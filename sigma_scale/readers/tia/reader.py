"""From a set of TIA files to a map."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from sigma_scale.errors import (
    FileFormatError,
    NoSpectraError,
    ParameterError,
    SigmaScaleWarning,
    SourceNotFoundError,
)
from sigma_scale.readers.guard import decoding, require_file
from sigma_scale.readers.tia.emi import ObjectInfo, read_emi
from sigma_scale.readers.tia.images import images_of
from sigma_scale.readers.tia.ser import SerFile, read_ser
from sigma_scale.readers.tia.source import SerSource, grid_of
from sigma_scale.spectra import EnergyAxis, MapMetadata, SourceFile, SpectrumImage

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

    from sigma_scale.readers.tia.ser import Dimension

__all__ = ["read"]

_NARROWEST_EDS_EV = 2.5
"""Channels of X-ray detectors are 2.5 to 40 eV wide, those of EELS spectrometers up to 2 eV."""

_NUMBERED = re.compile(r"^(?P<base>.*)_(?P<number>\d{1,6})$")
_EELS = re.compile(r"\b(EELS|GIF|Enfina|Tridiem|PEELS)\b", re.IGNORECASE)
_EDS = re.compile(r"\b(EDS|EDX|XEDS|EDAX|Super-?X|ChemiSTEM)\b", re.IGNORECASE)


def read(path: Path, *, index: int | None = None) -> SpectrumImage:
    """
    Read an EDS map of a set of ``.emi`` and ``.ser`` files.

    Parameters
    ----------
    path : pathlib.Path
        The ``.emi`` file, or a ``.ser`` file of the set.
    index : int, optional
        Number of the ``.ser`` file (``_1``, ``_2``, ...) to read. By default the file that was
        named, or the first with an EDS map.

    Returns
    -------
    SpectrumImage
        Other files of the set that hold one image each are its images. Without ``.emi`` the
        metadata are missing, and a :class:`~sigma_scale.errors.SigmaScaleWarning` says so.

    Raises
    ------
    SourceNotFoundError
        If there is no ``.ser`` file to an ``.emi`` file.
    FileFormatError
        If a file is damaged.
    NoSpectraError
        If the file or set holds no EDS map; the message lists what it holds.
    ParameterError
        If there is no file of that number.
    """
    require_file(path, "TIA .emi/.ser")
    named = path.suffix.lower() == ".ser"
    found = _NUMBERED.match(path.stem) if named else None
    base = found["base"] if found else path.stem
    numbers = _series(path, base)
    if named and path not in numbers.values():
        numbers[0] = path
    if not numbers:
        raise SourceNotFoundError(
            f"There is no file {path.with_name(base + '_1.ser')}, nor any other of the counts that "
            f"belong to {path.name}. Put them into one folder."
        )
    emi = _emi_of(path, base) if named else path
    infos = [] if emi is None else read_emi(emi)
    if index is None and named:
        index = next(number for number, file in numbers.items() if file == path)
    sers, damaged = _opened(numbers)
    number = _chosen(path, index, sers, damaged, infos)
    ser, info = sers.pop(number), _info(infos, number)
    _warn(path, emi, ser, info, damaged)
    images, image_files = images_of(sers, grid_of(ser)[2])
    used = [file for file in (emi, ser.path, *image_files) if file is not None]
    metadata = {
        "title": base,
        **({} if info is None else info.metadata()),
        "sources": tuple(SourceFile.at(file) for file in used),
    }
    return _map(ser, MapMetadata(instrument="TEM", **metadata), images)


def _series(path: Path, base: str) -> dict[int, Path]:
    """Numbered ``.ser`` files of a set."""
    found: dict[int, Path] = {}
    with decoding(path.parent, "map"):
        for file in sorted(path.parent.iterdir()):
            parts = _NUMBERED.match(file.stem) if file.suffix.lower() == ".ser" else None
            if parts and parts["base"].lower() == base.lower() and file.is_file():
                found.setdefault(int(parts["number"]), file)
    return dict(sorted(found.items()))


def _emi_of(path: Path, base: str) -> Path | None:
    with decoding(path.parent, "map"):
        for file in sorted(path.parent.iterdir()):
            if file.suffix.lower() == ".emi" and file.stem.lower() == base.lower():
                return file
    return None


def _opened(numbers: dict[int, Path]) -> tuple[dict[int, SerFile], dict[int, FileFormatError]]:
    sers, damaged = {}, {}
    for number, file in numbers.items():
        try:
            sers[number] = read_ser(file)
        except FileFormatError as error:
            damaged[number] = error
    return sers, damaged


def _chosen(
    path: Path,
    index: int | None,
    sers: dict[int, SerFile],
    damaged: dict[int, FileFormatError],
    infos: list[ObjectInfo],
) -> int:
    """Number of the file to read."""
    if index is not None and index not in {*sers, *damaged}:
        there_are = ", ".join(str(number) for number in sorted({*sers, *damaged}))
        raise ParameterError(f"{path} has no .ser file of number {index}; there are {there_are}.")
    if index in damaged:
        raise damaged[index]
    candidates = sers if index is None else {index: sers[index]}
    for number, ser in candidates.items():
        if _is_eds(ser, _info(infos, number)):
            return number
    if damaged and index is None:
        raise next(iter(damaged.values()))
    listing = "; ".join(ser.describe for ser in sers.values())
    raise NoSpectraError(
        f"{path if index is None else sers[index].path} holds no EDS map. There are: {listing}."
    )


def _is_eds(ser: SerFile, info: ObjectInfo | None) -> bool:
    """Whether spectra come from an X-ray detector: by its name, else by the channels' width."""
    if not ser.holds_spectra or ser.element is None:
        return False
    detector = "" if info is None else info.detector
    if _EELS.search(detector):
        return False
    # Whatever else damage made of the width is refused, with its value, where the axis is made.
    return bool(_EDS.search(detector)) or not 0 < ser.element.steps[0] < _NARROWEST_EDS_EV


def _info(infos: list[ObjectInfo], number: int) -> ObjectInfo | None:
    return infos[number - 1] if 1 <= number <= len(infos) else None


def _warn(
    path: Path,
    emi: Path | None,
    ser: SerFile,
    info: ObjectInfo | None,
    damaged: dict[int, FileFormatError],
) -> None:
    problems = [f"{error} It is left out." for error in damaged.values()]
    if emi is None:
        problems.append(
            f"There is no .emi file beside {path}: the beam energy, stage position and other "
            "metadata are unknown."
        )
    elif info is None:
        problems.append(f"{emi} tells nothing of {ser.path.name}: its metadata are unknown.")
    for problem in problems:
        warnings.warn(problem, SigmaScaleWarning, stacklevel=3)


def _map(ser: SerFile, metadata: MapMetadata, images: dict[str, xr.DataArray]) -> SpectrumImage:
    if ser.element is None:
        raise NoSpectraError(f"{ser.path} holds no data.")
    rows, columns, shape = grid_of(ser)
    (channels,) = ser.element.shape
    source = SerSource(
        ser.path,
        "TIA .ser",
        (*shape, channels),
        ser.element.dtype,
        table=ser.table,
        place_size=ser.place_size,
        n_valid=ser.n_valid,
    )
    try:
        energy = EnergyAxis(channels, ser.element.steps[0] / 1e3, ser.element.start / 1e3)
    except ParameterError as error:
        raise FileFormatError(f"{ser.path}: {error}") from error
    pixel_size, unit = _pixel_size(rows, columns)
    return SpectrumImage(
        source,
        energy,
        pixel_size=pixel_size,
        pixel_unit=unit,
        metadata=metadata,
        images=images,
    )


def _pixel_size(
    rows: Dimension | None, columns: Dimension | None
) -> tuple[tuple[float, float], str]:
    sizes = [None if d is None else d.step_um for d in (rows, columns)]
    if rows is None:  # a line
        sizes[0] = sizes[1]
    height, width = sizes
    return ((1.0, 1.0), "pixel") if height is None or width is None else ((height, width), "µm")
