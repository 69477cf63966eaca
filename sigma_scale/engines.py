"""Which machines of this computer a step runs on: processors or a GPU."""

from __future__ import annotations

import logging
from importlib.util import find_spec

from sigma_scale import config
from sigma_scale.errors import EngineUnavailableError, ParameterError

__all__ = ["choose_engine", "engine_states"]

_LOGGER = logging.getLogger(__name__)

_ENGINES = ("auto", "cpu", "gpu")
_HINT = "pip install 'sigma-scale[gpu]', or environment-gpu.yml with conda"


def choose_engine(engine: str = "auto", *, what: str, needs: tuple[str, ...] = ("cupy",)) -> str:
    """
    Choose the engine of a step.

    Parameters
    ----------
    engine : {"auto", "cpu", "gpu"}, default: "auto"
        ``"auto"`` follows the option ``engine``; where that is ``"auto"`` too, it takes the GPU
        if there is a usable one with the libraries needed. What it chose is logged.
    what : str
        The step, as the subject of a message: ``"UMAP"``.
    needs : tuple of str, default: ("cupy",)
        Modules that the step needs on a GPU.

    Returns
    -------
    str
        ``"cpu"`` or ``"gpu"``.

    Raises
    ------
    ParameterError
        If there is no such engine.
    EngineUnavailableError
        If the GPU was asked for, here or by the option, and can't be used.
    """
    if engine not in _ENGINES:
        raise ParameterError(f"engine must be one of {', '.join(_ENGINES)}, got {engine!r}.")
    asked = engine
    if engine == "auto":
        option = config.get("engine")
        asked = option if option in _ENGINES else "auto"  # a library's name is for others
    if asked == "cpu":
        return "cpu"
    obstacle = gpu_obstacle(needs)
    if asked == "gpu" and obstacle:
        raise EngineUnavailableError(f"{what} can't run on a GPU here: {obstacle}.")
    chosen = "cpu" if obstacle else "gpu"
    if engine == "auto":
        _LOGGER.info("%s runs on the %s", what, chosen.upper())
    return chosen


def engine_states() -> dict[str, str]:
    """
    Say which engines can be used, and what is missing for the others.

    Returns
    -------
    dict of str to str
        State of ``"cpu"``, ``"gpu"`` and ``"torch"``.
    """
    obstacle = gpu_obstacle(("cupy", "cuml"))
    has_torch = find_spec("torch") is not None
    return {
        "cpu": "usable",
        "gpu": f"not usable: {obstacle}" if obstacle else f"usable: {_device_count()} device(s)",
        "torch": "usable"
        if has_torch
        else "not usable: no torch (pip install 'sigma-scale[autoencoder]')",
    }


def gpu_obstacle(needs: tuple[str, ...]) -> str:
    """
    Say what keeps steps from running on a GPU.

    Parameters
    ----------
    needs : tuple of str
        Modules that are needed.

    Returns
    -------
    str
        Empty if nothing does.
    """
    missing = [name for name in dict.fromkeys(("cupy", *needs)) if find_spec(name) is None]
    if missing:
        return f"no {' and '.join(missing)} ({_HINT})"
    import cupy

    try:
        return "" if _device_count() else "CUDA finds no device"
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return str(error)


def _device_count() -> int:
    import cupy

    return int(cupy.cuda.runtime.getDeviceCount())
