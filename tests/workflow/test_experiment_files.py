"""What an experiment leaves on disk where it is interrupted, killed or out of room."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from experiments import QUICK_TRAINING, digests
from numpy.testing import assert_array_equal

from sigma_scale.errors import SourceNotFoundError, StoreError

pytest.importorskip("torch", reason="autoencoders need PyTorch")

from sigma_scale.latent.autoencoder import Trainer, checkpoints
from sigma_scale.latent.autoencoder.folder import TrainingFolder


def test_a_folder_that_cannot_be_written_is_told_before_the_training(
    make_experiment, tmp_path, monkeypatch
):
    (tmp_path / "taken").write_text("")

    def trains(self):
        raise AssertionError("trained for nothing")

    monkeypatch.setattr(Trainer, "_one_epoch", trains)
    with pytest.raises(StoreError, match=r"taken.*general_results_dir"):
        make_experiment(general_results_dir=tmp_path / "taken").run_model(**QUICK_TRAINING)
    with pytest.raises(StoreError, match="descriptor"):
        make_experiment(descriptor="taken").run_model(**QUICK_TRAINING)
    with pytest.raises(StoreError, match="general_results_dir"):
        make_experiment(descriptor="a" * 400).run_model(**QUICK_TRAINING)
    assert (tmp_path / "taken").read_text() == ""


def full_disk(path, content):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_named_and_keeps_what_was_trained(make_experiment, monkeypatch):
    ex, same = make_experiment(), make_experiment(descriptor="same")
    same.run_model(**QUICK_TRAINING)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_atomically", full_disk)
        with pytest.raises(StoreError, match=r"epoch 4 can't be written.*No space left"):
            ex.run_model(**QUICK_TRAINING)
    assert_array_equal(ex.get_latent(), same.get_latent())
    with pytest.raises(SourceNotFoundError):
        ex.load_trained_model()


def test_a_disk_that_fills_up_between_epochs_leaves_a_state_to_go_on_from(
    make_experiment, monkeypatch
):
    whole = make_experiment(descriptor="whole")
    whole.run_model(**QUICK_TRAINING)
    ex, real = make_experiment(save_model_every_epoch=True), TrainingFolder.save

    def fills_up(self, trainer, recipe):
        if trainer.epoch == 3:
            monkeypatch.setattr(checkpoints, "write_atomically", full_disk)
        real(self, trainer, recipe)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingFolder, "save", fills_up)
        patch.setattr(checkpoints, "write_atomically", checkpoints.write_atomically)
        with pytest.raises(StoreError, match="epoch 3"):
            ex.run_model(**QUICK_TRAINING)
    monkeypatch.undo()
    ex.load_trained_model()
    assert len(ex.losses) == 2
    ex.run_model(**QUICK_TRAINING, resume=True)
    assert_array_equal(ex.get_latent(), whole.get_latent())


def test_files_of_an_earlier_training_that_cannot_be_removed_are_named(
    trained_experiment, make_experiment, monkeypatch
):
    files = digests(trained_experiment.results_dir)

    def read_only(self, **_):
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", read_only)
        with pytest.raises(StoreError, match=r"can't be removed from.*Read-only.*resume=True"):
            make_experiment().run_model(**QUICK_TRAINING)
    assert digests(trained_experiment.results_dir) == files


def test_a_new_training_that_is_interrupted_leaves_the_earlier_ones_files(
    trained_experiment, make_experiment
):
    files = digests(trained_experiment.results_dir)
    other, real = make_experiment(), Trainer._one_epoch

    def interrupted(self):
        if self.epoch == 2:
            raise KeyboardInterrupt
        real(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_one_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            other.run_model(**QUICK_TRAINING | {"learning_rate": 1e-2})
    assert digests(trained_experiment.results_dir) == files


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from sigma_scale.workflow.experiment import Experiment

folder, fatal = sys.argv[1], int(sys.argv[2])
written = 0

class Dying:  # half of the fatal file's content gets there

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, content):
        global written
        written += 1
        self.file.write(content[: len(content) // 2 if written == fatal else None])
        if written == fatal:
            self.file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

opens = Path.open
Path.open = lambda path, mode="r", *rest, **named: (
    Dying(opens(path, mode)) if mode == "wb" else opens(path, mode, *rest, **named)
)
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
    make_experiment, tmp_path, fatal, weights
):
    """Each epoch writes its weights and then the state; the fifth and sixth are those of 3."""
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", KILLED, str(tmp_path), str(fatal)], check=False, timeout=120
    )
    assert done.returncode == -9
    ex = make_experiment(save_model_every_epoch=True)
    whole = make_experiment(descriptor="whole")
    whole.run_model(**QUICK_TRAINING)
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
    ex.run_model(**QUICK_TRAINING, resume=True)
    assert_array_equal(ex.get_latent(), whole.get_latent())
    assert ex.losses.equals(whole.losses)
    assert not list(ex.results_dir.rglob("*.part"))
