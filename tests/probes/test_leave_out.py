"""Leaving out groups in closed form against fitting without each of them."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from jukemir_like.probes.leave_out import leave_groups_out


@pytest.mark.parametrize("shape", [(40, 6), (24, 60)], ids=["tall", "wide"])
@pytest.mark.parametrize("clips", [1, 4])
@pytest.mark.parametrize("strength", [10.0, 0.1, 1e-5])
def test_as_fitting_without_each_group(shape, clips, strength):
    random = np.random.default_rng(0)
    X = random.normal(size=shape).astype(np.float32) * np.float32(np.geomspace(0.1, 10, shape[1])) + 3
    y = X[:, :2].astype(float) @ random.normal(size=(2, 2)) + random.normal(size=(len(X), 2)) + 7
    groups = np.char.mod("g%d", np.arange(len(X)) // clips)
    ((_, predicted),) = leave_groups_out(X, y, groups, [strength])
    standard = (X.astype(float) - X.mean(0, dtype=float)) / X.std(0, dtype=float)
    for group in np.unique(groups):
        without = groups != group
        oracle = Ridge(alpha=strength * len(X)).fit(standard[without], y[without])
        np.testing.assert_allclose(predicted[~without], oracle.predict(standard[~without]), rtol=1e-3, atol=1e-3)
