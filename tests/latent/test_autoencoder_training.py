# ruff: noqa: E402 - PyTorch is looked for before what needs it is imported
import logging

import dask.array as da
import numpy as np
import pytest

from sigma_scale.errors import ParameterError, ShapeMismatchError

torch = pytest.importorskip("torch", reason="autoencoders need PyTorch")

from sigma_scale.latent.autoencoder import (
    AutoEncoder,
    Trainer,
    TrainingSettings,
    VariationalAutoEncoder,
    data,
    encode,
)
from sigma_scale.latent.autoencoder.encoding import BLOCK_ROWS

CPU = torch.device("cpu")
SCHEDULER = {"factor": 0.5, "patience": 0, "threshold": 0.5, "min_lr": 1e-6, "verbose": True}


def shares(n=300, k=5, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(k), n).astype(np.float32)


def network(kind=AutoEncoder, seed=0):
    torch.manual_seed(seed)
    return kind(5, hidden_layer_sizes=(16, 8))


def trained(rows=None, kind=AutoEncoder, *, seed=0, **settings):
    rows = shares() if rows is None else rows
    settings = TrainingSettings(**{"num_epochs": 3, "learning_rate": 1e-3} | settings)
    trainer = Trainer(network(kind), rows, settings, seed=seed, device=CPU)
    trainer.run()
    return trainer


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.network.parameters()])


def test_training_is_adam_on_shuffled_slices():
    """Against a loop written out with plain Adam and losses; the order of rows is ours."""
    rows = torch.from_numpy(shares(130))
    trainer = trained(rows.numpy(), num_epochs=2, weight_decay=0.01)
    twin = network()
    adam = torch.optim.Adam(twin.parameters(), lr=1e-3, weight_decay=0.01, fused=False)
    orders = []
    real = torch.randperm
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randperm", lambda n, **kw: orders.append(real(n, **kw)) or orders[-1])
        trained(rows.numpy(), num_epochs=2, weight_decay=0.01)
    losses = []
    for order in orders:
        total = 0.0
        assert sorted(order.tolist()) == list(range(130))
        for batch in torch.split(rows[order], 64):
            loss = (twin(batch) - batch).square().mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            total += float(loss.detach()) * len(batch)
        losses.append(total / 130)
    assert not torch.equal(orders[0], orders[1])
    np.testing.assert_allclose([h["train"] for h in trainer.history], losses, rtol=1e-5)
    other = torch.cat([p.detach().flatten() for p in twin.parameters()])
    torch.testing.assert_close(weights(trainer), other, rtol=1e-4, atol=1e-6)


def test_loss_falls_and_history_says_what_happened():
    trainer = trained(num_epochs=15, learning_rate=5e-3)
    assert [h["epoch"] for h in trainer.history] == list(range(1, 16))
    assert trainer.history[-1]["train"] < 0.6 * trainer.history[0]["train"]
    assert all(np.isnan(h["evaluation"]) for h in trainer.history)
    assert trainer.best == min(h["train"] for h in trainer.history)


def test_same_seed_same_weights_whatever_the_global_generator():
    first = weights(trained(noise_added=0.1))
    torch.manual_seed(99)
    state = torch.get_rng_state()
    settings = TrainingSettings(num_epochs=3, learning_rate=1e-3, noise_added=0.1)
    twin = network()
    torch.set_rng_state(state)
    trainer = Trainer(twin, shares(), settings, seed=0, device=CPU)
    trainer.run()
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(weights(trainer), first)
    assert not torch.equal(weights(trained(noise_added=0.1, seed=1)), first)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("noise_added", 0.2), ("weight_decay", 0.1), ("batch_size", 30), ("learning_rate", 1e-4),
        ("criterion", "L1"), ("mixed_precision", True), ("task", "train_eval"),
    ],
)  # fmt: skip
def test_each_setting_has_an_effect(name, value):
    assert not torch.equal(weights(trained(**{name: value})), weights(trained()))


def test_small_batches_are_not_split_among_threads():
    before, during = torch.get_num_threads(), []
    settings = TrainingSettings(num_epochs=1, batch_size=64)
    trainer = Trainer(network(), shares(), settings, seed=0, device=CPU)
    trainer.run(lambda _: during.append(torch.get_num_threads()))
    assert during == [1]
    assert torch.get_num_threads() == before


def test_no_noise_is_zero_noise():
    assert torch.equal(weights(trained(noise_added=0.0)), weights(trained(noise_added=None)))


def test_noise_has_the_given_spread_and_spares_the_target():
    seen, targets = [], []

    class Watching(AutoEncoder):
        def forward(self, x):
            seen.append(x.clone())
            return super().forward(x)

    class Criterion(torch.nn.MSELoss):
        def forward(self, output, target):
            targets.append(target.clone())
            return super().forward(output, target)

    rows = shares(4000)
    settings = TrainingSettings(num_epochs=1, noise_added=0.3, criterion=Criterion())
    # Losses are copied, classes are not: the lists are those above.
    Trainer(Watching(5, (4,)), rows, settings, seed=0, device=CPU).run()
    target = torch.cat(targets)
    np.testing.assert_array_equal(np.sort(target.numpy(), axis=0), np.sort(rows, axis=0))
    assert float((torch.cat(seen) - target).std()) == pytest.approx(0.3, rel=0.03)


def test_held_out_rows_are_15_percent_and_never_trained_on():
    rows = shares(200)
    settings = TrainingSettings(num_epochs=2, task="train_eval")
    trainer = Trainer(network(), rows, settings, seed=0, device=CPU)
    held_out, train = trainer._held_out.numpy(), trainer._train.numpy()
    assert (len(held_out), len(train)) == (30, 170)
    together = np.concatenate([held_out, train])
    np.testing.assert_array_equal(np.unique(together, axis=0), np.unique(rows, axis=0))
    trainer.run()
    with torch.no_grad():
        output = trainer.network(trainer._held_out)
    expected = float((output - trainer._held_out).square().mean())
    assert trainer.history[-1]["evaluation"] == pytest.approx(expected, rel=1e-5)
    assert trainer.best == min(h["evaluation"] for h in trainer.history)
    with pytest.raises(ParameterError, match="at least 2"):
        Trainer(network(), rows[:1], settings, seed=0, device=CPU)


def test_held_out_rows_are_evaluated_without_sampling():
    trainer = trained(kind=VariationalAutoEncoder, task="train_eval", num_epochs=1)
    with torch.no_grad():
        output = trainer.network.eval()(trainer._held_out)[0]
    expected = float((output - trainer._held_out).square().mean())
    assert trainer.history[0]["evaluation"] == pytest.approx(expected, rel=1e-5)


def test_learning_rate_falls_on_a_plateau_and_says_so(caplog):
    caplog.set_level(logging.INFO)
    trainer = trained(num_epochs=4, lr_scheduler_args=SCHEDULER)
    rates = [h["learning_rate"] for h in trainer.history]
    np.testing.assert_allclose(rates, [1e-3, 1e-3, 5e-4, 2.5e-4])
    assert "learning rate lowered from 0.001 to 0.0005" in caplog.text
    caplog.clear()
    trained(num_epochs=4, lr_scheduler_args=SCHEDULER | {"verbose": False})
    assert "lowered" not in caplog.text
    constant = trained(num_epochs=4, lr_scheduler_args=None)
    assert {h["learning_rate"] for h in constant.history} == {1e-3}


def test_training_stops_when_the_loss_no_longer_falls(caplog):
    caplog.set_level(logging.INFO)
    # Steps too small to change single-precision weights: the loss never falls.
    trainer = trained(num_epochs=20, patience=3, learning_rate=1e-30)
    assert trainer.epoch == 4 or trainer.history[-1]["train"] >= trainer.best
    assert trainer.epoch < 20
    assert trainer.stale == 3
    assert "stopped after" in caplog.text


def test_variational_loss_holds_the_divergence():
    with_term = trained(kind=VariationalAutoEncoder, kld_lambda=10.0, num_epochs=30)
    without = trained(kind=VariationalAutoEncoder, num_epochs=30)
    x = torch.from_numpy(shares())

    def spread(trainer):
        with torch.no_grad():
            return float(trainer.network.eval().encode(x).square().mean())

    assert spread(with_term) < 0.5 * spread(without)


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(ParameterError, match="diverged"):
        trained(shares() * 1e30)
    with pytest.raises(ParameterError, match="from 0 to 1"):
        trained(shares() - 0.5, criterion="BCE")
    with pytest.raises(ParameterError, match="factor"):
        trained(lr_scheduler_args={"factor": 2.0})
    with pytest.raises(ParameterError, match="VariationalAutoEncoder"):
        trained(kld_lambda=0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_epochs", 0), ("patience", 1.5), ("batch_size", True), ("learning_rate", 0.0),
        ("weight_decay", -1.0), ("noise_added", float("nan")), ("kld_lambda", -0.1),
        ("task", "train"), ("lr_scheduler_args", {"fctor": 1}),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused(name, value):
    shown = "KLD_lambda" if name == "kld_lambda" else name
    with pytest.raises(ParameterError, match=shown):
        TrainingSettings(**{name: value})


def test_latent_is_that_of_the_network_in_any_blocks_and_order(monkeypatch):
    model = network()
    rows = np.random.default_rng(0).normal(size=(60, 171, 5)).astype(np.float32)
    latent = encode(model, rows)
    assert latent.shape == (60 * 171, 2)
    assert latent.dtype == np.float32
    assert len(latent) % BLOCK_ROWS
    with torch.no_grad():
        expected = model.eval().encode(torch.from_numpy(rows.reshape(-1, 5)))
    np.testing.assert_allclose(latent, expected, rtol=1e-4, atol=1e-6)
    lazy = da.from_array(rows, chunks=(13, 50, 2))
    np.testing.assert_array_equal(encode(model, lazy), latent)
    monkeypatch.setattr(data, "_BAND_ROWS", 1000)
    np.testing.assert_array_equal(encode(model, rows), latent)
    # A row has the same place wherever it stands, also in the block that is filled up.
    order = np.random.default_rng(1).permutation(len(latent))[:5000]
    np.testing.assert_array_equal(encode(model, rows.reshape(-1, 5)[order]), latent[order])
    np.testing.assert_array_equal(encode(model, rows[7, 9:10]), latent[[7 * 171 + 9]])


def test_encoding_leaves_the_network_in_its_mode_and_refuses_other_features():
    model = network().train()
    encode(model, shares(10))
    assert model.training
    with pytest.raises(ShapeMismatchError, match="4 features"):
        encode(model, shares(10)[:, :4])
    with pytest.raises(ParameterError, match="NaN"):
        encode(model, np.full((3, 5), np.nan))
