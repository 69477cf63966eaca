"""Feature maps: X-ray line intensities per pixel, normalised for latent spaces."""

from sigma_scale.features.dose import (
    correct_dose,
    count_measured,
    mark_measured,
    mask_gaps,
    measured_pixels,
)
from sigma_scale.features.lines import feature_pass, line_channels, line_intensity
from sigma_scale.features.navigation import (
    NAVIGATOR,
    append_navigation,
    join_navigation,
    navigation_feature,
)
from sigma_scale.features.net_lines import net_line_intensity
from sigma_scale.features.normalisation import (
    NORMALISATIONS,
    neighbour_averaging,
    normalise_features,
    softmax,
    zscore,
)

__all__ = [
    "NAVIGATOR",
    "NORMALISATIONS",
    "append_navigation",
    "correct_dose",
    "count_measured",
    "feature_pass",
    "join_navigation",
    "line_channels",
    "line_intensity",
    "mark_measured",
    "mask_gaps",
    "measured_pixels",
    "navigation_feature",
    "neighbour_averaging",
    "net_line_intensity",
    "normalise_features",
    "softmax",
    "zscore",
]
