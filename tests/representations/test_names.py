"""Names with layer and pool, and their spelling in paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.core.cache import POOLS, is_name
from jukemir_like.core.errors import RequestError
from jukemir_like.representations.names import RepresentationName, parse

BASES = st.sampled_from(["mfcc", "stemjepa-v1.2", "mert-95m", "hf:facebook/hubert-base-ls960", "musicnn-msd"])
LAYERS = st.none() | st.integers(0, 72).map(str)


@given(BASES, LAYERS, st.none() | st.sampled_from(POOLS))
def test_a_name_is_parsed_as_it_is_written_and_no_two_share_a_folder(base, layer, pool):
    name = RepresentationName(base, layer, pool)
    assert parse(str(name)) == name
    assert is_name(name.folder)
    assert "@" not in name.folder
    others = [RepresentationName(base, other, pool) for other in (None, "3", "7")]
    assert len({other.folder for other in [name, *others]}) == len({name, *others})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mert-95m@layer", "@layer is no option"),
        ("mert-95m@depth=3", "@depth=3 is no option"),
        ("mert-95m@layer=3@layer=4", "gives @layer= twice"),
        ("mert-95m@pool=median", "no pool is called median: choose one of mean, mean\\+std, max"),
        ("mert-95m@layer=../x", "is no option"),
        ("mert-95m@", "is no option"),
        ("stemjepa-mine.layer3", "so do paths call one with options"),
        ("stemjepa-mine.max@layer=3", "so do paths call one with options"),
        ("hf--facebook--hubert", "so do paths call one with options"),
    ],
)
def test_what_is_no_name_is_one_line(name, reason):
    with pytest.raises(RequestError, match=reason):
        parse(name)
