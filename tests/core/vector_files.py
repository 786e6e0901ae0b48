"""A few vectors with names of all kinds, and matrices of them."""

import io

import numpy as np

from jukemir_like.core.matrices import write_matrix

RANDOM = np.random.default_rng(0)
NAMES = ["a/1", "a/2", "b", "caf\udce9", "line\nbreak"]
VECTORS = {name: RANDOM.normal(size=6).astype("<f4") for name in NAMES}


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def write(folder, names, name="all"):
    return write_matrix(folder, name, 6, [(one, npy(VECTORS[one])) for one in names])
