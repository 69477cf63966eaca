"""Each parameter of an experiment does what it is called, and wrong values change nothing."""

# ruff: noqa: E402 - PyTorch is looked for before what needs it is imported
import logging
from functools import partial

import dask.array as da
import numpy as np
import pytest
from experiments import QUICK_TRAINING, SIZES, digests
from numpy.testing import assert_allclose, assert_array_equal

from sigma_scale.errors import (
    EngineUnavailableError,
    ParameterError,
    SigmaScaleError,
)

torch = pytest.importorskip("torch", reason="autoencoders need PyTorch")

from sigma_scale.latent import choose_landmarks
from sigma_scale.latent.autoencoder import (
    AutoEncoder,
    VariationalAutoEncoder,
    encoding,
)


@pytest.mark.parametrize(
    ("experiment", "training"),
    [
        ({}, {"num_epochs": 5}),
        ({}, {"batch_size": 32}),
        ({}, {"learning_rate": 2e-3}),
        ({}, {"weight_decay": 0.1}),
        ({}, {"task": "train_eval"}),
        ({}, {"noise_added": 0.2}),
        ({}, {"criterion": "L1"}),
        ({}, {"lr_scheduler_args": {"factor": 0.1, "patience": 0, "threshold": 0.9}}),
        ({"model": VariationalAutoEncoder}, {}),
        ({"model_args": {"hidden_layer_sizes": (8, 8)}}, {}),
        ({"random_state": 1}, {}),
        ({"n_landmarks": 100}, {}),
        ({"mixed_precision": True}, {}),
    ],
)
def test_each_parameter_changes_what_is_learnt(make_experiment, experiment, training):
    usual, other = make_experiment(), make_experiment(**experiment, descriptor="other")
    usual.run_model(**QUICK_TRAINING)
    other.run_model(**QUICK_TRAINING | training)
    # Hardly the same when scaled, so that no change of a last bit is taken for an effect.
    assert not np.allclose(other.get_latent(), usual.get_latent(), rtol=1e-5, atol=1e-7)


def test_a_kld_weight_changes_what_a_variational_network_learns(make_experiment):
    latents = []
    for weight in (0.0, 0.1):
        ex = make_experiment(model=VariationalAutoEncoder, descriptor=str(weight))
        ex.run_model(**QUICK_TRAINING, KLD_lambda=weight)
        latents.append(ex.get_latent())
    assert not np.allclose(*latents, rtol=1e-3)


def test_a_criterion_by_name_is_the_loss_of_pytorch(make_experiment):
    latents = []
    for criterion in ("L1", torch.nn.L1Loss(), torch.nn.functional.l1_loss):
        ex = make_experiment()
        ex.run_model(**QUICK_TRAINING, criterion=criterion)
        latents.append(ex.get_latent())
    assert_array_equal(latents[1], latents[0])
    assert_array_equal(latents[2], latents[0])


def test_the_tasks_watch_the_loss_that_they_name(make_experiment):
    ex = make_experiment()
    ex.run_model(**QUICK_TRAINING, task="train_all")
    assert ex.losses["evaluation"].isna().all()
    ex.run_model(**QUICK_TRAINING, task="train_eval")
    assert ex.losses["evaluation"].notna().all()
    assert not np.allclose(ex.losses["evaluation"], ex.losses["train"], rtol=1e-3)


def test_patience_ends_a_training_after_so_many_epochs_without_a_lower_loss(make_experiment):
    still = {"num_epochs": 30, "learning_rate": 1e-30}  # only the order of the sums differs
    ex = make_experiment()
    ex.run_model(**still, patience=30)
    losses = ex.losses["train"].to_numpy()
    for patience in (1, 4):
        best, stale, end = np.inf, 0, 0
        while stale < patience and end < len(losses):
            stale = 0 if losses[end] < best else stale + 1
            best = min(best, losses[end])
            end += 1
        ex.run_model(**still, patience=patience)
        assert end < 30
        assert_array_equal(ex.losses["train"], losses[:end])


def test_a_huge_map_is_trained_on_its_landmarks_and_encoded_as_a_whole(make_experiment, small_maps):
    table = small_maps.reshape(-1, 5).astype(np.float32)
    ex = make_experiment(n_landmarks=50)
    ex.run_model(**QUICK_TRAINING)
    few = make_experiment(chosen_dataset=table[choose_landmarks(table, 50, random_state=0)])
    few.run_model(**QUICK_TRAINING)
    assert ex.losses.equals(few.losses)
    assert ex.get_latent().shape == (300, 2)
    assert_array_equal(encoding.encode(few.model, small_maps), ex.get_latent())


def test_the_latent_space_is_streamed_and_the_same_as_in_one_go(
    make_experiment, small_maps, monkeypatch
):
    monkeypatch.setattr(encoding, "BLOCK_ROWS", 64)
    ex = make_experiment(chosen_dataset=da.from_array(small_maps, chunks=(7, 4, 2)))
    ex.run_model(**QUICK_TRAINING)
    with torch.no_grad():
        whole = ex.model.encode(torch.from_numpy(small_maps.reshape(-1, 5).astype(np.float32)))
    real, sizes = AutoEncoder.encode, []

    def watched(self, features):
        sizes.append(len(features))
        return real(self, features)

    monkeypatch.setattr(AutoEncoder, "encode", watched)
    assert_allclose(ex.get_latent(), whole, rtol=1e-4, atol=1e-6)
    assert sizes == [64] * 5


def test_the_extent_of_the_latent_space_is_logged_on_request_only(make_experiment, caplog):
    caplog.set_level(logging.INFO)
    ex = make_experiment()
    ex.run_model(**QUICK_TRAINING)
    assert "latent space from" not in caplog.text
    ex.run_model(**QUICK_TRAINING, print_latent=True)
    low, high = ex.get_latent().min(axis=0), ex.get_latent().max(axis=0)
    extent = ", ".join(f"{a:.3g} to {b:.3g}" for a, b in zip(low, high, strict=True))
    assert f"Epoch 4: latent space from {extent}" in caplog.text
    assert caplog.text.count("latent space from") == 4


def test_an_epoch_may_be_a_number_of_numpy(trained_experiment):
    trained_experiment.load_trained_model(np.int64(2))
    assert len(trained_experiment.losses) == 2
    for wrong in (2.0, True, ["a"]):
        with pytest.raises(ParameterError, match="number of an epoch"):
            trained_experiment.load_trained_model(wrong)
    assert len(trained_experiment.losses) == 2


def test_numbers_of_numpy_are_numbers(make_experiment):
    plateau = {"factor": np.float32(0.5), "patience": np.int64(0), "min_lr": np.float32(0)}
    plain = {name: value.item() for name, value in plateau.items()}
    ex = make_experiment()
    ex.run_model(
        num_epochs=np.int32(2), batch_size=np.int64(64), learning_rate=np.float32(0.5**10),
        weight_decay=np.float32(0.5), lr_scheduler_args=plateau,
    )  # fmt: skip
    ex.run_model(
        num_epochs=3, batch_size=64, learning_rate=0.5**10, weight_decay=0.5,
        lr_scheduler_args=plain, resume=True,
    )  # fmt: skip
    assert len(ex.losses) == 3


def test_going_on_with_a_loss_made_with_other_numbers_is_refused(make_experiment):
    make_experiment().run_model(**QUICK_TRAINING, criterion=torch.nn.HuberLoss(delta=0.1))
    make_experiment().run_model(
        **QUICK_TRAINING, criterion=torch.nn.HuberLoss(delta=0.1), resume=True
    )
    with pytest.raises(ParameterError, match=r"delta=0\.1.*delta=0\.2"):
        make_experiment().run_model(
            **QUICK_TRAINING, criterion=torch.nn.HuberLoss(delta=0.2), resume=True
        )


class Halving(AutoEncoder):
    """Gives back fewer features than it gets."""

    def forward(self, features):
        return super().forward(features)[:, :1]


class Needing(AutoEncoder):
    def __init__(self, n_features, width):
        super().__init__(n_features, (width,))


class NoNetwork:
    def __init__(self, n_features):
        self.n_features = n_features

    def encode(self, features):
        return features


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("descriptor", 5, "descriptor"),
        ("descriptor", None, "descriptor"),
        ("descriptor", "a\0b", "descriptor"),
        ("general_results_dir", 5, "general_results_dir"),
        ("general_results_dir", None, "general_results_dir"),
        ("general_results_dir", "a\0b", "general_results_dir"),
        ("model", NoNetwork, "PyTorch modules"),
        ("model", 0, "PyTorch modules"),
        ("model", Needing, "width"),
        ("model_args", [("hidden_layer_sizes", (8,))], "mapping"),
        ("model_args", {1: 2}, "mapping"),
        ("model_args", {"n_features": 3}, "n_features"),
        ("model_args", {"hidden_layer_sizes": 8}, "hidden_layer_sizes"),
        ("chosen_dataset", None, "real numbers|shape"),
        ("chosen_dataset", [[1.0, 2.0], [1.0]], "no array of numbers"),
        ("chosen_dataset", [["a", "b"]], "real numbers"),
        ("chosen_dataset", np.ones((0, 3)), "empty"),
        ("save_model_every_epoch", "no", "save_model_every_epoch must be True or False"),
        ("random_state", 1.5, "random_state"),
        ("random_state", 2**32, "random_state"),
        ("n_landmarks", 0, "n_landmarks"),
        ("n_landmarks", 2.5, "n_landmarks"),
        ("n_landmarks", "many", "n_landmarks"),
        ("device", "gpu", "auto, cpu, cuda"),
        ("mixed_precision", "bf16", "mixed_precision must be True or False"),
    ],
)
def test_an_experiment_that_cannot_be_is_refused_and_writes_nothing(
    make_experiment, tmp_path, name, value, message
):
    arguments = {"model_args": {}} if name == "model" else {}
    with pytest.raises(ParameterError, match=message):
        make_experiment(**arguments | {name: value})
    assert not list(tmp_path.iterdir())


def test_a_gpu_that_is_not_there_is_named(make_experiment, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineUnavailableError, match="device='cpu'"):
        make_experiment(device="cuda")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("num_epochs", 0, "num_epochs"),
        ("num_epochs", "3", "num_epochs"),
        ("patience", 0, "patience"),
        ("batch_size", 2.5, "batch_size"),
        ("learning_rate", 0.0, "learning_rate"),
        ("learning_rate", "1e-3", "learning_rate"),
        ("learning_rate", 1e30, "diverged"),
        ("weight_decay", -0.1, "weight_decay"),
        ("task", "train", "train_all, train_eval"),
        ("task", None, "train_all, train_eval"),
        ("noise_added", -0.1, "noise_added"),
        ("noise_added", "0.1", "noise_added"),
        ("KLD_lambda", -1.0, "KLD_lambda"),
        ("KLD_lambda", None, "KLD_lambda"),
        ("criterion", "MAE", "MSE, L1"),
        ("criterion", None, "MSE, L1"),
        ("criterion", torch.nn.MSELoss, "torch.nn.MSELoss"),
        ("criterion", torch.nn.MSELoss(reduction="none"), "one number"),
        ("criterion", torch.nn.NLLLoss(), "can't compare"),
        ("criterion", torch.nn.CosineEmbeddingLoss(), "can't compare"),
        ("criterion", len, "can't compare"),
        ("criterion", lambda output, target: 1.0, "must give a tensor"),
        ("criterion", lambda output, target: target.mean(), "nothing can be learnt"),
        ("lr_scheduler_args", ["factor"], "mapping"),
        ("lr_scheduler_args", {"gamma": 0.5, 1: 2}, "'gamma', 1"),
        ("lr_scheduler_args", {"factor": 2.0}, "[Ff]actor"),
        ("lr_scheduler_args", {"factor": "half"}, "factor"),
        ("lr_scheduler_args", {"patience": "3"}, "patience"),
        ("lr_scheduler_args", {"min_lr": [1e-6, 1e-6]}, "min_lr"),
        ("lr_scheduler_args", {"min_lr": "0"}, "min_lr"),
        ("lr_scheduler_args", {"mode": "least"}, "least"),
        ("print_latent", "no", "print_latent must be True or False"),
        ("resume", "no", "resume must be True or False"),
    ],
)
def test_a_training_that_cannot_be_is_refused_and_changes_nothing(
    trained_experiment, name, value, message
):
    latent, losses, seed = (
        trained_experiment.get_latent(),
        trained_experiment.losses,
        trained_experiment.seed,
    )
    files = digests(trained_experiment.results_dir)
    with pytest.raises(ParameterError, match=message):
        trained_experiment.run_model(**QUICK_TRAINING | {name: value})
    assert_array_equal(trained_experiment.get_latent(), latent)
    assert trained_experiment.losses.equals(losses)
    assert trained_experiment.seed == seed
    assert digests(trained_experiment.results_dir) == files


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_change_nothing(
    trained_experiment, make_experiment, small_maps, value
):
    files = digests(trained_experiment.results_dir)
    small_maps[3, 4, 1] = value
    with pytest.raises(ParameterError, match="y=3, x=4"):
        make_experiment(chosen_dataset=small_maps).run_model(**QUICK_TRAINING)
    assert digests(trained_experiment.results_dir) == files


def test_a_model_that_gives_other_features_back_is_refused(make_experiment):
    with pytest.raises(ParameterError, match=r"\(64, 1\) for a batch of shape \(64, 5\)"):
        make_experiment(model=Halving).run_model(**QUICK_TRAINING)


def test_cross_entropy_of_what_is_no_share_is_refused(make_experiment):
    ex = make_experiment(model_args=SIZES | {"output": "linear"})
    with pytest.raises(ParameterError, match="output='softmax'"):
        ex.run_model(**QUICK_TRAINING, criterion="BCE")


def test_every_refusal_is_one_of_the_packages_errors(make_experiment):
    """Also where a loss fails in the middle of a training."""
    calls = []

    def fails_later(calls, output, target):
        calls.append(1)
        if len(calls) > 7:
            raise ValueError("no more")
        return (output - target).square().mean()

    ex = make_experiment()
    with pytest.raises(SigmaScaleError, match="no more"):
        ex.run_model(**QUICK_TRAINING, criterion=partial(fails_later, calls))
    with pytest.raises(ParameterError, match="run_model"):
        ex.get_latent()
    assert not ex.results_dir.exists()
