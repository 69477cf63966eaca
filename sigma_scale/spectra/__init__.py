"""Spectrum images: X-ray counts in blocks of events, their energy axis and metadata."""

from sigma_scale.spectra.axis import EnergyAxis
from sigma_scale.spectra.element_maps import ElementMaps
from sigma_scale.spectra.events import EventBlock
from sigma_scale.spectra.image import SpectrumImage
from sigma_scale.spectra.metadata import MapMetadata, SourceFile
from sigma_scale.spectra.processing import Processing
from sigma_scale.spectra.source import ArraySource, BlockSource, Scratch
from sigma_scale.spectra.window_sums import window_sums

__all__ = [
    "ArraySource",
    "BlockSource",
    "ElementMaps",
    "EnergyAxis",
    "EventBlock",
    "MapMetadata",
    "Processing",
    "Scratch",
    "SourceFile",
    "SpectrumImage",
    "window_sums",
]
