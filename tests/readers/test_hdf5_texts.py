"""Texts in HDF5's heap, read without libhdf5, which a damaged heap sends into an endless loop."""

from __future__ import annotations

import struct

import h5py
import numpy as np
import pytest
from mutate import fault_of
from velox_files import write_velox

from sigma_scale.errors import FileFormatError
from sigma_scale.readers import read
from sigma_scale.readers.hdf5.files import opened
from sigma_scale.readers.hdf5.heaps import check_attributes
from sigma_scale.readers.hdf5.texts import attribute_texts, dataset_texts
from sigma_scale.readers.hdf5.values import attribute, attribute_value, dataset_value

COUNTS = np.random.default_rng(1).poisson(0.1, (1, 1, 4, 5, 20))
TEXTS = ["", "a", "eight by", "µm", "long " * 5000]


@pytest.mark.parametrize("libver", [None, "latest"])
@pytest.mark.parametrize("userblock", [0, 512])
def test_texts_are_those_that_libhdf5_reads(tmp_path, libver, userblock):
    path = tmp_path / "texts.h5"
    kind = h5py.string_dtype()
    with h5py.File(path, "w", libver=libver, userblock_size=userblock) as file:
        for i, text in enumerate(TEXTS):
            file.create_dataset(f"chunked{i}", data=[text], chunks=(1,), dtype=kind)
            file.create_dataset(f"contiguous{i}", data=[text], dtype=kind)
            file[f"scalar{i}"] = text
        grid = np.array(TEXTS[:4], dtype=object).reshape(2, 2)
        for name, options in {
            "grid": {},
            "packed": {"chunks": (1, 2), "compression": "gzip"},
            "shuffled": {"chunks": (2, 1), "compression": "lzf", "shuffle": True},
        }.items():
            file.create_dataset(name, data=grid, dtype=kind, **options)
    with h5py.File(path) as file:
        for data in file.values():
            expected = np.ravel(data[()]).tolist()
            assert dataset_texts(data) == expected
            value = dataset_value(data)
            assert np.shape(value) == data.shape
            assert np.ravel(value).tolist() == [text.decode() for text in expected]


@pytest.mark.parametrize("libver", [None, "latest", ("earliest", "v108")])
@pytest.mark.parametrize("userblock", [0, 1024])
def test_attributes_are_found_wherever_they_are(tmp_path, libver, userblock):
    texts = [f"text number {i} µ " + "x" * (i % 700) for i in range(100)]
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w", libver=libver, userblock_size=userblock) as file:
        for i, text in enumerate(texts):
            file[f"{i}"] = text + "|"
            for j in range(i % 12):
                file[f"{i}"].attrs[f"other {j}"] = "y" * 100 + f"{j}"
            file[f"{i}"].attrs["line"] = text + "!"
            file[f"{i}"].attrs["list"] = [text, "", "b"]
            file[f"{i}"].attrs["number"] = i
    with opened(path, "HDF5") as file:
        check_attributes(file, file.values())
        for i, text in enumerate(texts):
            item = file[f"{i}"]
            assert dataset_texts(item) == [(text + "|").encode()]
            # Many attributes lie elsewhere in newer files; libhdf5 reads those.
            if libver is None or i % 12 < 5:
                assert attribute_texts(item, "line") == [(text + "!").encode()]
            assert attribute_value(item, "line") == attribute(item, "line") == text + "!"
            assert attribute_value(item, "list").tolist() == [text, "", "b"]
            assert attribute(item, "number") == [i]
            assert attribute(item, "none") is None


def test_every_text_of_the_real_file(real_data):
    compared = []

    def compare(name, node):
        if isinstance(node, h5py.Dataset) and h5py.check_string_dtype(node.dtype):
            assert dataset_texts(node) == [node[0]], name
            compared.append(name)

    with h5py.File(real_data / "velox_EELS_EDS_128x128x4096.emd") as file:
        file.visititems(compare)
    assert len(compared) == 79


def test_an_object_of_no_size_is_refused_in_time(tmp_path):
    path = write_velox(tmp_path / "map.emd", COUNTS)
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 16 : heap + 32] = struct.pack("<HHIQ", 0, 0, 0, 0)
    path.write_bytes(content)

    def refused(path):
        with pytest.raises(FileFormatError, match=r"map\.emd.*heap"):
            read(path)

    assert not fault_of(refused, path, seconds=10)


@pytest.mark.parametrize(
    ("place", "content"),
    [
        (0, b"GCOX"),
        (4, b"\2"),
        (8, struct.pack("<Q", 2**60)),
        (8, struct.pack("<Q", 3)),
        (24, struct.pack("<Q", 2**63)),
        (24, struct.pack("<Q", 1)),
    ],
)
def test_damaged_heaps_are_refused(tmp_path, place, content):
    path = write_velox(tmp_path / "map.emd", COUNTS)
    whole = bytearray(path.read_bytes())
    heap = whole.index(b"GCOL")
    whole[heap + place : heap + place + len(content)] = content
    path.write_bytes(whole)
    with pytest.raises(FileFormatError, match=r"map\.emd"):
        read(path)


@pytest.mark.parametrize("libver", [None, "latest"])
def test_references_of_attributes_are_checked_in_the_midst_of_a_file(tmp_path, libver):
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w", libver=libver) as file:
        file["a"] = np.zeros(3)
        file["a"].attrs["units"] = "a long unit"
        file["a"].attrs["list"] = np.array([np.arange(3), np.arange(5)], dtype=object).astype(
            h5py.vlen_dtype(np.int32)
        )
    with opened(path, "HDF5") as file:
        check_attributes(file, [file, file["a"]])
    content = bytearray(path.read_bytes())
    for damage in (b"\0" * 8, struct.pack("<Q", 12)):
        damaged = bytearray(content)
        heap = damaged.index(b"GCOL")
        damaged[heap + 24 : heap + 32] = damage
        path.write_bytes(damaged)
        with (
            pytest.raises(FileFormatError, match=r"texts\.h5.*heap"),
            opened(path, "HDF5") as file,
        ):
            check_attributes(file, [file["a"]])
