"""Stems → batches of examples to train on.

``finding`` finds the tracks of a folder, which :mod:`jukemir_like.audio.stems` reads. ``examples`` samples example n, with its
augmentation, ``loading`` reads batches of them ahead in worker processes, ``loudness`` keeps the peaks of tracks, which silence is measured
against, and ``local_copy`` copies the data to this node's disk.
"""
