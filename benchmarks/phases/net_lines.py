"""
Net line maps: their time beside gross ones, and memory.

Each line has two background windows besides its own, from one pass over a stored map. The memory is
the peak of a process that opens the map and writes the net counts and their errors to a store
region by region (streamed), or keeps them, with everything that it imports; and the same for the
empty process, that imports but doesn't compute.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import (
    Result,
    median_ratio,
    peak_memory,
    report_memory,
    rounds,
    seconds,
)
from benchmarks.feature_pass import with_threads
from sigma_scale.features import feature_pass
from sigma_scale.features.net_lines import net_line_intensity
from sigma_scale.store import open_map, write_map
from sigma_scale.synthetic import synthetic_map

LINES = ["O_Ka", "Na_Ka", "Mg_Ka", "Al_Ka", "Si_Ka", "K_Ka", "Ca_Ka", "Ti_Ka", "Fe_Ka"]
KINDS = ("nothing", "streamed", "in memory")


def report(path: str, kind: str) -> None:
    """Make the maps of a stored map in this process; report seconds and peak memory."""
    image = open_map(path)
    took = 0.0
    if kind == "streamed":
        maps = net_line_intensity(image, LINES)[["net", "net_error"]]
        # With chunks of the regions, so that each is written once and then forgotten.
        encoding = {name: {"chunks": part.data.chunksize} for name, part in maps.items()}
        target = f"{path}.net.zarr"
        took = seconds(with_threads(2, lambda: maps.to_zarr(target, encoding=encoding)))
    elif kind == "in memory":
        took = seconds(with_threads(2, lambda: net_line_intensity(image, LINES).compute()))
    report_memory(seconds=took)


def measure(*, quick: bool) -> Result:
    """Measure time and memory on a map of 16.8 million pixels."""
    side, repeats = (256, 1) if quick else (4096, 5)
    result = Result(
        "net line maps",
        {"pixels": side**2, "channels": 1024, "lines": len(LINES), "counts per pixel": 25.0},
    )
    figures = result.figures
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.zarr"
        write_map(synthetic_map((side, side), counts_per_pixel=25.0).image, path)
        image = open_map(path)

        def net() -> None:
            for part in net_line_intensity(image, LINES, lazy=False)["net"].data.blocks.ravel():
                part.compute()

        gross = feature_pass(image, LINES, lazy=False)["line_intensity"]
        found = net_line_intensity(image, LINES)["gross"]
        np.testing.assert_array_equal(found[:64, :64], gross[:64, :64])
        times = rounds(
            {
                "gross": with_threads(2, lambda: feature_pass(image, LINES, lazy=False)),
                "net": with_threads(2, net),
            },
            repeats,
        )
        figures["net over gross, time"] = median_ratio(times["net"], times["gross"])
        figures["net and error, MB"] = 2 * 8 * len(LINES) * side**2 / 1e6
        for kind in KINDS:
            peak = peak_memory(
                "benchmarks.phases", "--part", "net_lines", "--report", str(path), kind
            )
            figures[f"{kind}: peak memory of the process, MB"] = peak["peak"] / 1e6
            if peak["seconds"]:
                figures[f"{kind}: time, s, 2 threads"] = peak["seconds"]
    return result
