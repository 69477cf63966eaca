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
    from sigma_scale.compute import connect
    from sigma_scale.config import options
    from sigma_scale.export import export_counts
    from sigma_scale.features import (
        correct_dose,
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
    from sigma_scale.mosaic import (
        GridRule,
        TileLayout,
        add_tiles,
        compose,
        ingest_tiles,
        register,
        register_added,
        write_mosaic,
    )
    from sigma_scale.phases import element_summary, phase_spectra, proportions, unmix
    from sigma_scale.preprocess import normalise, rebin, remove_first_peak
    from sigma_scale.readers import read, read_element_maps
    from sigma_scale.spectra import ElementMaps, EnergyAxis, MapMetadata, SpectrumImage
    from sigma_scale.store import open_map, verify_map, write_map
    from sigma_scale.synthetic import synthetic_map, synthetic_tiles
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
    "GridRule",
    "ImageDataset",
    "MapMetadata",
    "PixelSegmenter",
    "RunSettings",
    "SEMDataset",
    "SpectrumImage",
    "TEMDataset",
    "TileLayout",
    "VariationalAutoEncoder",
    "__version__",
    "add_tiles",
    "calibrate",
    "cluster_latent",
    "compose",
    "connect",
    "correct_dose",
    "element_summary",
    "embed",
    "export_counts",
    "feature_pass",
    "fit_calibration",
    "gui",
    "ingest_tiles",
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
    "register",
    "register_added",
    "remove_first_peak",
    "run_job",
    "same_seeds",
    "set_calibration",
    "softmax",
    "suggest_lines",
    "synthetic_map",
    "synthetic_tiles",
    "unmix",
    "verify_map",
    "write_map",
    "write_mosaic",
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
        "GridRule": "mosaic",
        "ImageDataset": "workflow",
        "MapMetadata": "spectra",
        "PixelSegmenter": "workflow",
        "RunSettings": "workflow",
        "SEMDataset": "workflow",
        "SpectrumImage": "spectra",
        "TEMDataset": "workflow",
        "TileLayout": "mosaic",
        "VariationalAutoEncoder": "latent",
        "add_tiles": "mosaic",
        "calibrate": "calibration",
        "cluster_latent": "clustering",
        "compose": "mosaic",
        "connect": "compute",
        "correct_dose": "features",
        "element_summary": "phases",
        "embed": "latent",
        "export_counts": "export",
        "feature_pass": "features",
        "fit_calibration": "calibration",
        "ingest_tiles": "mosaic",
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
        "register": "mosaic",
        "register_added": "mosaic",
        "remove_first_peak": "preprocess",
        "run_job": "workflow",
        "same_seeds": "latent",
        "set_calibration": "calibration",
        "softmax": "features",
        "suggest_lines": "xray",
        "synthetic_map": "synthetic",
        "synthetic_tiles": "synthetic",
        "unmix": "phases",
        "verify_map": "store",
        "write_map": "store",
        "write_mosaic": "mosaic",
        "zscore": "features",
    },
    submodules={"gui"},
)
