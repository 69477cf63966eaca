"""PixelSegmenter: clusters of a map's pixels, their edits, spectra and saved states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale.workflow.segmenter.dataset import SegmentableDataset
    from sigma_scale.workflow.segmenter.methods import METHODS
    from sigma_scale.workflow.segmenter.mixture import Components
    from sigma_scale.workflow.segmenter.segmenter import PixelSegmenter

__all__ = ["METHODS", "Components", "PixelSegmenter", "SegmentableDataset"]

__getattr__, __dir__, _ = lazy_exports(
    __name__,
    {
        "METHODS": ".methods",
        "Components": ".mixture",
        "PixelSegmenter": ".segmenter",
        "SegmentableDataset": ".dataset",
    },
)
