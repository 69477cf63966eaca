"""Without PyTorch: the package imports, and what needs it names the extra."""

import subprocess
import sys

import pytest

HIDE = """
import importlib.machinery
real = importlib.machinery.PathFinder.find_spec
def hidden(name, path=None, target=None):
    return None if name.partition(".")[0] == "torch" else real(name, path, target)
importlib.machinery.PathFinder.find_spec = hidden
"""
EXPERIMENT = """from sigma_scale import AutoEncoder, Experiment
    Experiment(descriptor='a', model=AutoEncoder, chosen_dataset=[[1.0, 2.0]])"""
NEEDS = """
from sigma_scale.errors import EngineUnavailableError
try:
    {statement}
except EngineUnavailableError as error:
    assert "sigma-scale[autoencoder]" in str(error), error
else:
    raise SystemExit("nothing was raised")
"""


@pytest.mark.parametrize(
    "statement",
    [
        "import sigma_scale as ss; ss.AutoEncoder(8)",
        "import sigma_scale as ss; ss.VariationalAutoEncoder(8, hidden_layer_sizes=(16,))",
        "from sigma_scale.latent.autoencoder.training import Trainer",
        EXPERIMENT,
    ],
)
def test_what_needs_pytorch_names_the_extra(statement):
    code = HIDE + NEEDS.format(statement=statement)
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_the_names_of_the_tutorial_need_no_pytorch():
    """Its list of imports, and a class of one's own that nothing is made of."""
    code = HIDE + "import sys\n"
    code += "from sigma_scale import AutoEncoder, Experiment, VariationalAutoEncoder\n"
    code += "class Own(VariationalAutoEncoder): pass\n"
    code += "raise SystemExit(not issubclass(Own, AutoEncoder) or 'torch' in sys.modules)"
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_seeds_need_no_pytorch():
    code = HIDE + "from sigma_scale.latent.autoencoder import same_seeds\n"
    code += "import random\nsame_seeds(2); a = random.random(); same_seeds(2)\n"
    code += "raise SystemExit(a != random.random())"
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_importing_the_rooms_loads_no_pytorch():
    code = (
        "import sys\nimport sigma_scale.latent.autoencoder, sigma_scale.workflow.experiment\n"
        "from sigma_scale.latent.autoencoder import TrainingSettings, same_seeds\n"
        "raise SystemExit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)  # noqa: S603
