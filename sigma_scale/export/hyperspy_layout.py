"""
What HyperSpy's two formats have in common: the tree of groups, attributes and small arrays.

The layout is that of version 3.3, which RosettaSciIO 0.1 and later reads [1]_: a signal is a group
in ``Experiments`` with the array ``data``, groups ``axis-0`` and so on, and a group per dictionary
of metadata. Names of entries tell what was a list or nothing.

References
----------
.. [1] https://hyperspy.org/rosettasciio/user_guide/supported_formats/hspy.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sigma_scale.spectra import MapMetadata, SpectrumImage

__all__ = ["FORMAT_VERSION", "group_name", "metadata_tree", "signal_tree", "write_tree"]

FORMAT_VERSION = "3.3"
_LONGEST_NAME = 100


def group_name(title: str) -> str:
    """Name of a signal's group: its title, without what HDF5 and folders can't have."""
    name = re.sub(r"[/\\\x00-\x1f]", "-", title).strip(" .")
    return name[:_LONGEST_NAME] or "__unnamed__"


def signal_tree(image: SpectrumImage) -> dict[str, Any]:
    """
    Everything of a signal but its data, as nested dictionaries.

    Parameters
    ----------
    image : SpectrumImage
        The map.

    Returns
    -------
    dict
        Groups by name, to be written by :func:`write_tree`.
    """
    tree: dict[str, Any] = {f"axis-{i}": axis for i, axis in enumerate(_axes(image))}
    return tree | {
        "metadata": metadata_tree(image.metadata),
        "original_metadata": {
            "sigma_scale": {
                "processing": image.processing.recipe(),
                "sources": [_text(source.name) for source in image.metadata.sources],
            }
        },
        "learning_results": {},
        "attributes": {"_lazy": False, "ragged": False},
    }


def _axes(image: SpectrumImage) -> list[dict[str, Any]]:
    coordinates = image.coordinates()
    micrometres = image.pixel_unit != "pixel"
    axes = []
    for i, (name, hyperspy_name) in enumerate((("y", "height"), ("x", "width"))):
        factor = image.processing.bin_factors[i]
        centres = coordinates[name][1]
        axes.append({
            "name": hyperspy_name,
            "size": len(centres),
            "scale": float(image.pixel_size[i] * factor),
            "offset": float(centres[0]),
            "units": image.pixel_unit if micrometres else "px",
            "navigate": True,
            "is_binned": False,
        })  # fmt: skip
    axes.append({
        "name": "Energy",
        "size": image.energy.size,
        "scale": float(image.energy.scale_kev),
        "offset": float(image.energy.offset_kev),
        "units": "keV",
        "navigate": False,
        "is_binned": True,
    })  # fmt: skip
    return [
        {**axis, "_type": "UniformDataAxis", "index_in_array": i} for i, axis in enumerate(axes)
    ]


def metadata_tree(known: MapMetadata) -> dict[str, Any]:
    """
    Metadata by the names that HyperSpy gives them.

    Parameters
    ----------
    known : MapMetadata
        What is known of a map.

    Returns
    -------
    dict
        ``General``, ``Signal``, ``Sample`` and ``Acquisition_instrument``; what is not known is
        left out.
    """
    title = _text(known.title)
    microscope = _present({
        "beam_energy": known.beam_energy_kev,
        "Detector": {
            "EDS": _present({
                "energy_resolution_MnKa": known.resolution_mn_ka_ev,
                "live_time": known.live_time_s,
                "real_time": known.real_time_s,
                "elevation_angle": known.elevation_deg,
                "azimuth_angle": known.azimuth_deg,
            })
        },
        "Stage": _present({
            "x": known.stage_x_mm,
            "y": known.stage_y_mm,
            "z": known.stage_z_mm,
            "tilt_alpha": known.stage_tilt_deg,
            "rotation": known.stage_rotation_deg,
        }),
    })  # fmt: skip
    return {
        "General": {"title": title},
        "Signal": {"signal_type": f"EDS_{known.instrument}"},
        "Sample": _present({
            "name": title or None,
            "elements": sorted(known.elements) or None,
            "xray_lines": sorted(known.lines) or None,
        }),
        "Acquisition_instrument": {known.instrument: microscope},
    }  # fmt: skip


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value != {}}


def _text(text: str) -> str:
    return text.replace("\0", "")


def write_tree(
    group: Any, tree: dict[str, Any], add_list: Callable[[Any, str, Sequence[Any]], None]
) -> None:
    """
    Write nested dictionaries to a group of h5py or zarr.

    Parameters
    ----------
    group : h5py.Group or zarr.Group
        Where to.
    tree : dict
        Groups, lists, numbers, strings and None by name.
    add_list : callable
        Called as ``add_list(group, name, values)`` to add a small array.
    """
    for name, value in tree.items():
        if isinstance(value, dict):
            write_tree(group.create_group(name), value, add_list)
        elif isinstance(value, list) and value:
            add_list(group, f"_list_{name}", value)
        elif isinstance(value, list):
            group.attrs[f"_list_empty_{name}"] = "_None_"
        else:
            group.attrs[name] = "_None_" if value is None else value
