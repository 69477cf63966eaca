"""Chunks of HDF5 decompressed outside of the library: equal to what h5py reads, or refused."""

from __future__ import annotations

import itertools
import struct
import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_scale.errors import FileFormatError
from sigma_scale.readers.hdf5.chunks import ChunkReader, read_part
from sigma_scale.readers.hdf5.kernels import fletcher32, lzf_decode, unshuffle
from sigma_scale.spectra import Scratch

PIPELINES = {
    "none": {},
    **{f"gzip {level}": {"compression": "gzip", "compression_opts": level} for level in range(10)},
    "lzf": {"compression": "lzf"},
    "shuffle": {"shuffle": True},
    "shuffle, gzip": {"shuffle": True, "compression": "gzip"},
    "shuffle, lzf": {"shuffle": True, "compression": "lzf"},
    "fletcher32": {"fletcher32": True},
    "gzip, fletcher32": {"compression": "gzip", "fletcher32": True},
    "shuffle, lzf, fletcher32": {"shuffle": True, "compression": "lzf", "fletcher32": True},
}
LZF = 32_000


def lzf_file(content, **options):
    """File in memory with one chunk of bytes stored through LZF, and how it is stored."""
    file = h5py.File("memory.h5", "w", driver="core", backing_store=False)
    data = np.frombuffer(content, np.uint8)
    dataset = file.create_dataset("a", data=data, chunks=data.shape, compression="lzf", **options)
    mask, stored = dataset.id.read_direct_chunk((0,))
    return file, mask, np.frombuffer(stored, np.uint8)


def spectra(seed, n_pixels=40, n_channels=512, mean=25):
    """Counts as a detector makes them: few, most of them in peaks."""
    rates = np.exp(-np.arange(n_channels) / 80)
    rates[[n_channels // 12, n_channels // 5, n_channels // 2]] += 8
    rates *= mean / rates.sum()
    return np.random.default_rng(seed).poisson(rates, (n_pixels, n_channels))


def decoded(stored, size):
    content = np.zeros(size + 16, np.uint8)
    found = lzf_decode(stored, content[:size])
    assert not content[size:].any()
    return found, content[:size]


CONTENTS = st.one_of(
    st.binary(min_size=1, max_size=3000),
    st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.integers(1, 600)), min_size=1).map(
        lambda runs: b"".join(part * times for part, times in runs)
    ),
    st.tuples(st.integers(0, 2**32), st.sampled_from(["u1", "<u2", ">i4", "<f4"])).map(
        lambda seed: spectra(seed[0], 5).astype(seed[1]).tobytes()
    ),
)


@given(CONTENTS)
@settings(max_examples=150, deadline=None)
def test_lzf_is_unpacked_as_the_library_does(content):
    file, mask, stored = lzf_file(content)
    with file:
        if mask:  # too random to become shorter
            assert bytes(stored) == content
            return
        found, result = decoded(stored, len(content))
        assert found == len(content)
        assert result.tobytes() == content
        assert decoded(stored, len(content) - 1)[0] == -1


@given(st.binary(max_size=400), st.integers(0, 3000))
@settings(max_examples=500, deadline=None)
def test_any_bytes_stay_within_bounds(content, size):
    stored = np.frombuffer(content, np.uint8)
    found, _ = decoded(stored, size)
    assert -1 <= found <= size


@pytest.mark.parametrize(
    "stream",
    [
        b"\x05abc",  # literals beyond the end
        b"\x00a\x20",  # no distance
        b"\x00a\xe0",  # no length
        b"\x00a\xe0\x05",  # no distance after the length
        b"\x00a\x20\x01",  # a place before the beginning
        b"\x20\x00",  # nothing to copy yet
    ],
)
def test_lzf_streams_that_make_no_sense(stream):
    assert decoded(np.frombuffer(stream, np.uint8), 1000)[0] == -1


@pytest.mark.parametrize("itemsize", [1, 2, 3, 4, 8])
def test_shuffled_bytes_are_put_back(itemsize):
    content = np.random.default_rng(itemsize).integers(0, 256, (77, itemsize), dtype=np.uint8)
    result = np.zeros_like(content)
    unshuffle(np.ascontiguousarray(content.T), result)
    np.testing.assert_array_equal(result, content)
    other = np.zeros((76, itemsize), np.uint8)
    unshuffle(np.ascontiguousarray(content.T), other)
    assert not other.any()


@pytest.mark.parametrize("size", [1, 2, 719, 720, 721, 5000])
def test_the_checksum_is_that_of_the_library(size):
    content = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
    with h5py.File("memory.h5", "w", driver="core", backing_store=False) as file:
        dataset = file.create_dataset("a", data=content, chunks=(size,), fletcher32=True)
        stored = dataset.id.read_direct_chunk((0,))[1]
    assert struct.unpack("<I", stored[-4:])[0] == fletcher32(content)


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<i4", ">i4", "<f8"])
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_every_pipeline_reads_what_the_library_reads(tmp_path, pipeline, dtype):
    data = spectra(3, 35, 60, 40).reshape(5, 7, 60).astype(dtype)
    with h5py.File(tmp_path / "chunks.h5", "w") as file:
        dataset = file.create_dataset("a", data=data, chunks=(2, 3, 17), **PIPELINES[pipeline])
        scratch = Scratch()
        reader = ChunkReader(dataset, scratch)
        for rows, columns in itertools.product([(0, 5), (1, 4), (2, 4), (3, 3)], [(0, 7), (2, 3)]):
            index = (slice(*rows), slice(*columns), slice(None))
            np.testing.assert_array_equal(read_part(dataset, index), data[index])
            np.testing.assert_array_equal(reader.read(index), data[index])
            assert read_part(dataset, index).dtype == data.dtype


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
@pytest.mark.parametrize("mask", [0b01, 0b10, 0b11])
def test_filters_that_were_left_out_for_a_chunk(tmp_path, compression, mask):
    data = np.arange(35, dtype="u2").reshape(5, 7)
    path = tmp_path / "chunks.h5"
    with h5py.File(path, "w") as file:
        options = {"chunks": (2, 3), "compression": compression, "shuffle": True}
        dataset = file.create_dataset("a", data=data, **options)
        chunk = np.array([[0, 0, 0], [0, 9, 300]], dtype="u2")
        content = chunk.tobytes()
        if not mask & 1:
            content = chunk.view(np.uint8).reshape(-1, 2).T.tobytes()
        if not mask & 2:
            content = zlib.compress(content) if compression == "gzip" else b"\x0b" + content
        dataset.id.write_direct_chunk((2, 3), content, filter_mask=mask)
    with h5py.File(path) as file:
        dataset = file["a"]
        np.testing.assert_array_equal(dataset[2:4, 3:6], chunk)
        np.testing.assert_array_equal(read_part(dataset, (slice(None),) * 2), dataset[:])


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
def test_chunks_that_were_never_written_are_the_fill_value(tmp_path, compression):
    with h5py.File(tmp_path / "chunks.h5", "w") as file:
        options = {"chunks": (2, 3), "compression": compression, "fillvalue": 7}
        dataset = file.create_dataset("data", (5, 7), dtype="u2", **options)
        dataset[:2, :3] = 1
        found = read_part(dataset, (slice(1, 5), slice(2, 7)))
        np.testing.assert_array_equal(found, dataset[1:5, 2:7])
        assert set(np.unique(found)) == {1, 7}


def test_filters_that_are_not_known_are_left_to_the_library(tmp_path):
    data = np.arange(35).reshape(5, 7)
    with h5py.File(tmp_path / "chunks.h5", "w") as file:
        dataset = file.create_dataset("a", data=data, chunks=(2, 3), scaleoffset=0)
        np.testing.assert_array_equal(read_part(dataset, (slice(1, 5), slice(2, 7))), data[1:, 2:])


DAMAGE = {
    "gzip: garbage": ("gzip", b"garbage, not deflated"),
    "gzip: too much": ("gzip", zlib.compress(bytes(10**7))),
    "gzip: too little": ("gzip", zlib.compress(bytes(11))),
    "gzip: cut off": ("gzip", zlib.compress(np.random.default_rng(0).bytes(12))[:-6]),
    "lzf: garbage": ("lzf", b"\xff\xff\xff"),
    "lzf: too much": ("lzf", b"\x00a\xe0\xff\x00"),
    "lzf: too little": ("lzf", b"\x01ab"),
    "far too large": ("lzf", bytes(10**5)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_chunks_are_refused(tmp_path, damage):
    compression, content = DAMAGE[damage]
    path = tmp_path / "chunks.h5"
    with h5py.File(path, "w") as file:
        data = np.arange(35, dtype="u2").reshape(5, 7)
        dataset = file.create_dataset("a", data=data, chunks=(2, 3), compression=compression)
        dataset.id.write_direct_chunk((2, 3), content)
        with pytest.raises(FileFormatError, match=r"chunks\.h5 is damaged: the chunk at \(2, 3\)"):
            read_part(dataset, (slice(0, 5), slice(0, 7)))
        np.testing.assert_array_equal(read_part(dataset, (slice(0, 2), slice(0, 7))), data[:2])


def test_wrong_checksums_are_refused(tmp_path):
    with h5py.File(tmp_path / "chunks.h5", "w") as file:
        dataset = file.create_dataset("a", data=np.arange(6.0), chunks=(6,), fletcher32=True)
        content = bytearray(dataset.id.read_direct_chunk((0,))[1])
        content[5] ^= 1
        dataset.id.write_direct_chunk((0,), bytes(content))
        with pytest.raises(FileFormatError, match="checksum"):
            read_part(dataset, (slice(None),))
        dataset.id.write_direct_chunk((0,), b"ab")
        with pytest.raises(FileFormatError, match="checksum"):
            read_part(dataset, (slice(None),))


def test_a_chunk_is_decompressed_once_for_the_parts_that_follow(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "chunks.h5", "w") as file:
        dataset = file.create_dataset("a", data=np.arange(40), chunks=(20,), compression="lzf")
        reader = ChunkReader(dataset)
        read = []
        monkeypatch.setattr(
            reader, "_stored", lambda corner, room: read.append(corner), raising=True
        )
        for start in range(0, 40, 5):
            reader.read((slice(start, start + 5),))
        assert read == [(0,), (20,)]


def test_a_run_of_chunks_is_unpacked_by_one_call(tmp_path, monkeypatch):
    counts = np.random.default_rng(1).poisson(0.05, (40, 64)).astype("i4")
    with h5py.File(tmp_path / "f.h5", "w") as file:
        data = file.create_dataset("a", data=counts, chunks=(4, 64), compression="lzf")
        one_by_one = []
        read_chunk = ChunkReader._read_chunk
        monkeypatch.setattr(
            ChunkReader,
            "_read_chunk",
            lambda self, corner, part: one_by_one.append(corner) or read_chunk(self, corner, part),
        )
        reader = ChunkReader(data)
        for rows in (slice(0, 40), slice(8, 16), slice(36, 40)):
            np.testing.assert_array_equal(reader.read((rows, slice(0, 64))), counts[rows])
        assert one_by_one == []
        np.testing.assert_array_equal(reader.read((slice(3, 9), slice(0, 64))), counts[3:9])
        assert len(one_by_one) == 3


def test_a_damaged_chunk_of_a_run_is_named(tmp_path):
    counts = np.random.default_rng(1).poisson(0.05, (40, 64)).astype("i4")
    with h5py.File(tmp_path / "f.h5", "w") as file:
        data = file.create_dataset("a", data=counts, chunks=(4, 64), compression="lzf")
        mask, stored = data.id.read_direct_chunk((8, 0))
        data.id.write_direct_chunk((8, 0), stored[:-2], mask)
        with pytest.raises(FileFormatError, match=r"f\.h5.*chunk at \(8, 0\)"):
            ChunkReader(data).read((slice(0, 40), slice(0, 64)))
