"""
Regions of phases: speed beside scikit-image, and memory of large label maps.

The map is made of grains, each the pixels closest to one of many seeds of random phase, and a few
per cent of stray pixels. scikit-image labels and measures a part of it (`label` and
`regionprops_table`), with the same columns; all areas are the same. The limit is to read the labels
once from memory. The peak is that of a process that opens the labels as a memory-mapped file,
measures all regions, and writes their numbers to a file (streamed), or keeps them in memory, with
everything that it imports.
"""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.common import median_ratio, peak_memory, report_memory, rounds, seconds
from benchmarks.libraries import of_memory
from benchmarks.limits import memory_read_rate
from benchmarks.record import Result, Row

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRAY = 0.01  # share of pixels
PHASES = 6
PIXELS_PER_GRAIN = 400
PROPERTIES = (
    "area", "equivalent_diameter_area", "axis_major_length", "axis_minor_length", "orientation",
    "perimeter", "centroid", "bbox",
)  # fmt: skip


def write_grains(path: Path, side: int, *, pixels_per_grain: int, seed: int = 0) -> None:
    """Write a label map of grains as a NumPy file, a part at a time."""
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(seed)
    tile = min(side, 1000)
    # One tile of grains, and other phases for them in each tile: seeds for all would take minutes.
    seeds = rng.uniform(0, tile, (max(tile**2 // pixels_per_grain, 4), 2))
    grid = np.stack(np.meshgrid(np.arange(tile), np.arange(tile), indexing="ij"), axis=-1)
    grain = cKDTree(seeds).query(grid.reshape(-1, 2))[1].reshape(tile, tile)
    labels = np.lib.format.open_memmap(path, mode="w+", dtype=np.int32, shape=(side, side))
    for top in range(0, side, tile):
        for left in range(0, side, tile):
            part = rng.integers(0, PHASES, len(seeds), dtype=np.int32)[grain]
            stray = rng.random(part.shape) < STRAY
            part[stray] = rng.integers(-1, PHASES, int(stray.sum()))
            place = labels[top : top + tile, left : left + tile]
            place[:] = part[: place.shape[0], : place.shape[1]]
    labels.flush()


def theirs(labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """Label and measure with scikit-image; give the regions' areas."""
    from skimage.measure import label, regionprops_table

    table = regionprops_table(
        label(labels, background=-1, connectivity=2), properties=("label", *PROPERTIES)
    )
    return np.asarray(table["area"], float)


def ours(labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """Label and measure with sigma_scale; give the regions' areas."""
    from sigma_scale.phases.regions_statistics import region_statistics

    return region_statistics(labels)["area_px2"].to_numpy(float)


def report(path: str, kind: str) -> None:
    """Measure the regions of a stored map in this process; report seconds and peak memory."""
    import dask.array as da

    from sigma_scale.phases.contacts import phase_contacts
    from sigma_scale.phases.proportions import proportions
    from sigma_scale.phases.regions import region_labels
    from sigma_scale.phases.regions_statistics import region_statistics

    labels = np.load(path, mmap_mode="r")
    start = np.array(labels[:64, :64])
    for first in (proportions, phase_contacts, region_labels, region_statistics):
        first(start)  # so that nothing is compiled while the clock runs
    details: dict[str, float] = {}
    if kind == "statistics":
        tables: list[object] = []
        details["statistics"] = seconds(lambda: tables.append(region_statistics(labels)))
        details["regions"] = len(tables[0])  # type: ignore[arg-type]
        details["proportions"] = seconds(lambda: proportions(labels))
        details["contacts"] = seconds(lambda: phase_contacts(labels))
    elif kind == "in memory":
        details["labelling"] = seconds(lambda: region_labels(labels))
    else:
        lazy = region_labels(da.from_array(labels, chunks=(512, -1)))
        shape, dtype = lazy.shape, lazy.dtype
        out = np.lib.format.open_memmap(f"{path}.regions.npy", "w+", dtype, shape)
        details["labelling"] = seconds(lambda: da.store(lazy.data, out))
    report_memory(**details)


def measure(*, quick: bool) -> Result:
    """Compare with scikit-image on a part, and measure 100 million pixels."""
    side, peer_side, repeats = (300, 100, 1) if quick else (10_000, 1000, 3)
    result = Result("phases: regions", {"pixels": side**2, "pixels per grain": PIXELS_PER_GRAIN})
    rate = memory_read_rate()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.npy"
        write_grains(path, side, pixels_per_grain=PIXELS_PER_GRAIN)
        part = np.array(np.load(path, mmap_mode="r")[:peer_side, :peer_side])
        if not np.array_equal(np.sort(ours(part)), np.sort(theirs(part))):
            raise RuntimeError("The regions are not those of scikit-image.")
        times = rounds({"ours": lambda: ours(part), "theirs": lambda: theirs(part)}, repeats)
        taken = min(times["ours"])
        result.rows.append(
            Row(
                stage="statistics of regions",
                size=part.size,
                seconds=taken,
                peer=f"scikit-image {version('scikit-image')}",
                times_peer=median_ratio(times["theirs"], times["ours"]),
                agreement="all areas equal",
                **of_memory(part.nbytes, taken, rate),
            )
        )
        for kind in ("statistics", "in memory", "streamed"):
            words = ("--part", "regions", "--report", str(path), kind)
            found = peak_memory("benchmarks.phases", *words)
            peak, regions = found.pop("peak"), found.pop("regions", None)
            if regions is not None:
                result.figures["regions"] = regions
            for name, taken in found.items():
                stage = f"labelling, {kind}" if name == "labelling" else name
                share = of_memory(part.itemsize * side**2, taken, rate)
                row = Row(stage=stage, size=side**2, seconds=taken, peak_memory=peak, **share)
                result.rows.append(row)
    return result
