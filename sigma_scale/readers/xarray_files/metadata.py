"""Metadata of a map from the attributes of labelled arrays, as far as they make sense."""

from __future__ import annotations

import math
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.spectra import MapMetadata, SourceFile

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["metadata_from_attrs"]

_TEXTS = {
    "elements": re.compile(r"[A-Z][a-z]?"),
    "lines": re.compile(r"[A-Z][a-z]?_[A-Z][a-z0-9]*"),
}


def metadata_from_attrs(
    attrs: Mapping[Any, Any], *, title: str, sources: tuple[SourceFile, ...] = ()
) -> MapMetadata:
    """
    Metadata from attributes with the names of :class:`MapMetadata`; others are passed over.

    Parameters
    ----------
    attrs : mapping
        Attributes of a file, of any type.
    title : str
        Used where the attributes have none.
    sources : tuple of SourceFile
        Files that the attributes are from.
    """
    known: dict[str, Any] = {"title": title, "sources": sources}
    for entry in fields(MapMetadata):
        if entry.name.endswith(("_kev", "_ev", "_s", "_mm", "_deg")):
            known |= _number(entry.name, attrs.get(entry.name))
    for name, pattern in _TEXTS.items():
        words = _words(attrs.get(name, ()))
        if all(pattern.fullmatch(word) for word in words):
            known[name] = words
    if isinstance(attrs.get("title"), str) and attrs["title"].strip():
        known["title"] = attrs["title"].strip()
    if attrs.get("instrument") in ("SEM", "TEM"):
        known["instrument"] = attrs["instrument"]
    return MapMetadata(**known)


def _number(name: str, value: Any) -> dict[str, float]:
    values = np.asarray(value)
    if values.size != 1 or values.dtype.kind not in "iuf":
        return {}
    number = float(values.ravel()[0])
    return {name: number} if math.isfinite(number) else {}


def _words(value: Any) -> tuple[str, ...]:
    """Words of a list, or of one text with commas or spaces."""
    if isinstance(value, str):
        return tuple(value.replace(",", " ").split())
    return tuple(str(item) for item in np.asarray(value).ravel().tolist() if str(item).strip())
