"""
Net line maps: their time beside gross ones, and memory.

Each line has two background windows besides its own, from one pass over a stored map. The limit is
to read and decompress the same chunks. The memory is the peak of a process that opens the map and
writes the net counts and their errors to a store region by region, with everything that it imports.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import median_ratio, peak_memory, report_memory, rounds, seconds
from benchmarks.feature_pass import read_and_decompress, with_threads
from benchmarks.record import Result, Row
from sigma_scale.features import feature_pass
from sigma_scale.features.net_lines import net_line_intensity
from sigma_scale.store import Encoding, open_map, write_map
from sigma_scale.synthetic import synthetic_map

LINES = ["O_Ka", "Na_Ka", "Mg_Ka", "Al_Ka", "Si_Ka", "K_Ka", "Ca_Ka", "Ti_Ka", "Fe_Ka"]


def report(path: str) -> None:
    """Write the maps of a stored map in this process; report seconds and peak memory."""
    maps = net_line_intensity(open_map(path), LINES)[["net", "net_error"]]
    # With chunks of the regions, so that each is written once and then forgotten.
    encoding = {name: {"chunks": part.data.chunksize} for name, part in maps.items()}
    target = f"{path}.net.zarr"
    took = seconds(with_threads(2, lambda: maps.to_zarr(target, encoding=encoding)))
    report_memory(seconds=took)


def measure(*, quick: bool) -> Result:
    """Measure time and memory on a map of 16.8 million pixels."""
    side, repeats = (256, 1) if quick else (4096, 3)
    result = Result(
        "phases: net lines",
        {"pixels": side**2, "channels": 1024, "lines": len(LINES), "counts per pixel": 25.0},
    )
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
                "limit": lambda: read_and_decompress(path, Encoding(), 2),
                "gross": with_threads(2, lambda: feature_pass(image, LINES, lazy=False)),
                "net": with_threads(2, net),
            },
            repeats,
        )
        words = ("--part", "net_lines", "--report", str(path))
        stored = peak_memory("benchmarks.phases", *words)
    result.rows = [
        Row(
            stage="net intensities, 2 threads",
            size=side**2,
            seconds=min(times["net"]),
            peer="gross intensities",
            times_peer=median_ratio(times["gross"], times["net"]),
            limit="read and decompress",
            of_limit=median_ratio(times["limit"], times["net"]),
            agreement="gross counts of a corner equal",
        ),
        Row(
            stage="net intensities and errors, to a store",
            size=side**2,
            seconds=stored["seconds"],
            limit="read and decompress",
            of_limit=min(times["limit"]) / stored["seconds"],
            peak_memory=stored["peak"],
        ),
    ]
    result.figures["net counts and errors, MB"] = 2 * 8 * len(LINES) * side**2 / 1e6
    return result
