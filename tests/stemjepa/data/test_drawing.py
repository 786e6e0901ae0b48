"""Which stem is the target and which make the context, against what the modes say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.stemjepa.data import drawing
from jukemir_like.stemjepa.settings import CONTEXTS

DRAWS = 6000


@given(stems=st.sets(st.integers(0, 20), min_size=2), context=st.sampled_from(CONTEXTS), seed=st.integers(0, 2**32))
def test_the_target_is_never_in_the_context_which_is_never_empty(stems, context, seed):
    target, others = drawing.draw(np.array(sorted(stems)), context, np.random.default_rng(seed))
    assert target in stems
    assert target not in others
    assert set(others) <= stems
    assert 1 <= len(others) == len(set(others))


@pytest.mark.parametrize(
    ("context", "sizes"), [("uniform", [1 / 3, 1 / 3, 1 / 3]), ("max", [0, 0, 1]), ("one", [1, 0, 0]), ("one-plus", [1 / 2, 0, 1 / 2])]
)
def test_how_many_stems_make_the_context_in_each_mode(context, sizes):
    random = np.random.default_rng(0)
    active = np.array([0, 2, 3, 7])
    draws = [drawing.draw(active, context, random) for _ in range(DRAWS)]
    spread = 4 * np.sqrt(0.25 / DRAWS)
    found = np.bincount([len(others) for _, others in draws], minlength=4)[1:] / DRAWS
    assert np.allclose(found, sizes, atol=spread)
    assert np.allclose(np.bincount([target for target, _ in draws])[active] / DRAWS, 0.25, atol=spread)
    partners = np.bincount(np.concatenate([others for target, others in draws if target == 2]), minlength=8)[[0, 3, 7]]
    assert np.allclose(partners / partners.sum(), 1 / 3, atol=4 * spread)


def test_active_is_relative_to_the_stem_itself():
    loudest = np.array([1.0, 0.001, 0.5, 0.0])
    peaks = np.array([0.0101, 0.0000101, 0.0049, 0.0])
    assert list(drawing.active(peaks, loudest, -40.0)) == [0, 1]
    assert list(drawing.active(peaks, loudest, -60.0)) == [0, 1, 2]
