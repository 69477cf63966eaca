"""The encoding of chunks: every block comes back, and nothing damaged is believed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_scale.errors import CorruptChunkError, ParameterError
from sigma_scale.spectra import EventBlock
from sigma_scale.store import Encoding
from sigma_scale.store.codec import decode, decode_dense, encode

ENCODINGS = st.builds(Encoding, st.sampled_from(["zstd", "lz4", "none"]), st.integers(1, 3))


@st.composite
def blocks(draw):
    dtype = np.dtype(draw(st.sampled_from([np.uint8, np.uint16, np.uint32])))
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 600)))
    filled = draw(st.sampled_from([0.0, 0.001, 0.02, 0.3, 0.6, 1.0]))
    high = draw(st.sampled_from([2, 200, int(np.iinfo(dtype).max)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.integers(1, high, shape, endpoint=True)
    return (values * (rng.random(shape) < filled)).astype(dtype)


@settings(max_examples=200)
@given(dense=blocks(), encoding=ENCODINGS)
def test_any_block_round_trips(dense, encoding):
    data = encode(EventBlock.from_dense(dense), encoding)
    block = decode(data, dense.shape, dense.dtype)
    assert block.dtype.itemsize <= dense.dtype.itemsize
    np.testing.assert_array_equal(block.to_dense(), dense)
    again = decode_dense(data, dense.shape, dense.dtype)
    assert again.dtype == dense.dtype
    np.testing.assert_array_equal(again, dense)


def test_65535_channels_round_trip():
    dense = np.zeros((2, 2, 65535), np.uint32)
    dense[:, :, [0, 300, 65534]] = 2**32 - 1
    data = encode(EventBlock.from_dense(dense))
    np.testing.assert_array_equal(decode_dense(data, dense.shape, dense.dtype), dense)


@pytest.mark.parametrize("filled", np.linspace(0, 1, 11))
def test_the_smaller_of_events_and_plain_dense_is_stored(filled):
    rng = np.random.default_rng(1)
    dense = (rng.random((16, 16, 100)) < filled).astype(np.uint8)
    data = encode(EventBlock.from_dense(dense), Encoding("none"))
    n_events = int(dense.sum())
    overhead = 44 + 4 * 8
    assert len(data) <= min(dense.size, 256 + 3 * n_events) + overhead


@settings(max_examples=150)
@given(
    dense=blocks(), encoding=ENCODINGS, at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7)
)
def test_one_flipped_bit_is_noticed(dense, encoding, at, bit):
    data = bytearray(encode(EventBlock.from_dense(dense), encoding))
    data[int(at * len(data))] ^= 1 << bit
    with pytest.raises(CorruptChunkError, match="Restore the store"):
        decode(bytes(data), dense.shape, dense.dtype)


@settings(max_examples=100)
@given(dense=blocks(), encoding=ENCODINGS, share=st.floats(0, 1, exclude_max=True))
def test_truncation_is_noticed(dense, encoding, share):
    data = encode(EventBlock.from_dense(dense), encoding)
    with pytest.raises(CorruptChunkError):
        decode(data[: int(share * len(data))], dense.shape, dense.dtype)
    with pytest.raises(CorruptChunkError, match="bytes"):
        decode(data + b"\0", dense.shape, dense.dtype)


def forged(data, offset, value):
    """A chunk with another header field and the right checksum, as an attacker would make it."""
    import google_crc32c

    body = bytearray(data[:-4])
    body[offset : offset + len(value)] = value
    return bytes(body) + google_crc32c.value(bytes(body)).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (4, b"\x02"),  # a later version
        (5, b"\x02"),  # an unknown kind
        (5, b"\x00"),  # dense, though it holds events
        (6, b"\x03"),  # three bytes per count
        (7, b"\x00"),
        (7, b"\x04"),  # wider numbers than there are
        (8, b"\x09"),  # an unknown compressor
        (24, (2**40).to_bytes(8, "little")),  # far too many events
        (24, (299).to_bytes(8, "little")),
        (24, (301).to_bytes(8, "little")),
    ],
)
@pytest.mark.parametrize("compressor", ["zstd", "lz4", "none"])
def test_forged_headers_are_refused(offset, value, compressor):
    dense = np.zeros((10, 10, 50), np.uint8)
    dense[:, :, [3, 7, 40]] = 1
    data = forged(encode(EventBlock.from_dense(dense), Encoding(compressor)), offset, value)
    with pytest.raises(CorruptChunkError):
        decode(data, dense.shape, dense.dtype)


def test_a_chunk_of_another_array_is_refused():
    data = encode(EventBlock.from_dense(np.ones((2, 3, 40), np.uint8)))
    with pytest.raises(CorruptChunkError, match="shape"):
        decode(data, (3, 2, 40), np.dtype(np.uint8))
    wide = encode(EventBlock.from_dense(np.full((2, 3, 40), 256, np.uint16)))
    with pytest.raises(CorruptChunkError, match="type"):
        decode(wide, (2, 3, 40), np.dtype(np.uint8))


def test_floats_and_unknown_compressors_are_refused():
    with pytest.raises(ParameterError, match="float32"):
        encode(EventBlock.from_dense(np.ones((1, 1, 1), np.float32)))
    with pytest.raises(ParameterError, match="zstd"):
        Encoding("brotli")


def test_the_bytes_are_those_of_the_specification():
    """Read a chunk with nothing but the module's description of it."""
    import struct

    dense = np.zeros((1, 2, 600), np.uint16)
    dense[0, 0, [1, 301]] = 500, 6
    dense[0, 1, 599] = 7
    data = encode(EventBlock.from_dense(dense), Encoding("none"))
    fields = struct.unpack_from("<4sBBBBB3xIIIQQ", data)
    assert fields[:6] == (b"SEVT", 1, 1, 2, 1, 0)
    assert fields[6:] == (1, 2, 600, 3, len(data) - 44)
    payload = data[40:-4]
    assert payload[0:2] == bytes([2, 1])
    assert payload[8:11] == bytes([1, 300 % 256, 599 % 256])
    assert payload[16:19] == bytes([0, 300 // 256, 599 // 256])
    assert struct.unpack_from("<3H", payload, 24) == (500, 6, 7)
