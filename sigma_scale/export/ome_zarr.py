"""
Maps and labels as OME-Zarr 0.5: a folder of zarr 3 arrays, in several sizes.

The layout is that of the specification [1]_: maps under ``0``, ``1``, ..., labels under
``labels/<name>``. Where there are labels only, the image that the specification wants above them
is the labels' own arrays, named once more: nothing is stored twice.

References
----------
.. [1] https://ngff.openmicroscopy.org/0.5/index.html
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.export.planes import Planes
from sigma_scale.export.pyramid import write_levels
from sigma_scale.export.target import (
    MARK,
    check_level,
    check_target,
    has_ending,
    marked_attributes,
    write_whole,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

__all__ = ["export_ome_zarr", "is_export"]

_VERSION = "0.5"
_ENDING = ".ome.zarr"
_MOST_LISTED = 4096
"""Phases whose colours and names are listed; regions may be millions."""
_GREY = [128, 128, 128, 255]


def is_export(path: Path) -> bool:
    """Whether there is an OME-Zarr at a path that this module wrote."""
    return "ome" in marked_attributes(path)


def export_ome_zarr(
    path: str | Path,
    maps: xr.DataArray | None = None,
    labels: xr.DataArray | None = None,
    *,
    colours: Mapping[int, str] | None = None,
    names: Mapping[int, str] | None = None,
    overwrite: bool = False,
    level: int = 3,
) -> Path:
    """
    Write maps, labels or both as an OME-Zarr with smaller sizes.

    Maps of any size are written chunk by chunk; what is lazy is computed once.

    Parameters
    ----------
    path : path
        Folder to write; ends in ``.ome.zarr``.
    maps : xarray.DataArray, shape (y, x) or (y, x, line, phase or component), optional
        Maps with values; names along the third dimension become names of channels.
    labels : xarray.DataArray, shape (y, x), integer, optional
        Phases. In the file 0 is the background (labels below 0) and each phase has its label plus
        one, in the smallest unsigned type; regions (an array of the name ``region``) keep their
        numbers.
    colours : mapping of int to str, optional
        Colours of phases by label, as matplotlib understands them; -1 is the background.
    names : mapping of int to str, optional
        Names of phases by label.
    overwrite : bool, default: False
        Replace an earlier export. Anything else is never replaced.
    level : int, default: 3
        Effort of compression (zstd), 0 (none) to 9.

    Returns
    -------
    pathlib.Path
        What was written.

    Raises
    ------
    ParameterError
        If there is nothing to write, or a name, colour, dimension or value doesn't fit.
    ShapeMismatchError
        If maps and labels have different numbers of pixels.
    EmptyMapError
        If there are no pixels.
    OutputExistsError
        If something is at the path already that may not be replaced.
    MemoryLimitError
        If a few blocks don't fit the memory limit.
    StoreError
        If writing fails. Nothing is left behind then, and what was there before is still there.

    Notes
    -----
    Axes are in micrometres where the coordinates are, and have no unit elsewhere: then a pixel is
    1. Smaller maps are means, smaller labels the most frequent of four.
    """
    path = Path(path)
    has_ending(path, (_ENDING,), "An OME-Zarr")
    check_level(level)
    if maps is None and labels is None:
        raise ParameterError("There is nothing to write: give maps, labels or both.")
    rgba = {label: _rgba(colour) for label, colour in (colours or {}).items()}
    check_target(path, overwrite=overwrite, replaceable=is_export)
    image = None if maps is None else Planes.of_maps(maps)
    phases = None if labels is None else Planes.of_labels(labels)
    if image is not None and phases is not None and image.shape[1:] != phases.shape[1:]:
        raise ShapeMismatchError(
            f"The maps have {image.shape[1:]} pixels (y, x), the labels {phases.shape[1:]}. Give "
            "maps and labels of the same bins, or write them to two files."
        )

    def write(draft: Path) -> None:
        import zarr

        root = zarr.open_group(str(draft), mode="w-", zarr_format=3)
        about: dict[str, Any] = {}
        if phases is not None:
            described = _described_labels(phases, rgba, names or {})
            about["multiscales"] = [_write_labels(root, phases, described, level)]
        if image is not None:
            arrays = write_levels(root, image, level=level)
            about["multiscales"] = [_multiscale(image, arrays)]
            about["omero"] = {"channels": _channels(image, arrays[-1])}
        root.attrs.update({"ome": {"version": _VERSION, **about}, **MARK})

    return write_whole(path, write, is_export=is_export)


def _write_labels(
    root: Any, planes: Planes, described: dict[str, Any], level: int
) -> dict[str, Any]:
    """Write the group of labels; returns what shows them as the image above it."""
    name = planes.title.replace("/", "-").strip(". ") or "labels"
    group = root.create_group("labels")
    group.attrs["ome"] = {"version": _VERSION, "labels": [name]}
    own = group.create_group(name)
    arrays = write_levels(own, planes, level=level)
    own.attrs["ome"] = {
        "version": _VERSION,
        "multiscales": [_multiscale(planes, arrays)],
        "image-label": {**described, "source": {"image": "../../"}},
    }
    return _multiscale(planes, arrays, folder=f"labels/{name}/")


def _multiscale(planes: Planes, arrays: list[Any], *, folder: str = "") -> dict[str, Any]:
    unit = {} if planes.pixel_size is None else {"unit": "micrometer"}
    axes: list[dict[str, str]] = [{"name": name, "type": "space", **unit} for name in ("y", "x")]
    first = [1.0] if planes.dim else []
    if planes.dim:
        axes.insert(0, {"name": "c", "type": "channel"})
    size = planes.pixel_size or (1.0, 1.0)
    datasets = []
    for number in range(len(arrays)):
        factor = 2**number
        # The first pixel of a smaller map is centred between those that it was made of.
        shift = [o + (factor - 1) / 2 * s for o, s in zip(planes.origin, size, strict=True)]
        datasets.append({
            "path": f"{folder}{number}",
            "coordinateTransformations": [
                {"type": "scale", "scale": [*first, *(factor * s for s in size)]},
                {"type": "translation", "translation": [*(0.0 for _ in first), *shift]},
            ],
        })  # fmt: skip
    return {
        "name": planes.title,
        "axes": axes,
        "datasets": datasets,
        "type": "mode" if planes.is_labels else "mean",
    }


def _channels(planes: Planes, smallest: Any) -> list[dict[str, Any]]:
    """Names of the channels, and between which values to show them."""
    values = np.asarray(smallest[...], np.float64)
    values = values if planes.dim else values[None]
    channels = []
    for name, shown in zip(planes.names or (planes.title,), values, strict=True):
        finite = shown[np.isfinite(shown)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        window = {"min": low, "start": low, "max": high, "end": high}
        channels.append({"label": name, "color": "FFFFFF", "active": True, "window": window})
    return channels


def _described_labels(
    planes: Planes, colours: Mapping[int, list[int]], names: Mapping[int, str]
) -> dict[str, Any]:
    """Colours and names; the specification wants both of the same labels."""
    shift, kind = 1 - planes.first, "region" if planes.first else "phase"
    known = sorted({max(label, -shift) for label in (*colours, *names)})[:_MOST_LISTED]
    described: dict[str, Any] = {}
    if colours:
        described["colors"] = [
            {"label-value": label + shift, "rgba": colours.get(label, _GREY)} for label in known
        ]
    if known:
        described["properties"] = [
            {"label-value": label + shift, kind: label}
            | ({"name": str(names[label])} if label in names else {})
            for label in known
        ]
    return described


def _rgba(colour: str) -> list[int]:
    from matplotlib.colors import is_color_like, to_rgba

    if not is_color_like(colour):
        raise ParameterError(
            f"{colour!r} is not a colour; use a name or '#rrggbb', such as '#0072b2'."
        )
    return [round(255 * part) for part in to_rgba(colour)]
