"""
Static figures and the HTML report.

Every function returns a :class:`matplotlib.figure.Figure` that belongs to the caller; pyplot
and its global state are never used, so figures can be made in servers and threads. Names load
on first use: importing this package imports neither matplotlib nor datashader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale._lazy import lazy_exports

if TYPE_CHECKING:
    from sigma_scale.plot.figures import save_figure
    from sigma_scale.plot.latent import plot_latent
    from sigma_scale.plot.losses import plot_losses
    from sigma_scale.plot.maps import plot_element_maps, plot_image
    from sigma_scale.plot.mosaic_layout import plot_mosaic_layout
    from sigma_scale.plot.palette import NOISE_COLOUR, phase_colours
    from sigma_scale.plot.phase_map import plot_phase_map
    from sigma_scale.plot.report import (
        FigurePanel,
        ReportContent,
        ReportTable,
        Section,
        write_report,
    )
    from sigma_scale.plot.spectra import plot_components, plot_phase_spectra, plot_sum_spectrum
    from sigma_scale.plot.ternary import plot_ternary
    from sigma_scale.plot.thinning import thin

__all__ = [
    "NOISE_COLOUR",
    "FigurePanel",
    "ReportContent",
    "ReportTable",
    "Section",
    "phase_colours",
    "plot_components",
    "plot_element_maps",
    "plot_image",
    "plot_latent",
    "plot_losses",
    "plot_mosaic_layout",
    "plot_phase_map",
    "plot_phase_spectra",
    "plot_sum_spectrum",
    "plot_ternary",
    "save_figure",
    "thin",
    "write_report",
]

__getattr__, __dir__, _ = lazy_exports(
    __name__,
    {
        "NOISE_COLOUR": "palette",
        "FigurePanel": "report",
        "ReportContent": "report",
        "ReportTable": "report",
        "Section": "report",
        "phase_colours": "palette",
        "plot_components": "spectra",
        "plot_element_maps": "maps",
        "plot_image": "maps",
        "plot_latent": "latent",
        "plot_losses": "losses",
        "plot_mosaic_layout": "mosaic_layout",
        "plot_phase_map": "phase_map",
        "plot_phase_spectra": "spectra",
        "plot_sum_spectrum": "spectra",
        "plot_ternary": "ternary",
        "save_figure": "figures",
        "thin": "thinning",
        "write_report": "report",
    },
)
