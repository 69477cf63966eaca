"""Small tiles, and mosaics put together from dense arrays by a rule written independently."""

import numpy as np
from scipy.ndimage import distance_transform_cdt

from sigma_scale.mosaic import Tile, TileLayout
from sigma_scale.spectra import ArraySource, EnergyAxis, SpectrumImage

AXIS = EnergyAxis(12, 0.01)


def tile_counts(shapes, *, seed=0, channels=12, dtype=np.uint8, rate=0.6):
    """Counts of tiles, Poisson distributed; some pixels have none."""
    rng = np.random.default_rng(seed)
    return [rng.poisson(rate, (*shape, channels)).astype(dtype) for shape in shapes]


def layout_of(counts, offsets, *, axes=None, chunks=None, details=None):
    """Layout of maps in memory, in pixels."""
    axes = axes or [AXIS] * len(counts)
    tiles = []
    for number, (values, offset, axis) in enumerate(zip(counts, offsets, axes, strict=True)):
        source = ArraySource(values, chunk_shape=(chunks or [(128, 128)] * len(counts))[number])
        image = SpectrumImage(source, axis, **(details or [{}] * len(counts))[number])
        place = (float(offset[0]), float(offset[1]))
        tiles.append(Tile.describe(image, f"t{number}", position=place))
    return TileLayout(tuple(tiles), "pixel")


def oracle_owner(shapes, offsets):
    """Deepest tile of each pixel, by the distance transform of each tile's outline."""
    offsets = np.floor(np.asarray(offsets, float) - np.min(offsets, axis=0) + 0.5).astype(int)
    size = (offsets + np.array(shapes)).max(axis=0)
    depth = np.zeros((len(shapes), *size), int)
    for number, ((rows, columns), (y, x)) in enumerate(zip(shapes, offsets, strict=True)):
        outline = np.pad(np.ones((rows, columns), bool), 1)
        inside = distance_transform_cdt(outline, metric="chessboard")[1:-1, 1:-1]
        # Of equal depths that counts which is more along the other axis.
        along = [distance_transform_cdt(np.pad(np.ones(n), 1))[1:-1] for n in (rows, columns)]
        inside = inside * 100_000 + np.maximum.outer(*along)
        depth[number, y : y + rows, x : x + columns] = inside
    owner = depth.argmax(axis=0)
    owner[depth.max(axis=0) == 0] = -1
    return owner, offsets, depth > 0


def oracle_mosaic(counts, offsets, overlap="seam"):
    """Dense mosaic and the tile that each pixel lies deepest in."""
    owner, places, covered = oracle_owner([values.shape[:2] for values in counts], offsets)
    dtype = np.result_type(*counts, np.uint32 if overlap == "sum" else np.uint8)
    dense = np.zeros((*owner.shape, counts[0].shape[2]), dtype)
    for number, (values, (y, x)) in enumerate(zip(counts, places, strict=True)):
        there = np.s_[y : y + values.shape[0], x : x + values.shape[1]]
        if overlap == "sum":
            dense[there] += values
        else:
            mine = owner[there] == number
            dense[there][mine] = values[mine]
    return dense, owner, covered


def read_all(image, scratch=None):
    """Whole mosaic, dense, from its blocks."""
    dense = np.zeros(image.source.shape, image.source.dtype)
    height, width = image.source.chunk_shape
    for row, column in np.ndindex(image.n_blocks):
        block = image.source.read_block(row, column, scratch)
        y, x = row * height, column * width
        dense[y : y + block.shape[0], x : x + block.shape[1]] = block.to_dense()
    return dense


def file_tile(path, name, place, **details):
    """A tile of a file of plain NumPy."""
    options = {"scale_kev": AXIS.scale_kev, "offset_kev": AXIS.offset_kev}
    return Tile.describe(path, name, position=place, options=options, **details)
