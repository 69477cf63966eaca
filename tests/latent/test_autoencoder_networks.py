# ruff: noqa: E402 - PyTorch is looked for before what needs it is imported
import numpy as np
import pytest

from sigma_scale.errors import EngineUnavailableError, ParameterError

torch = pytest.importorskip("torch", reason="autoencoders need PyTorch")

from sigma_scale import config
from sigma_scale.latent.autoencoder import AutoEncoder, VariationalAutoEncoder, same_seeds
from sigma_scale.latent.autoencoder.engine import choose_device, seeded
from sigma_scale.latent.autoencoder.losses import CRITERIA, Objective, criterion_named
from sigma_scale.latent.autoencoder.seeds import derived_seed


def linear(x, layer):
    return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def hidden(x, block):
    """Linear, normalisation over the neurons, leaky rectifier: in plain NumPy."""
    for layer, norm, _ in zip(block[0::3], block[1::3], block[2::3], strict=False):
        x = linear(x, layer)
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        x = x * norm.weight.detach().numpy() + norm.bias.detach().numpy()
        x = np.where(x > 0, x, 0.02 * x)
    return x


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)


def test_the_default_network_has_the_layers_of_the_original():
    sizes = [m.weight.shape for m in AutoEncoder(10).modules() if isinstance(m, torch.nn.Linear)]
    widths = [10, 512, 256, 128, 2, 128, 256, 512, 10]
    assert [tuple(size) for size in sizes] == list(zip(widths[1:], widths[:-1], strict=True))


def test_network_computes_what_its_description_says(features):
    network = AutoEncoder(5, hidden_layer_sizes=(8, 6), n_components=3)
    encoder, decoder = list(network.encoder), list(network.decoder)
    latent = linear(hidden(features, encoder), network.latent)
    logits = linear(hidden(latent, decoder[:6]), decoder[6])
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    with torch.no_grad():
        x = torch.from_numpy(features)
        np.testing.assert_allclose(network.encode(x), latent, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(network(x), shares, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(network.decode(network.encode(x)), network(x))


def test_linear_output_is_not_a_share(features):
    with torch.no_grad():
        out = AutoEncoder(5, (8,), output="linear")(torch.from_numpy(features))
    assert (out.sum(1) - 1).abs().min() > 1e-3


def test_variational_network_samples_in_training_only(features):
    network = VariationalAutoEncoder(5, hidden_layer_sizes=(8,))
    x = torch.from_numpy(features)
    with torch.no_grad():
        output, mean, log_variance = network.eval()(x)
        torch.testing.assert_close(network.encode(x), mean)
        torch.testing.assert_close(network.decode(mean), output)
        torch.manual_seed(3)
        sampled = network.train()(x)[0]
        torch.manual_seed(3)
        latent = mean + torch.exp(log_variance / 2) * torch.randn(7, 2)
        torch.testing.assert_close(sampled, network.decode(latent))
    assert log_variance.shape == (7, 2)
    assert not torch.equal(sampled, output)


@pytest.mark.parametrize(
    "arguments",
    [
        {"hidden_layer_sizes": ()},
        {"hidden_layer_sizes": (8, 0)},
        {"hidden_layer_sizes": (8.5,)},
        {"hidden_layer_sizes": 8},
        {"n_components": 0},
        {"output": "relu"},
    ],
)
def test_sizes_and_outputs_that_cannot_be_are_refused(arguments):
    with pytest.raises(ParameterError, match=next(iter(arguments))):
        AutoEncoder(5, **arguments)


@pytest.mark.parametrize("name", CRITERIA)
def test_criteria_by_name_are_those_of_pytorch(name):
    target, output = torch.rand(4, 3), torch.rand(4, 3)
    expected = {
        "MSE": (output - target).square().mean(),
        "L1": (output - target).abs().mean(),
        "SmoothL1": torch.nn.functional.smooth_l1_loss(output, target),
        "Huber": torch.nn.functional.huber_loss(output, target),
        "BCE": -(target * output.log() + (1 - target) * (1 - output).log()).mean(),
    }[name]
    torch.testing.assert_close(Objective(criterion_named(name))(output, target), expected)


def test_divergence_is_that_of_normal_distributions():
    mean, log_variance = torch.tensor([[0.3, -1.0], [2.0, 0.0]]), torch.tensor([[0.1, -2.0]] * 2)
    target = torch.rand(2, 3)
    ours = torch.distributions.Normal(mean, torch.exp(log_variance / 2))
    standard = torch.distributions.Normal(0.0, 1.0)
    expected = torch.distributions.kl_divergence(ours, standard).sum(1).mean()
    loss = Objective(criterion_named("MSE"), 0.25)((target, mean, log_variance), target)
    torch.testing.assert_close(loss, 0.25 * expected)


def test_a_loss_that_was_given_is_copied():
    given = torch.nn.HuberLoss(delta=0.1)
    used = criterion_named(given)
    assert used is not given
    assert used.delta == 0.1


def test_criteria_that_cannot_be_are_refused():
    with pytest.raises(ParameterError, match="MSE, L1, SmoothL1, Huber, BCE"):
        criterion_named("mse")
    with pytest.raises(ParameterError, match="got <class"):
        criterion_named(torch.nn.MSELoss)
    x = torch.rand(2, 3)
    with pytest.raises(ParameterError, match="one number"):
        Objective(torch.nn.MSELoss(reduction="none"))(x, x)
    with pytest.raises(ParameterError, match="VariationalAutoEncoder"):
        Objective(torch.nn.MSELoss(), 0.1)(x, x)


def test_same_seeds_seeds_all_three():
    import random

    def draw():
        return random.random(), np.random.random(), float(torch.rand(()))  # noqa: NPY002, S311

    same_seeds(2)
    first = draw()
    assert draw() != first
    same_seeds(2)
    assert draw() == first
    with pytest.raises(ParameterError, match="seed"):
        same_seeds(-1)


def test_derived_seeds_differ_by_part_and_seed():
    seeds = [derived_seed(s, *parts) for s in (0, 1) for parts in [(0,), (1,), (2, 0), (2, 1)]]
    assert len({*seeds}) == 8
    assert derived_seed(1, 2, 1) == seeds[-1]


def test_seeded_leaves_the_users_generator_where_it_was():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(1, torch.device("cpu")):
        first = torch.rand(3)
    torch.testing.assert_close(torch.rand(3), expected)
    with seeded(1, torch.device("cpu")):
        assert torch.equal(torch.rand(3), first)


def test_device_follows_the_engine_and_what_is_there(monkeypatch, caplog):
    caplog.set_level("INFO")
    for there in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert choose_device("auto").type == ("cuda" if there else "cpu")
        assert choose_device("cpu").type == "cpu"
        with config.options(engine="cpu"):
            assert choose_device("auto").type == "cpu"
    assert "runs on cuda" in caplog.text
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    with pytest.raises(EngineUnavailableError, match="bfloat16"):
        choose_device("cuda", mixed_precision=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineUnavailableError, match="no usable GPU"):
        choose_device("cuda")
    with config.options(engine="gpu"), pytest.raises(EngineUnavailableError):
        choose_device("auto")
    with pytest.raises(ParameterError, match="auto, cpu, cuda"):
        choose_device("tpu")
