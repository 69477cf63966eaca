"""Public names that load on first use, so that importing the package stays quick."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import lazy_loader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["lazy_exports"]


def lazy_exports(
    package: str, exports: Mapping[str, str], submodules: Collection[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """
    Make the ``__getattr__``, ``__dir__`` and ``__all__`` of a package with lazy names.

    Parameters
    ----------
    package : str
        ``__name__`` of the package.
    exports : mapping of str to str
        Public name to the submodule that defines it, such as ``{"UMAP": "umap"}``.
    submodules : collection of str
        Submodules that are public as modules.

    Returns
    -------
    tuple
        ``__getattr__``, ``__dir__`` and the sorted names.
    """
    by_module: defaultdict[str, list[str]] = defaultdict(list)
    for name, module in exports.items():
        by_module[module.removeprefix(".")].append(name)
    getter, lister, names = lazy_loader.attach(package, submodules, dict(by_module))
    return getter, lister, names
