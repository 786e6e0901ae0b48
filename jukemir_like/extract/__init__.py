"""Folder in, ``.npy`` out: a representation of every audio file, in batches that run anywhere.

The contract (``containers/README.md``): inputs are sorted by relative path, ``a/b.wav`` → ``a/b.npy``, batch I is the slice
[I·N, (I+1)·N), vectors are float32, little-endian, 1-D, finite, the same in any batch; an output is kept only if a record says that the
same recipe and the same bytes made it; a bad file is recorded and skipped.

The vectors are those of :func:`jukemir_like.representations.clips.load_representation`; this module adds folders, batches, worker processes
and records.
"""

from __future__ import annotations

from jukemir_like.extract.inputs import BATCH_VARIABLES, batch_idx_of_environment, count_inputs, find_inputs, folders, select
from jukemir_like.extract.own_weights import kept_name
from jukemir_like.extract.stage import extract

__all__ = ["BATCH_VARIABLES", "batch_idx_of_environment", "count_inputs", "extract", "find_inputs", "folders", "kept_name", "select"]
