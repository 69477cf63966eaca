"""Run the command as ``python -m sigma_scale``."""

from sigma_scale.cli import main

main()
