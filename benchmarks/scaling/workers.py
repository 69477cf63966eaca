"""
One worker process and two, of one thread each, on the stages that stream a map.

They take turns, in rounds; a small map before each lets new processes import and load what is
compiled. Results of both are the same, byte by byte where they are files.
"""

from __future__ import annotations

import hashlib
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common import median_ratio, seconds
from benchmarks.feature_pass import read_and_decompress
from benchmarks.record import Result, Row
from benchmarks.scaling.measuring import BIN, COUNTS, LINES
from sigma_scale import compute
from sigma_scale.features import feature_pass
from sigma_scale.phases import phase_spectra
from sigma_scale.preprocess import rebin, rebin_labels
from sigma_scale.store import Encoding, open_map, write_map
from sigma_scale.synthetic import synthetic_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import xarray as xr

STAGES = ("copy of the counts", "feature pass", "spectra per phase")
LIMIT = "limit"


def digest(folder: Path) -> str:
    """Hash of all files in a folder, with their places."""
    whole = hashlib.sha256()
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        whole.update(str(file.relative_to(folder)).encode())
        whole.update(file.read_bytes())
    return whole.hexdigest()


def run_stages(
    path: Path, folder: Path, labels: xr.DataArray
) -> tuple[dict[str, float], dict[str, Any]]:
    """Seconds and results of the stages, wherever work goes at the moment."""
    image = open_map(path)
    copy = folder / "copy.zarr"
    seen = rebin(image, (BIN, BIN))
    ways: dict[str, Callable[[], Any]] = {
        "copy of the counts": lambda: write_map(image, copy, overwrite=True),
        "feature pass": lambda: feature_pass(seen, LINES, lazy=False),
        "spectra per phase": lambda: phase_spectra(seen, labels),
    }
    times: dict[str, float] = {}
    results: dict[str, Any] = {}

    def keep(name: str) -> None:
        results[name] = ways[name]()

    for name in ways:
        times[name] = seconds(partial(keep, name))
    results["copy of the counts"] = digest(copy / "counts")
    return times, results


def same(one: Any, other: Any) -> bool:
    """Whether two results are equal: hashes, or datasets with their values."""
    return bool(one == other) if isinstance(one, str) else bool(one.equals(other))


def measure(*, quick: bool) -> Iterator[Result]:
    """Compare two worker processes with one."""
    side, small, repeats = (255, 129, 1) if quick else (4098, 1026, 3)
    result = Result(
        "scaling: workers",
        {"pixels": side**2, "channels": 1024, "counts per pixel": COUNTS, "threads each": 1},
    )
    times: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    results: dict[int, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        labels = {}
        for label, size in (("small", small), ("map", side)):
            made = synthetic_map((size, size), counts_per_pixel=COUNTS)
            write_map(made.image, folder / f"{label}.zarr")
            labels[label] = rebin_labels(made.labels, (BIN, BIN)).compute()
        for _ in range(repeats):
            for number, measured in times.items():
                with compute.connect(f"processes:{number}", threads_per_worker=1):
                    run_stages(folder / "small.zarr", folder, labels["small"])
                    taken, results[number] = run_stages(folder / "map.zarr", folder, labels["map"])
                limit = partial(read_and_decompress, folder / "map.zarr", Encoding(), number)
                taken[LIMIT] = seconds(limit)
                measured.append(taken)
    for stage in STAGES:
        if not same(results[1][stage], results[2][stage]):
            raise RuntimeError(f"{stage}: two workers don't give what one gives.")
        one, two = ([each[stage] for each in times[number]] for number in (1, 2))
        alone = [each[LIMIT] for each in times[2]]
        result.rows.append(
            Row(
                stage=f"{stage}, two workers",
                size=side**2,
                seconds=min(two),
                peer="one worker",
                times_peer=median_ratio(one, two),
                limit="read and decompress, 2 threads",
                of_limit=median_ratio(alone, two),
                agreement="the same bytes" if isinstance(results[1][stage], str) else "equal",
            )
        )
    yield result
