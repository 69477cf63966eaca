"""Feature maps: X-ray line intensities per pixel, normalised for latent spaces."""

from sigma_scale.features.lines import feature_pass, line_channels, line_intensity
from sigma_scale.features.navigation import append_navigation
from sigma_scale.features.net_lines import net_line_intensity
from sigma_scale.features.normalisation import (
    NORMALISATIONS,
    neighbour_averaging,
    normalise_features,
    softmax,
    zscore,
)

__all__ = [
    "NORMALISATIONS",
    "append_navigation",
    "feature_pass",
    "line_channels",
    "line_intensity",
    "neighbour_averaging",
    "net_line_intensity",
    "normalise_features",
    "softmax",
    "zscore",
]
