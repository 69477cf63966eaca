"""
From tiles to a phase map: time, memory and disk as maps grow, and with more workers.

One module for each part: ``growth``, ``workers`` and ``overhead``.
"""
