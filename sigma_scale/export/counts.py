"""Export the counts of a map, in the format that the target's name asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import ParameterError
from sigma_scale.export import hspy, plain_zarr, zspy
from sigma_scale.export.target import check_level, check_target, write_whole
from sigma_scale.export.tiles import DenseTiles

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from sigma_scale.spectra import SpectrumImage

__all__ = ["export_counts"]

_DTYPES = tuple(np.dtype(name) for name in ("u1", "u2", "u4", "u8", "f4", "f8"))


class _Format(Protocol):
    """What a module of a format has."""

    @property
    def CHUNK_BYTES(self) -> int:  # noqa: N802 - a constant of the module
        """Largest size of a chunk that has more than one pixel."""

    def is_export(self, path: Path) -> bool:
        """Whether there is an export of this format at a path."""

    def write(self, path: Path, image: SpectrumImage, tiles: DenseTiles, level: int) -> None:
        """
        Write a map to a file or folder.

        Parameters
        ----------
        path : pathlib.Path
            What to write; nothing is there yet.
        image : SpectrumImage
            The map.
        tiles : DenseTiles
            Its spectra.
        level : int
            Effort of compression, 0 for none.

        Raises
        ------
        StoreError, OSError
            If it can't be written.
        """


_FORMATS: dict[str, _Format] = {".hspy": hspy, ".zspy": zspy, ".zarr": plain_zarr}


def export_counts(
    image: SpectrumImage,
    path: str | Path,
    *,
    overwrite: bool = False,
    dtype: DTypeLike | None = None,
    level: int = 3,
) -> Path:
    """
    Write the spectra of a map densely, for programs that don't know events.

    What is written is what :meth:`~sigma_scale.spectra.SpectrumImage.to_xarray` shows: binned,
    normalised and cut off as the image is. A few pieces are in memory at a time, never the whole
    cube.

    Parameters
    ----------
    image : SpectrumImage
        The map.
    path : path
        Where to; the ending says what is written:

        - ``.hspy`` (HDF5) or ``.zspy`` (zarr 2): HyperSpy's own formats, read by ``hs.load`` as an
          EDS signal with its axes, beam energy, detector, elements and lines;
        - ``.zarr``: a zarr 3 group of standard codecs, read by xarray and others, with the
          coordinates ``energy``, ``y`` and ``x`` and all images.
    overwrite : bool, default: False
        Replace an earlier file of the same kind. Anything else is never replaced.
    dtype : data type, optional
        Type of the counts: unsigned integers or floats. None: that of the map.
    level : int, default: 3
        Effort of compression, 0 (none) to 9. In .hspy files the compressor is gzip, in the others
        zstd.

    Returns
    -------
    pathlib.Path
        What was written.

    Raises
    ------
    ParameterError
        If the ending is none of these, or the counts don't fit ``dtype``.
    OutputExistsError
        If something is at the path already that may not be replaced, or the map is read from it.
    MemoryLimitError
        If even a few pieces don't fit the memory limit.
    StoreError
        If writing fails, for example because the disk is full. Nothing is left behind then, and
        what was there before is still there.
    """
    path = Path(path)
    target = _FORMATS.get(path.suffix.lower())
    if target is None:
        raise ParameterError(
            f"{path.name} can't be exported: its name must end in {', '.join(_FORMATS)}."
        )
    check_level(level)
    view = image.to_xarray()
    tiles = DenseTiles.of(
        image, dtype=_checked_dtype(dtype, view.dtype), chunk_bytes=target.CHUNK_BYTES
    )
    check_target(path, image, overwrite=overwrite, replaceable=target.is_export)
    _check_memory(tiles)
    return write_whole(
        path,
        lambda draft: target.write(draft, image, tiles, level),
        is_export=target.is_export,
    )


def _checked_dtype(asked: DTypeLike | None, natural: np.dtype[Any]) -> np.dtype[Any]:
    if asked is None:
        return natural
    try:
        dtype = np.dtype(asked)
    except TypeError as error:
        raise ParameterError(f"dtype must be a type of numbers, not {asked!r}.") from error
    if dtype not in _DTYPES:
        names = ", ".join(known.name for known in _DTYPES)
        raise ParameterError(f"dtype must be one of {names}, not {dtype}.")
    if natural.kind == "f" and dtype.kind != "f":
        raise ParameterError(
            f"The spectra are of the type {natural}; as {dtype} they would lose their fractions."
        )
    return dtype


def _check_memory(tiles: DenseTiles) -> None:
    compute.check_memory(
        compute.local_workers() * tiles.bytes_in_flight,
        what="The export",
        remedy="Allow more memory, or export fewer channels or a binned map.",
    )
