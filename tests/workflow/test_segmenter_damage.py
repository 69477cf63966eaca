"""Saved segmentations that are damaged, altered or made up: none is loaded, none is run."""

from __future__ import annotations

import pickle
import struct
import zipfile

import numpy as np
import pytest
from numcodecs import Zstd
from saved_states import (
    DATASET,
    SHAPE,
    array_with,
    chunk_with,
    document_with,
    edited,
    in_turn,
    refused,
    rewritten,
    segmenter,
    snapshot,
    with_document,
    without,
)

from sigma_scale.errors import (
    CorruptChunkError,
    ShapeMismatchError,
    SourceNotFoundError,
    StoreError,
)
from sigma_scale.workflow.segmenter import PixelSegmenter, archive
from sigma_scale.workflow.segmenter import state as state_module
from sigma_scale.workflow.segmenter.archive import _ZSTD_HEADER_SIZE, _content_size


@pytest.fixture
def forged(monkeypatch):
    """Let everything pass for what was written, so that only other checks are left."""
    monkeypatch.setattr(state_module, "_digest", lambda *_: "same")


@pytest.fixture
def saved(tmp_path):
    return edited(segmenter()).save_state(tmp_path / "state.zip")


class Trap:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("the file was unpickled",))


def test_garbage_and_pickles_are_refused(tmp_path):
    ps = segmenter()
    path = ps.save_state(tmp_path / "state.zip")
    content = path.read_bytes()
    refused(ps, tmp_path / "nowhere", SourceNotFoundError, "nowhere")
    refused(ps, tmp_path, StoreError)
    bad = tmp_path / "bad"
    for size in (0, 1, 100, len(content) // 2, len(content) - 1):
        bad.write_bytes(content[:size])
        refused(ps, bad, StoreError, "not a saved segmentation")
    for garbage in (b"\x80\x04N.", pickle.dumps(Trap()), pickle.dumps({"labels": Trap()})):
        bad.write_bytes(garbage)
        refused(ps, bad, StoreError, "not a saved segmentation")
    np.savez(tmp_path / "bad.npz", labels=np.array([1], object))
    refused(ps, tmp_path / "bad.npz", StoreError)


def grid(*sides):
    return {"name": "regular", "configuration": {"chunk_shape": list(sides)}}


def codecs(*names):
    return [{"name": name, "configuration": SETTINGS.get(name, {})} for name in names]


SETTINGS = {
    "bytes": {"endian": "little"},
    "gzip": {"level": 1},
    "transpose": {"order": [0, 1]},
    "zstd": {"level": 3, "checksum": False},
}
"""What zarr needs to read an array with such a codec."""


def frame_without_size(content):
    """The same chunk as a frame of one raw block, which need not say how long it is."""
    raw = Zstd().decode(content)
    return b"\x28\xb5\x2f\xfd\x00\x38" + (len(raw) << 3 | 1).to_bytes(3, "little") + raw


def padded(content):
    """The same chunk in a corner of one of 1024 x 1024 pixels."""
    labels = np.zeros((1024, 1024), np.int32)
    labels[: SHAPE[0], : SHAPE[1]] = np.frombuffer(Zstd().decode(content), np.int32).reshape(SHAPE)
    return Zstd().encode(labels.tobytes())


def halved(content):
    return Zstd().encode(np.frombuffer(Zstd().decode(content)).astype(np.float16).tobytes())


CONTENT = "content is not what was written"
KIND = "never saved"
CHANGES = {
    "kind": (document_with(kind="other"), "not a saved segmentation"),
    "schema": (document_with(schema=2), "layout 2, this program reads 1"),
    "log": (document_with(log=[]), CONTENT),
    "colours": (document_with(colours={}), CONTENT),
    "no identity": (document_with(identity=None), "not a saved segmentation"),
    "method": (document_with(method=3), "method missing"),
    "lost labels": (without("labels/c"), CONTENT),
    "lost latent space": (without("latent/c"), CONTENT),
    "lost array": (without("latent"), CONTENT),
    "lost mixture": (without("component_factor"), CONTENT),
    "shape": (array_with("labels", shape=[24, 33]), r"labels claims the shape \[24, 33\]"),
    "huge": (array_with("component_mean", shape=[2**40, 2]), "component_mean claims the shape"),
    "negative": (
        array_with("component_log_weight", shape=[-5], chunk_grid=grid(1)), "claims the shape",
    ),
    "dimensions": (array_with("component_mean", shape=[5]), r"\[5\] in chunks of \[5, 2\]"),
    "huge chunk": (array_with("labels", chunk_grid=grid(2**40, 2**20)), "in chunks of"),
    "padded chunk": (
        in_turn(array_with("labels", chunk_grid=grid(1024, 1024)), chunk_with("labels", padded)),
        r"in chunks of \[1024, 1024\]",
    ),
    "type": (array_with("labels", data_type="float64"), "3072 bytes instead of 6144"),
    "object": (array_with("labels", data_type="variable_length_bytes"), KIND),
    "half": (
        in_turn(array_with("latent", data_type="float16"), chunk_with("latent", halved)), KIND,
    ),
    "pickle": (array_with("labels", codecs=codecs("numcodecs.pickle")), KIND),
    "further codec": (array_with("labels", codecs=codecs("transpose", "bytes", "zstd")), KIND),
    "not packed": (
        in_turn(array_with("labels", codecs=codecs("bytes")), chunk_with("labels", Zstd().decode)),
        KIND,
    ),
    "other codec": (array_with("labels", codecs=codecs("bytes", "gzip")), KIND),
    "old format": (array_with("labels", zarr_format=2), "no zarr"),
    "cut chunk": (chunk_with("labels", lambda content: content[:-3]), "invalid input"),
    "no frame": (chunk_with("latent", lambda _: b"\0" * 9), "claims None bytes instead of 12288"),
    "no size": (chunk_with("labels", frame_without_size), "claims None bytes instead of 3072"),
    "bomb": (
        chunk_with("labels", lambda _: Zstd().encode(bytes(10**7))),
        "10000000 bytes instead of 3072",
    ),
    "no json": (lambda name, content: b"{" if name == "zarr.json" else content, "Expecting"),
    "list": (lambda name, content: b"[]" if name == "zarr.json" else content, "no zarr"),
    "deep": (lambda name, content: b"[" * 10**6 if name == "zarr.json" else content, "recursion"),
    "no document": (
        lambda name, content: content.replace(b'"sigma_scale"', b'"other"'), "sigma_scale",
    ),
    "nothing": (lambda name, content: None, "no item named"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_altered_states_are_refused(tmp_path, saved, change):
    change, message = CHANGES[change]
    rewritten(saved, tmp_path / "bad.zip", change)
    refused(edited(segmenter()), tmp_path / "bad.zip", StoreError, message)


SAME_CONTENT = ("padded chunk", "further codec", "not packed", "half", "no size")


@pytest.mark.usefixtures("forged")
@pytest.mark.parametrize("change", SAME_CONTENT)
def test_what_is_never_saved_is_refused_even_where_it_could_be_read(tmp_path, saved, change):
    change, message = CHANGES[change]
    rewritten(saved, tmp_path / "bad.zip", change)
    refused(segmenter(), tmp_path / "bad.zip", StoreError, message)


def merge_others(document):
    document["log"][0]["clusters"] = [0, 1]


FORGERIES = {
    "other edit": (with_document(merge_others), "its edits don't lead to its labels"),
    "other position": (document_with(position=2), "its edits don't lead to its labels"),
    "no position": (document_with(position=99), "99 can't be in effect"),
    "no edit": (document_with(log=[{"edit": "melt"}], position=1), "no edit 'melt'"),
    "no log": (document_with(log=[3], position=1), "can't be used"),
    "few clusters": (document_with(n_clusters=2), "not those of its clusters"),
    "more clusters": (document_with(n_clusters=6), "another number of clusters"),
    "no identity": (document_with(identity={"shape": list(SHAPE)}), "with_spectra"),
    "no sources": (
        with_document(lambda d: d["identity"].update(with_spectra=False, sources=[3])),
        "can't be used",
    ),
    "no sums": (with_document(lambda d: d["identity"].update(channel_sums=3)), "can't be used"),
    "lost array": (without("latent"), "arrays don't fit"),
    "lost mixture": (without("component_factor"), "arrays don't fit"),
    "other arrays": (
        in_turn(
            array_with("component_log_weight", shape=[3], chunk_grid=grid(3)),
            chunk_with("component_log_weight", lambda _: Zstd().encode(bytes(24))),
        ),
        "arrays don't fit",
    ),
}


@pytest.mark.usefixtures("forged")
@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("method", ["GaussianMixture", "Kmeans"])
def test_states_that_do_not_fit_themselves_are_refused(tmp_path, saved, forgery, method):
    change, message = FORGERIES[forgery]
    rewritten(saved, tmp_path / "bad.zip", change)
    refused(segmenter(method), tmp_path / "bad.zip", StoreError, message)


def test_compressed_entries_are_refused(tmp_path, saved):
    """One entry a little smaller than it claims: the file still has more bytes than are claimed."""
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(bad, "w") as new:
        for entry in old.infolist():
            packed = zipfile.ZIP_DEFLATED if entry.filename == "labels/zarr.json" else None
            new.writestr(entry.filename, old.read(entry), packed)
    with zipfile.ZipFile(bad) as written:
        assert sum(entry.file_size for entry in written.infolist()) < bad.stat().st_size
    refused(segmenter(), bad, StoreError, "its entries are compressed")
    with zipfile.ZipFile(bad, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("zarr.json", b" " * 10**7)
    refused(segmenter(), bad, StoreError, "its entries are compressed")


def test_an_entry_that_claims_more_bytes_than_the_file_has_is_refused(tmp_path, saved):
    """No entry alone claims more than the file has: their sum does."""
    content = bytearray(saved.read_bytes())
    header = content.rindex(b"latent/c/0/0/0") - 46  # in the central directory
    assert content[header : header + 4] == b"PK\1\2"
    struct.pack_into("<L", content, header + 24, len(content))  # its size unpacked
    bad = tmp_path / "bad.zip"
    bad.write_bytes(content)
    refused(segmenter(), bad, StoreError, "more bytes than the file has")


@pytest.mark.parametrize("other_names", [False, True])
def test_entries_that_share_their_bytes_are_refused(tmp_path, saved, other_names):
    bad = tmp_path / "bad.zip"
    bad.write_bytes(saved.read_bytes())
    with zipfile.ZipFile(bad, "a") as made:
        (entry,) = (e for e in made.infolist() if e.filename == "latent/c/0/0/0")
        for number in range(100):
            other = zipfile.ZipInfo.__new__(zipfile.ZipInfo)
            for name in zipfile.ZipInfo.__slots__:
                if hasattr(entry, name):
                    setattr(other, name, getattr(entry, name))
            other.filename = f"latent/c/0/0/{number}" if other_names else entry.filename
            made.filelist.append(other)
        made._didModify = True
    refused(segmenter(), bad, StoreError, "more bytes than the file has")


def test_entries_that_are_of_no_array_are_refused(tmp_path, saved):
    with zipfile.ZipFile(saved, "a") as made:
        made.writestr("extra/c/0", b"")
    refused(segmenter(), saved, StoreError, "extra")


def test_metadata_too_large_to_be_read_are_refused(saved, monkeypatch):
    monkeypatch.setattr(archive, "_LARGEST_JSON", 1000)
    refused(segmenter(), saved, StoreError, r"zarr\.json claims \d+ bytes")


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65791, 65792, 10**6])
def test_sizes_of_zstd_frames(size):
    frame = Zstd().encode(bytes(size))
    assert _content_size(frame[:_ZSTD_HEADER_SIZE]) == size


def test_sizes_of_zstd_frames_with_all_that_a_header_may_have():
    """A window, the longest number of a dictionary and eight bytes for the size."""
    header = b"\x28\xb5\x2f\xfd\xc3\0" + bytes(4) + (2**40 + 5).to_bytes(8, "little")
    assert len(header) == _ZSTD_HEADER_SIZE
    assert _content_size(header) == 2**40 + 5


def test_damaged_counts_are_not_blamed_on_the_state(saved, monkeypatch):
    ps = segmenter()

    def damaged():
        raise CorruptChunkError("chunk (0, 0) is damaged")

    monkeypatch.setattr(ps._spectra, "channel_sums", damaged)
    with pytest.raises(CorruptChunkError, match=r"^chunk \(0, 0\) is damaged"):
        ps.load_state(saved)


def test_flipped_bytes_never_pass(tmp_path):
    ps = edited(segmenter("Kmeans"))
    content = bytearray(ps.save_state(tmp_path / "state.zip").read_bytes())
    rng = np.random.default_rng(0)
    bad = tmp_path / "bad"
    for place in rng.integers(0, len(content), 60):
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        bad.write_bytes(changed)
        try:
            loaded = PixelSegmenter.from_saved_state(bad, DATASET)
        except (StoreError, ShapeMismatchError):
            continue
        assert snapshot(loaded) == snapshot(ps)  # a byte that means nothing, such as a date
