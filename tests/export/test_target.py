from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sigma_scale import config
from sigma_scale.errors import MemoryLimitError, OutputExistsError, ParameterError, StoreError
from sigma_scale.export import export_counts
from sigma_scale.spectra import (
    EnergyAxis,
    EventBlock,
    MapMetadata,
    Scratch,
    SourceFile,
    SpectrumImage,
)
from sigma_scale.store import write_map

if TYPE_CHECKING:
    from collections.abc import Callable

SUFFIXES = [".hspy", ".zspy", ".zarr"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_earlier_export_is_replaced_only_when_asked(tmp_path, image, suffix, dense, left):
    counts = image.source.data
    path = export_counts(image, tmp_path / f"map{suffix}")
    other = SpectrumImage.from_array(counts[:20], image.energy)
    with pytest.raises(OutputExistsError, match="overwrite"):
        export_counts(other, path)
    np.testing.assert_array_equal(dense(path), counts)
    export_counts(other, path, overwrite=True)
    np.testing.assert_array_equal(dense(path), counts[:20])
    assert left() == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("what", ["file", "folder", "store", "json", "other hdf5"])
def test_what_is_no_export_is_never_replaced(tmp_path, image, suffix, what):
    import h5py

    path = tmp_path / f"map{suffix}"
    if what == "file":
        path.write_bytes(b"results of a year")
    elif what == "store":
        write_map(image, path)
    elif what == "other hdf5":
        with h5py.File(path, "w") as file:
            file["results"] = 1
    else:
        path.mkdir()
        content = "[1]" if what == "json" else "nothing"
        for name in ("zarr.json", ".zattrs"):
            (path / name).write_text(content)
    before = {p: p.read_bytes() for p in (path, *path.rglob("*")) if p.is_file()}
    with pytest.raises(OutputExistsError, match="is no exported"):
        export_counts(image, path, overwrite=True)
    assert before == {p: p.read_bytes() for p in (path, *path.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_map_is_not_exported_onto_its_own_file(tmp_path, image, suffix):
    path = export_counts(image, tmp_path / f"map{suffix}")
    own = replace(image, metadata=MapMetadata(sources=(SourceFile.at(path),)))
    with pytest.raises(OutputExistsError, match="read from"):
        export_counts(own, path, overwrite=True)


@pytest.mark.parametrize("suffix", [".zspy", ".zarr"])
def test_an_empty_folder_is_no_obstacle(tmp_path, image, suffix, dense, left):
    (tmp_path / f"map{suffix}").mkdir()
    path = export_counts(image, tmp_path / f"map{suffix}")
    np.testing.assert_array_equal(dense(path), image.source.data)
    assert left() == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_folders_on_the_way_are_made(tmp_path, image, suffix):
    assert export_counts(image, tmp_path / "a" / "b" / f"map{suffix}").exists()


class Failing:
    """A source whose last block can't be read."""

    shape, dtype, chunk_shape = (64, 64, 20), np.dtype("u2"), (16, 16)

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read_block(self, row: int, column: int, scratch: Scratch | None = None) -> EventBlock:
        if (row, column) == (3, 3):
            raise self.error
        return EventBlock.from_dense(np.ones((16, 16, 20), dtype=np.uint16))

    def __dask_tokenize__(self) -> str:
        return "failing"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(28, "No space left on device"), StoreError),
        (StoreError("the source is damaged"), StoreError),
        (MemoryLimitError("too large"), MemoryLimitError),
        (RuntimeError("a bug"), RuntimeError),
    ],
)
def test_a_failure_leaves_nothing_new_and_keeps_the_old(tmp_path, image, error, expected, left):
    failing = SpectrumImage(Failing(error), EnergyAxis(20, 0.01))
    for suffix in SUFFIXES:
        path = export_counts(image, tmp_path / f"map{suffix}")
        before = {p: p.read_bytes() for p in (path, *path.rglob("*")) if p.is_file()}
        with pytest.raises(expected):
            export_counts(failing, path, overwrite=True)
        with pytest.raises(expected):
            export_counts(failing, tmp_path / f"new{suffix}")
        assert before == {p: p.read_bytes() for p in (path, *path.rglob("*")) if p.is_file()}
    assert left() == sorted(f"map{suffix}" for suffix in SUFFIXES)


KILLED = """
import os, signal, sys
import numpy as np
from sigma_scale.export import export_counts
from sigma_scale.spectra import EnergyAxis, EventBlock, SpectrumImage

class Killing:
    shape, dtype, chunk_shape = (64, 64, 20), np.dtype("u2"), (16, 16)

    def read_block(self, row, column, scratch=None):
        if (row, column) == (3, 3):
            os.kill(os.getpid(), signal.SIGKILL)
        return EventBlock.from_dense(np.ones((16, 16, 20), dtype=np.uint16))

    def __dask_tokenize__(self):
        return "killing"

export_counts(SpectrumImage(Killing(), EnergyAxis(20, 0.01)), sys.argv[1])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_draft_of_a_killed_export_is_removed_by_the_next(tmp_path, image, suffix, dense, left):
    path = tmp_path / f"map{suffix}"
    others = [f".other{suffix}.{'a' * 32}.part", f".map{suffix}.notes.part", f"map{suffix}.part"]
    for name in others:
        (tmp_path / name).write_bytes(b"somebody else's")
    process = subprocess.run(  # noqa: S603
        [sys.executable, "-c", KILLED, str(path)], capture_output=True, check=False
    )
    assert process.returncode == -9
    (draft,) = {*left()} - {*others}
    assert draft.startswith(f".map{suffix}.")
    export_counts(image, path)
    assert left() == sorted([path.name, *others])
    np.testing.assert_array_equal(dense(path), image.source.data)


@pytest.mark.parametrize("suffix", [".zspy", ".zarr"])
def test_what_was_moved_aside_goes_only_when_the_new_one_is_whole(tmp_path, image, suffix, left):
    """As after a kill between the two renames that replace a folder."""
    path = export_counts(image, tmp_path / f"map{suffix}")
    aside = path.rename(tmp_path / f".map{suffix}.{'0' * 32}.old")
    with pytest.raises(StoreError):
        export_counts(SpectrumImage(Failing(OSError(28, "full")), EnergyAxis(20, 0.01)), path)
    assert left() == [aside.name]
    export_counts(image, path)
    assert left() == [path.name]


class Rival(Failing):
    """A source during whose last block another export to the same target runs."""

    def __init__(self, rival: Callable[[], object]) -> None:
        self.rival = rival

    def read_block(self, row: int, column: int, scratch: Scratch | None = None) -> EventBlock:
        if (row, column) == (3, 3):
            self.rival()
        return EventBlock.from_dense(np.ones((16, 16, 20), dtype=np.uint16))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_of_two_exports_to_one_target_a_whole_one_is_left(tmp_path, image, suffix, dense, left):
    path = tmp_path / f"map{suffix}"
    source = Rival(lambda: export_counts(image, path))
    with pytest.raises(StoreError, match=f"map{suffix} can't be written"):
        export_counts(SpectrumImage(source, EnergyAxis(20, 0.01)), path)
    np.testing.assert_array_equal(dense(path), image.source.data)
    assert left() == [path.name]


LIMITED = """
import resource, signal, sys
import numpy as np
from sigma_scale.errors import StoreError
from sigma_scale.export import export_counts
from sigma_scale.spectra import EnergyAxis, SpectrumImage

counts = np.random.default_rng(0).integers(0, 200, (128, 128, 64)).astype(np.uint8)
image = SpectrumImage.from_array(counts, EnergyAxis(64, 0.01))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
for path in sys.argv[1:]:
    try:
        export_counts(image, path)
    except StoreError as error:
        print("refused:", error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows can't limit the size of files")
def test_a_full_disk_is_reported_and_nothing_is_left(tmp_path, left):
    paths = [str(tmp_path / f"map{suffix}") for suffix in SUFFIXES]
    process = subprocess.run(  # noqa: S603
        [sys.executable, "-c", LIMITED, *paths], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    refused = process.stdout.splitlines()
    assert len(refused) == len(paths)
    for line, suffix in zip(refused, SUFFIXES, strict=True):
        assert line.startswith("refused:")
        assert f"map{suffix}" in line
    assert left() == []


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("map.xyz", {}, r"\.hspy, \.zspy, \.zarr"),
        ("map", {}, r"\.hspy, \.zspy, \.zarr"),
        ("map.hspy", {"level": 10}, "level"),
        ("map.hspy", {"level": -1}, "level"),
        ("map.hspy", {"dtype": "i4"}, "dtype must be one of"),
        ("map.hspy", {"dtype": "nonsense"}, "type of numbers"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    tmp_path, image, name, options, message
):
    with pytest.raises(ParameterError, match=message):
        export_counts(image, tmp_path / name, **options)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_too_little_memory_is_said_before_anything_is_written(tmp_path, image, suffix, left):
    with config.options(memory_limit="1kB"), pytest.raises(MemoryLimitError, match="The export"):
        export_counts(image, tmp_path / f"map{suffix}")
    assert left() == []
