"""
Views of datasets, latent spaces and clusters, under the tutorial's names.

Each returns a :class:`View`: figures and tables that can be saved, and a live layout for pages and
for notebooks that called ``panel.extension()``. Nothing is calculated here that the objects
themselves don't offer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale.gui.bic import view_bic
    from sigma_scale.gui.cluster_spectra import view_clusters_sum_spectra
    from sigma_scale.gui.cluster_stats import show_cluster_stats
    from sigma_scale.gui.clusters import show_cluster_distribution, show_cluster_proportions
    from sigma_scale.gui.composition import plot_ternary_composition
    from sigma_scale.gui.datasets import search_energy_peak, view_dataset, view_im_dataset
    from sigma_scale.gui.feature_views import (
        view_intensity_maps,
        view_pixel_distributions,
        view_rgb,
    )
    from sigma_scale.gui.latent import (
        check_latent_space,
        interactive_latent_plot,
        plot_latent_density,
        show_projection,
        view_latent_space,
    )
    from sigma_scale.gui.phase_map import view_phase_map
    from sigma_scale.gui.unmixing import (
        show_abundance_map,
        show_unmixed_components,
        show_unmixed_weights,
        show_unmixed_weights_and_compoments,
        show_unmixed_weights_and_components,
    )
    from sigma_scale.gui.view import View

__all__ = [
    "View",
    "check_latent_space",
    "interactive_latent_plot",
    "plot_latent_density",
    "plot_ternary_composition",
    "search_energy_peak",
    "show_abundance_map",
    "show_cluster_distribution",
    "show_cluster_proportions",
    "show_cluster_stats",
    "show_projection",
    "show_unmixed_components",
    "show_unmixed_weights",
    "show_unmixed_weights_and_compoments",
    "show_unmixed_weights_and_components",
    "view_bic",
    "view_clusters_sum_spectra",
    "view_dataset",
    "view_im_dataset",
    "view_intensity_maps",
    "view_latent_space",
    "view_phase_map",
    "view_pixel_distributions",
    "view_rgb",
]

__getattr__, __dir__, _ = lazy_exports(
    __name__,
    {
        "View": ".view",
        "check_latent_space": ".latent",
        "interactive_latent_plot": ".latent",
        "plot_latent_density": ".latent",
        "plot_ternary_composition": ".composition",
        "search_energy_peak": ".datasets",
        "show_abundance_map": ".unmixing",
        "show_cluster_distribution": ".clusters",
        "show_cluster_proportions": ".clusters",
        "show_cluster_stats": ".cluster_stats",
        "show_projection": ".latent",
        "show_unmixed_components": ".unmixing",
        "show_unmixed_weights": ".unmixing",
        "show_unmixed_weights_and_compoments": ".unmixing",
        "show_unmixed_weights_and_components": ".unmixing",
        "view_bic": ".bic",
        "view_clusters_sum_spectra": ".cluster_spectra",
        "view_dataset": ".datasets",
        "view_im_dataset": ".datasets",
        "view_intensity_maps": ".feature_views",
        "view_latent_space": ".latent",
        "view_phase_map": ".phase_map",
        "view_pixel_distributions": ".feature_views",
        "view_rgb": ".feature_views",
    },
)
