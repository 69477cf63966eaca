"""What can't be composed, and tiles that fail while it is done."""

import numpy as np
import pytest
from dense_mosaic import AXIS, file_tile, layout_of, tile_counts

from sigma_scale.errors import (
    ParameterError,
    ShapeMismatchError,
    SigmaScaleError,
    SourceNotFoundError,
)
from sigma_scale.mosaic import Tile, TileLayout, compose
from sigma_scale.spectra import SpectrumImage


def test_what_cannot_work_is_refused():
    counts = tile_counts([(10, 10)] * 2)
    layout = layout_of(counts, [(0, 0), (0, 8)])
    with pytest.raises(ParameterError, match="overlap must be"):
        compose(layout, overlap="mean")
    with pytest.raises(ParameterError, match="doses must be"):
        compose(layout, doses="same")
    with pytest.raises(ShapeMismatchError, match="2 tiles need as many doses"):
        compose(layout, doses=np.ones(3))
    with pytest.raises(ParameterError, match="positive"):
        compose(layout, doses=np.array([1.0, 0.0]))
    with pytest.raises(ParameterError, match="no block"):
        compose(layout, doses="equal").source.read_block(0, 1)
    binned = SpectrumImage.from_array(counts[0], AXIS).with_processing(bin_factors=(2, 2))
    tile = Tile.describe(binned, "b", position=(0.0, 0.0))
    with pytest.raises(ParameterError, match="bins of"):
        compose(TileLayout((tile,), "pixel"), doses="equal")


def test_a_tile_that_cannot_be_read_is_named(tmp_path):
    counts = tile_counts([(10, 10)] * 2)
    for number, values in enumerate(counts):
        np.save(tmp_path / f"{number}.npy", values)
    layout = TileLayout(
        tuple(
            file_tile(tmp_path / f"{n}.npy", f"field {n}", (0.0, 8.0 * n), line=n + 2)
            for n in range(2)
        ),
        "pixel",
    )
    image = compose(layout, doses="equal")
    np.save(tmp_path / "1.npy", counts[1][:9])
    with pytest.raises(ParameterError, match=r"tile 'field 1' \(line 3\)"):
        image.source.read_block(0, 0)
    (tmp_path / "0.npy").unlink()
    with pytest.raises(SourceNotFoundError, match=r"Tile 'field 0' \(line 2\): .*0\.npy"):
        compose(TileLayout(layout.tiles[:1], "pixel"), doses="equal")


def test_a_damaged_block_names_its_tile():
    counts = tile_counts([(10, 10)] * 2)
    layout = layout_of(counts, [(0, 0), (0, 8)])

    class Damaged:
        shape, dtype, chunk_shape = (10, 10, 12), np.dtype(np.uint8), (128, 128)

        def read_block(self, row, column, scratch=None):
            raise SigmaScaleError("the chunk is damaged.")

        def __dask_tokenize__(self):
            return "damaged"

    tile = Tile.describe(SpectrumImage(Damaged(), AXIS), "broken", position=(0.0, 16.0))
    image = compose(TileLayout((*layout.tiles, tile), "pixel"), doses="equal")
    with pytest.raises(SigmaScaleError, match="Tile 'broken': the chunk is damaged"):
        image.source.read_block(0, 0)
