"""What an experiment leaves on disk where it is interrupted, killed or out of room."""

import errno
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sigma_scale.errors import SourceNotFoundError, StoreError

pytest.importorskip("torch", reason="autoencoders need PyTorch")

from sigma_scale.latent.autoencoder import Trainer, checkpoints
from sigma_scale.latent.autoencoder.folder import TrainingFolder
from sigma_scale.workflow.experiment import Experiment

SIZES = {"hidden_layer_sizes": (16, 8)}
QUICK = {"num_epochs": 4, "learning_rate": 1e-3}


@pytest.fixture
def maps():
    return np.random.default_rng(0).dirichlet(np.ones(5), (20, 15))


@pytest.fixture
def make(maps, tmp_path):
    def experiment(**changes):
        arguments = {
            "descriptor": "zscore", "general_results_dir": tmp_path, "model_args": SIZES,
            "chosen_dataset": maps, "random_state": 0,
        }  # fmt: skip
        return Experiment(**arguments | changes)

    return experiment


@pytest.fixture
def trained(make):
    ex = make(save_model_every_epoch=True)
    ex.run_model(**QUICK)
    return ex


def digests(folder):
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_a_folder_that_cannot_be_written_is_told_before_the_training(make, tmp_path, monkeypatch):
    (tmp_path / "taken").write_text("")

    def trains(self):
        raise AssertionError("trained for nothing")

    monkeypatch.setattr(Trainer, "_one_epoch", trains)
    with pytest.raises(StoreError, match=r"taken.*general_results_dir"):
        make(general_results_dir=tmp_path / "taken").run_model(**QUICK)
    with pytest.raises(StoreError, match="descriptor"):
        make(descriptor="taken").run_model(**QUICK)
    with pytest.raises(StoreError, match="general_results_dir"):
        make(descriptor="a" * 400).run_model(**QUICK)
    assert (tmp_path / "taken").read_text() == ""


def full_disk(path, content):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_named_and_keeps_what_was_trained(make, monkeypatch):
    ex, same = make(), make(descriptor="same")
    same.run_model(**QUICK)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_atomically", full_disk)
        with pytest.raises(StoreError, match=r"epoch 4 can't be written.*No space left"):
            ex.run_model(**QUICK)
    assert_array_equal(ex.get_latent(), same.get_latent())
    with pytest.raises(SourceNotFoundError):
        ex.load_trained_model()


def test_a_disk_that_fills_up_between_epochs_leaves_a_state_to_go_on_from(make, monkeypatch):
    whole = make(descriptor="whole")
    whole.run_model(**QUICK)
    ex, real = make(save_model_every_epoch=True), TrainingFolder.save

    def fills_up(self, trainer, recipe):
        if trainer.epoch == 3:
            monkeypatch.setattr(checkpoints, "write_atomically", full_disk)
        real(self, trainer, recipe)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingFolder, "save", fills_up)
        patch.setattr(checkpoints, "write_atomically", checkpoints.write_atomically)
        with pytest.raises(StoreError, match="epoch 3"):
            ex.run_model(**QUICK)
    monkeypatch.undo()
    ex.load_trained_model()
    assert len(ex.losses) == 2
    ex.run_model(**QUICK, resume=True)
    assert_array_equal(ex.get_latent(), whole.get_latent())


def test_a_new_training_that_is_interrupted_leaves_the_earlier_ones_files(trained, make):
    files = digests(trained.results_dir)
    other, real = make(), Trainer._one_epoch

    def interrupted(self):
        if self.epoch == 2:
            raise KeyboardInterrupt
        real(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_one_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            other.run_model(**QUICK | {"learning_rate": 1e-2})
    assert digests(trained.results_dir) == files


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from sigma_scale.workflow.experiment import Experiment

folder, fatal = sys.argv[1], int(sys.argv[2])
written = 0

def dies(path, content):
    global written
    written += 1
    with open(path, "wb") as file:
        file.write(content[: len(content) // 2 if written == fatal else None])
        if written == fatal:
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

Path.write_bytes = dies
maps = np.random.default_rng(0).dirichlet(np.ones(5), (20, 15))
ex = Experiment(
    descriptor="zscore", general_results_dir=folder, model_args={"hidden_layer_sizes": (16, 8)},
    chosen_dataset=maps, random_state=0, save_model_every_epoch=True,
)
ex.run_model(num_epochs=4, learning_rate=1e-3)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
@pytest.mark.parametrize(("fatal", "weights"), [(5, [1, 2]), (6, [1, 2, 3])])
def test_a_training_killed_while_a_checkpoint_is_written_goes_on_from_the_last_whole_one(
    make, tmp_path, fatal, weights
):
    """Each epoch writes its weights and then the state; the fifth and sixth are those of 3."""
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", KILLED, str(tmp_path), str(fatal)], check=False, timeout=120
    )
    assert done.returncode == -9
    ex = make(save_model_every_epoch=True)
    whole = make(descriptor="whole")
    whole.run_model(**QUICK)
    files = sorted((ex.results_dir / "checkpoints").glob("*.safetensors"))
    assert [file.name for file in files if file.name[0] != "."] == [
        f"epoch_{epoch:04d}.safetensors" for epoch in weights
    ]
    assert list(ex.results_dir.rglob("*.part"))  # it was in the middle of writing
    for epoch in weights:
        ex.load_trained_model(epoch)
        assert len(ex.losses) == epoch
    ex.load_trained_model()
    assert len(ex.losses) == 2
    ex.run_model(**QUICK, resume=True)
    assert_array_equal(ex.get_latent(), whole.get_latent())
    assert ex.losses.equals(whole.losses)
    assert not list(ex.results_dir.rglob("*.part"))
