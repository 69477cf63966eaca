"""
Ripple files: counts in a ``.raw`` file, described by a ``.rpl`` header.

They hold no calibration, or little: an EMSA/MAS spectrum and AZtec's ``.par`` text beside them
tell the rest.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import (
    FileFormatError,
    NoSpectraError,
    ParameterError,
    SigmaScaleWarning,
    SourceNotFoundError,
)
from sigma_scale.readers.beside import Calibration, find_beside, same_stem
from sigma_scale.readers.guard import require_file
from sigma_scale.readers.ripple.aztec_par import is_par, read_par
from sigma_scale.readers.ripple.emsa import EMSA_SUFFIXES, is_emsa, read_emsa
from sigma_scale.readers.ripple.header import RippleHeader, read_header
from sigma_scale.readers.ripple.sources import raw_source
from sigma_scale.spectra import EnergyAxis, MapMetadata, SourceFile, SpectrumImage

if TYPE_CHECKING:
    from pathlib import Path

    from sigma_scale.readers.ripple.aztec_par import AztecPar

__all__ = ["read"]

_FORMAT = "ripple .rpl/.raw"
_DEFAULT_WIDTH_EV = 10.0
_AZTEC_OFFSET_EV = -200.0
_UNSIGNED_SIZES = (1, 2, 4)


def read(path: Path) -> SpectrumImage:
    """
    Read the map of a pair of ``.rpl`` and ``.raw`` files.

    Parameters
    ----------
    path : pathlib.Path
        Either of the two. A ``.raw`` file without a ``.rpl`` is read if AZtec's ``.par`` beside
        it tells its size.

    Returns
    -------
    SpectrumImage
        Its axes come from the ``.rpl``, completed by an EMSA/MAS file (``.msa``, ``.emsa``,
        ``.mas``, ``.txt``) and by AZtec's ``.par``: of the same name, or the only ones of the
        folder. Without any, channels are 10 eV wide from -0.2 keV on, and a
        :class:`~sigma_scale.errors.SigmaScaleWarning` says so.

    Raises
    ------
    SourceNotFoundError
        If a file is missing.
    FileFormatError
        If the header makes no sense or describes more than the ``.raw`` file holds.
    NoSpectraError
        If the pair holds an image or spectra that aren't EDS.
    EmptyMapError
        If there are no pixels or channels.
    """
    require_file(path, _FORMAT)
    raw, rpl = _pair(path)
    par_file = find_beside(raw, (".par",), is_par)
    par = None if par_file is None else read_par(par_file)
    header = _header_from_par(raw, par) if rpl is None else read_header(rpl)
    _check_spectra(rpl or raw, header)
    _check_size(raw, rpl, header)
    emsa_file = find_beside(raw, EMSA_SUFFIXES, is_emsa)
    emsa = None if emsa_file is None else read_emsa(emsa_file, depth=header.shape[2])
    if par is not None and par_file is not None and not _par_fits(par_file, par, header.shape):
        par = None
    aztec = None if par is None else par.calibration(header.shape[:2], header.shape[2])
    found = header.calibration.completed_by(emsa or Calibration())
    sources = [rpl, raw, emsa_file if emsa else None, par_file if par else None]
    known = found.completed_by(aztec or Calibration())
    pixel_size, unit = _pixel_size(known)
    metadata: dict[str, Any] = {"title": raw.stem, **known.metadata}
    energy = _energy_axis(raw, header.shape[2], known, from_par=found.channel_width_ev is None)
    return SpectrumImage(
        raw_source(raw, _FORMAT, header),
        energy,
        pixel_size=pixel_size,
        pixel_unit=unit,
        metadata=MapMetadata(
            **metadata, sources=tuple(SourceFile.at(file) for file in sources if file is not None)
        ),
    )


def _pair(path: Path) -> tuple[Path, Path | None]:
    """The ``.raw`` and the ``.rpl`` file, the latter None if there is only the former."""
    given = path.suffix.lower()
    wanted = ".rpl" if given == ".raw" else ".raw"
    partner = find_beside(path, (wanted,), lambda file: same_stem(file, path))
    if given == ".raw":
        return path, partner
    if partner is None:
        raise SourceNotFoundError(
            f"There is no file {path.with_suffix('.raw')}, which holds the counts that {path.name} "
            "describes. Put the two into one folder."
        )
    return partner, path


def _header_from_par(raw: Path, par: AztecPar | None) -> RippleHeader:
    """Header of a ``.raw`` file whose size fits what AZtec says of it."""
    if par is None:
        raise SourceNotFoundError(
            f"There is no file {raw.with_suffix('.rpl')}, which describes the counts of "
            f"{raw.name}, nor a .par file of AZtec that could stand in. Put it beside the counts."
        )
    size, channels = raw.stat().st_size, par.n_channels
    for rows, columns in par.sizes() if channels else ():
        for itemsize in _UNSIGNED_SIZES:
            if rows * columns * (channels or 0) * itemsize == size:
                shape = (rows, columns, channels or 0)
                dtype = np.dtype(f"<u{itemsize}")
                return RippleHeader(shape, 0, dtype, "vector", "", Calibration())
    raise FileFormatError(
        f"{raw} holds {size:,} bytes, which fits no map that the .par file beside it describes "
        f"(rows and columns {par.sizes()}, {channels} channels). Put its .rpl header beside it."
    )


def _check_spectra(path: Path, header: RippleHeader) -> None:
    rows, columns, channels = header.shape
    if channels == 1:
        raise NoSpectraError(
            f"{path} holds no EDS map. It holds: an image of {rows} x {columns} pixels."
        )
    if header.signal and not header.signal.upper().startswith("EDS"):
        raise NoSpectraError(
            f"{path} holds no EDS map. It holds: {header.signal} {header.shape}. If it is one, "
            "leave the entry 'signal' empty."
        )
    if header.record_by == "dont-care" and rows * columns > 1:
        raise FileFormatError(
            f"{path} doesn't say in which order the {rows} x {columns} x {channels} counts are: "
            "record-by must be vector or image."
        )


def _check_size(raw: Path, rpl: Path | None, header: RippleHeader) -> None:
    rows, columns, channels = header.shape
    needed = header.offset + rows * columns * channels * header.dtype.itemsize
    size = raw.stat().st_size
    if needed > size:
        described = "the header" if rpl is None else rpl.name
        raise FileFormatError(
            f"{raw} is truncated or {described} is wrong: {rows} x {columns} pixels of {channels} "
            f"channels with {header.dtype.itemsize} bytes each from byte {header.offset} on take "
            f"{needed:,} bytes, but the file has {size:,}. Copy it again from the instrument."
        )


def _par_fits(path: Path, par: AztecPar, shape: tuple[int, int, int]) -> bool:
    sizes = par.sizes()
    if par.n_channels in (None, shape[2]) and (not sizes or shape[:2] in sizes):
        return True
    warnings.warn(
        f"{path} is not used to calibrate the map beside it: it describes {par.n_channels} "
        f"channels and rows and columns {sizes}, the map has {shape[2]} channels and {shape[:2]}.",
        SigmaScaleWarning,
        stacklevel=3,
    )
    return False


def _pixel_size(known: Calibration) -> tuple[tuple[float, float], str]:
    height, width = known.pixel_height_um, known.pixel_width_um
    # A map of one row has no scale in y.
    height, width = height or width, width or height
    return ((1.0, 1.0), "pixel") if height is None or width is None else ((height, width), "µm")


def _energy_axis(raw: Path, size: int, known: Calibration, *, from_par: bool) -> EnergyAxis:
    width, offset = known.channel_width_ev, known.offset_ev
    if width is None or offset is None:
        missing = "channel width" if offset is not None else "energy of channel 0"
        missing = "energy calibration" if width is None and offset is None else missing
        width = _DEFAULT_WIDTH_EV if width is None else width
        if offset is None:
            offset = _AZTEC_OFFSET_EV if from_par else 0.0
        warnings.warn(
            f"{raw} and the files beside it don't tell the {missing}: channels are taken to be "
            f"{width:g} eV wide and to begin at {offset / 1e3:g} keV. Put the EMSA/MAS spectrum "
            "(.msa or .txt) of the map beside it, set depth-scale, depth-origin and depth-units in "
            "the .rpl file, or use sigma_scale.calibration.set_calibration.",
            SigmaScaleWarning,
            stacklevel=3,
        )
    try:
        return EnergyAxis(size, width / 1e3, offset / 1e3)
    except ParameterError as error:
        raise FileFormatError(f"{raw}: {error}") from error
