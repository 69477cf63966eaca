"""
Encoding of a block of X-ray counts as bytes, version 1.

A chunk is a header, a payload and a checksum. All numbers are little-endian.

======  ====  ===================================================================================
offset  size  meaning
======  ====  ===================================================================================
0       4     magic, ``SEVT``
4       1     version, 1
5       1     kind: 0 plain dense, 1 events
6       1     bytes per count: 1, 2 or 4 (unsigned), not more than the array's data type has
7       1     bytes per number of events of a pixel: 1, 2 or 4; 0 for plain dense
8       1     compressor of the payload: 0 none, 1 zstd, 2 lz4
9       3     zero
12      4     rows
16      4     columns
20      4     channels, 1 to 65,535
24      8     number of events; 0 for plain dense
32      8     size of the payload as stored
40            payload
end     4     CRC-32C of everything before
======  ====  ===================================================================================

The payload, once decompressed, is for *plain dense* the counts in C order (row, column, channel).
For *events* (the channels that are not zero, pixel after pixel in row-major order, channels
ascending) it is four streams, each padded with zeros to a multiple of 8 bytes:

1. the number of events of each pixel;
2. the low bytes of the gaps: a gap is the distance in channels from the pixel's event before,
   from channel 0 for its first event;
3. the high bytes of the gaps;
4. the counts of the events.

A chunk is stored as events where these take fewer bytes than plain dense, before compression.
zstd payloads are one frame; lz4 payloads are a block that begins with its size as int32, as
numcodecs writes it.

Gaps are small and mostly fit their low byte, and counts are mostly 1, so zstd comes close to the
entropy of the data; keeping the bytes of a gap apart lets the compiled loops read a block without
a branch. Measured alternatives are in ``benchmarks/ingest/compressors.py``.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import google_crc32c
import numcodecs
import numpy as np

from sigma_scale.errors import CorruptChunkError, ParameterError
from sigma_scale.spectra.events import MAX_CHANNELS, EventBlock, smallest_unsigned
from sigma_scale.spectra.source import Scratch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numcodecs.abc import Codec
    from numpy.typing import NDArray


__all__ = ["VERSION", "CompressorName", "Encoding", "decode", "decode_dense", "encode"]

VERSION = 1

CompressorName = Literal["none", "zstd", "lz4"]

_MAGIC = b"SEVT"
_HEADER = struct.Struct("<4sBBBBB3xIIIQQ")
_CRC = struct.Struct("<I")
_DENSE, _EVENTS = 0, 1
_COMPRESSORS: tuple[CompressorName, ...] = ("none", "zstd", "lz4")
_WIDTHS: dict[int, np.dtype[Any]] = {1: np.dtype("<u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4")}
_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Encoding:
    """
    How payloads are compressed.

    Parameters
    ----------
    compressor : {"zstd", "lz4", "none"}
        zstd is the smallest, lz4 the quickest to read.
    level : int
        Level of zstd, or acceleration of lz4.
    """

    compressor: CompressorName = "zstd"
    level: int = 1

    def __post_init__(self) -> None:
        if self.compressor not in _COMPRESSORS:
            raise ParameterError(
                f"Unknown compressor {self.compressor!r}; there are: {', '.join(_COMPRESSORS)}."
            )

    def codec(self) -> Codec | None:
        """Compressor from numcodecs."""
        match self.compressor:
            case "zstd":
                return numcodecs.Zstd(level=self.level)
            case "lz4":
                return numcodecs.LZ4(acceleration=self.level)
            case _:
                return None


@dataclass(frozen=True, slots=True)
class _Header:
    kind: int
    count_width: int
    number_width: int
    compressor: int
    shape: tuple[int, int, int]
    n_events: int
    stored_size: int

    def pack(self) -> bytes:
        widths = (self.count_width, self.number_width, self.compressor)
        return _HEADER.pack(
            _MAGIC, VERSION, self.kind, *widths, *self.shape, self.n_events, self.stored_size
        )

    @property
    def stream_sizes(self) -> tuple[int, ...]:
        """Bytes of each stream of the decompressed payload, without padding."""
        pixels = self.shape[0] * self.shape[1]
        if self.kind == _DENSE:
            return (pixels * self.shape[2] * self.count_width,)
        n = self.n_events
        return (pixels * self.number_width, n, n, n * self.count_width)

    @property
    def payload_size(self) -> int:
        if self.kind == _DENSE:
            return self.stream_sizes[0]
        return sum(_padded(size) for size in self.stream_sizes)


_DECOMPRESSORS = [Encoding(name).codec() for name in _COMPRESSORS]


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def encode(block: EventBlock, encoding: Encoding | None = None) -> bytes:
    """
    Encode a block.

    Parameters
    ----------
    block : EventBlock
        Counts of an unsigned integer type of up to 32 bits.
    encoding : Encoding, optional
        How to compress.

    Raises
    ------
    ParameterError
        If the counts are not unsigned integers.
    """
    if block.dtype.kind != "u":
        raise ParameterError(f"Events are stored as unsigned integers, not {block.dtype}.")
    encoding = encoding or Encoding()
    counts = block.counts.astype(smallest_unsigned(int(block.counts.max(initial=0))), copy=False)
    header = _Header(
        kind=_EVENTS,
        count_width=counts.dtype.itemsize,
        number_width=block.per_pixel.dtype.itemsize,
        compressor=_COMPRESSORS.index(encoding.compressor),
        shape=block.shape,
        n_events=block.n_events,
        stored_size=0,
    )
    if header.payload_size >= math.prod(block.shape) * counts.dtype.itemsize:
        return _pack_dense(block.to_dense(), header, encoding)
    streams = (block.per_pixel, block.gap_low, block.gap_high, counts)
    return _seal(header, _join(streams, header.stream_sizes), encoding)


def _pack_dense(dense: NDArray[Any], header: _Header, encoding: Encoding) -> bytes:
    width = header.count_width
    plain = _Header(_DENSE, width, 0, header.compressor, header.shape, 0, 0)
    little = np.ascontiguousarray(dense, dtype=_WIDTHS[width])
    return _seal(plain, little.reshape(-1).view(np.uint8), encoding)


def _join(streams: Sequence[NDArray[Any]], sizes: Sequence[int]) -> NDArray[np.uint8]:
    payload = np.zeros(sum(_padded(size) for size in sizes), dtype=np.uint8)
    start = 0
    for stream, size in zip(streams, sizes, strict=True):
        little = np.ascontiguousarray(stream, dtype=_WIDTHS[stream.dtype.itemsize])
        payload[start : start + size] = little.view(np.uint8)
        start += _padded(size)
    return payload


def _seal(header: _Header, payload: NDArray[np.uint8], encoding: Encoding) -> bytes:
    codec = encoding.codec()
    stored = bytes(codec.encode(payload)) if codec is not None and payload.size else bytes(payload)
    fields = (header.kind, header.count_width, header.number_width, header.compressor)
    head = _Header(*fields, header.shape, header.n_events, len(stored)).pack()
    body = head + stored
    return body + _CRC.pack(google_crc32c.value(body))


def decode(
    data: Any,
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    scratch: Scratch | None = None,
) -> EventBlock:
    """
    Decode a block.

    Parameters
    ----------
    data : bytes-like
        An encoded chunk.
    shape : tuple of int
        Rows, columns and channels that the chunk must have.
    dtype : numpy.dtype
        Type that must hold its counts; the block's own type may be narrower.
    scratch : Scratch, optional
        Memory for the block, which is then good until the scratch is used again.

    Raises
    ------
    CorruptChunkError
        If the chunk is truncated, altered, of another shape or type, or of a later version.
    """
    from sigma_scale.spectra.kernels import total_events

    header, payload = _open(data, shape, dtype, scratch or Scratch())
    if header.kind == _DENSE:
        return EventBlock.from_dense(_dense(header, payload))
    streams = _split(payload, header.stream_sizes)
    per_pixel = streams[0].view(_WIDTHS[header.number_width])
    if int(total_events(per_pixel)) != header.n_events:
        raise _corrupt("its pixels' numbers of events don't add up")
    counts = streams[3].view(_WIDTHS[header.count_width])
    return EventBlock(shape, _native(per_pixel), streams[1], streams[2], _native(counts))


def decode_dense(data: Any, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Decode a block to a dense array; see :func:`decode`."""
    header, payload = _open(data, shape, dtype, Scratch())
    if header.kind == _DENSE:
        return _dense(header, payload).astype(dtype, copy=False)
    return decode(data, shape, dtype).to_dense().astype(dtype, copy=False)


def _dense(header: _Header, payload: NDArray[np.uint8]) -> NDArray[Any]:
    return _native(payload.view(_WIDTHS[header.count_width])).reshape(header.shape)


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _split(payload: NDArray[np.uint8], sizes: Sequence[int]) -> list[NDArray[np.uint8]]:
    streams = []
    start = 0
    for size in sizes:
        streams.append(payload[start : start + size])
        start += _padded(size)
    return streams


def _open(
    data: Any, shape: tuple[int, int, int], dtype: np.dtype[Any], scratch: Scratch
) -> tuple[_Header, NDArray[np.uint8]]:
    view = memoryview(data).cast("B")
    header = _read_header(view)
    if header.shape != tuple(shape):
        raise _corrupt(f"it has the shape {header.shape}, not {tuple(shape)}")
    if header.count_width > dtype.itemsize or dtype.kind != "u":
        raise _corrupt(f"its counts have {header.count_width} bytes, not the type {dtype}")
    return header, _decompress(header, view[_HEADER.size : -_CRC.size], scratch)


def _read_header(view: memoryview) -> _Header:
    """Read a header and check everything that can be checked without decompressing."""
    if len(view) < _HEADER.size + _CRC.size:
        raise _corrupt(f"it is truncated: {len(view)} bytes")
    magic, version, *rest = _HEADER.unpack_from(view)
    if magic != _MAGIC:
        raise _corrupt("it does not begin with the mark of an encoded chunk")
    if version != VERSION:
        raise _corrupt(
            f"it is of version {version}, this program reads version {VERSION}; "
            "a newer sigma-scale may read it"
        )
    kind, count_width, number_width, compressor, rows, columns, channels, n, stored = rest
    header = _Header(
        kind, count_width, number_width, compressor, (rows, columns, channels), n, stored
    )
    size = _HEADER.size + stored + _CRC.size
    if len(view) != size:
        raise _corrupt(f"it has {len(view)} bytes where its header says {size}")
    (expected,) = _CRC.unpack_from(view, size - _CRC.size)
    if google_crc32c.value(np.frombuffer(view[: -_CRC.size], dtype=np.uint8)) != expected:
        raise _corrupt("its checksum is wrong")
    _check_fields(header)
    return header


def _check_fields(header: _Header) -> None:
    number_widths = (0,) if header.kind == _DENSE else (1, 2, 4)
    fields_known = (
        header.kind in (_DENSE, _EVENTS)
        and header.count_width in _WIDTHS
        and header.number_width in number_widths
        and header.compressor < len(_COMPRESSORS)
    )
    if not fields_known:
        raise _corrupt("its header has values that no encoder writes")
    if not 1 <= header.shape[2] <= MAX_CHANNELS or header.n_events > math.prod(header.shape):
        raise _corrupt("its header contradicts itself")


def _decompress(header: _Header, stored: memoryview, scratch: Scratch) -> NDArray[np.uint8]:
    size = header.payload_size
    codec = _DECOMPRESSORS[header.compressor]
    if codec is None or size == 0:
        if len(stored) != size:
            raise _corrupt(f"its payload has {len(stored)} bytes, not {size}")
        return np.frombuffer(bytearray(stored), dtype=np.uint8)
    # The size follows from the checked header, so a forged frame can't ask for more memory.
    payload = scratch.take("payload", size)
    try:
        written = codec.decode(stored, out=payload)
    except (RuntimeError, ValueError) as error:
        raise _corrupt(f"its payload can't be decompressed ({error})") from error
    if len(written) != size:
        raise _corrupt(f"its payload has {len(written)} bytes, not {size}")
    return payload


def _corrupt(what: str) -> CorruptChunkError:
    return CorruptChunkError(
        f"A chunk of counts can't be trusted: {what}. Restore the store from a copy or ingest "
        "the map again."
    )
