"""X-ray lines: their energies, the widths of their peaks, and which of them a spectrum shows."""

from __future__ import annotations

from sigma_scale.xray.identify import suggest_lines
from sigma_scale.xray.peaks import (
    DEFAULT_RESOLUTION_MN_KA_EV,
    MINIMUM_FWHM_KEV,
    fwhm_kev,
    window_kev,
)
from sigma_scale.xray.table import (
    Shell,
    XrayLine,
    atomic_number,
    atomic_weight,
    line,
    line_energy,
    lines_near,
    lines_of,
    symbols,
)
from sigma_scale.xray.usual import usual_lines

__all__ = [
    "DEFAULT_RESOLUTION_MN_KA_EV",
    "MINIMUM_FWHM_KEV",
    "Shell",
    "XrayLine",
    "atomic_number",
    "atomic_weight",
    "fwhm_kev",
    "line",
    "line_energy",
    "lines_near",
    "lines_of",
    "suggest_lines",
    "symbols",
    "usual_lines",
    "window_kev",
]
