"""
Benchmarks of what is done with phases: one module for each part.

Each has ``measure``, which gives the figures, and ``report``, which does the work whose peak memory
is wanted in a process of its own.
"""
