"""Tiles that note what is read of them, and the mosaic of them by plain NumPy."""

import threading
from dataclasses import replace
from functools import partial

import numpy as np

from sigma_scale import store
from sigma_scale.mosaic import Tile, TileLayout, writing
from sigma_scale.spectra import EnergyAxis, SpectrumImage
from sigma_scale.synthetic import synthetic_tiles

write_mosaic = partial(writing.write_mosaic, doses="equal")
"""Estimating doses would read parts of all tiles that are no stores."""


AXIS = EnergyAxis(16, 0.1)


SIDE = 200


class Spied:
    """Counts that note which of their blocks are read."""

    dtype, chunk_shape = np.dtype(np.uint8), (64, 64)

    def __init__(self, name, counts):
        self.name, self.image = name, SpectrumImage.from_array(counts, AXIS)
        self.source = replace(self.image.source, chunk_shape=self.chunk_shape)
        self.shape = counts.shape
        self.n_read = 0
        self.lock = threading.Lock()

    def __reduce__(self):
        return Spied, (self.name, self.image.source.data)

    def read_block(self, row, column, scratch=None):
        with self.lock:
            self.n_read += 1
        return self.source.read_block(row, column, scratch)

    def __dask_tokenize__(self):
        return ("Spied", self.name)


def layout_of(spies, cells, step=180.0):
    """Layout of those in some cells of the grid, which overlap."""
    return TileLayout(
        tuple(
            Tile.describe(
                SpectrumImage(spies[cell], AXIS), spies[cell].name,
                position=(cell[0] * step, cell[1] * step), row=cell[0], column=cell[1],
            )
            for cell in cells
        ),
        "pixel",
    )  # fmt: skip


def n_read(spies):
    """How many blocks were read of each."""
    return {cell: spy.n_read for cell, spy in spies.items()}


def reset(spies):
    """Count from nothing on."""
    for spy in spies.values():
        spy.n_read = 0


def pasted(spies, cells, step=180):
    """The mosaic by plain NumPy: a pixel is of the tile whose border is farthest from it."""
    rows, columns = (max(c[axis] for c in cells) * step + SIDE for axis in (0, 1))
    counts, best = np.zeros((rows, columns, 16), np.uint8), np.zeros((rows, columns), int)
    line = np.minimum(np.arange(SIDE) + 1, SIDE - np.arange(SIDE))
    # Of equal depths that counts which is more along the other axis.
    depth = np.minimum(line[:, None], line) * 1000 + np.maximum(line[:, None], line)
    for i, j in cells:
        place = np.s_[i * step : i * step + SIDE, j * step : j * step + SIDE]
        deeper = depth > best[place]
        counts[place][deeper] = spies[i, j].image.source.data[deeper]
        best[place][deeper] = depth[deeper]
    return counts


class Killed(BaseException):
    """What ends a program without its being told."""


FOUR = [(0, 0), (0, 1), (1, 0), (1, 1)]


SIX = [*FOUR, (0, 2), (1, 2)]


def stored_counts(path):
    """Counts of a store as a dense array."""
    return store.open_map(path).to_xarray().values


def made_layout(grid=(2, 2), **details):
    """Overlapping tiles with jitter, and their layout by the stage."""
    made = synthetic_tiles(grid, (96, 96), overlap=0.25, jitter=2, channels=64, seed=4, **details)
    return made, TileLayout.from_stage(made.images)
