"""
Calibration from an EMSA/MAS spectrum that lies beside a map without one.

Keywords after the EMSA/MAS standard [1]_ and what AZtec and INCA write into such files.

References
----------
.. [1] ISO 22029:2022; https://the-mas.org/wp-content/uploads/2018/11/emmff_ascii.txt
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

from sigma_scale.errors import SigmaScaleWarning
from sigma_scale.readers.beside import Calibration, number, read_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EMSA_SUFFIXES", "is_emsa", "read_emsa"]

EMSA_SUFFIXES = (".msa", ".emsa", ".mas", ".txt")

_LARGEST_KEV_STEP = 0.5
"""Channels of a detector are 1 to 40 eV wide: a smaller number than this is in keV."""

_LINE = re.compile(r"^#(?P<key>#?[A-Za-z0-9]+)(?P<unit>[^:]*):(?P<value>.*)$")

# The table of X-ray lines has them too, but takes seconds to load.
_SYMBOLS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se "
    "Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb "
    "Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm "
    "Bk Cf"
)

_FIELDS = {
    "BEAMKV": "beam_energy_kev",
    "LIVETIME": "live_time_s",
    "REALTIME": "real_time_s",
    "ELEVANGLE": "elevation_deg",
    "AZIMANGLE": "azimuth_deg",
    "XPOSITION": "stage_x_mm",
    "YPOSITION": "stage_y_mm",
    "ZPOSITION": "stage_z_mm",
    "XTILTSTGE": "stage_tilt_deg",
}


def is_emsa(path: Path) -> bool:
    """Whether a file begins as EMSA/MAS files do."""
    first = read_text(path, 512).lstrip().splitlines()[:1]
    return bool(first) and re.match(r"#FORMAT\s*:\s*EMSA/MAS", first[0], re.IGNORECASE) is not None


def read_emsa(path: Path, *, depth: int) -> Calibration | None:
    """
    Read the calibration of an EMSA/MAS spectrum.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    depth : int
        Channels of the map that it is to serve.

    Returns
    -------
    Calibration or None
        None, with a :class:`~sigma_scale.errors.SigmaScaleWarning`, if the spectrum is of
        another kind than the map.

    Raises
    ------
    FileFormatError
        If the file can't be read.
    """
    entries = _entries(read_text(path))
    problem = _problem(entries, depth)
    if problem:
        warnings.warn(
            f"{path} is not used to calibrate the map beside it: {problem}.",
            SigmaScaleWarning,
            stacklevel=2,
        )
        return None
    width, offset = _axis(entries)
    metadata: dict[str, Any] = {
        name: value
        for key, name in _FIELDS.items()
        if (value := number(entries.get(key))) is not None
    }
    if title := entries.get("TITLE", ""):
        metadata["title"] = title
    if elements := _elements(entries.get("#OXINSTELEMS", "")):
        metadata["elements"] = elements
    return Calibration(
        channel_width_ev=width, offset_ev=offset, n_channels=depth, metadata=metadata
    )


def _entries(text: str) -> dict[str, str]:
    """Values by upper-case keyword, up to the spectrum; ``##`` keywords keep one ``#``."""
    entries: dict[str, str] = {}
    for line in text.splitlines():
        found = _LINE.match(line.strip())
        if found is None:
            continue
        key = found["key"].upper()
        if key == "SPECTRUM":
            break
        entries.setdefault(key, found["value"].strip())
    return entries


def _problem(entries: dict[str, str], depth: int) -> str:
    points = number(entries.get("NPOINTS"))
    if points is not None and points != depth:
        return f"it has {points:g} channels, the map {depth}"
    kind = entries.get("SIGNALTYPE", "EDS").upper()
    if not kind.startswith(("EDS", "EDX", "XEDS", "XRF")) and kind:
        return f"its spectrum is of the type {kind}, not EDS"
    if entries.get("XUNITS", "").lower() not in ("", "ev", "kev"):
        return f"its axis is in {entries['XUNITS']}, not in eV or keV"
    width = number(entries.get("XPERCHAN"))
    if width is not None and width <= 0:
        return f"its channels are {width:g} wide"
    return ""


def _axis(entries: dict[str, str]) -> tuple[float | None, float | None]:
    """Channel width and offset in eV."""
    width, offset = number(entries.get("XPERCHAN")), number(entries.get("OFFSET"))
    zero_channel = number(entries.get("CHOFFSET"))
    if width is not None and offset is None and zero_channel is not None:
        offset = -zero_channel * width
    units = entries.get("XUNITS", "").lower()
    in_kev = units == "kev" or (not units and width is not None and width < _LARGEST_KEV_STEP)
    factor = 1e3 if in_kev else 1.0
    return (
        None if width is None else width * factor,
        None if offset is None else offset * factor,
    )


def _elements(text: str) -> tuple[str, ...]:
    """Symbols of AZtec's list of atomic numbers."""
    listed = dict.fromkeys(int(part) for part in re.findall(r"\d{1,3}", text))
    symbols = _SYMBOLS.split()
    return tuple(symbols[z - 1] for z in listed if 1 <= z <= len(symbols))
