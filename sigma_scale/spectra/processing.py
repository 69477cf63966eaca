"""The linear steps that a spectrum image is seen through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Processing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    """
    Steps between the counts of a map and the spectra that are shown or summed.

    All of them are linear per pixel or scale a pixel, so they are kept as numbers and applied
    to sums: no processed copy of the counts is ever made.

    Parameters
    ----------
    bin_factors : tuple of int
        Pixels per bin in y and x.
    zeroed_below : int
        Channels below this one count as zero.
    total_from : int, optional
        Lowest channel of the sum that each spectrum is divided by; None: not normalised.
    """

    bin_factors: tuple[int, int] = (1, 1)
    zeroed_below: int = 0
    total_from: int | None = None

    @property
    def normalised(self) -> bool:
        """Whether each pixel's spectrum is divided by its sum."""
        return self.total_from is not None

    @property
    def counted_from(self) -> int:
        """Lowest channel of a pixel's total: what it is divided by, or else what it keeps."""
        return self.zeroed_below if self.total_from is None else self.total_from

    def binned_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Rows and columns of complete bins, and channels, of a map of a shape."""
        rows, columns, channels = shape
        factor_y, factor_x = self.bin_factors
        return rows // factor_y, columns // factor_x, channels

    def recipe(self) -> dict[str, Any]:
        """Steps as plain values, for the attributes of a result."""
        return {
            "bin_yx": list(self.bin_factors),
            "zeroed_below_channel": self.zeroed_below,
            "normalised_from_channel": self.total_from,
        }
