"""Spectra of end-members from tables, files and picked regions, on a map's energy axis."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import FileFormatError, ParameterError
from sigma_scale.phases.end_member_checks import end_member_array
from sigma_scale.readers.beside import read_text
from sigma_scale.readers.guard import decoding, require_file
from sigma_scale.readers.ripple.emsa import EMSA_SUFFIXES, is_emsa, read_emsa

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.spectra import SpectrumImage

__all__ = ["read_end_members", "region_end_members"]

_SAME = 0.01
"""Energies that differ by less than this part of a channel are the same."""

_HEADER_BYTES = 2**16

_DIMS = ("phase", "energy")


def region_end_members(
    image: SpectrumImage, regions: Mapping[str, NDArray[np.bool_] | xr.DataArray]
) -> xr.DataArray:
    """
    Spectra of picked regions as end-members.

    Parameters
    ----------
    image : SpectrumImage, shape (y, x, energy)
        X-ray counts, seen through its processing.
    regions : mapping of str to array, shape (y, x), bool
        (Binned) pixels of each end-member; only the blocks that they touch are read.

    Returns
    -------
    xarray.DataArray, shape (phase, energy), float64
        Sum of the processed spectra of each region, by name.

    Raises
    ------
    ParameterError
        If there are no regions.
    ShapeMismatchError
        If a region is not of the image's shape.
    EmptyMapError
        If a region has no pixels.
    """
    import xarray as xr

    if not regions:
        raise ParameterError("There are no regions. Give at least one, by name.")
    spectra = [image.region_spectrum(mask).to_numpy() for mask in regions.values()]
    stacked = xr.DataArray(
        np.array(spectra, np.float64), dims=_DIMS, coords={"phase": list(regions)}
    )
    units = "share" if image.processing.normalised else "counts"
    return end_member_array(stacked, image).assign_attrs(units=units)


def read_end_members(
    paths: str | Path | Sequence[str | Path] | Mapping[str, str | Path], image: SpectrumImage
) -> xr.DataArray:
    """
    Read end-members from files, onto a map's channels.

    Parameters
    ----------
    paths : path, sequence of path, or mapping of str to path
        EMSA/MAS files, each of one spectrum, which is named after the file, or as the mapping
        says; tables as text (separated by comma, semicolon or tabulator) with energies in keV in
        the first column and a spectrum in each further one, which a header names.
    image : SpectrumImage
        The map; its energy axis is used.

    Returns
    -------
    xarray.DataArray, shape (phase, energy), float64
        Counts per channel of the map; NaN in channels that a file doesn't cover, which have to be
        left out of an unmixing.

    Raises
    ------
    SourceNotFoundError
        If a file isn't there.
    FileFormatError
        If a file can't be read, has no energies, or is of another kind of spectrum.
    ParameterError
        If two end-members have the same name, or a table of several is to have one name.

    Notes
    -----
    Where a file has other channels than the map, its counts per keV are interpolated linearly
    between the centres of its channels. That widens peaks by a part of a channel at most, but a
    detector of another resolution makes another spectrum: no interpolation can mend that.
    """
    import xarray as xr

    if isinstance(paths, str | Path):
        named: list[tuple[str | None, Path]] = [(None, Path(paths))]
    elif hasattr(paths, "items"):
        named = [(str(name), Path(path)) for name, path in paths.items()]
    else:
        named = [(None, Path(path)) for path in paths]
    names: list[str] = []
    rows: list[NDArray[np.float64]] = []
    for name, path in named:
        require_file(path, "spectrum")
        emsa = path.suffix.lower() in EMSA_SUFFIXES and is_emsa(path)
        table = _emsa_table(path) if emsa else _text_table(path)
        if name is not None and table.shape[1] > 1:
            raise ParameterError(
                f"{path} holds {table.shape[1]} spectra, which can't all be named {name!r}. Give "
                "it without a name: its header names them."
            )
        energies = table.index.to_numpy(np.float64)
        for column in table.columns:
            names.append(name if name is not None else str(column))
            rows.append(_on_axis(energies, table[column].to_numpy(np.float64), image))
    values = np.array(rows).reshape(len(rows), image.energy.size)
    stacked = xr.DataArray(values, dims=_DIMS, coords={"phase": names})
    return end_member_array(stacked, image).assign_attrs(units="counts")


def _emsa_table(path: Path) -> pd.DataFrame:
    import pandas as pd
    from rsciio.msa import file_reader

    with decoding(path, "EMSA/MAS"):
        values = np.asarray(file_reader(str(path))[0]["data"], np.float64)
        calibration = read_emsa(path, depth=values.size)
    if calibration is None:
        raise FileFormatError(f"{path} is no EDS spectrum and so no end-member of a map.")
    width, offset = calibration.channel_width_ev, calibration.offset_ev
    if width is None:
        raise FileFormatError(f"{path} doesn't say how wide its channels are (XPERCHAN).")
    energies = ((offset or 0.0) + width * np.arange(values.size)) / 1e3
    return _checked(path, pd.DataFrame({path.stem: values}, index=energies))


def _text_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    with decoding(path, "table of spectra"):
        header = read_text(path, _HEADER_BYTES).partition("\n")[0]
        separator = max(",;\t", key=header.count)
        table: Any = pd.read_csv(path, sep=separator, index_col=0)
        table = table.astype(np.float64)
        table.index = table.index.astype(np.float64)
    return _checked(path, table)


def _checked(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    energies = table.index.to_numpy()
    if table.shape[1] == 0 or len(table) <= 1:
        raise FileFormatError(
            f"{path} holds no spectrum: a table needs energies in keV in its first column and "
            "counts in others."
        )
    if not (np.isfinite(energies).all() and (np.diff(energies) > 0).all()):
        raise FileFormatError(f"The energies of {path} don't ascend from channel to channel.")
    return table


def _on_axis(
    energies: NDArray[np.float64], counts: NDArray[np.float64], image: SpectrumImage
) -> NDArray[np.float64]:
    """Counts per channel of a map from those of other channels; NaN beyond them."""
    centres, width = image.coordinates()["energy"][1], image.energy.scale_kev
    if energies.size == centres.size and np.abs(energies - centres).max() <= _SAME * width:
        return counts
    density = counts / np.gradient(energies)
    # The outer channels reach half their width beyond their centres.
    lowest = energies[0] - (energies[1] - energies[0]) / 2
    highest = energies[-1] + (energies[-1] - energies[-2]) / 2
    placed = np.interp(centres, energies, density) * width
    return np.where((centres >= lowest) & (centres <= highest), placed, np.nan)
