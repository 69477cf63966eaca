"""FEI TIA's pairs of ``.emi`` and ``.ser`` files."""

from __future__ import annotations

from sigma_scale.readers.tia.reader import read

__all__ = ["read"]
