"""
Spectra as EMSA/MAS files (.msa), the exchange format of ISO 22029.

RosettaSciIO has a writer too. It rounds to six decimals, which leaves little of a spectrum that
was divided by its total, so numbers are written here with all their digits.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import ParameterError
from sigma_scale.export.target import check_target, has_ending, starts_with, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.spectra import MapMetadata

__all__ = ["export_spectra"]

_ENDINGS = (".msa", ".emsa")
_FORMAT = "EMSA/MAS Spectral Data File"
_LONGEST_TITLE = 64
_STEP_TOLERANCE = 1e-6


def export_spectra(
    spectra: xr.DataArray,
    path: str | Path,
    *,
    metadata: MapMetadata | None = None,
    live_times_s: Sequence[float] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """
    Write spectra as EMSA/MAS files, one each.

    Parameters
    ----------
    spectra : xarray.DataArray, shape (energy,) or (phase, energy)
        Spectra; energies in keV, in equal steps.
    path : path
        Where to; ends in ``.msa`` or ``.emsa``. Several spectra get names such as
        ``rock_phase_0.msa``, after their dimension and coordinate.
    metadata : MapMetadata, optional
        What is known of the map: title, beam energy, detector.
    live_times_s : sequence of float, optional
        Live time of each spectrum in seconds. None: a single spectrum has that of the map, and of
        several none is written.
    overwrite : bool, default: False
        Replace earlier files of this format.

    Returns
    -------
    list of pathlib.Path
        What was written.

    Raises
    ------
    ParameterError
        If the name, the dimensions, the energies or the number of live times don't fit.
    OutputExistsError
        If a file is there already that may not be replaced; then none is written.
    StoreError
        If writing fails.
    """
    path = Path(path)
    has_ending(path, _ENDINGS, "An EMSA/MAS spectrum")
    stacked = _checked(spectra)
    live: Sequence[float | None] = _live_times(stacked, metadata, live_times_s)
    targets = _targets(path, spectra)
    for target in targets:
        check_target(target, overwrite=overwrite, replaceable=_is_emsa)
    values = stacked.to_numpy()
    for target, spectrum, seconds in zip(targets, values, live, strict=True):
        content = _content(stacked, spectrum, target.stem, metadata, seconds).encode("ascii")
        write_whole(target, _writer_of(content), is_export=_is_emsa)
    return targets


def _writer_of(content: bytes) -> Callable[[Path], None]:
    def write(draft: Path) -> None:
        draft.write_bytes(content)

    return write


def _is_emsa(path: Path) -> bool:
    return starts_with(path, b"#FORMAT")


def _checked(spectra: xr.DataArray) -> xr.DataArray:
    """Spectra one below the other, with the energies last."""
    if "energy" not in spectra.dims or spectra.ndim > 2:  # noqa: PLR2004
        raise ParameterError(
            "Spectra have the dimension energy and at most one other, not "
            f"{spectra.dims}. Sum the pixels first, for example with phase_spectra."
        )
    if 0 in spectra.shape:
        raise ParameterError(f"There are no spectra to write: shape {spectra.shape}.")
    energies = _energies(spectra)
    steps = np.diff(energies)
    if not np.all(np.isfinite(energies)) or np.any(
        np.abs(steps - _scale(energies)) > _STEP_TOLERANCE * abs(_scale(energies))
    ):
        raise ParameterError(
            "The energies don't go in equal steps, and EMSA/MAS files name one width of all "
            "channels. Interpolate the spectra first."
        )
    single = spectra.expand_dims("spectrum") if spectra.ndim == 1 else spectra
    return single.transpose(..., "energy")


def _energies(spectra: xr.DataArray) -> NDArray[np.float64]:
    if "energy" not in spectra.coords:
        raise ParameterError("The spectra have no energies. Give them a coordinate energy, in keV.")
    energies: NDArray[np.float64] = spectra["energy"].to_numpy().astype(np.float64)
    return energies


def _scale(energies: NDArray[np.float64]) -> float:
    if energies.size < 2:  # noqa: PLR2004
        return 1.0
    # Rounded, since a difference of floats has digits that mean nothing.
    return float(f"{(energies[-1] - energies[0]) / (energies.size - 1):.12g}")


def _live_times(
    stacked: xr.DataArray, metadata: MapMetadata | None, given: Sequence[float] | None
) -> Sequence[float | None]:
    if given is None:
        whole = None if metadata is None or len(stacked) > 1 else metadata.live_time_s
        return [whole] * len(stacked)
    if len(given) != len(stacked):
        raise ParameterError(
            f"There are {len(stacked)} spectra and {len(given)} live times. Give one for each."
        )
    return given


def _targets(path: Path, spectra: xr.DataArray) -> list[Path]:
    if spectra.ndim == 1:
        return [path]
    (dim,) = (str(dim) for dim in spectra.dims if dim != "energy")
    names = spectra[dim].to_numpy() if dim in spectra.coords else range(spectra.sizes[dim])
    slugs = [re.sub(r"[^\w.+-]+", "_", str(name)) for name in names]
    if len({slug.lower() for slug in slugs}) < len(slugs):
        raise ParameterError(f"Two spectra have the same {dim}. Give each a name of its own.")
    return [path.with_name(f"{path.stem}_{dim}_{slug}{path.suffix}") for slug in slugs]


def _content(
    spectra: xr.DataArray,
    values: NDArray[Any],
    name: str,
    metadata: MapMetadata | None,
    live_time_s: float | None,
) -> str:
    energies = _energies(spectra)
    known = "" if metadata is None else _plain(metadata.title)
    title = f"{known}, {_plain(name)}" if known else _plain(name)
    lines = [
        _line("FORMAT", _FORMAT),
        _line("VERSION", "1.0"),
        _line("TITLE", title[:_LONGEST_TITLE]),
        *(_line(unknown, "") for unknown in ("DATE", "TIME", "OWNER")),
        _line("NPOINTS", len(values)),
        _line("NCOLUMNS", 1),
        _line("XUNITS", "keV"),
        _line("YUNITS", _plain(str(spectra.attrs.get("units", "counts")))),
        _line("DATATYPE", "Y"),
        _line("XPERCHAN", _scale(energies)),
        _line("OFFSET", float(energies[0])),
        _line("SIGNALTYPE", "EDS"),
        _line("XLABEL", "Energy"),
        _line("YLABEL", "Intensity"),
    ]
    if metadata is not None:
        lines += [
            _line(keyword, float(value), unit)
            for keyword, unit, value in (
                ("BEAMKV", "kV", metadata.beam_energy_kev),
                ("ELEVANGLE", "dg", metadata.elevation_deg),
                ("AZIMANGLE", "dg", metadata.azimuth_deg),
                ("FWHMMNKA", "", metadata.resolution_mn_ka_ev),
            )
            if value is not None and math.isfinite(value)
        ]
    if live_time_s is not None:
        lines.append(_line("LIVETIME", float(live_time_s), "s"))
    lines.append(_line("SPECTRUM", "Spectral Data Starts Here"))
    lines += [f"{value!r}," for value in values.tolist()]
    lines.append(_line("ENDOFDATA", "End Of Data and File"))
    return "".join(f"{line}\r\n" for line in lines)


def _line(keyword: str, value: object, unit: str = "") -> str:
    ending = f"-{unit}" if unit else ""
    return f"#{keyword.ljust(12 - len(ending))}{ending}: {value}"


def _plain(text: str) -> str:
    """Text as the format allows it: ASCII on one line, without the sign that ends a keyword."""
    plain = text.replace("µ", "u").encode("ascii", "replace").decode("ascii")
    return " ".join(re.sub(r"[\x00-\x1f\x7f:]", " ", plain).split())
