"""The tutorial's benchmark runs, on a toy, so that it doesn't rot."""

import zlib

import h5py
import numpy as np
import pytest

from benchmarks import tutorial
from benchmarks.record import read_results


def test_the_limit_inflates_every_chunk(tmp_path):
    counts = np.random.default_rng(0).integers(0, 9, (7, 5, 16), np.uint8)
    path = tmp_path / "map.hspy"
    with h5py.File(path, "w") as file:
        group = file.create_group("Experiments/map")
        group.create_dataset("data", data=counts, chunks=(7, 5, 4), compression="gzip")
    assert tutorial.read_and_inflate(path) == counts.nbytes
    with h5py.File(path, "r") as file:
        data = file["Experiments/map/data"]
        broken = data.id.get_chunk_info(2).byte_offset
    with path.open("r+b") as file:
        file.seek(broken)
        file.write(b"no gzip")
    with pytest.raises(zlib.error):
        tutorial.read_and_inflate(path)


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ([1.0, -4.0], "equal"),
        ([1.0, -4.004], "within 1e-03 of the largest"),
        ([1.0], "shapes (2,) and (1,)"),
    ],
)
def test_how_arrays_agree(theirs, said):
    assert tutorial.largest_difference(np.array([1.0, -4.0]), np.array(theirs)) == said


@pytest.mark.slow
def test_the_cells_alone(tmp_path):
    path = tmp_path / "result.json"
    results = tutorial.main(["--quick", "--no-peers", "--out", str(path)])
    assert read_results(path) == results
    (result,) = results
    assert [row.stage for row in result.rows] == [
        "load to z-score",
        "UMAP",
        "mixture of 12",
        "all cells",
    ]
    whole, latent, mixture, everything = result.rows
    assert whole.size == 121**2
    assert latent.size == mixture.size == 40**2
    assert whole.of_limit > 0
    assert everything.seconds == pytest.approx(whole.seconds + latent.seconds + mixture.seconds)
    assert everything.peak_memory == max(row.peak_memory for row in result.rows)
    assert float(mixture.agreement.split()[-1]) > 0.7
    assert result.figures["clusters"] == 12
