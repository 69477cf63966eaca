"""What the phases are: their spectra, end-members and their abundance, proportions and elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale.phases.abundance import abundance_maps
    from sigma_scale.phases.contacts import phase_contacts
    from sigma_scale.phases.elements import (
        background_windows,
        element_evidence,
        element_summary,
        guess_elements,
    )
    from sigma_scale.phases.end_members import read_end_members, region_end_members
    from sigma_scale.phases.k_factors import read_k_factors
    from sigma_scale.phases.k_ratios import Standard, k_ratios
    from sigma_scale.phases.net_lines import detection_limits, net_lines
    from sigma_scale.phases.nmf import unmix
    from sigma_scale.phases.nmf_consensus import consensus_unmix
    from sigma_scale.phases.nmf_selection import unmixing_curve
    from sigma_scale.phases.peak_fit import fit_lines
    from sigma_scale.phases.percentages import atomic_to_weight, weight_to_atomic
    from sigma_scale.phases.pixel_unmixing import unmix_pixels
    from sigma_scale.phases.proportions import proportions, soft_proportions
    from sigma_scale.phases.quantification import cliff_lorimer
    from sigma_scale.phases.regions import region_labels
    from sigma_scale.phases.regions_sizes import grain_sizes
    from sigma_scale.phases.regions_statistics import region_statistics
    from sigma_scale.phases.spectra import phase_spectra, soft_phase_spectra

__all__ = [
    "Standard",
    "abundance_maps",
    "atomic_to_weight",
    "background_windows",
    "cliff_lorimer",
    "consensus_unmix",
    "detection_limits",
    "element_evidence",
    "element_summary",
    "fit_lines",
    "grain_sizes",
    "guess_elements",
    "k_ratios",
    "net_lines",
    "phase_contacts",
    "phase_spectra",
    "proportions",
    "read_end_members",
    "read_k_factors",
    "region_end_members",
    "region_labels",
    "region_statistics",
    "soft_phase_spectra",
    "soft_proportions",
    "unmix",
    "unmix_pixels",
    "unmixing_curve",
    "weight_to_atomic",
]

__getattr__, __dir__, _ = lazy_exports(
    __name__,
    {
        "Standard": ".k_ratios",
        "abundance_maps": ".abundance",
        "atomic_to_weight": ".percentages",
        "background_windows": ".elements",
        "cliff_lorimer": ".quantification",
        "consensus_unmix": ".nmf_consensus",
        "detection_limits": ".net_lines",
        "element_evidence": ".elements",
        "element_summary": ".elements",
        "fit_lines": ".peak_fit",
        "grain_sizes": ".regions_sizes",
        "guess_elements": ".elements",
        "k_ratios": ".k_ratios",
        "net_lines": ".net_lines",
        "phase_contacts": ".contacts",
        "phase_spectra": ".spectra",
        "proportions": ".proportions",
        "read_end_members": ".end_members",
        "read_k_factors": ".k_factors",
        "region_end_members": ".end_members",
        "region_labels": ".regions",
        "region_statistics": ".regions_statistics",
        "soft_phase_spectra": ".spectra",
        "soft_proportions": ".proportions",
        "unmix": ".nmf",
        "unmix_pixels": ".pixel_unmixing",
        "unmixing_curve": ".nmf_selection",
        "weight_to_atomic": ".percentages",
    },
)
