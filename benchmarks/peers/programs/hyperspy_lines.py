"""
Line intensities, totals and sum spectrum of a binned map with HyperSpy and eXSpy.

    python hyperspy_lines.py MAP FOLDER BIN eager|lazy LINE,LINE,...

The map is a .hspy file or a .zspy folder, of which rows and columns that don't fill a bin are cut
off: lazy signals can't be binned otherwise. Writes to the folder, as .npy: ``lines``, ``total``
and ``sum_spectrum``.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import dask
import numpy as np
from dask.base import compute
from reporting import report
from steps import Steps

THREADS = 2


def run(path: str, folder: Path, bin_size: int, way: str, lines: list[str]) -> Steps:
    """Run step by step; lazily, the last one does the work."""
    step = Steps()
    with step("import"):
        import hyperspy.api as hs
        from exspy import material, signals

        # What HyperSpy would import later, and the table of X-ray lines.
        _ = material.elements, signals
    with step("load"):
        signal = hs.load(path, lazy=way == "lazy")
    with step("rebin"):
        columns, rows = (n - n % bin_size for n in signal.axes_manager.navigation_shape)
        signal = signal.inav[:columns, :rows].rebin(scale=(bin_size, bin_size, 1))
    with step("lines"):
        maps = [m.data for m in signal.get_lines_intensity(lines)]
        results = [*maps, signal.data.sum(axis=2), signal.data.sum(axis=(0, 1))]
        *maps, total, spectrum = compute(*results) if way == "lazy" else results
    np.save(folder / "lines.npy", np.stack(maps, axis=-1))
    np.save(folder / "total.npy", total)
    np.save(folder / "sum_spectrum.npy", spectrum)
    return step


def main(path: str, folder: str, bin_size: str, way: str, lines: str) -> None:
    """Run, and report times, memory and versions."""
    warnings.simplefilter("ignore")
    with dask.config.set(scheduler="threads", num_workers=THREADS):
        step = run(path, Path(folder), int(bin_size), way, lines.split(","))
    report(**step.measures())


if __name__ == "__main__":
    main(*sys.argv[1:])
