"""Probes: how much of a label a simple model can predict from a representation.

For arrays :func:`jukemir_like.probes.arrays.probe`; for folders, the stage :func:`jukemir_like.probes.stage.probe_dataset`. Both fit by
:mod:`.fitting` under a protocol of :mod:`.protocols`: :mod:`.linear`, or the grid of :mod:`.search`, :mod:`.training` and :mod:`.stacks`.
:mod:`.metrics` has the scores (the MIREX score of keys among them), :mod:`.intervals` the bootstrap, :mod:`.runs` and :mod:`.results` the
files ``run.json``, ``predictions.npz`` and ``results.csv``.
"""
