"""Masks: one black and white picture per phase, in a folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.export.scale import pixel_steps, unit_of
from sigma_scale.export.target import check_target, is_listed_folder, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["export_masks"]

_LIST = "masks.csv"
_COLUMNS = ["file", "phase", "name", "pixels"]
_INSIDE = 255
_BAND = 512
_LONGEST_NAME = 60
_DIGITS = 6
"""Digits of a place in pixels that mean something."""


def export_masks(
    labels: xr.DataArray,
    folder: str | Path,
    *,
    file_format: Literal["png", "tif"] = "png",
    phases: Sequence[int] | None = None,
    names: Mapping[int, str] | None = None,
    like: xr.DataArray | tuple[int, int] | None = None,
    overwrite: bool = False,
) -> Path:
    """
    Write one mask per phase: 255 where the phase is, 0 elsewhere.

    Parameters
    ----------
    labels : xarray.DataArray, shape (y, x), integer
        Phase of each pixel; lazy or not.
    folder : path
        Folder to write: masks, and the table ``masks.csv`` of their files and pixels.
    file_format : {"png", "tif"}, default: "png"
        Format of the masks. PNG needs a byte of memory per pixel; TIFF is written band by band.
    phases : sequence of int, optional
        Which phases; None: all from 0 upward that occur.
    names : mapping of int to str, optional
        Names of phases, for files and table.
    like : xarray.DataArray or tuple of int, optional
        An image with the dimensions y and x, such as a high-resolution one, or its rows and
        columns: masks get its size, each pixel with the nearest label. Where image and labels
        have coordinates in the same unit, these say what lies where (``pixel`` is a pixel of the
        map then, also in the image), and what the labels don't cover is 0; else both are taken to
        show the same field. None: the labels' own size.
    overwrite : bool, default: False
        Replace an earlier folder of masks. Anything else is never replaced.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    ParameterError
        If labels, format, phases or the other image make no sense.
    EmptyMapError
        If no pixel has a label.
    OutputExistsError
        If something is there already that may not be replaced.
    MemoryLimitError
        If a PNG doesn't fit the memory limit.
    StoreError
        If writing fails. Nothing is left behind then.
    """
    folder = Path(folder)
    if file_format not in ("png", "tif"):
        raise ParameterError(f"file_format must be 'png' or 'tif', not {file_format!r}.")
    if labels.dtype.kind not in "iu" or set(labels.dims) != {"y", "x"}:
        raise ParameterError(
            "Labels are whole numbers with the dimensions (y, x), not "
            f"{labels.dtype} {labels.dims}."
        )
    check_target(folder, overwrite=overwrite, replaceable=_is_export)
    chosen = _phases(labels, phases)
    masks = _Masks(labels.transpose("y", "x"), *_nearest(labels, like))
    if file_format == "png":
        compute.check_memory(
            2 * masks.shape[0] * masks.shape[1],
            what=f"A PNG of {masks.shape[1]:,} x {masks.shape[0]:,} pixels",
            remedy="Write TIFF instead, or masks of a smaller size.",
        )

    def write(draft: Path) -> None:
        import pandas as pd

        draft.mkdir()
        rows = []
        for phase in chosen:
            name = (names or {}).get(phase, f"phase {phase}")
            file = f"{phase}_{_slug(name)}.{file_format}"
            counter = _write_png if file_format == "png" else _write_tiff
            rows.append((file, phase, name, counter(draft / file, masks, phase)))
        pd.DataFrame(rows, columns=_COLUMNS).to_csv(draft / _LIST, index=False)

    return write_whole(folder, write, is_export=_is_export)


def _is_export(path: Path) -> bool:
    return is_listed_folder(path, _LIST, _COLUMNS, {".png", ".tif"})


def _slug(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_")[:_LONGEST_NAME] or "phase"


def _phases(labels: xr.DataArray, asked: Sequence[int] | None) -> list[int]:
    if asked is not None:
        if len(asked) == 0 or min(asked) < 0 or len(set(asked)) < len(asked):
            raise ParameterError(f"phases must be numbers from 0 upward, each once: {list(asked)}.")
        return [int(phase) for phase in asked]
    found: set[int] = set()
    for top in range(0, labels.sizes["y"], _BAND):
        found |= set(np.unique(labels.isel(y=slice(top, top + _BAND)).to_numpy()).tolist())
    kept = sorted(phase for phase in found if phase >= 0)
    if not kept:
        raise EmptyMapError("No pixel belongs to a phase: all labels are negative.")
    return kept


def _nearest(
    labels: xr.DataArray, like: xr.DataArray | tuple[int, int] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of the label that each row and column of the masks shows; -1 for none."""
    if like is None:
        return np.arange(labels.sizes["y"]), np.arange(labels.sizes["x"])
    if isinstance(like, tuple):
        sizes: dict[str, int] = dict(zip(("y", "x"), like, strict=True))
    elif {"y", "x"} <= set(like.dims):
        sizes = {dim: like.sizes[dim] for dim in ("y", "x")}
    else:
        raise ParameterError(f"The other image needs the dimensions y and x, not {like.dims}.")
    if min(sizes.values()) < 1:
        raise ParameterError(
            f"Masks must have at least one pixel, not {sizes['y']} x {sizes['x']}."
        )
    steps = pixel_steps(labels)
    places = []
    for i, dim in enumerate(("y", "x")):
        n, unit = labels.sizes[dim], unit_of(labels, dim)
        if isinstance(like, tuple) or steps is None or not unit or unit_of(like, dim) != unit:
            places.append((2 * np.arange(sizes[dim]) + 1) * n // (2 * sizes[dim]))
            continue
        values, own = like[dim].to_numpy(), labels[dim].to_numpy()
        step = steps[i] if own[-1] >= own[0] else -steps[i]
        # Rounded, lest a pixel on the border between two labels fall to either by chance.
        position = np.floor(np.round((values - own[0]) / step + 0.5, _DIGITS)).astype(np.int64)
        places.append(np.where((position >= 0) & (position < n), position, -1))
    return places[0], places[1]


@dataclass(frozen=True, eq=False)
class _Masks:
    """Labels as the masks show them."""

    labels: xr.DataArray
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.size, self.columns.size

    def bands(self, phase: int) -> Iterator[NDArray[np.uint8]]:
        """The mask of a phase, some rows at a time."""
        for top in range(0, self.rows.size, _BAND):
            rows = self.rows[top : top + _BAND]
            first, last = max(int(rows.min()), 0), max(int(rows.max()), 0)
            known = self.labels.isel(y=slice(first, last + 1)).to_numpy() == phase
            mask = known[np.maximum(rows - first, 0)][:, np.maximum(self.columns, 0)]
            mask &= (rows >= 0)[:, None] & (self.columns >= 0)
            yield np.where(mask, np.uint8(_INSIDE), np.uint8(0))


def _write_png(path: Path, masks: _Masks, phase: int) -> int:
    from PIL import Image

    mask = np.concatenate(list(masks.bands(phase)))
    Image.fromarray(mask).save(path, format="PNG")
    return int(np.count_nonzero(mask))


def _write_tiff(path: Path, masks: _Masks, phase: int) -> int:
    import tifffile

    pixels = 0

    def tiles() -> Iterator[NDArray[np.uint8]]:
        nonlocal pixels
        for band in masks.bands(phase):
            pixels += int(np.count_nonzero(band))
            for left in range(0, band.shape[1], _BAND):
                yield band[:, left : left + _BAND]

    with tifffile.TiffWriter(path, bigtiff=masks.shape[0] * masks.shape[1] > 2**31) as file:
        file.write(
            tiles(),
            shape=masks.shape,
            dtype=np.uint8,
            tile=(_BAND, _BAND),
            photometric="minisblack",
            compression="zlib",
            metadata=None,
        )
    return pixels
