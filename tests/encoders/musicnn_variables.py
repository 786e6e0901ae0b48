"""Numbers for a musicnn of any size, by the names of the original's variables."""

from __future__ import annotations

import numpy as np

from jukemir_like.encoders.nets import musicnn


def random_variables(net, seed: int = 0) -> dict[str, np.ndarray]:
    """Numbers for all variables of the original's names and shapes; about half of the gammas are negative.

    The fixture ``musicnn_big_random.npz`` was computed with those of the large network and seed 0: keep the order in which they are made.
    """
    random = np.random.default_rng(seed)
    variables = {}
    for name, variable in musicnn._variables(net):
        shape = tuple(net.state_dict()[name].shape)
        if variable.endswith("/kernel"):
            original = {4: (2, 3, 1, 0), 3: (2, 1, 0), 2: (1, 0)}[len(shape)]
            shape = tuple(shape[axis] for axis in original)
            shape = (shape[0], shape[1], 1, shape[2]) if len(shape) == 3 else shape
            values = random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1]))
        elif variable.endswith("/moving_variance"):
            values = random.uniform(0.5, 2, shape)
        else:
            values = random.standard_normal(shape)
        variables[variable] = values.astype(np.float32)
    return variables
