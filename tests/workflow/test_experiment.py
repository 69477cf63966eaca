# ruff: noqa: E402 - PyTorch is looked for before what needs it is imported
import logging

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sigma_scale import config
from sigma_scale.errors import (
    FileFormatError,
    ParameterError,
    SigmaScaleWarning,
    SourceNotFoundError,
)

torch = pytest.importorskip("torch", reason="autoencoders need PyTorch")

from sigma_scale.latent.autoencoder import (
    AutoEncoder,
    Trainer,
    TrainingSettings,
    VariationalAutoEncoder,
    checkpoints,
    same_seeds,
)
from sigma_scale.latent.autoencoder.folder import TrainingFolder
from sigma_scale.workflow.experiment import Experiment

SIZES = {"hidden_layer_sizes": (16, 8)}


@pytest.fixture
def maps():
    return np.random.default_rng(0).dirichlet(np.ones(5), (20, 15))


@pytest.fixture
def make(maps, tmp_path):
    def experiment(**changes):
        arguments = {
            "descriptor": "zscore", "general_results_dir": tmp_path, "model": AutoEncoder,
            "model_args": SIZES, "chosen_dataset": maps, "random_state": 0,
        }  # fmt: skip
        return Experiment(**arguments | changes)

    return experiment


QUICK = {"num_epochs": 4, "learning_rate": 1e-3, "noise_added": 0.05, "task": "train_eval"}


def test_the_tutorials_calls(maps, tmp_path):
    def run():
        same_seeds(2)
        ex = Experiment(
            descriptor="zscore", general_results_dir=tmp_path, model=AutoEncoder,
            model_args={"hidden_layer_sizes": (512, 256, 128)}, chosen_dataset=maps,
            save_model_every_epoch=True,
        )  # fmt: skip
        ex.run_model(
            num_epochs=3, patience=50, batch_size=64, learning_rate=1e-4, weight_decay=0.0,
            task="train_all", noise_added=0.0, KLD_lambda=0.0, criterion="MSE",
            lr_scheduler_args={
                "factor": 0.5, "patience": 5, "threshold": 1e-2, "min_lr": 1e-6, "verbose": True
            },
        )  # fmt: skip
        return ex

    ex = run()
    latent = ex.get_latent()
    assert latent.shape == (300, 2)
    assert latent.dtype == np.float32
    assert ex.results_dir == tmp_path / "zscore"
    assert len(list((ex.results_dir / "checkpoints").iterdir())) == 3
    assert list(ex.losses) == ["epoch", "train", "evaluation", "learning_rate"]
    assert ex.losses["train"].is_monotonic_decreasing
    assert isinstance(ex.model, AutoEncoder)
    assert ex.model_args == {"hidden_layer_sizes": (512, 256, 128)}
    assert "3 epochs" in repr(ex)
    assert_array_equal(run().get_latent(), latent)
    same_seeds(3)
    assert Experiment(descriptor="a", chosen_dataset=maps).seed != ex.seed


def test_running_again_gives_the_same_network(make):
    ex = make()
    ex.run_model(**QUICK)
    first = ex.get_latent()
    ex.run_model(**QUICK | {"num_epochs": 2})
    assert len(ex.losses) == 2
    ex.run_model(**QUICK)
    assert_array_equal(ex.get_latent(), first)
    other = make(random_state=1)
    other.run_model(**QUICK)
    assert not np.array_equal(other.get_latent(), first)


@pytest.mark.parametrize("save_every", [True, False])
def test_a_training_taken_up_again_ends_like_an_uninterrupted_one(make, save_every, monkeypatch):
    plateau = {"factor": 0.5, "patience": 1, "threshold": 0.9}
    quick = QUICK | {"num_epochs": 7, "lr_scheduler_args": plateau}
    whole = make(descriptor="whole")
    whole.run_model(**quick)
    assert whole.losses["learning_rate"].nunique() == 3
    part = make(save_model_every_epoch=save_every)
    if save_every:
        saves = []
        real = TrainingFolder.save

        def interrupted(self, trainer, recipe):
            real(self, trainer, recipe)
            saves.append(trainer.epoch)
            if len(saves) == 3:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(TrainingFolder, "save", interrupted)
            with pytest.raises(KeyboardInterrupt):
                part.run_model(**quick)
        assert len(part.losses) == 3
    else:
        part.run_model(**quick | {"num_epochs": 3})
    torch.rand(7)
    again = make()
    again.run_model(**quick, resume=True)
    assert_array_equal(again.get_latent(), whole.get_latent())
    assert again.losses.equals(whole.losses)
    again.run_model(**quick, resume=True)
    assert_array_equal(again.get_latent(), whole.get_latent())


def test_resume_starts_where_there_is_nothing_and_keeps_a_drawn_seed(make, caplog):
    caplog.set_level(logging.INFO)
    first = make(random_state=None)
    first.run_model(**QUICK, resume=True)
    assert "no training to go on with" in caplog.text
    again = make(random_state=None)
    assert again.seed != first.seed
    again.run_model(**QUICK | {"num_epochs": 6}, resume=True)
    assert again.seed == first.seed
    assert again.losses[:4].equals(first.losses)


@pytest.mark.parametrize(
    ("experiment", "training", "named"),
    [
        ({}, {"batch_size": 32}, "batch_size was 64, now 32"),
        ({}, {"criterion": "L1"}, "criterion was 'MSE', now 'L1'"),
        ({"random_state": 1}, {}, "seed was 0, now 1"),
        ({"chosen_dataset": np.full((20, 15, 5), 0.2)}, {}, "data was"),
        ({"model_args": {"hidden_layer_sizes": (16, 4)}}, {}, "model_args was"),
    ],
)
def test_going_on_with_another_training_is_refused(make, experiment, training, named):
    make().run_model(**QUICK)
    with pytest.raises(ParameterError, match=named):
        make(**experiment).run_model(**QUICK | training, resume=True)


def test_models_come_back_from_their_checkpoints(make):
    ex = make(save_model_every_epoch=True)
    ex.run_model(**QUICK)
    last = ex.get_latent()
    other = make(random_state=5)
    other.load_trained_model(2)
    assert len(other.losses) == 2
    assert not np.array_equal(other.get_latent(), last)
    for which in (4, None, ex.results_dir / "checkpoints" / "epoch_0004.safetensors"):
        other.load_trained_model(which)
        assert other.losses.equals(ex.losses)
        assert_array_equal(other.get_latent(), last)
    with pytest.raises(SourceNotFoundError, match="1, 2, 3, 4"):
        other.load_trained_model(9)
    with pytest.raises(ParameterError, match="model_args is"):
        make(model_args={"hidden_layer_sizes": (8,)}).load_trained_model(4)
    with pytest.raises(ParameterError, match="n_features is 5 there and 3 here"):
        make(chosen_dataset=np.ones((4, 3))).load_trained_model(4)


def test_a_new_training_replaces_the_checkpoints_of_an_earlier_one(make):
    make(save_model_every_epoch=True).run_model(**QUICK)
    ex = make()
    ex.run_model(**QUICK | {"num_epochs": 2})
    files = [file.name for file in (ex.results_dir / "checkpoints").iterdir()]
    assert files == ["epoch_0002.safetensors"]


def test_damaged_and_foreign_checkpoints_are_refused(make, tmp_path):
    from safetensors.torch import save_file

    ex = make()
    ex.run_model(**QUICK | {"num_epochs": 1})
    latent = ex.get_latent()
    file = ex.results_dir / "checkpoints" / "epoch_0001.safetensors"
    content = file.read_bytes()
    for damaged in (b"", content[:50], content[:-5], b"\xff" * 200, b"\x80\x04pickle"):
        (tmp_path / "bad").write_bytes(damaged)
        with pytest.raises(FileFormatError, match="bad"):
            ex.load_trained_model(tmp_path / "bad")
    save_file({"a": torch.ones(2)}, tmp_path / "foreign")
    with pytest.raises(FileFormatError, match="not written by sigma_scale"):
        ex.load_trained_model(tmp_path / "foreign")
    with pytest.raises(SourceNotFoundError):
        ex.load_trained_model(tmp_path / "nothing")
    ex._folder.state_path.write_bytes(content)
    with pytest.raises(FileFormatError, match="weights only"):
        ex.run_model(**QUICK, resume=True)
    assert_array_equal(ex.get_latent(), latent)


def test_a_restored_trainer_stands_where_the_saved_one_stood(maps, tmp_path):
    settings = TrainingSettings(num_epochs=2, learning_rate=1e-3)
    rows = maps.reshape(-1, 5).astype(np.float32)
    one, other = (
        Trainer(AutoEncoder(5, (4,)), rows, settings, seed=0, device=torch.device("cpu"))
        for _ in range(2)
    )
    one.run()
    one.stale, one.best = 7, 0.125
    path = checkpoints.save_state(tmp_path / "state", one, {})
    checkpoints.restore(other, checkpoints.read_checkpoint(path))
    for name in ("epoch", "stale", "best"):
        assert getattr(other, name) == getattr(one, name)
    assert [h["train"] for h in other.history] == [h["train"] for h in one.history]
    state, restored = (t.optimizer.state_dict()["state"] for t in (one, other))
    torch.testing.assert_close(restored, state, rtol=0, atol=0)


def test_checkpoints_of_another_layout_are_refused(make, monkeypatch):
    ex = make()
    monkeypatch.setattr(checkpoints, "_SCHEMA", 2)
    ex.run_model(**QUICK | {"num_epochs": 1})
    monkeypatch.setattr(checkpoints, "_SCHEMA", 1)
    with pytest.raises(FileFormatError, match="layout 2"):
        ex.load_trained_model()


def test_weights_of_another_shape_are_refused(make):
    ex = make()
    ex.run_model(**QUICK | {"num_epochs": 1})
    checkpoint = checkpoints.read_checkpoint(ex._folder.state_path)
    with pytest.raises(ParameterError, match="another network"):
        checkpoints.load_weights(AutoEncoder(5, (16, 9)), checkpoint)


def test_a_kld_weight_makes_the_network_variational_and_says_so(make):
    ex = make()
    with pytest.warns(SigmaScaleWarning, match="VariationalAutoEncoder"):
        ex.run_model(**QUICK, KLD_lambda=0.01)
    assert isinstance(ex.model, VariationalAutoEncoder)
    named = make(descriptor="named", model=VariationalAutoEncoder)
    named.run_model(**QUICK, KLD_lambda=0.01)
    assert_array_equal(named.get_latent(), ex.get_latent())
    ex = make()
    ex.load_trained_model()
    assert_array_equal(ex.get_latent(), named.get_latent())


def test_a_model_of_ones_own_and_a_loss_of_pytorch(make):
    class Plain(torch.nn.Module):
        def __init__(self, n_features, width=3):
            super().__init__()
            self.down = torch.nn.Linear(n_features, width)
            self.up = torch.nn.Linear(width, n_features)
            self.drop = torch.nn.Dropout(0.2)

        def encode(self, x):
            return self.down(x)

        def forward(self, x):
            return self.up(self.drop(self.encode(x)))

    ex = make(model=Plain, model_args={"width": 4})
    ex.run_model(**QUICK, criterion=torch.nn.HuberLoss(delta=0.1))
    assert ex.get_latent().shape == (300, 4)
    with pytest.raises(ParameterError, match="VariationalAutoEncoder"):
        ex.run_model(**QUICK, KLD_lambda=0.1)
    assert ex.get_latent().shape == (300, 4)


def test_landmarks_progress_and_what_is_logged(make, caplog):
    caplog.set_level(logging.INFO)
    ex = make(n_landmarks=50)
    with config.options(progress=True):
        ex.run_model(**QUICK, print_latent=True)
    assert "50 landmarks of 300 pixels" in caplog.text
    assert "Epoch 4: latent space from" in caplog.text
    assert ex.get_latent().shape == (300, 2)


def test_progress_shows_the_losses(make, capsys):
    with config.options(progress=True):
        make().run_model(**QUICK)
    shown = capsys.readouterr().err
    assert "Training" in shown
    assert "train=" in shown
    assert "evaluation=" in shown


def test_a_failed_training_leaves_the_last_network(make, maps):
    ex = make()
    ex.run_model(**QUICK)
    latent, losses = ex.get_latent(), ex.losses
    with pytest.raises(ParameterError, match="diverged"):
        ex.run_model(**QUICK | {"learning_rate": 1e30})
    assert_array_equal(ex.get_latent(), latent)
    assert ex.losses.equals(losses)
    make().load_trained_model(4)  # its files, too


def test_a_training_that_fails_later_leaves_the_last_network(make, monkeypatch):
    ex = make()
    ex.run_model(**QUICK)
    latent, losses = ex.get_latent(), ex.losses
    real = Trainer._one_epoch

    def fails(self):
        if self.epoch == 2:
            raise ParameterError("no more")
        real(self)

    monkeypatch.setattr(Trainer, "_one_epoch", fails)
    with pytest.raises(ParameterError, match="no more"):
        ex.run_model(**QUICK | {"learning_rate": 1e-2})
    assert_array_equal(ex.get_latent(), latent)
    assert ex.losses.equals(losses)


def test_calls_out_of_order_say_what_to_call_first(make):
    ex = make()
    assert not ex.results_dir.exists()
    with pytest.raises(ParameterError, match="run_model"):
        ex.get_latent()
    for wanted in ("losses", "model"):
        with pytest.raises(ParameterError, match="run_model"):
            getattr(ex, wanted)
    assert "not trained" in repr(ex)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model_args": {"hidden": (3,)}}, "hidden_layer_sizes, n_components, output"),
        ({"model_args": {"n_components": 0}}, "n_components"),
        ({"model": "AutoEncoder"}, "class"),
        ({"model": torch.nn.Linear}, "encode"),
        ({"descriptor": "a/b"}, "descriptor"),
        ({"descriptor": ".."}, "descriptor"),
        ({"random_state": -1}, "random_state"),
        ({"device": "tpu"}, "auto, cpu, cuda"),
        ({"chosen_dataset": np.ones(5)}, "shape"),
    ],
)
def test_arguments_that_cannot_work_are_refused(make, changes, named):
    with pytest.raises(ParameterError, match=named):
        make(**changes)


def test_unknown_training_arguments_list_the_valid_ones(make, maps):
    ex = make()
    with pytest.raises(ParameterError, match="factor, patience"):
        ex.run_model(lr_scheduler_args={"fctor": 0.5})
    with pytest.raises(ParameterError, match="train_all, train_eval"):
        ex.run_model(task="eval")
    with pytest.raises(ParameterError, match="MSE, L1"):
        ex.run_model(criterion="mse")
    maps[3, 4, 1] = np.nan
    with pytest.raises(ParameterError, match="y=3, x=4"):
        make(chosen_dataset=maps).run_model()


def test_mixed_precision_trains(make):
    ex = make(mixed_precision=True)
    ex.run_model(**QUICK)
    exact = make(descriptor="exact")
    exact.run_model(**QUICK)
    assert ex.model.latent.weight.dtype == torch.float32
    assert not np.array_equal(ex.get_latent(), exact.get_latent())
    np.testing.assert_allclose(ex.losses["train"], exact.losses["train"], rtol=0.05)
