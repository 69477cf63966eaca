"""What can be wrong with .h5oina files: each ends in an error that names the file."""

from __future__ import annotations

import struct
import zlib

import h5py
import numpy as np
import pytest
from mutate import faults, read_everything
from oxford_files import (
    CHANNELS,
    Entry,
    Style,
    Technique,
    eds,
    electron_image,
    line_map,
    make_counts,
    spectra,
    write_h5oina,
)

from sigma_scale.config import options
from sigma_scale.errors import (
    EmptyMapError,
    FileFormatError,
    MemoryLimitError,
    NoSpectraError,
    ParameterError,
    SourceNotFoundError,
)
from sigma_scale.readers import read

SHAPE = (9, 14)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "map.h5oina"


def read_counts(path, **choice):
    image = read(path, **choice)
    for i, j in np.ndindex(image.n_blocks):
        image.source.read_block(i, j)


def refused(path, message, error=FileFormatError, **choice):
    with pytest.raises(error, match=message) as caught:
        read_counts(path, **choice)
    assert path.name in str(caught.value)


def test_what_is_no_file(tmp_path):
    refused(tmp_path / "none.h5oina", "no file", SourceNotFoundError)
    (tmp_path / "folder.h5oina").mkdir()
    refused(tmp_path / "folder.h5oina", "folder")
    (tmp_path / "text.h5oina").write_text("no HDF5 at all")
    refused(tmp_path / "text.h5oina", "damaged or not")
    (tmp_path / "empty.h5oina").touch()
    refused(tmp_path / "empty.h5oina", "damaged or not")


def test_hdf5_of_another_kind(path):
    with h5py.File(path, "w") as file:
        file["data/counts"] = np.zeros(3)
    refused(path, "not an Oxford .h5oina file: it has no slices")


def test_a_file_without_spectra_lists_what_it_holds(path):
    technique = eds(make_counts())
    technique.data = {"Live Time": Entry(np.ones((126, 1)))}
    write_h5oina(path, {"1": {"EBSD": technique, "EDS": technique}})
    refused(path, r"no EDS spectra.*slice 1: EDS \(no data\), EBSD", NoSpectraError)


def test_a_file_with_element_maps_only_names_their_reader(path):
    technique = eds(make_counts())
    technique.data = {"Window Integral": {"Fe Ka1": line_map(np.ones(SHAPE), 26, "Ka1")}}
    write_h5oina(path, {"1": {"EDS": technique}})
    refused(path, r"EDS \(Window Integral\).*read_element_maps.*ImageDataset", NoSpectraError)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"slice_number": 7}, "has no slice 7; there are: 1, 2"),
        ({"detectors": [3]}, "no data of detector 3; there are: 1, 2"),
        ({"detectors": []}, "there are|has 1, 2"),
        ({"detectors": [1, 1]}, "once"),
    ],
)
def test_options_that_the_file_does_not_have(path, choice, message):
    both = {"EDS1": eds(make_counts()), "EDS2": eds(make_counts())}
    write_h5oina(path, {"1": both, "2": both})
    refused(path, message, ParameterError, **choice)


@pytest.mark.parametrize("missing", ["X Cells", "Y Cells", "Channel Width"])
def test_what_nothing_works_without(path, missing):
    write_h5oina(path, {"1": {"EDS": eds(make_counts()).without(missing)}})
    refused(path, f"1/EDS/Header has no number '{missing}'")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"X Cells": np.int32(13)}, FileFormatError, "one spectrum for each of 9 x 13 pixels"),
        ({"X Cells": np.int32(0)}, EmptyMapError, "empty map of 9 x 0"),
        ({"Y Cells": np.int32(-9)}, EmptyMapError, "empty map"),
        ({"Y Cells": np.float32(8.5)}, FileFormatError, "8.5"),
        ({"X Cells": np.float64(1e12)}, FileFormatError, "cells"),
        ({"X Cells": np.float32(np.nan)}, FileFormatError, "no number 'X Cells'"),
        ({"X Cells": "wide"}, FileFormatError, "no number 'X Cells'"),
        ({"Channel Width": np.float32(0)}, FileFormatError, "positive width"),
        ({"Channel Width": np.float32(-10)}, FileFormatError, "positive width"),
        ({"Number Channels": np.int32(61)}, FileFormatError, "gives 61 channels.*have 60"),
    ],
)
def test_headers_that_contradict_the_counts(path, changes, error, message):
    write_h5oina(path, {"1": {"EDS": eds(make_counts(), **changes)}})
    refused(path, message, error)


@pytest.mark.parametrize("change", [{"Channel Width": np.float32(5)}, {"Start Channel": 0.0}])
def test_detectors_with_different_axes_are_not_summed(path, change):
    first, second = make_counts(seed=1), make_counts(seed=2)
    write_h5oina(path, {"1": {"EDS1": eds(first), "EDS2": eds(second, **change)}})
    refused(path, r"different energy axes.*detectors=\[1\]")
    read_counts(path, detectors=[2])


def test_detectors_of_different_size_are_not_summed(path):
    both = {"EDS1": eds(make_counts()), "EDS2": eds(make_counts((5, 5, CHANNELS)))}
    write_h5oina(path, {"1": both})
    refused(path, r"different sizes.*detectors=\[1\]")
    read_counts(path, detectors=[2])


@pytest.mark.parametrize("bad", [-1, -(2**31)])
def test_negative_counts(path, bad):
    counts = make_counts()
    counts[4, 5, 6] = bad
    write_h5oina(path, {"1": {"EDS": eds(counts)}})
    refused(path, f"Counts from {bad}")


def test_negative_counts_are_not_hidden_by_another_detector(path):
    counts = make_counts()
    counts[4, 5, 6] = -1
    write_h5oina(path, {"1": {"EDS1": eds(counts), "EDS2": eds(make_counts() + 5)}})
    refused(path, "Counts from -1")


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_float_spectra_with_holes(path, bad):
    counts = make_counts().astype(np.float32)
    counts[4, 5, 6] = bad
    write_h5oina(path, {"1": {"EDS": eds(counts, {"Spectrum": spectra(counts)})}})
    refused(path, "1 pixels have counts that are infinite or missing.*in row 4 and column 5\\.")


def test_floats_in_chunks_of_few_channels_are_judged_by_all_channels(path, monkeypatch):
    counts = make_counts().astype(np.float32)
    chunks = (counts.shape[0] * counts.shape[1], counts.shape[2] // 2)
    monkeypatch.setattr("sigma_scale.readers.oxford.source._DENSE_BYTES", 8 * counts.shape[2])
    for channels, message in ((slice(None), None), (slice(0, chunks[1]), "1 pixels.*missing")):
        spoiled = counts.copy()
        spoiled[4, 5, channels] = np.nan
        entry = spectra(spoiled, chunks=chunks, compression="gzip")
        write_h5oina(path, {"1": {"EDS": eds(spoiled, {"Spectrum": entry})}})
        if message is None:
            np.testing.assert_array_equal(read(path).to_xarray(), np.nan_to_num(spoiled))
        else:
            refused(path, message)


@pytest.mark.parametrize("dtype", ["S4", "c8", [("a", "i4"), ("b", "i4")]])
def test_spectra_that_are_no_numbers(path, dtype):
    counts = np.zeros(make_counts().shape, dtype=dtype)
    write_h5oina(path, {"1": {"EDS": eds(make_counts(), {"Spectrum": spectra(counts)})}})
    refused(path, "numbers")


def test_images_that_do_not_fit_their_cells(path):
    technique = electron_image({"SE": {"SE": np.zeros((5, 6))}}, **{"X Cells": np.int32(7)})
    write_h5oina(path, {"1": {"EDS": eds(make_counts()), "Electron Image": technique}})
    refused(path, r"SE/SE' has the shape \(30, 1\)")


def test_times_that_do_not_fit_the_map(path):
    data = {"Live Time": Entry(np.ones((100, 1), np.float32))}
    write_h5oina(path, {"1": {"EDS": eds(make_counts(), data)}})
    refused(path, "Live Time")


# -------------------------------------------------------------------- links to other files


def add_elsewhere(path, kind):
    """Make the spectra lie in another file, in each way that HDF5 knows."""
    other = path.with_name("other.h5")
    counts = make_counts().reshape(126, CHANNELS)
    with h5py.File(other, "w") as file:
        file["x"] = counts
        file["group/Spectrum"] = counts
    with h5py.File(path, "r+") as file:
        data = file["1/EDS/Data"]
        del data["Spectrum"]
        if kind == "external link":
            data["Spectrum"] = h5py.ExternalLink(str(other), "/x")
        elif kind == "soft link":
            file["spectra"] = h5py.ExternalLink(str(other), "/x")
            data["Spectrum"] = h5py.SoftLink("/spectra")
        elif kind == "linked group":
            del file["1/EDS/Data"]
            file["1/EDS/Data"] = h5py.ExternalLink(str(other), "/group")
        elif kind == "external storage":
            raw = path.with_name("raw.bin")
            counts.tofile(raw)
            data.create_dataset(
                "Spectrum", counts.shape, "i4", external=[(str(raw), 0, counts.nbytes)]
            )
        else:
            layout = h5py.VirtualLayout(counts.shape, "i4")
            layout[:] = h5py.VirtualSource(str(other), "x", counts.shape)
            data.create_virtual_dataset("Spectrum", layout)


@pytest.mark.parametrize(
    "kind", ["external link", "soft link", "linked group", "external storage", "virtual dataset"]
)
def test_other_files_are_not_opened(path, kind):
    write_h5oina(path, {"1": {"EDS": eds(make_counts())}})
    add_elsewhere(path, kind)
    in_file = kind in {"external storage", "virtual dataset"}
    refused(
        path,
        "Spectrum' keeps its values in other files, which aren't opened.*h5repack"
        if in_file
        else "no EDS spectra",
    )


def test_a_file_that_changed_is_refused(path):
    write_h5oina(path, {"1": {"EDS": eds(make_counts())}})
    image = read(path)
    write_h5oina(path, {"1": {"EDS": eds(make_counts((5, 5, CHANNELS)))}})
    with pytest.raises(FileFormatError, match=r"map\.h5oina has changed"):
        image.source.read_block(0, 0)


# ------------------------------------------------------------------------ damage to bytes


def test_claims_that_the_file_cannot_hold(path):
    technique = eds(make_counts(), **{"X Cells": np.int32(10**6), "Y Cells": np.int32(10**6)})
    technique.data = {}
    write_h5oina(path, {"1": {"EDS": technique}})
    with h5py.File(path, "r+") as file:
        file.create_dataset(
            "1/EDS/Data/Spectrum", (10**12, CHANNELS), "i4", chunks=(1000, CHANNELS)
        )
    refused(path, "its header describes")


def test_chunks_that_the_file_cannot_hold(path):
    technique = eds(make_counts((1000, 1000, 1)), **{"Number Channels": np.int32(CHANNELS)})
    technique.data = {}
    write_h5oina(path, {"1": {"EDS": technique}})
    with h5py.File(path, "r+") as file:
        file.create_dataset(
            "1/EDS/Data/Spectrum", (10**6, CHANNELS), "i4", chunks=(10**6, CHANNELS)
        )
    refused(path, "has chunks of 240,000,000 bytes")


def test_chunks_beyond_the_memory_limit(path):
    counts = make_counts()
    entry = spectra(counts, chunks=(126, CHANNELS))
    write_h5oina(path, {"1": {"EDS": eds(counts, {"Spectrum": entry})}})
    with options(memory_limit="50kB"):
        refused(path, r"chunks are large.*h5repack", MemoryLimitError)


def test_images_that_the_file_cannot_hold(path):
    write_h5oina(path, {"1": {"EDS": eds(make_counts())}})
    with h5py.File(path, "r+") as file:
        file.create_dataset("1/EDS/Data/Live Time", (10**8, 1), "f4", chunks=(1000, 1))
    refused(path, "Live Time' claims 400,000,000 bytes, but 0 are stored.*damaged")


def test_a_chunk_that_grows_without_end(path):
    counts = make_counts()
    entry = spectra(counts, chunks=(126, CHANNELS), compression="gzip")
    write_h5oina(path, {"1": {"EDS": eds(counts, {"Spectrum": entry})}})
    with h5py.File(path, "r+") as file:
        bomb = zlib.compress(bytes(20_000_000), 9)
        file["1/EDS/Data/Spectrum"].id.write_direct_chunk((0, 0), bomb)
    refused(path, "bytes")


def test_a_filter_after_gzip_is_undone(path):
    counts = make_counts()
    entry = spectra(counts, compression="gzip", fletcher32=True)
    write_h5oina(path, {"1": {"EDS": eds(counts, {"Spectrum": entry})}})
    np.testing.assert_array_equal(read(path).to_xarray(), counts)


def test_a_filter_that_is_not_known_is_refused(path):
    counts = make_counts()
    entry = spectra(counts, compression=None, scaleoffset=0)
    write_h5oina(path, {"1": {"EDS": eds(counts, {"Spectrum": entry})}})
    refused(path, "Spectrum' is stored through HDF5 filter 6;.*LZF.*h5repack")


def test_checksums_are_checked(path):
    counts = make_counts()
    entry = spectra(counts, chunks=(126, CHANNELS), compression=None, fletcher32=True)
    write_h5oina(path, {"1": {"EDS": eds(counts, {"Spectrum": entry})}})
    with h5py.File(path, "r") as file:
        place = file["1/EDS/Data/Spectrum"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 100] ^= 1
    path.write_bytes(content)
    refused(path, "damaged")


@pytest.mark.parametrize("part", [0.01, 0.2, 0.5, 0.8, 0.99])
def test_truncated_files(path, part):
    write_h5oina(path, {"1": {"EDS": eds(make_counts())}})
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    refused(path, "damaged")


HEAPS = {
    "endless": struct.pack("<HHIQ", 9, 1, 0, 2**64 - 16),
    "of itself": struct.pack("<HHIQ", 1, 0, 0, 0),
    "free space first": struct.pack("<HHIQ", 0, 0, 0, 0),
}


@pytest.mark.parametrize("heap", HEAPS)
@pytest.mark.parametrize("libver", [None, "latest"])
def test_damaged_texts_are_left_out_and_the_counts_read(path, heap, libver):
    counts = make_counts()
    data = {"Window Integral": {"a": line_map(np.ones(SHAPE), 26, "Ka1")}}
    write_h5oina(path, {"1": {"EDS": eds(counts, data)}}, Style(libver=libver))
    assert read(path).metadata.lines == ("Fe_Ka",)
    content = bytearray(path.read_bytes())
    place = content.find(b"GCOL")
    while place >= 0:
        content[place + 16 : place + 32] = HEAPS[heap]
        place = content.find(b"GCOL", place + 1)
    path.write_bytes(content)
    image = read(path)
    assert image.metadata.elements == ("Fe",)
    np.testing.assert_array_equal(image.to_xarray(), counts)


def sample(path, name):
    """A file of each kind that is damaged in the mutation test."""
    counts = make_counts()
    maps = {"Window Integral": {"Fe Ka1": line_map(np.ones(SHAPE), 26, "Ka1")}}
    if name == "two detectors":
        other = spectra(counts, chunks=(20, 30), compression="gzip", shuffle=True)
        images = electron_image({"SE": {"Electron Image 1": np.zeros((18, 28), np.uint8)}})
        times = {"Live Time": Entry(np.ones(126, np.float32)), **maps}
        techniques: dict[str, Technique] = {
            "EDS1": eds(counts, times),
            "EDS2": eds(counts, {"Spectrum": other}),
            "Electron Image": images,
        }
        return write_h5oina(path, {"1": techniques})
    style = Style(libver="latest") if name == "newer HDF5" else Style((1, 1), "bytes")
    entry = spectra(counts, chunks=None) if name == "contiguous" else spectra(counts)
    return write_h5oina(path, {"1": {"EDS": eds(counts, {"Spectrum": entry, **maps})}}, style)


@pytest.mark.parametrize("name", ["two detectors", "newer HDF5", "contiguous"])
def test_damaged_files_are_refused_or_read(tmp_path, name):
    original = sample(tmp_path / "map.h5oina", name)
    read_everything(original)
    folder = tmp_path / "damaged"
    folder.mkdir()
    assert faults(read_everything, original, folder) == {}
