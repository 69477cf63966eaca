"""
Phase maps from X-ray spectrum images of any size.

The names listed here are the ones most used; each loads its module on first use, so importing
the package takes no time. The rooms they come from (``sigma_scale.preprocess``,
``sigma_scale.features``, ``sigma_scale.plot``, ...) hold the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale import gui
    from sigma_scale.calibration import calibrate, fit_calibration, set_calibration
    from sigma_scale.clustering import HDBSCAN, GaussianMixture, cluster_latent
    from sigma_scale.config import options
    from sigma_scale.export import export_counts
    from sigma_scale.features import (
        feature_pass,
        line_intensity,
        neighbour_averaging,
        softmax,
        zscore,
    )
    from sigma_scale.latent import (
        UMAP,
        AutoEncoder,
        VariationalAutoEncoder,
        embed,
        same_seeds,
    )
    from sigma_scale.phases import element_summary, phase_spectra, proportions, unmix
    from sigma_scale.preprocess import normalise, rebin, remove_first_peak
    from sigma_scale.readers import read, read_element_maps
    from sigma_scale.spectra import ElementMaps, EnergyAxis, MapMetadata, SpectrumImage
    from sigma_scale.store import open_map, verify_map, write_map
    from sigma_scale.synthetic import synthetic_map
    from sigma_scale.workflow import (
        Experiment,
        ImageDataset,
        PixelSegmenter,
        RunSettings,
        SEMDataset,
        TEMDataset,
        map_phases,
        norm,
        run_job,
    )
    from sigma_scale.xray import suggest_lines

__version__ = "0.1.0"

__all__ = [
    "HDBSCAN",
    "UMAP",
    "AutoEncoder",
    "ElementMaps",
    "EnergyAxis",
    "Experiment",
    "GaussianMixture",
    "ImageDataset",
    "MapMetadata",
    "PixelSegmenter",
    "RunSettings",
    "SEMDataset",
    "SpectrumImage",
    "TEMDataset",
    "VariationalAutoEncoder",
    "__version__",
    "calibrate",
    "cluster_latent",
    "element_summary",
    "embed",
    "export_counts",
    "feature_pass",
    "fit_calibration",
    "gui",
    "line_intensity",
    "map_phases",
    "neighbour_averaging",
    "norm",
    "normalise",
    "open_map",
    "options",
    "phase_spectra",
    "proportions",
    "read",
    "read_element_maps",
    "rebin",
    "remove_first_peak",
    "run_job",
    "same_seeds",
    "set_calibration",
    "softmax",
    "suggest_lines",
    "synthetic_map",
    "unmix",
    "verify_map",
    "write_map",
    "zscore",
]

__getattr__, __dir__, _ = lazy_exports(
    __name__,
    {
        "HDBSCAN": "clustering",
        "UMAP": "latent",
        "AutoEncoder": "latent",
        "ElementMaps": "spectra",
        "EnergyAxis": "spectra",
        "Experiment": "workflow",
        "GaussianMixture": "clustering",
        "ImageDataset": "workflow",
        "MapMetadata": "spectra",
        "PixelSegmenter": "workflow",
        "RunSettings": "workflow",
        "SEMDataset": "workflow",
        "SpectrumImage": "spectra",
        "TEMDataset": "workflow",
        "VariationalAutoEncoder": "latent",
        "calibrate": "calibration",
        "cluster_latent": "clustering",
        "element_summary": "phases",
        "embed": "latent",
        "export_counts": "export",
        "feature_pass": "features",
        "fit_calibration": "calibration",
        "line_intensity": "features",
        "map_phases": "workflow",
        "neighbour_averaging": "features",
        "norm": "workflow",
        "normalise": "preprocess",
        "open_map": "store",
        "options": "config",
        "phase_spectra": "phases",
        "proportions": "phases",
        "read": "readers",
        "read_element_maps": "readers",
        "rebin": "preprocess",
        "remove_first_peak": "preprocess",
        "run_job": "workflow",
        "same_seeds": "latent",
        "set_calibration": "calibration",
        "softmax": "features",
        "suggest_lines": "xray",
        "synthetic_map": "synthetic",
        "unmix": "phases",
        "verify_map": "store",
        "write_map": "store",
        "zscore": "features",
    },
    submodules={"gui"},
)
