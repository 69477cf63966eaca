"""
Reading vendor files against a peer, and writing them to a store against reading them.

Decoding .bcf files in one thread is compared with RosettaSciIO's compiled decoder, which makes the
dense array: on real files, and on written ones of fewer and fewer counts. Then a map of each format
is written to a store: its rate as a share of decoding alone with the same threads, its share of
decoding in one thread, and the peak memory.

    python -m benchmarks.ingest --side 4096 --real FOLDER
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np

from benchmarks.common import Result, median_ratio, peak_memory, report_memory, rounds, seconds
from sigma_scale import compute
from sigma_scale.readers import read
from sigma_scale.readers.bruker.source import BrukerSource
from sigma_scale.store import write_map

if TYPE_CHECKING:
    from collections.abc import Callable

    from sigma_scale.spectra import SpectrumImage

# The writers of files are those of the tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "readers"))

import bruker_files
import oxford_files
import ripple_files
import velox_files

CHANNELS = 2048
DENSITIES = (25.0, 2.0, 0.5, 0.1)
"""Counts per pixel of the files that are decoded."""
THREADS = 2


def decode_all(image: SpectrumImage, threads: int) -> int:
    """Decode every block and forget it; the number of events."""

    def events(place: tuple[int, int]) -> int:
        return image.source.read_block(*place).n_events

    with dask.config.set(num_workers=threads):
        return sum(compute.stream(events, list(np.ndindex(image.n_blocks))))


def peer_decode(path: Path) -> Callable[[], object]:
    """Bind RosettaSciIO's compiled decoder to the map of a .bcf file, its header parsed before."""
    from rsciio.bruker import unbcf_fast
    from rsciio.bruker._api import BCF_reader

    reader = BCF_reader(str(path))
    hypermap = reader.get_file("EDSDatabase/SpectrumData0")
    header = reader.header
    shape = (
        header.image.height,
        header.image.width,
        header.spectra_data[0].data.size,
    )
    dtype = header.estimate_map_depth(index=0)
    return lambda: unbcf_fast.parse_to_numpy(hypermap, shape, dtype)


def our_decode(path: Path) -> Callable[[], object]:
    """Bind our decoder, and the walk through the file before it, to a file that is open."""
    image = read(path)
    source: Any = image.source

    def decode() -> int:
        # A source of its own, since one that has been used knows its way through the file.
        fresh = BrukerSource(
            source.path, source.content, source.shape, source.stream_shape, source.chunk_shape
        )
        return sum(fresh.read_block(*place).n_events for place in np.ndindex(image.n_blocks))

    return decode


def whole_file(path: Path) -> dict[str, Callable[[], object]]:
    """Bind both ways from a closed file to its counts, in one thread."""
    from rsciio.bruker import file_reader

    return {"ours": lambda: decode_all(read(path), 1), "peer": lambda: file_reader(str(path))}


def compare_decoders(path: Path, name: str, figures: dict[str, float], repeats: int) -> None:
    """Time our decoder and the peer's on a .bcf file, after checking that they agree."""
    peer = peer_decode(path)
    np.testing.assert_array_equal(read(path).to_xarray(), peer())  # type: ignore[arg-type]
    rows, columns, _ = read(path).shape
    repeats *= max(1, min(50, 2_000_000 // (rows * columns)))  # Small files take no time.
    times = rounds({"ours": our_decode(path), "peer": peer}, repeats)
    whole = rounds(whole_file(path), max(1, repeats // 5))
    figures[f"{name}: decoding, Mpx/s, 1 thread"] = rows * columns / 1e6 / min(times["ours"])
    figures[f"{name}: times the dense decoder"] = median_ratio(times["peer"], times["ours"])
    figures[f"{name}: times RosettaSciIO, whole file"] = median_ratio(whole["peer"], whole["ours"])


def benchmark_decoding(folder: Path, real: Path | None, side: int, repeats: int) -> Result:
    """Compare decoders on real and written files."""
    result = Result("decoding .bcf", {"written": f"{side} x {side} x {CHANNELS}"})
    for path in sorted(real.glob("*.bcf")) if real else ():
        if path.stat().st_size > 1000:  # noqa: PLR2004 -- one of them is none
            compare_decoders(path, path.name, result.figures, repeats)
    for density in DENSITIES:
        path = write_bcf(folder / f"{density}.bcf", (side, side, CHANNELS), density)
        compare_decoders(path, f"{density:g} counts per pixel", result.figures, repeats)
        path.unlink()
    return result


def write_bcf(path: Path, shape: tuple[int, int, int], density: float) -> Path:
    """Write random counts to a .bcf file."""
    rows = bruker_files.random_rows(shape, density)
    return bruker_files.write_bcf_stream(path, shape, rows)


def random_counts(shape: tuple[int, int, int], density: float) -> np.ndarray:
    """Make random counts, dense; for maps of moderate size only."""
    counts = np.zeros((shape[0] * shape[1], shape[2]), dtype=np.int32)
    rng = np.random.default_rng(0)
    number = int(density * counts.shape[0])
    channels = np.minimum(rng.gamma(2.0, shape[2] / 12, number).astype(int), shape[2] - 1)
    np.add.at(counts, (rng.integers(0, counts.shape[0], number), channels), 1)
    return counts.reshape(shape)


def write_h5oina(path: Path, shape: tuple[int, int, int], density: float) -> Path:
    """Write random counts to an .h5oina file, some rows of the map at a time."""
    import h5py

    rows, columns, channels = shape
    band = random_counts((min(64, rows), columns, channels), density)
    eds = oxford_files.eds(
        band,
        **{"X Cells": columns, "Y Cells": rows, "Number Channels": channels},
    )
    oxford_files.write_h5oina(path, {"1": {"EDS": eds}})
    with h5py.File(path, "r+") as file:
        data = file["1/EDS/Data"]
        del data["Spectrum"]
        spectra = data.create_dataset(
            "Spectrum",
            (rows * columns, channels),
            np.int32,
            chunks=(16, channels),
            compression="lzf",
        )
        flat = band.reshape(-1, channels)
        for start in range(0, rows * columns, flat.shape[0]):
            stop = min(start + flat.shape[0], rows * columns)
            spectra[start:stop] = flat[: stop - start]
    return path


def write_raw(path: Path, shape: tuple[int, int, int], density: float) -> Path:
    """Write random counts to a pair of .rpl and .raw files, some rows of the map at a time."""
    rows, columns, channels = shape
    band = random_counts((min(64, rows), columns, channels), density).astype(np.uint8)
    ripple_files.write_ripple(path.parent, band[:1], stem=path.stem, entries={"height": rows})
    with path.with_suffix(".raw").open("wb") as stream:
        for start in range(0, rows, band.shape[0]):
            stream.write(band[: min(band.shape[0], rows - start)].tobytes())
    ripple_files.write_emsa(path.with_suffix(".msa"), channels)
    return path


def write_emd(path: Path, shape: tuple[int, int, int], density: float) -> Path:
    """Write random counts of ten frames to a Velox file."""
    return velox_files.write_random_velox(path, shape, counts_per_pixel=density, n_frames=10)


WRITERS: dict[str, Callable[[Path, tuple[int, int, int], float], Path]] = {
    "map.bcf": write_bcf,
    "map.h5oina": write_h5oina,
    "map.rpl": write_raw,
    "map.emd": write_emd,
}


ROWS = {"map.bcf": 4096, "map.emd": 4096, "map.rpl": 512, "map.h5oina": 256}
"""At most so many rows, as writing dense formats takes long; the width is what memory costs."""


def benchmark_ingest(
    folder: Path, name: str, shape: tuple[int, int, int], *, density: float, repeats: int
) -> Result:
    """Write a map of one format to a store, and decode it alone."""
    result = Result(
        f"ingest {Path(name).suffix}",
        {"map": " x ".join(map(str, shape)), "counts per pixel": density, "threads": THREADS},
    )
    path = WRITERS[name](folder / name, shape, density)
    store = folder / "store.zarr"
    megapixels = shape[0] * shape[1] / 1e6

    def ingest() -> None:
        shutil.rmtree(store, ignore_errors=True)
        with dask.config.set(num_workers=THREADS):
            write_map(read(path), store)

    times = rounds(
        {
            "two": lambda: decode_all(read(path), THREADS),
            "one": lambda: decode_all(read(path), 1),
            "ingest": ingest,
        },
        repeats,
    )
    shutil.rmtree(store)
    memory = peak_memory("benchmarks.ingest", "--memory-of", str(path), "--store", str(store))
    figures = result.figures
    figures["file, MB"] = sum(f.stat().st_size for f in folder.glob("map.*")) / 1e6
    figures["decoding, Mpx/s, 1 thread"] = megapixels / min(times["one"])
    figures["decoding, Mpx/s, 2 threads"] = megapixels / min(times["two"])
    figures["ingest, Mpx/s, 2 threads"] = megapixels / min(times["ingest"])
    figures["ingest over decoding, 2 threads each"] = median_ratio(times["two"], times["ingest"])
    figures["ingest (2 threads) over decoding in 1"] = median_ratio(times["one"], times["ingest"])
    figures["peak memory of the process, MB"] = memory["peak"] / 1e6
    figures["of which before the ingest, MB"] = memory["before"] / 1e6
    figures["hash of the file, s"] = memory["hash"]
    shutil.rmtree(store)
    for file in folder.glob("map.*"):
        file.unlink()
    return result


def report_ingest_memory(path: Path, store: Path) -> None:
    """Write a store in this process and report its peak memory."""
    import psutil

    before = psutil.Process().memory_info().rss
    with dask.config.set(num_workers=THREADS), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = read(path)
        hashing = seconds(image.metadata.with_hashes)
        write_map(image, store)
    report_memory(before=before, hash=hashing)


def run(arguments: argparse.Namespace) -> list[Result]:
    """Measure what is asked for."""
    results = []
    side = arguments.side
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        if arguments.only in {None, "decoding"}:
            small = min(side, 512)
            results.append(benchmark_decoding(folder, arguments.real, small, arguments.repeats))
            results[-1].print()
        for file in WRITERS:
            if arguments.only not in {None, Path(file).suffix[1:]}:
                continue
            shape = (min(side, ROWS[file]), side, CHANNELS)
            results.append(
                benchmark_ingest(
                    folder, file, shape, density=arguments.counts, repeats=arguments.repeats
                )
            )
            results[-1].print()
    return results


def main(arguments: list[str] | None = None) -> list[Result]:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096, help="rows and columns of the .bcf map")
    parser.add_argument("--counts", type=float, default=25.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--real", type=Path, help="folder of real .bcf files to decode")
    parser.add_argument("--only", choices=["decoding", "bcf", "h5oina", "rpl", "emd"])
    parser.add_argument("--folder", type=Path, help="where to write files; needs some gigabytes")
    parser.add_argument("--out", type=Path, help="folder to write the figures to, as JSON")
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.memory_of:
        report_ingest_memory(chosen.memory_of, chosen.store)
        return []
    results = run(chosen)
    if chosen.out:
        for result in results:
            result.write(chosen.out / f"{result.name.replace(' ', '_').replace('.', '')}.json")
    return results


if __name__ == "__main__":
    main()
