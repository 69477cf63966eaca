"""
Writer of Bruker .bcf files, for tests and benchmarks.

:func:`write_bcf` writes maps from dense counts in every packing, :func:`write_bcf_stream` a map of
any size row by row with bounded memory. Written from the layout that RosettaSciIO reads.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from bruker_xml import CHANNELS_OF_FILE, header_xml
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FIRST_LINE = 0x1A0
HEAD = 0x118
BLOCK_HEAD = 32

# ------------------------------------------------------------------------------ pixels


def pack_16(pulses: Sequence[int]) -> bytes:
    return np.asarray(pulses, dtype="<u2").tobytes()


def pack_12(pulses: Sequence[int]) -> bytes:
    """Four channels in six bytes; of an incomplete group only the 16-bit words in use."""
    out = bytearray()
    for start in range(0, len(pulses), 4):
        group = [int(p) for p in pulses[start : start + 4]]
        a, b, c, d = group + [0] * (4 - len(group))
        words = ((a << 4) | (b >> 8), ((b & 255) << 8) | (c >> 4), ((c & 15) << 12) | d)
        out += struct.pack("<3H", *words)[: 2 * len(group) if len(group) < 4 else 6]
    return bytes(out)


def pack_runs(counts: NDArray[Any], width: int | None = None) -> bytes:
    """Runs of up to 255 channels, with or without counts; the base is each run's smallest."""
    out = bytearray()
    counts = np.asarray(counts)
    last = int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else 0
    start = 0
    while start < last:
        stop = start
        empty = counts[start] == 0
        while stop < last and stop - start < 255 and (counts[stop] == 0) == empty:
            stop += 1
        if empty:
            out += bytes([0, stop - start])
        else:
            run = [int(c) for c in counts[start:stop]]
            base = min(run)
            excess = max(run) - base
            fits = [w for w in (1, 2, 4, 8) if excess < 1 << (4 * w) and base < 1 << (8 * w)]
            chosen = width if width in fits else fits[0]
            out += bytes([chosen, len(run)]) + base.to_bytes(chosen, "little")
            rest = [c - base for c in run]
            if chosen == 1:
                rest += [0] * (len(rest) % 2)
                out += bytes(a | (b << 4) for a, b in zip(rest[::2], rest[1::2], strict=True))
            else:
                out += b"".join(c.to_bytes(chosen // 2, "little") for c in rest)
        start = stop
    return bytes(out)


def pulses_of(counts: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int64]:
    """Channels of a pixel's pulses in the order of their arrival."""
    pulses = np.repeat(np.arange(counts.size), counts.astype(np.int64))
    rng.shuffle(pulses)
    return pulses


def pack_pixel(
    x: int, counts: NDArray[Any], packing: str | int, rng: np.random.Generator, width: int | None
) -> bytes:
    """A pixel: header and packed counts."""
    total = int(counts.sum(dtype=np.int64))
    if packing == "auto":
        packing = "runs" if total > 400 else 12 if counts.size <= 4096 else 16
    if packing == "runs":
        extra = np.zeros(counts.size, dtype=np.int64)
        if total > 3:
            pulses = pulses_of(np.minimum(counts, 2), rng)[: int(rng.integers(0, 40))]
            np.add.at(extra, pulses, 1)
        runs = pack_runs(counts - extra, width)
        pulses = pulses_of(extra, rng)
        data = runs + struct.pack("<I", 2 * pulses.size) + pack_16(pulses)
        flag, size = 2 if width is None else width + 1, len(runs) + 4
        n_pulses = pulses.size
    else:
        pulses = pulses_of(counts, rng)
        data = pack_12(pulses) if packing == 12 else pack_16(pulses)
        flag, size, n_pulses = (1 if packing == 12 else 0), len(data), pulses.size
    used = int(np.flatnonzero(counts)[-1]) + 1 if total else 0
    head = (x, CHANNELS_OF_FILE, used, 786_432, flag, size & 0xFFFF, n_pulses, size)
    return struct.pack("<IHHIHHHI", *head) + data


def pack_map(
    counts: NDArray[Any],
    *,
    packing: str | int = "auto",
    missing: NDArray[np.bool_] | None = None,
    seed: int = 0,
    width: int | None = None,
) -> bytes:
    """Stream of a map; ``missing`` (y, x) marks pixels to leave out."""
    rng = np.random.default_rng(seed)
    rows, columns, _ = counts.shape
    kinds = ["runs", 16, 12]
    out = [stream_head(rows, columns)]
    for y in range(rows):
        pixels = [
            pack_pixel(
                x, counts[y, x], kinds[(x + y) % 3] if packing == "mixed" else packing, rng, width
            )
            for x in range(columns)
            if missing is None or not missing[y, x]
        ]
        out += [struct.pack("<I", len(pixels)), *pixels]
    return b"".join(out)


def stream_head(rows: int, columns: int) -> bytes:
    return struct.pack("<4I", rows, columns, CHANNELS_OF_FILE, 1).ljust(FIRST_LINE, b"\0")


# --------------------------------------------------------------------------- container


class Container:
    """Writes inner files one after the other, each in parts; the lists of them come at the end."""

    def __init__(self, path: Path, block_size: int = 4096, scatter: int | None = None) -> None:
        self.block, self.usable = block_size, block_size - BLOCK_HEAD
        self.stream = path.open("wb")
        self.stream.write(bytes(HEAD + block_size))
        self.n_blocks = 1
        self.entries: list[tuple[int, int, int, bool, str]] = []
        self.rng = None if scatter is None else np.random.default_rng(scatter)

    def add_folder(self, name: str) -> int:
        self.entries.append((0, 0, -1, True, name))
        return len(self.entries) - 1

    def add_file(self, name: str, parent: int, parts: Iterable[bytes]) -> None:
        """Write a file's content, then the chain of blocks that lists its blocks."""
        size, first, kept = 0, self.n_blocks, b""
        scattered: list[bytes] = []
        for part in parts:
            size += len(part)
            kept = kept + part if kept else part
            whole = len(kept) // self.usable
            if self.rng is None:
                self._append(kept[: whole * self.usable])
            else:
                scattered += [kept[i * self.usable : (i + 1) * self.usable] for i in range(whole)]
            kept = kept[whole * self.usable :]
        if self.rng is None:
            self._append(kept)
            blocks = np.arange(first, self.n_blocks)
        else:
            scattered += [kept] if kept else []
            order = self.rng.permutation(len(scattered))
            blocks = np.empty(len(scattered), dtype=np.int64)
            for number in order:
                blocks[number] = self.n_blocks
                self._append(scattered[number])
        pointer = self._chain(blocks.astype("<u4").tobytes(), self.usable)
        self.entries.append((pointer, size, parent, False, name))

    def _append(self, content: bytes) -> None:
        if not content:
            return
        number = -(-len(content) // self.usable)
        blocks = np.zeros((number, self.block), dtype=np.uint8)
        padded = np.zeros(number * self.usable, dtype=np.uint8)
        padded[: len(content)] = np.frombuffer(content, dtype=np.uint8)
        blocks[:, BLOCK_HEAD:] = padded.reshape(number, self.usable)
        self.stream.write(blocks.data)
        self.n_blocks += number

    def _chain(self, content: bytes, per_block: int) -> int:
        first = self.n_blocks
        parts = [content[i : i + per_block] for i in range(0, len(content), per_block)] or [b""]
        for number, part in enumerate(parts):
            following = first + number + 1 if number + 1 < len(parts) else 0xFFFFFFFF
            head = struct.pack("<I", following).ljust(BLOCK_HEAD, b"\0")
            self.stream.write((head + part).ljust(self.block, b"\0"))
        self.n_blocks += len(parts)
        return first

    def close(self) -> None:
        raw = b"".join(
            struct.pack(
                "<iQQQQIi176s?3s256s32s",
                *(pointer, size, 0, 0, 0, 0, parent, b"", is_folder, b"", name.encode(), b""),
            )
            for pointer, size, parent, is_folder, name in self.entries
        )
        tree = self._chain(raw, self.usable // 512 * 512)
        # Block 0 holds the sizes, at offsets that count from the file's beginning.
        self.stream.seek(0)
        self.stream.write(b"AAMVHFSS")
        self.stream.seek(0x124)
        self.stream.write(struct.pack("<fI", 2.6, self.block))
        self.stream.seek(0x140)
        self.stream.write(struct.pack("<III", tree, len(self.entries), self.n_blocks))
        self.stream.close()


def compressed(content: bytes, part_bytes: int) -> bytes:
    """Content as zlib-compressed parts."""
    parts = [content[i : i + part_bytes] for i in range(0, len(content), part_bytes)] or [b""]
    out = [struct.pack("<4sIII", b"AACS", part_bytes, 0, len(parts)).ljust(0x80, b"\0")]
    for part in parts:
        packed = zlib.compress(part, 1)
        out += [struct.pack("<4I", len(packed), len(part), 0, len(packed) + 16), packed]
    return b"".join(out)


# ------------------------------------------------------------------------------- files


def write_bcf(
    path: Path,
    maps: NDArray[Any] | Sequence[NDArray[Any]],
    *,
    packing: str | int = "auto",
    compressed_parts: int | None = None,
    missing: NDArray[np.bool_] | None = None,
    block_size: int = 4096,
    scatter: int | None = None,
    width: int | None = None,
    streams: Sequence[bytes] | None = None,
    xml: bytes | None = None,
    extra_files: int = 0,
    **details: Any,
) -> Path:
    """
    Write maps (y, x, channel) of equal rows and columns to a .bcf file.

    ``packing`` is 16, 12, "runs", "mixed" or "auto"; ``compressed_parts`` is the size of the
    zlib-compressed parts; ``streams`` and ``xml`` replace what would be written; ``details`` are
    those of :func:`header_xml`.
    """
    maps = [maps] if isinstance(maps, np.ndarray) else list(maps)
    if streams is None:
        streams = [pack_map(m, packing=packing, missing=missing, width=width) for m in maps]
    spectra = {number: m.sum(axis=(0, 1), dtype=np.int64) for number, m in enumerate(maps)}
    if xml is None:
        xml = header_xml(maps[0].shape[:2], spectra, **details)
    container = Container(path, block_size, scatter)
    folder = container.add_folder("EDSDatabase")
    contents = {"HeaderData": xml, **{f"SpectrumData{i}": s for i, s in enumerate(streams)}}
    contents.update({f"Extra{i}": b"more" for i in range(extra_files)})
    for name, content in contents.items():
        stored = content if compressed_parts is None else compressed(content, compressed_parts)
        container.add_file(name, folder, [stored])
    container.close()
    return path


@njit(cache=True)
def _pack_rows_12(n_pulses: Any, pulses: Any, columns: int, out: Any) -> int:
    """Lines of 12-bit pixels; pixels without pulses are left out, as the vendor does."""
    at, k = 0, 0
    for row in range(n_pulses.size // columns):
        line_at, present = at, 0
        at += 4
        for x in range(columns):
            n = n_pulses[row * columns + x]
            if n == 0:
                continue
            present += 1
            size = 6 * (n // 4) + 2 * (n % 4)
            for b in range(4):
                out[at + b] = (x >> (8 * b)) & 255
            out[at + 4], out[at + 5], out[at + 6], out[at + 7] = 0, 16, 0, 8
            out[at + 8], out[at + 9], out[at + 10], out[at + 11] = 0, 0, 12, 0
            out[at + 12], out[at + 13] = 1, 0
            out[at + 14], out[at + 15] = size & 255, (size >> 8) & 255
            out[at + 16], out[at + 17] = n & 255, (n >> 8) & 255
            for b in range(4):
                out[at + 18 + b] = (size >> (8 * b)) & 255
            at += 22
            end = at + size
            for first in range(0, n, 4):
                p0 = np.int64(pulses[k + first])
                p1 = np.int64(pulses[k + first + 1]) if first + 1 < n else 0
                p2 = np.int64(pulses[k + first + 2]) if first + 2 < n else 0
                p3 = np.int64(pulses[k + first + 3]) if first + 3 < n else 0
                words = (
                    (p0 << 4) | (p1 >> 8),
                    ((p1 & 255) << 8) | (p2 >> 4),
                    ((p2 & 15) << 12) | p3,
                )
                for word in words:
                    if at < end:
                        out[at], out[at + 1] = word & 255, word >> 8
                        at += 2
            k += n
        for b in range(4):
            out[line_at + b] = (present >> (8 * b)) & 255
    return at


@njit(cache=True)
def _add_spectrum(pulses: Any, spectrum: Any) -> None:
    for p in pulses:
        spectrum[p] += 1


def write_bcf_stream(
    path: Path,
    shape: tuple[int, int, int],
    rows: Iterable[tuple[NDArray[Any], NDArray[Any]]],
    *,
    block_size: int = 4096,
    **details: Any,
) -> Path:
    """
    Write a map of any size with bounded memory, 12-bit packed.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    shape : tuple of int
        Rows, columns and channels; up to 4,096 channels.
    rows : iterable of tuple of array
        For one or several whole rows at a time: number of pulses of each pixel, and the channels
        of all pulses, pixel after pixel in any order within a pixel.
    """
    n_rows, columns, channels = shape
    spectrum = np.zeros(channels, dtype=np.int64)

    def parts() -> Iterator[bytes]:
        yield stream_head(n_rows, columns)
        written = 0
        for n_pulses, pulses in rows:
            most = 22 * n_pulses.size + 2 * pulses.size + 4 * (n_pulses.size // columns) + 8
            out = np.empty(most, dtype=np.uint8)
            size = _pack_rows_12(n_pulses, pulses, columns, out)
            _add_spectrum(pulses, spectrum)
            written += n_pulses.size // columns
            yield out[:size].tobytes()
        if written != n_rows:
            raise ValueError(f"{written} of {n_rows} rows were given")

    container = Container(path, block_size)
    folder = container.add_folder("EDSDatabase")
    container.add_file("SpectrumData0", folder, parts())
    container.add_file(
        "HeaderData", folder, [header_xml((n_rows, columns), {0: spectrum}, **details)]
    )
    container.close()
    return path


@njit(cache=True)
def _draw_channels(uniform: Any, table: Any, channels: Any) -> None:
    for i in range(uniform.size):
        channels[i] = table[int(uniform[i] * table.size)]


def random_rows(
    shape: tuple[int, int, int], counts_per_pixel: float, *, seed: int = 0, at_once: int = 16
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Rows of random pulses for :func:`write_bcf_stream`: some peaks on a falling background."""
    n_rows, columns, channels = shape
    rng = np.random.default_rng(seed)
    x = np.arange(channels)
    density = np.exp(-x / (0.25 * channels))
    for centre in (0.05, 0.12, 0.18, 0.33, 0.64):
        density += 12 * np.exp(-0.5 * ((x / channels - centre) * 400) ** 2)
    density /= density.sum()
    table = rng.choice(channels, 2**16, p=density).astype(np.uint16)
    for start in range(0, n_rows, at_once):
        pixels = (min(start + at_once, n_rows) - start) * columns
        n_pulses = rng.poisson(counts_per_pixel, pixels)
        pulses = np.empty(int(n_pulses.sum()), dtype=np.uint16)
        _draw_channels(rng.random(pulses.size, dtype=np.float32), table, pulses)
        yield n_pulses, pulses
