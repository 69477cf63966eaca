"""
Net line maps: their time beside gross ones, and memory.

The counts of a synthetic map are read from its store-like blocks in memory, so that the ratio is
that of the passes: each line has two background windows besides its own.

    python -m benchmarks.phases_net_lines
    python -m benchmarks.phases_net_lines --quick
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.common import Result, median_ratio, rounds
from sigma_scale.features import feature_pass
from sigma_scale.features.net_lines import net_line_intensity
from sigma_scale.spectra import ArraySource, EnergyAxis, SpectrumImage

_LINES = ["O_Ka", "Na_Ka", "Mg_Ka", "Al_Ka", "Si_Ka", "K_Ka", "Ca_Ka", "Ti_Ka", "Fe_Ka"]


def make_image(side: int) -> SpectrumImage:
    """Make a map of 30 counts per pixel in 1,024 channels."""
    counts = np.random.default_rng(0).poisson(30 / 1024, (side, side, 1024)).astype(np.uint8)
    return SpectrumImage(ArraySource(counts, (128, 128)), EnergyAxis(1024, 0.01))


def main(arguments: list[str] | None = None) -> Result:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a toy size")
    parser.add_argument("--out", type=Path, help="file for the figures, JSON")
    options = parser.parse_args(arguments)
    side, repeats = (128, 2) if options.quick else (768, 5)
    image = make_image(side)

    def net() -> None:
        for part in net_line_intensity(image, _LINES, lazy=False)["net"].data.blocks.ravel():
            part.compute()

    times = rounds({"gross": lambda: feature_pass(image, _LINES, lazy=False), "net": net}, repeats)
    result = Result(
        "Net line maps",
        {"pixels": side * side, "lines": len(_LINES)},
        {"net over gross, time": median_ratio(times["net"], times["gross"])},
    )
    result.print()
    if options.out is not None:
        result.write(options.out)
    return result


if __name__ == "__main__":
    main()
