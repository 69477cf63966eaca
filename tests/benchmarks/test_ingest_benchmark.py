"""The benchmark of reading and storing runs, on toys, so that it doesn't rot."""

import numpy as np
import pytest

from benchmarks.ingest import decoding, files, storing
from benchmarks.ingest.__main__ import main
from benchmarks.record import read_results


def run(part, tmp_path):
    out = tmp_path / "results.json"
    results = main(["--part", part, "--quick", "--folder", str(tmp_path), "--out", str(out)])
    assert read_results(out) == results
    for row in (row for result in results for row in result.rows):
        assert row.seconds > 0
        assert row.times_peer is None or row.times_peer > 0
        assert row.of_limit is None or row.of_limit > 0
        assert row.times_peer or row.of_limit
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]
    return results


def test_decoding(tmp_path):
    decoders, readers = run("decoding", tmp_path)
    assert len(decoders.rows) == len(decoding.DENSITIES)
    assert [row.stage for row in readers.rows] == [f"read .{suffix}" for suffix in files.WRITERS]
    for row in (*decoders.rows, *readers.rows):
        assert row.agreement == "equal"
        assert row.peer.startswith(("RosettaSciIO ", "h5py "))


def test_libraries_that_disagree_are_not_timed(tmp_path):
    path = files.write_bcf(tmp_path / "map.bcf", (5, 7, files.CHANNELS), 25.0)
    dense = decoding.by_rosettasciio(path)
    decoding.check_equal(path, dense)
    wrong = np.array(dense)
    wrong[4, 6, 100] += 1
    with pytest.raises(AssertionError, match="not equal"):
        decoding.check_equal(path, wrong)


@pytest.mark.slow
def test_storing(tmp_path):
    results = run("storing", tmp_path)
    assert [result.name for result in results] == [f"ingest: .{name}" for name in storing.ROWS]
    for result in results:
        _, ingest, store = result.rows
        assert ingest.limit == "decoding alone"
        assert 0 < ingest.peak_memory < 1e9
        assert "equals" in ingest.agreement
        assert (store.unit, store.limit) == ("bytes", "writing the same files")
        assert result.figures["file, MB"] > 0


def test_compressors(tmp_path):
    (result,) = run("compressors", tmp_path)
    figures = result.figures
    assert figures["zstd 1: bytes per pixel"] < figures["lz4: bytes per pixel"]
    assert figures["lz4: bytes per pixel"] < figures["none: bytes per pixel"]
