"""A figure that notebooks show without pyplot."""

from __future__ import annotations

from matplotlib.figure import Figure

from sigma_scale.plot.figures import render

__all__ = ["NotebookFigure"]

_SCREEN_DPI = 96  # what a browser takes an inch for


class NotebookFigure(Figure):
    """
    Figure that ends a notebook's cell as a picture.

    IPython knows how to show a plain figure only after ``%matplotlib inline``, or when pyplot is
    its backend. Where one of them is used, its own way of showing figures is taken for this one
    too, and it is shown once.
    """

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """PNG of the figure's own resolution, and the size in which a page shows it."""
        width, height = (round(_SCREEN_DPI * inches) for inches in self.get_size_inches())
        return render(self, dpi=self.dpi), {"width": width, "height": height}
