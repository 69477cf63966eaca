"""Element maps without spectra: folders of images, and files that hold nothing else."""

from sigma_scale.readers.element_maps.reader import read_element_maps

__all__ = ["read_element_maps"]
