"""What a map holds, and what this installation can do, in words."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

from sigma_scale import compute, readers, store
from sigma_scale.engines import engine_states
from sigma_scale.errors import NoSpectraError, SigmaScaleError
from sigma_scale.workflow.report import versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sigma_scale.spectra import ElementMaps, MapMetadata, SpectrumImage

__all__ = ["describe_installation", "describe_map"]


_NOT_KNOWN = "not known"
_QUICKLY_COUNTED = 4_000_000
"""Pixels up to which the counts of a file are summed unasked; that reads the whole file."""


def describe_map(
    source: store.PathOrUrl, *, count: bool | None = None, options: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """
    Describe the map of a file or store.

    Parameters
    ----------
    source : path or URL
        Microscope file, or store.
    count : bool, optional
        Whether to sum all counts. None: where that is quick.
    options : mapping, optional
        What to read of a file that holds more than one map; see :func:`readers.read`.

    Returns
    -------
    dict of str to str
        Facts by name.

    Raises
    ------
    SigmaScaleError
        If it can't be read.
    """
    try:
        image = readers.read(source, **(options or {}))
    except NoSpectraError as no_spectra:
        try:
            return _describe_element_maps(
                readers.read_element_maps(store.local_path(source, "Element maps"))
            )
        except SigmaScaleError:
            raise no_spectra from None
    rows, columns, channels = image.shape
    axis, metadata = image.energy, image.metadata
    facts = {
        "title": metadata.title,
        "map": f"{columns:,} x {rows:,} pixels (x, y), {channels:,} channels",
        "energy": f"{axis.low:.3f} to {axis.high:.3f} keV, {1000 * axis.scale_kev:.4g} eV/channel",
        "pixel": _pixel(image.pixel_size, image.pixel_unit),
        "counts": _counts(image, count=count),
        "instrument": metadata.instrument,
        "beam energy": _with_unit(metadata.beam_energy_kev, "keV"),
        "resolution": f"{metadata.resolution_mn_ka_ev:g} eV at Mn Ka",
        "live time": _with_unit(metadata.live_time_s, "s"),
        "elevation": _with_unit(metadata.elevation_deg, "degrees"),
        "stage": _stage(metadata),
        "elements": ", ".join(metadata.elements) or "not named",
        "lines": ", ".join(metadata.lines) or "not named",
        "images": _images(image.images),
        "sources": _sources(metadata),
    }
    if store.is_store(source):
        facts |= _describe_store(source, rows * columns)
    return facts


def _describe_element_maps(maps: ElementMaps) -> dict[str, str]:
    rows, columns, _ = maps.shape
    images = (
        maps.images if maps.navigation is None else {"navigation": maps.navigation, **maps.images}
    )
    return {
        "title": maps.metadata.title,
        "map": f"{columns:,} x {rows:,} pixels (x, y), element maps without spectra",
        "pixel": _pixel(maps.pixel_size, maps.pixel_unit),
        "element maps": ", ".join(maps.lines),
        "images": _images(images),
        "sources": _sources(maps.metadata),
    }


def _counts(image: SpectrumImage, *, count: bool | None) -> str:
    n_pixels = image.shape[0] * image.shape[1]
    if count is None:
        count = n_pixels <= _QUICKLY_COUNTED
    if not count:
        # Nor is their type named: some readers know it only once they have seen all of them.
        return "not summed (it takes reading the whole map; ask for it with --counts)"
    (spectrum,) = compute.run(image.sum_spectrum(), description="Summing counts")
    counts = spectrum.values.sum()
    return f"{counts:,}, {counts / n_pixels:.4g} per pixel, {image.source.dtype}"


def _describe_store(path: store.PathOrUrl, n_pixels: int) -> dict[str, str]:
    size = store.size_of_counts(path)
    results = ", ".join(store.result_names(path))
    return {
        "stored counts": f"{size:,} bytes, {size / n_pixels:.3g} per pixel",
        "results": results or "none",
    }


def _pixel(size: tuple[float, float], unit: str) -> str:
    if unit == "pixel":
        return "no scale in the file"
    height, width = size
    return f"{width:.5g} x {height:.5g} {unit} (x, y)"


def _stage(metadata: MapMetadata) -> str:
    position = {
        "x": _with_unit(metadata.stage_x_mm, "mm"),
        "y": _with_unit(metadata.stage_y_mm, "mm"),
        "z": _with_unit(metadata.stage_z_mm, "mm"),
        "tilt": _with_unit(metadata.stage_tilt_deg, "degrees"),
        "rotation": _with_unit(metadata.stage_rotation_deg, "degrees"),
    }
    known = [f"{name} {value}" for name, value in position.items() if value != _NOT_KNOWN]
    return ", ".join(known) or _NOT_KNOWN


def _images(images: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_size(image.shape)}" for name, image in images.items()) or "none"


def _sources(metadata: MapMetadata) -> str:
    return ", ".join(f"{s.name} ({s.size:,} bytes)" for s in metadata.sources) or "unknown"


def _with_unit(value: float | None, unit: str) -> str:
    return _NOT_KNOWN if value is None else f"{value + 0:g} {unit}"


def _size(shape: tuple[int, ...]) -> str:
    return f"({shape[1]} x {shape[0]})"


def describe_installation() -> dict[str, str]:
    """
    Describe versions, engines and memory.

    Returns
    -------
    dict of str to str
        Facts by name.
    """
    from dask.utils import format_bytes

    return {
        **versions(),
        **{f"engine {name}": state for name, state in engine_states().items()},
        "processors": str(os.cpu_count()),
        "memory limit": format_bytes(compute.memory_limit()),
        "platform": platform.platform(),
        "file formats": ", ".join(readers.known_suffixes()),
    }
