"""The registry of representations and their signatures."""

import subprocess
import sys

import pytest

from jukemir_like import representations
from jukemir_like.core.errors import RequestError
from jukemir_like.representations.chroma import Chroma


def test_the_built_in_representations_are_known_by_name():
    assert {"chroma", "mfcc"} <= set(representations.names())
    for name in ("chroma", "mfcc"):
        assert representations.load(name).name == name


def test_an_unknown_name_is_one_line_that_lists_the_known_ones():
    with pytest.raises(RequestError, match=r"^unknown representation 'chorma': choose one of (.+, )?chroma, (.+, )?mfcc"):
        representations.load("chorma")


def test_a_signature_tells_recipes_apart_and_is_the_same_in_every_process():
    class Changed(Chroma):
        @property
        def parameters(self):
            return super().parameters | {"recipe": -1}

    assert Changed().signature != Chroma().signature != representations.load("mfcc").signature
    script = "from jukemir_like.representations import load; print(load('chroma').signature)"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    assert other == Chroma().signature


def test_features_need_neither_librosa_nor_torch_to_be_imported():
    script = (
        "import sys, numpy; from jukemir_like.representations import load\n"
        "for name in ('chroma', 'mfcc'): load(name)([numpy.zeros(4096, 'f4')])\n"
        "print(sorted({'librosa', 'numba', 'torch', 'scipy.signal', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"
