"""The code of docs/extending.md runs as it stands there."""

import re
from pathlib import Path

import numpy as np
import pytest

import jukemir_like as jl

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


def test_the_class_and_its_use_run(tmp_path, monkeypatch, write_audio):
    monkeypatch.chdir(tmp_path)
    for name in ("a.wav", "b.wav"):
        write_audio(tmp_path / name)
    definition, use = re.findall(r"```python\n(.+?)```", PAGE.read_text(), re.DOTALL)
    names = {}
    exec(definition, names)
    results = []
    for line in use.splitlines():
        code, _, comment = line.partition("#")
        if code.startswith("level = "):
            exec(code, names)
        else:
            results.append((eval(code, names), comment))
    for vectors, comment in results[:2]:
        assert f"{vectors.shape} {vectors.dtype}" in comment
    assert results[2][0].fit_transform(["a.wav"]).shape == (1, 2)
    with pytest.raises(jl.InputError, match=r"^clip 0: is too short for level$"):
        names["level"](np.zeros(1), sample_rate=8000)
