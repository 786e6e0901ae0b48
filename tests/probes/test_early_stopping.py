"""What stops the training of lineareval, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from jukemir_like.probes.early_stopping import mean_average_precision


@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_is_that_of_scikit_learn(ties):
    random = np.random.default_rng(3)
    y = random.random((200, 7)) < np.array([0, 0.01, 0.1, 0.3, 0.5, 0.9, 1])
    y[0, 1] = True
    outputs = random.normal(size=(3, 200, 7))
    outputs = (outputs.round(1) if ties else outputs).astype(np.float32)
    expected = [np.mean([average_precision_score(y[:, tag], one[:, tag]) for tag in range(1, 7)]) for one in outputs]
    found = mean_average_precision(torch.from_numpy(y), torch.from_numpy(outputs))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    outputs[1, 5, 3] = np.inf
    assert np.isnan(mean_average_precision(torch.from_numpy(y), torch.from_numpy(outputs)).numpy()).tolist() == [False, True, False]
