"""Texts in HDF5's heap, read without libhdf5, which a damaged heap sends into an endless loop."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from mutate import fault_of
from velox_files import write_velox

from sigma_scale.errors import FileFormatError
from sigma_scale.readers import read
from sigma_scale.readers.velox.heap import text_in_heap

if TYPE_CHECKING:
    from pathlib import Path

COUNTS = np.random.default_rng(1).poisson(0.1, (1, 1, 4, 5, 20))


def test_texts_are_those_that_libhdf5_reads(tmp_path: Path) -> None:
    path = tmp_path / "texts.h5"
    texts = ["", "a", "eight by", "µm", "long " * 5000]
    with h5py.File(path, "w", userblock_size=512) as file:
        for i, text in enumerate(texts):
            file.create_dataset(f"chunked{i}", data=[text], chunks=(1,), dtype=h5py.string_dtype())
            file.create_dataset(f"contiguous{i}", data=[text], dtype=h5py.string_dtype())
            file[f"scalar{i}"] = text
    with h5py.File(path) as file:
        for i, text in enumerate(texts[1:], start=1):
            for kind in ("chunked", "contiguous", "scalar"):
                assert text_in_heap(file[f"{kind}{i}"]) == text.encode()
        for data in file.values():
            value = data[()] if data.shape == () else data[0]
            if value:
                assert text_in_heap(data) == value


def test_every_text_of_the_real_file(real_data: Path) -> None:
    compared = []

    def compare(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset) and h5py.check_string_dtype(node.dtype):
            assert text_in_heap(node) == node[0], name
            compared.append(name)

    with h5py.File(real_data / "velox_EELS_EDS_128x128x4096.emd") as file:
        file.visititems(compare)
    assert len(compared) == 79


def test_an_object_of_no_size_is_refused_in_time(tmp_path: Path) -> None:
    path = write_velox(tmp_path / "map.emd", COUNTS)
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 16 : heap + 32] = struct.pack("<HHIQ", 0, 0, 0, 0)
    path.write_bytes(content)

    def refused(path: Path) -> None:
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
    ],
)
def test_damaged_heaps_are_refused(tmp_path: Path, place: int, content: bytes) -> None:
    path = write_velox(tmp_path / "map.emd", COUNTS)
    whole = bytearray(path.read_bytes())
    heap = whole.index(b"GCOL")
    whole[heap + place : heap + place + len(content)] = content
    path.write_bytes(whole)
    with pytest.raises(FileFormatError, match=r"map\.emd"):
        read(path)


def test_packed_texts_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "text",
            data=[json.dumps({})],
            chunks=(1,),
            compression="gzip",
            dtype=h5py.string_dtype(),
        )
        with pytest.raises(ValueError, match="doesn't know"):
            text_in_heap(data)
