"""
Ways out: counts, maps, labels, spectra, tables and masks in the formats of other programs.

Nothing is half-written: a draft takes the target's place once it is whole, and what is there
already is replaced only when that is asked for. Names load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale.export.counts import export_counts
    from sigma_scale.export.emsa import export_spectra
    from sigma_scale.export.hyperspy import array_from_hyperspy, export_signal, to_hyperspy
    from sigma_scale.export.masks import export_masks
    from sigma_scale.export.ome_tiff import export_ome_tiff
    from sigma_scale.export.ome_zarr import export_ome_zarr
    from sigma_scale.export.tables import export_table

__all__ = [
    "array_from_hyperspy",
    "export_counts",
    "export_masks",
    "export_ome_tiff",
    "export_ome_zarr",
    "export_signal",
    "export_spectra",
    "export_table",
    "to_hyperspy",
]

__getattr__, __dir__, _ = lazy_exports(
    __name__,
    {
        "array_from_hyperspy": "hyperspy",
        "export_counts": "counts",
        "export_masks": "masks",
        "export_ome_tiff": "ome_tiff",
        "export_ome_zarr": "ome_zarr",
        "export_signal": "hyperspy",
        "export_spectra": "emsa",
        "export_table": "tables",
        "to_hyperspy": "hyperspy",
    },
)
