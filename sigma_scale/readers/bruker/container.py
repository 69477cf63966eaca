"""
The container of .bcf files: AidAim's Single File System, a small file system in one file.

A head of 0x118 bytes is followed by blocks of equal size. Each block begins with 32 bytes of its
own, of which the first four number the next block of a chain, if it is part of one. Block 0
holds sizes; a chain of blocks lists the inner files; each inner file has a chain of blocks that
numbers the blocks of its content. An inner file whose content begins with ``AACS`` is compressed
piece by piece with zlib. The layout is the one that RosettaSciIO's documentation of the format
and its reader describe.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import FileFormatError
from sigma_scale.spectra import Scratch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

__all__ = ["FORMAT", "BlockLayout", "InnerFile", "damaged", "open_container", "read_exactly"]

FORMAT = "Bruker .bcf"

BLOCK_HEAD = 32
"""Bytes at the beginning of each block that are not content."""

_MAGIC = b"AAMVHFSS"
_HEAD_BYTES = 0x118
_BLOCK_BYTES_AT = 0x128
_TREE_AT = 0x140
_ENTRY = struct.Struct("<iQ28xi176x?3x256s32x")
_SMALLEST_BLOCK = BLOCK_HEAD + _ENTRY.size
_LARGEST_BLOCK = 2**26
_PIECE_BYTES = 4 * 2**20
_ROOT = -1


def damaged(path: Path, reason: str) -> FileFormatError:
    """Error for a file that contradicts itself."""
    return FileFormatError(f"{path} is damaged or not a {FORMAT} file: {reason}")


def read_exactly(stream: BinaryIO, offset: int, target: NDArray[np.uint8], path: Path) -> None:
    """
    Fill an array from a place in an unbuffered file.

    Raises
    ------
    FileFormatError
        If the file ends before.
    """
    stream.seek(offset)
    view = target.data
    while view.nbytes:
        number = stream.readinto(view)  # type: ignore[attr-defined]
        if not number:
            raise damaged(path, "it ends too early. Copy it again from where it was made.")
        view = view[number:]


@dataclass(frozen=True, slots=True)
class BlockLayout:
    """
    Where the blocks of a container are.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    block_bytes : int
        Size of a block with its head.
    n_blocks : int
        Number of blocks.
    """

    path: Path
    block_bytes: int
    n_blocks: int

    @property
    def content_bytes(self) -> int:
        """Size of the content of a block."""
        return self.block_bytes - BLOCK_HEAD

    def place(self, block: int) -> int:
        """
        Offset of a block's content in the file.

        Raises
        ------
        FileFormatError
            If there is no such block.
        """
        if not 0 <= block < self.n_blocks:
            raise damaged(self.path, f"it refers to block {block} of {self.n_blocks}.")
        return _HEAD_BYTES + block * self.block_bytes + BLOCK_HEAD

    def chain(self, stream: BinaryIO, first: int, length: int) -> bytes:
        """
        Join the content of ``length`` blocks, each of which numbers the next.

        Raises
        ------
        FileFormatError
            If the chain leaves the file or returns to a block.
        """
        parts, seen, block = [], set(), first
        buffer = np.empty(self.block_bytes, dtype=np.uint8)
        for _ in range(length):
            if block in seen:
                raise damaged(self.path, f"a chain of blocks returns to block {block}.")
            seen.add(block)
            read_exactly(stream, self.place(block) - BLOCK_HEAD, buffer, self.path)
            content = buffer.tobytes()
            (block,) = struct.unpack_from("<I", content)
            parts.append(content[BLOCK_HEAD:])
        return b"".join(parts)


@dataclass(frozen=True, slots=True, eq=False)
class InnerFile:
    """
    A file in the container, as stored.

    The numbers of its blocks mostly ascend one by one, so they are kept as runs.

    Parameters
    ----------
    layout : BlockLayout
        Blocks of the container.
    size : int
        Stored size in bytes.
    run_start : array, shape (runs + 1,), int64
        Which of the file's blocks each run begins with; at last, how many there are.
    run_block : array, shape (runs,), int64
        Number in the container of the first block of each run.
    """

    layout: BlockLayout
    size: int
    run_start: NDArray[np.int64]
    run_block: NDArray[np.int64]

    @property
    def inner(self) -> InnerFile:
        """The file that the content is of: this one, which is stored as it is."""
        return self

    def read(self, stream: BinaryIO, start: int, stop: int, target: NDArray[np.uint8]) -> None:
        """
        Read a part of the file, ``stop - start`` bytes, into an array of that size.

        Raises
        ------
        FileFormatError
            If the part reaches beyond the file, or the container was cut off.
        """
        content = self.layout.content_bytes
        block = start // content
        if start < 0 or not start < stop <= min((block + 1) * content, self.size):
            self.read_spans(stream, np.array([start]), np.array([stop]), target, Scratch())
            return
        run = int(np.searchsorted(self.run_start, block, side="right")) - 1
        place = self.layout.place(int(self.run_block[run] + block - self.run_start[run]))
        read_exactly(stream, place + start - block * content, target, self.layout.path)

    def read_spans(
        self,
        stream: BinaryIO,
        starts: NDArray[np.int64],
        stops: NDArray[np.int64],
        target: NDArray[np.uint8],
        scratch: Scratch,
    ) -> None:
        """
        Read parts of the file one after the other into an array of their joint size.

        Raises
        ------
        FileFormatError
            If a part reaches beyond the file, or the container was cut off.
        """
        from sigma_scale.readers.bruker.kernels import join_blocks

        if (starts < 0).any() or (stops < starts).any() or (stops > self.size).any():
            raise damaged(self.layout.path, "it refers to bytes beyond the end of its map.")
        starts, stops = self._within_runs(starts[stops > starts], stops[stops > starts])
        content, block = self.layout.content_bytes, self.layout.block_bytes
        first = starts // content
        run = np.searchsorted(self.run_start, first, side="right") - 1
        skip = starts - first * content
        places = self.layout.place(0) + (self.run_block[run] + first - self.run_start[run]) * block
        lengths = stops - starts + ((stops - 1) // content - first) * BLOCK_HEAD
        raw = scratch.take("bruker blocks", int(lengths.sum()))
        filled = 0
        for place, length in zip((places + skip).tolist(), lengths.tolist(), strict=True):
            read_exactly(stream, place, raw[filled : filled + length], self.layout.path)
            filled += length
        join_blocks(raw, lengths, content - skip, content, BLOCK_HEAD, target)

    def pieces(self, stream: BinaryIO) -> Iterator[NDArray[np.uint8]]:
        """Give the whole content in pieces of some megabytes."""
        step = max(1, _PIECE_BYTES // self.layout.content_bytes) * self.layout.content_bytes
        for start in range(0, self.size, step):
            piece = np.empty(min(step, self.size - start), dtype=np.uint8)
            self.read(stream, start, start + piece.size, piece)
            yield piece

    def _within_runs(
        self, starts: NDArray[np.int64], stops: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Split parts where the numbers of the blocks don't go on one by one."""
        breaks = self.run_start[1:-1] * self.layout.content_bytes
        low = np.searchsorted(breaks, starts, side="right")
        high = np.searchsorted(breaks, stops, side="left")
        if (low == high).all():
            return starts, stops
        cuts = [
            [start, *breaks[i:j].tolist(), stop]
            for start, stop, i, j in zip(
                starts.tolist(), stops.tolist(), low.tolist(), high.tolist(), strict=True
            )
        ]
        return (
            np.array([cut for part in cuts for cut in part[:-1]], dtype=np.int64),
            np.array([cut for part in cuts for cut in part[1:]], dtype=np.int64),
        )


def open_container(path: Path) -> dict[str, InnerFile]:
    """
    List the files in a container.

    Parameters
    ----------
    path : pathlib.Path
        The container.

    Returns
    -------
    dict of str to InnerFile
        Inner files by their paths, parts joined by slashes.

    Raises
    ------
    FileFormatError
        If it is no container, was cut off, or contradicts itself.
    """
    with path.open("rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        layout, tree, n_entries = _layout(path, stream, size)
        per_block = layout.content_bytes // _ENTRY.size
        n_tree_blocks = -(-n_entries // per_block)
        if n_tree_blocks > layout.n_blocks:
            raise damaged(path, f"it claims {n_entries:,} inner files.")
        content = layout.chain(stream, tree, n_tree_blocks)
        entries = []
        for number in range(n_entries):
            block, place = divmod(number, per_block)
            start = block * layout.content_bytes + place * _ENTRY.size
            entries.append(_ENTRY.unpack_from(content, start))
        names = [_name(path, entry[4]) for entry in entries]
        files: dict[str, InnerFile] = {}
        for number, (pointer, stored, _, is_folder, _) in enumerate(entries):
            if not is_folder:
                name = _full_name(path, number, entries, names)
                files[name] = _inner_file(stream, layout, pointer, stored)
    return files


def _layout(path: Path, stream: BinaryIO, size: int) -> tuple[BlockLayout, int, int]:
    head = stream.read(_TREE_AT + 12)
    if len(head) < _TREE_AT + 12 or not head.startswith(_MAGIC):
        raise damaged(path, "it doesn't begin as such files do.")
    (block_bytes,) = struct.unpack_from("<I", head, _BLOCK_BYTES_AT)
    tree, n_entries, n_blocks = struct.unpack_from("<III", head, _TREE_AT)
    if not _SMALLEST_BLOCK <= block_bytes <= _LARGEST_BLOCK or block_bytes % 4:
        raise damaged(path, f"it claims blocks of {block_bytes:,} bytes.")
    expected = _HEAD_BYTES + block_bytes * n_blocks
    if size < expected:
        raise FileFormatError(
            f"{path} is incomplete: it has {size:,} of {expected:,} bytes. Copy it again from "
            "where it was made."
        )
    return BlockLayout(path, block_bytes, n_blocks), tree, n_entries


def _name(path: Path, raw: bytes) -> str:
    try:
        return raw.split(b"\0", 1)[0].decode("utf-8")
    except UnicodeDecodeError as error:
        raise damaged(path, "the name of an inner file is no text.") from error


def _full_name(path: Path, number: int, entries: list[tuple[object, ...]], names: list[str]) -> str:
    parts = []
    for _ in range(len(entries) + 1):
        parts.append(names[number])
        parent = entries[number][2]
        if parent == _ROOT:
            return "/".join(reversed(parts))
        if not isinstance(parent, int) or not 0 <= parent < len(entries):
            break
        number = parent
    raise damaged(path, f"the folder of the inner file {parts[0]!r} is unclear.")


def _inner_file(stream: BinaryIO, layout: BlockLayout, pointer: int, size: int) -> InnerFile:
    n_blocks = -(-size // layout.content_bytes)
    if n_blocks > layout.n_blocks:
        raise damaged(layout.path, f"an inner file claims {size:,} bytes.")
    n_tables = -(-n_blocks * 4 // layout.content_bytes)
    table = layout.chain(stream, pointer, n_tables)
    blocks = np.frombuffer(table, dtype="<u4", count=n_blocks).astype(np.int64)
    if n_blocks and int(blocks.max()) >= layout.n_blocks:
        raise damaged(layout.path, f"it refers to block {int(blocks.max())} of {layout.n_blocks}.")
    first = np.flatnonzero(np.diff(blocks, prepend=-2) != 1)
    return InnerFile(layout, size, np.append(first, n_blocks), blocks[first])
