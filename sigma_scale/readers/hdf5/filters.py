"""
The filters that HDF5 stores chunks through, undone outside of the HDF5 library.

The library inflates a chunk to whatever size its data lead to, and lets one thread in at a time.
Here nothing becomes larger than the chunk may be, and threads decompress side by side. What the
filters are is told by HDF5's specification [1]_ and, of LZF, by h5py's [2]_.

References
----------
.. [1] The HDF Group, "HDF5 File Format Specification", section IV.A.2.l "Filter Pipeline",
   https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
.. [2] https://github.com/h5py/h5py/tree/master/lzf
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.readers.hdf5.kernels import fletcher32, lzf_decode, unshuffle

if TYPE_CHECKING:
    from collections.abc import Sequence

    import h5py
    from numpy.typing import NDArray

    from sigma_scale.spectra import Scratch

__all__ = ["FILTER_NAMES", "are_known", "filters_of", "most_per_byte", "most_stored", "undo"]

DEFLATE, SHUFFLE, FLETCHER32, LZF = 1, 2, 3, 32_000
FILTER_NAMES = "gzip, shuffle, fletcher32 and LZF"

# The most that a byte can become: deflate's limit is 1,032, LZF copies at most 264 bytes for 3.
_MOST_PER_BYTE = {DEFLATE: 1_032, SHUFFLE: 1, FLETCHER32: 1, LZF: 88}
_MOST_OF_OTHERS = 100_000
_COMPRESSORS = (DEFLATE, LZF)
_CHECKSUM = 4
_PIECE = 2**15


def filters_of(dataset: h5py.Dataset) -> tuple[int, ...]:
    """Codes of a dataset's filters, in the order in which they were applied."""
    properties = dataset.id.get_create_plist()
    return tuple(int(properties.get_filter(i)[0]) for i in range(properties.get_nfilters()))


def are_known(filters: Sequence[int]) -> bool:
    """Whether :func:`undo` can undo them: all known, and not more than one that compresses."""
    known = all(code in _MOST_PER_BYTE for code in filters)
    return known and sum(code in _COMPRESSORS for code in filters) <= 1


def most_per_byte(filters: Sequence[int]) -> int:
    """The most bytes that one byte of a chunk can become."""
    most = 1
    for code in filters:
        most *= _MOST_PER_BYTE.get(code, _MOST_OF_OTHERS)
    return most


def most_stored(size: int) -> int:
    """The most bytes that a chunk of a size can take: compression adds a few where it fails."""
    return size + size // 32 + 1024


def undo(
    stored: NDArray[np.uint8],
    filters: Sequence[int],
    mask: int,
    target: NDArray[Any],
    scratch: Scratch,
) -> None:
    """
    Undo the filters of a chunk.

    Parameters
    ----------
    stored : array of uint8
        The chunk as it is in the file.
    filters : sequence of int
        Known ones, in the order in which they were applied.
    mask : int
        Bits of the filters that were left out for this chunk.
    target : array, C-contiguous
        Takes the chunk.
    scratch : Scratch
        For what is in between.

    Raises
    ------
    ValueError
        If the bytes aren't those of such a chunk.
    """
    used = [code for i, code in enumerate(filters) if not mask >> i & 1]
    if target.dtype.itemsize == 1:
        used = [code for code in used if code != SHUFFLE]
    content = target.reshape(-1).view(np.uint8)
    data = stored
    while used:
        code = used.pop()
        if code == FLETCHER32:
            data = _checked(data)
            continue
        if code == SHUFFLE:
            if data.size != content.size:
                break
            into = content if not used else scratch.take("hdf5_shuffled", content.size)
            numbers = data.reshape(target.dtype.itemsize, -1)
            unshuffle(numbers, into.reshape(-1, target.dtype.itemsize))
            data = into
            continue
        # Checksums that were taken before compression come out with the content.
        room = content.size + _CHECKSUM * used.count(FLETCHER32)
        into = content if not used else scratch.take("hdf5_unpacked", room)
        data = _unpacked(data, code, into)
    if data.size != content.size:
        raise ValueError(f"it holds {data.size:,} bytes instead of {content.size:,}")
    if data is not content:
        content[:] = data


def _checked(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bytes without their checksum; old versions of HDF5 swapped the bytes of its halves."""
    content, stored = data[:-_CHECKSUM], int.from_bytes(data[-_CHECKSUM:].tobytes(), "little")
    found = int(fletcher32(content))
    swapped = (found & 0x00FF00FF) << 8 | (found & 0xFF00FF00) >> 8
    if data.size < _CHECKSUM or stored not in (found, swapped):
        raise ValueError("its checksum is wrong")
    return content


def _unpacked(data: NDArray[np.uint8], code: int, into: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if code == LZF:
        into[:] = 0
        size = lzf_decode(data, into)
        if size < 0:
            raise ValueError("its LZF stream makes no sense")
        return into if size == into.size else into[:size]
    return _inflated(data, into)


def _inflated(data: NDArray[np.uint8], into: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Inflate piece by piece: zlib would move what is larger from buffer to buffer."""
    inflater = zlib.decompressobj()
    # What is left of the input is copied each time, so of large chunks pieces are larger.
    step = max(_PIECE, into.size // 16)
    done, left = 0, data.tobytes()
    while not inflater.eof:
        piece = inflater.decompress(left, step)
        if done + len(piece) > into.size:
            raise ValueError(f"it inflates to more than {into.size:,} bytes")
        into[done : done + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
        done += len(piece)
        left = inflater.unconsumed_tail
        if not piece and not left:
            raise ValueError("its deflated data end too early")
    return into if done == into.size else into[:done]
