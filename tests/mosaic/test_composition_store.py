"""A composed mosaic written to a store, interrupted and completed."""

import dask
import numpy as np
import pytest
from dense_mosaic import layout_of, oracle_mosaic, oracle_owner, tile_counts

from sigma_scale.errors import OutputExistsError, StoreError, UnfinishedStoreError
from sigma_scale.mosaic import MosaicPlan, MosaicSource, TileLayout, compose
from sigma_scale.store import open_map, write_map
from sigma_scale.synthetic import synthetic_tiles

SIDE = 90


@pytest.fixture(scope="module")
def synthetic():
    """A 3 x 3 stage scan on whole pixels, with its tiles as dense arrays."""
    tiles = synthetic_tiles((3, 3), (SIDE, SIDE + 10), whole_pixels=True, jitter=2.0, seed=4)
    counts = [image.source.read_block(0, 0).to_dense() for image in tiles.images.values()]
    placed = TileLayout.from_stage(tiles.images)
    layout = placed.with_offsets(tiles.positions - tiles.positions.min(axis=0))
    return layout, counts, tiles.positions


def test_a_synthetic_mosaic_is_written_and_equals_the_dense_one(synthetic, tmp_path):
    layout, counts, positions = synthetic
    image = compose(layout)
    stored = write_map(image, tmp_path / "m.zarr")
    dense, owner, _ = oracle_mosaic(counts, positions)
    assert stored.source.dtype == counts[0].dtype
    np.testing.assert_array_equal(stored.to_xarray().values, dense)
    np.testing.assert_array_equal(stored.images["tile"].values, owner)
    assert stored.images["tile"].dtype == np.int32
    assert stored.images["tile"].attrs["tiles"] == [tile.name for tile in layout]
    assert set(stored.images) == {"tile", "dose", "navigation"}
    assert stored.images["dose"].dtype == np.float32
    assert np.ptp(stored.images["dose"].values) > 0.01
    assert int(stored.sum_spectrum().values.sum()) == int(dense.sum())
    assert stored.pixel_size == image.pixel_size
    assert stored.metadata.selection == image.metadata.selection
    assert stored.metadata.stage_x_mm == pytest.approx(
        (positions[:, 1].mean() + (SIDE + 9) / 2) * image.pixel_size[1] / 1e3, abs=5e-3
    )
    np.testing.assert_array_equal(
        stored.navigation.values[owner == 4],
        _placed(layout.tiles[4].image.navigation.values, positions, 4, owner.shape)[owner == 4],
    )


def _placed(values, positions, number, shape):
    whole = np.zeros(shape, values.dtype)
    y, x = (positions[number] - positions.min(axis=0)).astype(int)
    whole[y : y + values.shape[0], x : x + values.shape[1]] = values
    return whole


def test_an_interrupted_mosaic_goes_on_where_it_stopped(synthetic, tmp_path, monkeypatch):
    layout, counts, positions = synthetic
    image = compose(layout, doses="equal")
    real = MosaicSource.read_block
    read = []

    def breaking(self, row, column, scratch=None):
        if len(read) == 4:
            raise StoreError("the disk went away.")
        read.append((row, column))
        return real(self, row, column, scratch)

    with dask.config.set(scheduler="sync"):
        monkeypatch.setattr(MosaicSource, "read_block", breaking)
        with pytest.raises(StoreError, match="went away"):
            write_map(image, tmp_path / "m.zarr")
        with pytest.raises(UnfinishedStoreError):
            open_map(tmp_path / "m.zarr")
        first, read[:] = list(read), []
        monkeypatch.setattr(
            MosaicSource,
            "read_block",
            lambda self, i, j, scratch=None: read.append((i, j)) or real(self, i, j, scratch),
        )
        stored = write_map(compose(layout, doses="equal"), tmp_path / "m.zarr")
    assert len(first) == 4
    assert not set(first) & set(read)
    assert len(set(first) | set(read)) == np.prod(image.n_blocks)
    np.testing.assert_array_equal(stored.to_xarray().values, oracle_mosaic(counts, positions)[0])


def test_another_mosaic_of_the_same_files_is_not_taken_for_this_one(tmp_path):
    counts = tile_counts([(40, 50)] * 2)
    paths = {}
    for number, tile in enumerate(layout_of(counts, [(0, 0), (0, 9)])):
        paths[f"t{number}"] = tmp_path / f"t{number}.zarr"
        write_map(tile.image, paths[f"t{number}"])

    def mosaic(offset, overlap="seam"):
        layout = TileLayout(
            tuple(
                type(layout_of(counts, [(0, 0), (0, 9)]).tiles[0]).describe(
                    path, name, position=place
                )
                for (name, path), place in zip(
                    paths.items(), [(0.0, 0.0), (0.0, offset)], strict=True
                )
            ),
            "pixel",
        )
        return compose(layout, overlap=overlap, doses="equal")

    stored = write_map(mosaic(40.0), tmp_path / "m.zarr")
    assert write_map(mosaic(40.0), tmp_path / "m.zarr", reuse=True).shape == stored.shape
    for other in (mosaic(41.0), mosaic(40.0, "sum")):
        with pytest.raises(OutputExistsError):
            write_map(other, tmp_path / "m.zarr", reuse=True)
    np.testing.assert_array_equal(
        stored.to_xarray().values, oracle_mosaic(counts, [(0, 0), (0, 40)])[0]
    )


def test_kept_blocks_of_a_store_are_those_of_the_larger_mosaic(synthetic, tmp_path):
    layout, counts, positions = synthetic
    fewer = TileLayout(layout.tiles[3:], layout.unit)
    stored = write_map(compose(fewer, doses="equal"), tmp_path / "m.zarr")
    from sigma_scale.mosaic.composition import same_blocks

    earlier = MosaicPlan.from_attrs(compose(fewer, doses="equal").source.plan.to_attrs())
    image = compose(layout, doses="equal", earlier_plan=earlier)
    found = same_blocks(earlier, image.source.plan)
    assert found
    for now, before in found.items():
        a = image.source.read_block(*now)
        b = stored.source.read_block(*before)
        np.testing.assert_array_equal(a.to_dense(), b.to_dense())
    owner, *_ = oracle_owner([values.shape[:2] for values in counts], positions)
    top, left = (np.array(image.shape[:2]) - owner.shape).tolist()
    np.testing.assert_array_equal(image.images["tile"].values[top:, left:], owner)
