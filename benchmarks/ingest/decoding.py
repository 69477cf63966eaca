"""
Decoding in one thread, against libraries that make a dense array.

RosettaSciIO's compiled decoder of .bcf files is compared on written files of fewer and fewer
counts, and on real ones where there are some. Whole files of each format, from opening to the last
count, are compared with RosettaSciIO, or with h5py where it has no reader. The limit is to read the
file's bytes, from the system's cache.
"""

from __future__ import annotations

import os
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np

from benchmarks.common import median_ratio, rounds
from benchmarks.ingest.files import CHANNELS, WRITERS, parts_of, remove
from benchmarks.limits import read_file
from benchmarks.record import Result, Row
from sigma_scale import compute
from sigma_scale.readers import read
from sigma_scale.readers.bruker.source import BrukerSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sigma_scale.spectra import SpectrumImage

DENSITIES = (25.0, 2.0, 0.5, 0.1)
"""Counts per pixel of the .bcf files that are decoded."""
LIMIT = "read the file"
_LEAST_BYTES = 1000
"""Of a real file: a smaller one holds no map."""


def decode_all(image: SpectrumImage, threads: int) -> int:
    """Decode every block and forget it; the number of events."""

    def events(place: tuple[int, int]) -> int:
        return image.source.read_block(*place).n_events

    with dask.config.set(num_workers=threads):
        return sum(compute.stream(events, list(np.ndindex(image.n_blocks))))


def read_and_decode(path: Path) -> int:
    """Open a file and decode all of it in one thread."""
    return decode_all(read(path), 1)


def read_files(path: Path) -> int:
    """Read all files of a map, without understanding them."""
    return sum(read_file(part) for part in parts_of(path))


def their_decoder(path: Path) -> Callable[[], Any]:
    """Bind RosettaSciIO's compiled decoder to the map of a .bcf file, its header parsed before."""
    from rsciio.bruker import unbcf_fast
    from rsciio.bruker._api import BCF_reader

    reader = BCF_reader(str(path))
    hypermap = reader.get_file("EDSDatabase/SpectrumData0")
    header = reader.header
    shape = (header.image.height, header.image.width, header.spectra_data[0].data.size)
    dtype = header.estimate_map_depth(index=0)
    return lambda: unbcf_fast.parse_to_numpy(hypermap, shape, dtype)


def our_decoder(path: Path) -> Callable[[], object]:
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


def by_rosettasciio(path: Path) -> Any:
    """Read a file with RosettaSciIO; its map, dense."""
    from rsciio import bruker, emd, ripple

    reader = {".bcf": bruker, ".emd": emd, ".rpl": ripple}[path.suffix].file_reader
    options = {"select_type": "spectrum_image"} if path.suffix != ".rpl" else {}
    (found,) = (each for each in reader(str(path), **options) if each["data"].ndim == 3)  # noqa: PLR2004
    return found["data"]


def by_h5py(path: Path) -> Any:
    """Read the counts of an .h5oina file with h5py; dense, pixel by channel."""
    import h5py

    with h5py.File(path) as file:
        return file["1/EDS/Data/Spectrum"][:]


def check_equal(path: Path, dense: Any) -> None:
    """Refuse to time two that don't give the same counts."""
    ours = read(path).to_xarray().to_numpy()
    np.testing.assert_array_equal(ours.reshape(-1, ours.shape[2]), dense.reshape(-1, ours.shape[2]))


def compared(
    stage: str, path: Path, ways: dict[str, Callable[[], object]], peer: str, repeats: int
) -> Row:
    """Time two ways to the counts of a file in turn, and reading its bytes."""
    rows, columns, _ = read(path).shape
    times = rounds({**ways, "limit": lambda: read_files(path)}, repeats)
    return Row(
        stage=stage,
        size=rows * columns,
        seconds=min(times["ours"]),
        peer=peer,
        times_peer=median_ratio(times["theirs"], times["ours"]),
        limit=LIMIT,
        of_limit=median_ratio(times["limit"], times["ours"]),
        agreement="equal",
    )


def compare_decoders(path: Path, name: str, repeats: int) -> Row:
    """Compare both decoders on a .bcf file."""
    theirs = their_decoder(path)
    check_equal(path, theirs())
    rows, columns, _ = read(path).shape
    repeats *= max(1, min(50, 2_000_000 // (rows * columns)))  # Small files take no time.
    ways = {"ours": our_decoder(path), "theirs": theirs}
    peer = f"RosettaSciIO {version('rosettasciio')}, compiled"
    return compared(f"decode .bcf, {name}", path, ways, peer, repeats)


def real_files() -> list[Path]:
    """Real .bcf files, where the tests look for them."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("SIGMA_SCALE_REAL_DATA", beside))
    return [file for file in sorted(folder.glob("*.bcf")) if file.stat().st_size > _LEAST_BYTES]


def measure(folder: Path, *, quick: bool) -> Iterator[Result]:
    """Compare decoders of .bcf files, then readers of whole files of each format."""
    import rsciio

    rsciio.set_log_level("ERROR")  # else it tells of each file that it has one stream only
    side, repeats = (48, 1) if quick else (512, 3)
    result = Result("ingest: decoding .bcf", {"written": f"{side} x {side} x {CHANNELS}"})
    for density in DENSITIES:
        path = WRITERS["bcf"](folder / "map.bcf", (side, side, CHANNELS), density)
        result.rows.append(compare_decoders(path, f"{density:g} counts per pixel", repeats))
        remove(path)
    for path in () if quick else real_files():
        result.rows.append(compare_decoders(path, path.name, repeats))
    yield result
    shape, density = (48 if quick else 256, side // 2, CHANNELS), DENSITIES[0]
    result = Result(
        "ingest: whole files, 1 thread",
        {"map": " x ".join(map(str, shape)), "counts per pixel": density},
    )
    for suffix, write in WRITERS.items():
        path = write(folder / f"map.{suffix}", shape, density)
        theirs, library = (by_rosettasciio, "RosettaSciIO")
        if suffix == "h5oina":
            theirs, library = by_h5py, "h5py"
        check_equal(path, theirs(path))
        ways: dict[str, Callable[[], object]] = {
            "ours": partial(read_and_decode, path),
            "theirs": partial(theirs, path),
        }
        peer = f"{library} {version(library)}, dense"
        result.rows.append(compared(f"read .{suffix}", path, ways, peer, repeats))
        remove(path)
    yield result
