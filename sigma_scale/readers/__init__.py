"""Readers: from a microscope's file to a :class:`~sigma_scale.spectra.SpectrumImage`."""

from sigma_scale.readers.element_maps import read_element_maps
from sigma_scale.readers.registry import Reader, known_suffixes, read

__all__ = ["Reader", "known_suffixes", "read", "read_element_maps"]
