"""Colours of phases: distinct, friendly to colour-blind readers, and fixed for each number."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sigma_scale.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["NOISE", "NOISE_COLOUR", "complete_colours", "phase_colour", "phase_colours"]

NOISE = -1
NOISE_COLOUR = "#b3b3b3"
"""Of pixels that belong to no phase: a light grey."""

# Okabe and Ito's set without black, ordered so that neighbours differ in lightness too, then
# three of Paul Tol's "muted" set that stay apart from them under protan and deutan vision.
_FIRST = (
    "#0072b2",  # blue
    "#e69f00",  # orange
    "#009e73",  # bluish green
    "#cc79a7",  # reddish purple
    "#56b4e9",  # sky blue
    "#d55e00",  # vermilion
    "#f0e442",  # yellow
    "#332288",  # indigo
    "#882255",  # wine
    "#117733",  # green
)
_LEAST_DIFFERENCE = 9.0
_GOLDEN_RATIO = 0.6180339887498949


@cache
def _palette() -> tuple[str, ...]:
    """
    Return the ordered colours: the first ten, then Glasbey's that differ from them.

    Notes
    -----
    Glasbey's set, in its variant without black, white and greys, is taken from colorcet;
    colours closer than nine CIEDE2000 units to one of the first ten or to the noise grey are
    left out.
    """
    import colorcet
    import numpy as np
    from matplotlib.colors import to_hex, to_rgb
    from skimage.color import deltaE_ciede2000, rgb2lab

    further = [to_hex((r, g, b)) for r, g, b in colorcet.glasbey_bw_minc_20_minl_30]
    taken = rgb2lab(np.array([to_rgb(colour) for colour in (*_FIRST, NOISE_COLOUR)]))
    offered = rgb2lab(np.array([to_rgb(colour) for colour in further]))
    difference = deltaE_ciede2000(offered[:, None], taken[None])
    nearest = difference.min(axis=1)
    kept = (c for c, d in zip(further, nearest, strict=True) if d >= _LEAST_DIFFERENCE)
    return (*_FIRST, *kept)


def phase_colour(label: int) -> str:
    """
    Return the colour of one phase.

    Parameters
    ----------
    label : int
        Number of the phase; -1 is noise.

    Returns
    -------
    str
        ``"#rrggbb"``; it depends on the number alone.

    Raises
    ------
    ParameterError
        If the label is below -1.
    """
    number = int(label)
    if number == NOISE:
        return NOISE_COLOUR
    if number < NOISE:
        msg = f"Label {number} is not a phase: phases are numbered from 0, and noise is -1."
        raise ParameterError(msg)
    if number < len(_FIRST):
        return _FIRST[number]
    palette = _palette()
    if number < len(palette):
        return palette[number]
    import colorsys

    # Beyond the table no eye can tell them apart; steps of the golden ratio at least never
    # put consecutive numbers on similar hues.
    step = number - len(palette)
    red, green, blue = colorsys.hls_to_rgb(
        (step * _GOLDEN_RATIO) % 1.0, (0.35, 0.5, 0.65)[step % 3], 0.6
    )
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def phase_colours(labels: Sequence[int]) -> dict[int, str]:
    """
    Return the colour of each phase.

    Parameters
    ----------
    labels : sequence of int
        Numbers of phases in any order; -1 is noise.

    Returns
    -------
    dict of int to str
        ``"#rrggbb"`` by number. The colour of a number doesn't depend on the other numbers,
        so removing or adding a phase never recolours the others.

    Raises
    ------
    ParameterError
        If a label is below -1.

    Notes
    -----
    The first seven are those of Okabe and Ito, the next three of Paul Tol, the rest are
    Glasbey's [1]_.

    References
    ----------
    .. [1] Glasbey et al., Color Research and Application 32 (2007) 304-309.
    """
    return {int(label): phase_colour(label) for label in labels}


def complete_colours(labels: Sequence[int], colours: Mapping[int, str] | None) -> dict[int, str]:
    """
    Return a valid colour for every label, the given ones first.

    Parameters
    ----------
    labels : sequence of int
        Numbers of the phases that are drawn.
    colours : mapping of int to str or None
        Colours that matplotlib understands, for some or all labels.

    Returns
    -------
    dict of int to str
        ``"#rrggbb"`` by number.

    Raises
    ------
    ParameterError
        If a given colour is none.
    """
    from matplotlib.colors import is_color_like, to_hex

    given = dict(colours or {})
    for label, colour in given.items():
        if not is_color_like(colour):
            msg = (
                f"{colour!r}, given for phase {label}, is not a colour; "
                "use a name or '#rrggbb', such as '#0072b2'."
            )
            raise ParameterError(msg)
    return {
        int(label): to_hex(given[label]) if label in given else phase_colour(label)
        for label in labels
    }
