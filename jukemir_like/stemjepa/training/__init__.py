"""Trains a Stem-JEPA on one or several devices, and shows how it learns.

``run`` is a whole run: a folder and settings (``stemjepa/settings.py``; ``compose`` checks and reads them from files, ``original_names``
knows how the original code calls them) in, weights out. ``devices`` starts a process per device, and ``fit`` is the run in each:
``batches`` of examples go through ``module`` (losses, optimiser, schedule, teacher), ``callbacks`` do what is due between steps:
``metrics_log``, ``validation``, ``state``.
``experiment`` and ``grids`` are the same under Dora. Importing ``fit``, ``module``, ``callbacks`` or ``validation`` imports Lightning.
"""
