"""A map whose writing is interrupted, as by a key that is pressed."""

from __future__ import annotations

from sigma_scale.spectra import ArraySource


class Interrupted(ArraySource):
    """Counts whose block (1, 1) can't be read at first, and which remember what was read."""

    def __init__(self, data, fail):
        super().__init__(data)
        object.__setattr__(self, "fail", fail)
        object.__setattr__(self, "read", [])

    def read_block(self, row, column, scratch=None):
        if self.fail and (row, column) == (1, 1):
            raise KeyboardInterrupt
        self.read.append((row, column))
        return super().read_block(row, column)

    def __dask_tokenize__(self):
        return ("Interrupted", self.data.sum())
