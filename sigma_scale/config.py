"""
Options that hold for a whole session, kept in Dask's configuration.

They can come from code, from a Dask YAML file under the key ``sigma_scale``, or from the
environment (``DASK_SIGMA_SCALE__MEMORY_LIMIT=8GB``), and they travel with Dask to its workers.

=================== =========== ==================================================================
``memory_limit``    ``None``    memory that a step may take, such as ``"8GB"``; None: three
                                quarters of what the machine has free
``engine``          ``"auto"``  ``"auto"``, ``"cpu"``, ``"gpu"`` or a library's name
``progress``        ``False``   show progress bars
``worker_timeout``  ``"10m"``   how long work on a cluster waits while there are no workers
=================== =========== ==================================================================
"""

from __future__ import annotations

from typing import Any

import dask.config

from sigma_scale.errors import ParameterError

__all__ = ["get", "options"]

_DEFAULTS: dict[str, Any] = {
    "memory_limit": None,
    "engine": "auto",
    "progress": False,
    "worker_timeout": "10m",
}

dask.config.update_defaults({"sigma_scale": _DEFAULTS})


def get(name: str) -> Any:
    """
    Value of an option.

    Parameters
    ----------
    name : str
        Its name.

    Returns
    -------
    object

    Raises
    ------
    ParameterError
        If there is no option of that name.
    """
    _check(name)
    return dask.config.get(f"sigma_scale.{name}")


def options(**values: Any) -> dask.config.set:
    """
    Set options, for good or, in a ``with`` statement, for a while.

    Parameters
    ----------
    **values
        Options by name.

    Returns
    -------
    dask.config.set
        Context manager that sets the options back at its end.

    Raises
    ------
    ParameterError
        If there is no option of that name.

    Examples
    --------
    >>> with options(memory_limit="2GB", progress=True):
    ...     pass
    """
    for name in values:
        _check(name)
    return dask.config.set({f"sigma_scale.{name}": value for name, value in values.items()})


def _check(name: str) -> None:
    if name not in _DEFAULTS:
        raise ParameterError(f"There is no option {name!r}; there are: {', '.join(_DEFAULTS)}.")
