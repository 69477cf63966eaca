"""What the phases are: their spectra, end-members and their abundance, proportions and elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale.phases.abundance import abundance_maps
    from sigma_scale.phases.elements import background_windows, element_summary, guess_elements
    from sigma_scale.phases.nmf import unmix
    from sigma_scale.phases.proportions import proportions
    from sigma_scale.phases.spectra import phase_spectra

__all__ = [
    "abundance_maps",
    "background_windows",
    "element_summary",
    "guess_elements",
    "phase_spectra",
    "proportions",
    "unmix",
]

__getattr__, __dir__, _ = lazy_exports(
    __name__,
    {
        "abundance_maps": ".abundance",
        "background_windows": ".elements",
        "element_summary": ".elements",
        "guess_elements": ".elements",
        "proportions": ".proportions",
        "phase_spectra": ".spectra",
        "unmix": ".nmf",
    },
)
