import re

import numpy as np
import pytest

from sigma_scale.errors import ParameterError
from sigma_scale.plot.palette import NOISE_COLOUR, complete_colours, phase_colours

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
DICHROMACIES = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


def rgb(colours):
    return np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colours])


def least_difference(values):
    from skimage.color import deltaE_ciede2000, rgb2lab

    lab = rgb2lab(values)
    table = deltaE_ciede2000(lab[:, None], lab[None])
    return table[np.triu_indices(len(values), 1)].min()


def test_a_colour_depends_on_its_number_alone():
    everything = phase_colours(range(-1, 300))
    for some in ([5], [200, 3], [-1, 0], [299, 7, 8]):
        assert phase_colours(some) == {label: everything[label] for label in some}


def test_hundreds_of_colours_are_distinct_and_valid():
    colours = list(phase_colours(range(-1, 300)).values())
    assert len(set(colours)) == 301
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours)


def test_noise_is_grey_and_no_phase_is_close_to_it():
    red, green, blue = rgb([NOISE_COLOUR])[0]
    assert red == green == blue
    for label in range(60):
        pair = rgb([NOISE_COLOUR, phase_colours([label])[label]])
        assert least_difference(pair) > 8


def test_first_ten_are_told_apart_by_everyone():
    values = rgb(phase_colours(range(10)).values())
    assert least_difference(values) > 12
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    for matrix in DICHROMACIES.values():
        seen = np.clip(linear @ np.array(matrix).T, 0, 1)
        gamma = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
        assert least_difference(gamma) > 5


def test_labels_below_noise_are_refused():
    with pytest.raises(ParameterError, match="-2 is not a phase"):
        phase_colours([0, -2])


def test_given_colours_come_first():
    assert complete_colours([0, 1], {1: "red", 9: "blue"}) == {0: "#0072b2", 1: "#ff0000"}
    with pytest.raises(ParameterError, match=r"'rgb'.*phase 1"):
        complete_colours([0, 1], {1: "rgb"})
