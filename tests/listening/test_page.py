"""The file of the page: what stands in it, and that nothing in it can be taken for code."""

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from jukemir_like.core.errors import StorageError
from jukemir_like.listening import page as page_module
from jukemir_like.listening.page import Candidate, Comparison, Page, Sound, render, shell, write

EVIL = '</script><script>alert(1)</script><!--<img src=x onerror="alert(1)">&amp;\u2028'


def page(name=EVIL):
    candidate = Candidate(name, b"\x00\xff", [1, 2], 3.5, notes=[name], rank=1, score=-0.5, marks=["correct"])
    return Page(name, name, [Comparison(name, name, 30.0, 5, Sound(name, "/audio/1"), [candidate], group=name)], [(name, name)], [name])


def test_the_data_in_it_is_the_data(tmp_path):
    write(tmp_path / "page.html", page())
    (stored,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', (tmp_path / "page.html").read_text(), re.DOTALL)
    data = json.loads(stored)
    assert data == page().to_json()
    comparison = data["comparisons"][0]
    assert comparison["mix"]["audio"] == {"url": "/audio/1"}
    assert comparison["candidates"][0]["audio"] == {"base64": "AP8="}
    assert (comparison["candidates"][0]["name"], comparison["candidates"][0]["offset_seconds"], data["facts"]) == (
        EVIL,
        3.5,
        [[EVIL, EVIL]],
    )
    assert Sound("none", None).to_json()["audio"] is None


def test_names_cannot_become_code():
    html = render(page())
    assert "<img" not in html
    assert "alert(1)</script>" not in html
    assert html.count("<script") == 3
    assert html.count("</script>") == 3


@pytest.mark.parametrize("html", [render(page()), shell("music", script="show()"), shell("music")])
def test_the_policy_allows_its_own_style_and_scripts_and_nothing_else(html):
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    texts = {kind: re.findall(rf"<{kind}>(.*?)</{kind}>", html, re.DOTALL) for kind in ("script", "style")}
    for kind, parts in texts.items():
        (allowed,) = re.findall(rf"{kind}-src ([^;]+);", policy)
        digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in parts]
        assert allowed.split() == [f"'sha256-{digest}'" for digest in digests]
    assert len(texts["script"]) == (3 if "show()" in html else 2)


def test_it_loads_from_where_it_may():
    assert "connect-src 'none'; media-src data:;" in render(page())
    assert "connect-src 'self'; media-src data: 'self';" in shell("music")
    assert 'id="data"' not in shell("music")


def test_it_names_no_other_place():
    assert set(re.findall(r"https?://[^\s\"'<>]+", render(page("song")))) == {"http://www.w3.org/2000/svg"}


def test_what_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        write(tmp_path / "file" / "page.html", page())


def colours(style, theme):
    """The variables of a theme of the style sheet: name → relative luminance, by WCAG 2."""
    light, dark = (dict(re.findall(r"--([\w-]+): #([0-9a-f]+);", line)) for line in style.splitlines()[:2])
    luminances = {}
    for name, digits in (light | dark if theme == "dark" else light).items():
        code = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
        channels = [int(code[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
        luminances[name] = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return luminances


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_controls_have_the_contrast_that_wcag_asks_for(theme):
    style = (Path(page_module.__file__).parent / "page.css").read_text()
    of = colours(style, theme)

    def contrast(one, other):
        bright, dim = sorted((of[one], of[other]), reverse=True)
        return (bright + 0.05) / (dim + 0.05)

    texts = [(text, ground) for text in ("ink", "soft", "accent", "good") for ground in ("page", "panel")]
    texts += [("ink", "warn"), ("on-accent", "accent"), ("page", "ink")]
    assert [pair for pair in texts if contrast(*pair) < 4.5] == []
    graphics = [("accent", "page"), ("accent", "panel"), ("mix", "page"), ("accent", "wave"), ("mix", "wave")]
    assert [pair for pair in graphics if contrast(*pair) < (3 if "wave" not in pair else 2)] == []
