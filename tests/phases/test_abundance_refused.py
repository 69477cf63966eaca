"""What unmixing of pixels refuses or warns of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from unmixing_oracles import AXIS, drawn, peaks

from sigma_scale.errors import (
    EnergyRangeError,
    ParameterError,
    ShapeMismatchError,
    SigmaScaleWarning,
)
from sigma_scale.phases.pixel_unmixing import unmix_pixels
from sigma_scale.spectra import SpectrumImage


def test_what_cannot_work_is_named():
    members = peaks(4)
    image = SpectrumImage.from_array(drawn(members, (3, 4)), AXIS)
    double = members.copy()
    double[2] = 7 * double[0]
    with pytest.raises(ParameterError, match="end-members phase 0, phase 2 are singular"):
        unmix_pixels(image, double)
    double[2] = double[0] + 2 * double[3]
    with pytest.raises(ParameterError, match="phase 0, phase 2, phase 3 are singular"):
        unmix_pixels(image, double, method="poisson")
    with pytest.raises(ParameterError, match=r"4 end-members .* 2 channels"):
        unmix_pixels(image, members, left_out=[(AXIS.low + 0.1, 99)])
    negative = members.copy()
    negative[1, 3] = -1
    with pytest.raises(ParameterError, match="phase 1 have negative"):
        unmix_pixels(image, negative)
    missing = members.copy()
    missing[3, :10] = np.nan
    with pytest.raises(ParameterError, match=r"phase 3 .* 10 channels between 0\.100 and 0\.550"):
        unmix_pixels(image, missing)
    unmix_pixels(image, missing, left_out=[(0, 0.6)])
    empty = members.copy()
    empty[1, 20:] = 0
    with pytest.raises(ParameterError, match="phase 1 have no counts"):
        unmix_pixels(image, empty, left_out=[(0, AXIS.low + 1.5)])
    with pytest.raises(ParameterError, match="method 'als'"):
        unmix_pixels(image, members, method="als")
    with pytest.raises(ParameterError, match="tolerance must be positive"):
        unmix_pixels(image, members, method="poisson", tolerance=0)
    with pytest.raises(EnergyRangeError, match="No channel"):
        unmix_pixels(image, members, left_out=[(0, 99)])
    with pytest.raises(EnergyRangeError, match=r"from 2\.0 to 1\.0"):
        unmix_pixels(image, members, left_out=[(2.0, 1.0)])
    with pytest.raises(EnergyRangeError, match="outside the measured"):
        unmix_pixels(image, members, left_out=[(50.0, 60.0)])


def test_end_members_of_another_map_are_refused():
    members = peaks(3)
    image = SpectrumImage.from_array(drawn(members, (3, 4)), AXIS)
    with pytest.raises(ShapeMismatchError, match="59 channels, the map 60"):
        unmix_pixels(image, members[:, 1:])
    with pytest.raises(ShapeMismatchError, match=r"one calibration"):
        unmix_pixels(image, members.assign_coords(energy=image.coordinates()["energy"][1] + 0.01))
    with pytest.raises(ParameterError, match=r"dimensions \(phase, energy\)"):
        unmix_pixels(image, members[0])
    with pytest.raises(ParameterError, match="no end-members"):
        unmix_pixels(image, members[:0])
    table = pd.DataFrame(members.to_numpy().T, columns=["a", "b", "a"])
    with pytest.raises(ParameterError, match="same name: a"):
        unmix_pixels(image, table)


def test_a_tolerance_that_cannot_be_reached_is_told():
    members = peaks(3)
    image = SpectrumImage.from_array(drawn(members, (6, 6)), AXIS)
    with pytest.warns(SigmaScaleWarning, match="did not reach the tolerance"):
        unmix_pixels(image, members, method="poisson", tolerance=1e-300, lazy=False)
