"""What a map holds, and what this installation can do, in words."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import zarr

from sigma_scale import compute, readers, store
from sigma_scale.workflow.report import versions

if TYPE_CHECKING:
    from sigma_scale.spectra import SpectrumImage

__all__ = ["describe_installation", "describe_map"]


def describe_map(source: str | Path) -> dict[str, str]:
    """
    Describe the map of a file or store.

    Parameters
    ----------
    source : path
        Microscope file, or store.

    Returns
    -------
    dict of str to str
        Facts by name.

    Raises
    ------
    SigmaScaleError
        If it can't be read.
    """
    image = readers.read(source)
    rows, columns, channels = image.shape
    counts = int(image.sum_spectrum().sum())
    axis, metadata = image.energy, image.metadata
    facts = {
        "title": metadata.title,
        "map": f"{columns:,} x {rows:,} pixels (x, y), {channels:,} channels, {image.source.dtype}",
        "energy": f"{axis.low:.3f} to {axis.high:.3f} keV, {1000 * axis.scale_kev:.4g} eV/channel",
        "pixel": _pixel(image),
        "counts": f"{counts:,}, {counts / (rows * columns):.4g} per pixel",
        "instrument": metadata.instrument,
        "beam energy": _with_unit(metadata.beam_energy_kev, "keV"),
        "resolution": f"{metadata.resolution_mn_ka_ev:g} eV at Mn Ka",
        "live time": _with_unit(metadata.live_time_s, "s"),
        "elevation": _with_unit(metadata.elevation_deg, "degrees"),
        "elements": ", ".join(metadata.elements) or "not named",
        "lines": ", ".join(metadata.lines) or "not named",
        "images": ", ".join(f"{n} {_size(i.shape)}" for n, i in image.images.items()) or "none",
        "sources": ", ".join(f"{s.name} ({s.size:,} bytes)" for s in metadata.sources) or "unknown",
    }
    if store.is_store(source):
        facts |= _describe_store(Path(source), rows * columns)
    return facts


def _describe_store(path: Path, n_pixels: int) -> dict[str, str]:
    group = zarr.open_group(str(path), mode="r")
    size = sum(file.stat().st_size for file in (path / "counts").rglob("*") if file.is_file())
    results = ", ".join(sorted(name for name, _ in group.groups()))
    return {
        "stored counts": f"{size:,} bytes, {size / n_pixels:.3g} per pixel",
        "results": results or "none",
    }


def _pixel(image: SpectrumImage) -> str:
    if image.pixel_unit == "pixel":
        return "no scale in the file"
    height, width = image.pixel_size
    return f"{width:.5g} x {height:.5g} {image.pixel_unit} (x, y)"


def _with_unit(value: float | None, unit: str) -> str:
    return "not known" if value is None else f"{value:g} {unit}"


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

    engines = {f"engine {name}": state for name, state in compute.engines().items()}
    return {
        **versions(),
        **engines,
        "processors": str(os.cpu_count()),
        "memory limit": format_bytes(compute.memory_limit()),
        "platform": platform.platform(),
        "file formats": ", ".join(readers.known_suffixes()),
    }
