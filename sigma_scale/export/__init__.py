"""Ways out for counts: files of HyperSpy, and a plain dense zarr for any other program."""

from __future__ import annotations

from sigma_scale.export.counts import export_counts

__all__ = ["export_counts"]
