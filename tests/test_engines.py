import logging
import sys

import pytest

from sigma_scale import config
from sigma_scale.engines import choose_engine, engine_states
from sigma_scale.errors import EngineUnavailableError, ParameterError


@pytest.fixture
def no_gpu(monkeypatch):
    for name in ("cupy", "cuml"):
        monkeypatch.setitem(sys.modules, name, None)  # find_spec then says: there is none
        monkeypatch.setattr(
            "sigma_scale.engines.find_spec",
            lambda module: None if module in {"cupy", "cuml"} else object(),
        )


def test_auto_takes_a_gpu_that_is_there_and_says_so(gpu_twin, caplog):
    with caplog.at_level(logging.INFO):
        assert choose_engine(what="UMAP", needs=("cuml",)) == "gpu"
    assert "UMAP runs on the GPU" in caplog.text


def test_auto_takes_the_processors_where_there_is_no_gpu(no_gpu, caplog):
    with caplog.at_level(logging.INFO):
        assert choose_engine(what="UMAP") == "cpu"
    assert "UMAP runs on the CPU" in caplog.text


@pytest.mark.parametrize("fails", [False, True])
def test_a_gpu_without_a_device_is_none(gpu_twin, fails):
    gpu_twin.devices = gpu_twin.error("no CUDA-capable device is detected") if fails else 0
    assert choose_engine(what="UMAP") == "cpu"
    with pytest.raises(EngineUnavailableError, match=r"UMAP can't run on a GPU here: .* device"):
        choose_engine("gpu", what="UMAP")
    assert engine_states()["gpu"].startswith("not usable: ")


def test_a_gpu_asked_for_by_name_is_never_replaced(no_gpu):
    with pytest.raises(EngineUnavailableError, match=r"no cupy and cuml .*sigma-scale\[gpu\]"):
        choose_engine("gpu", what="UMAP", needs=("cuml",))
    with config.options(engine="gpu"), pytest.raises(EngineUnavailableError, match="UMAP"):
        choose_engine(what="UMAP")


def test_the_call_counts_more_than_the_option(gpu_twin):
    with config.options(engine="gpu"):
        assert choose_engine("cpu", what="UMAP") == "cpu"
        assert choose_engine(what="UMAP") == "gpu"
    with config.options(engine="cpu"):
        assert choose_engine("gpu", what="UMAP") == "gpu"
        assert choose_engine(what="UMAP") == "cpu"


def test_unknown_engines_are_refused():
    with pytest.raises(ParameterError, match="auto, cpu, gpu, got 'tpu'"):
        choose_engine("tpu", what="UMAP")


def test_states_say_what_is_usable(gpu_twin):
    gpu_twin.devices = 2
    states = engine_states()
    assert list(states) == ["cpu", "gpu", "torch"]
    assert states["cpu"] == "usable"
    assert states["gpu"] == "usable: 2 device(s)"
    assert states["torch"].startswith("usable") or "autoencoder" in states["torch"]


def test_states_say_what_to_install(no_gpu):
    assert "no cupy and cuml (pip install 'sigma-scale[gpu]'" in engine_states()["gpu"]
