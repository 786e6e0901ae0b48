"""Facts of cards and weights beside the scores: licence, size, numbers, what was tried, and computing time by the records."""

import json
import re

import pytest

from jukemir_like.encoders import card as cards
from jukemir_like.packs import origin
from jukemir_like.report import costs, report
from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.inference import StemJEPA

CARD = """
name = "tiny"
title = "Tiny"
family = "musicnn"
licence = "CC BY-NC 4.0"
commercial = false
sample_rate = 8000
width = 3
layers = 2
layer = "1"
parameters = 1234567
tried = "structure"

[[files]]
path = "a.bin"
size = 3000000

[[files]]
path = "b.bin"
size = 500000
"""


@pytest.fixture
def card(tmp_path, monkeypatch):
    """A package that has one card, and a second one that shares the weights of the first."""
    folder = tmp_path / "cards"
    folder.mkdir()
    (folder / "tiny.toml").write_text(CARD)
    (folder / "same.toml").write_text(CARD.partition("[[files]]")[0].replace('"tiny"', '"same"') + 'weights = "tiny"\n')
    monkeypatch.setattr(cards, "_FOLDER", folder)
    cards.read.cache_clear()
    yield
    cards.read.cache_clear()


def cells(page, name):
    table = page[page.index('id="costs"') : page.index("</table>", page.index('id="costs"'))]
    (row,) = re.findall(rf"<tr><th>{re.escape(name)}</th>(.*?)</tr>", table)
    return [re.sub(r"<.*?>", " ", cell).strip() for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]


def test_facts_are_those_of_the_card_whatever_layer_and_pool(card, cache):
    expected = costs.Facts("CC BY-NC 4.0", False, 3_500_000, 1_234_567, cards.TRIED["structure"])
    for name in ("tiny", "tiny@layer=2", "tiny@layer=0@pool=mean+std", "same"):
        assert costs.facts(cache, name) == expected
    for name in ("mfcc", "trivial", "hf:not/here", "x@y", "stemjepa-nosuch"):
        assert costs.facts(cache, name) == costs.Facts()


def test_published_vectors_have_the_facts_of_the_encoder_that_made_them(cache):
    found, own = costs.facts(cache, "choi-jukemir"), costs.facts(cache, "choi")
    assert (found.licence, found.parameters, found.tried) == (own.licence, own.parameters, "")
    assert own.parameters
    assert costs.facts(cache, "mfcc-jukemir") == costs.Facts()


def test_stem_jepa_counts_the_numbers_of_its_encoder(cache):
    found = costs.facts(cache, "stemjepa@layer=2")
    encoder = StemJEPA.from_pretrained(device="cpu").network.encoder
    assert found.parameters == sum(parameter.numel() for parameter in encoder.parameters())
    assert found.size == checkpoint.resolve(None, cache).stat().st_size
    assert found.licence == "MIT"


def test_the_page_has_them_with_a_dash_where_there_is_none(card, cache, make_run, make_stages, tasks):
    names = ["mfcc", "tiny", "tiny@layer=2"]
    for name in (*names, "trivial"):
        make_run(cache, "band", name, tasks["genre"], 0.4)
    make_stages(cache, "band", [tasks["genre"]], ["mfcc", "tiny"])
    page = report.report(cache).page.read_text()
    seconds = f"{3600 * 20 * 0.1 / (20 * 30):.1f}"  # of make_stages: 20 clips of 30 s, 0.1 s each
    assert cells(page, "mfcc") == [seconds, "–", "–", "–", "–"]
    tried = "compared with the original program on random weights; never run here on its real ones"
    assert cells(page, "tiny") == [seconds, "1.2 M", "3.5 MB", "CC BY-NC 4.0 no commercial use", tried]
    assert cells(page, "tiny@layer=2")[0] == "–"


def test_time_of_layers_is_added_and_their_audio_is_not(cache, make_stages, tasks):
    make_stages(cache, "band", [tasks["genre"]], ["net@layer=0", "net@layer=1"])
    one, both = (costs.seconds_per_hour(cache, [("band", f"net@layer={layer}") for layer in layers]) for layers in (("0",), ("0", "1")))
    assert one == pytest.approx(3600 * 0.1 / 30)
    assert both == pytest.approx(2 * one)
    assert costs.seconds_per_hour(cache, [("band", "net@layer=2")]) is None


def test_a_layer_alone_costs_the_pass_that_gave_it_and_vectors_from_elsewhere_cost_nothing_here(cache, make_stages, tasks):
    make_stages(cache, "band", [tasks["genre"]], ["net@layer=0", "mfcc"])
    alone = costs.seconds_per_hour(cache, [("band", "net@layer=0")])
    folder = cache.representation("band", "net@layer=0")
    for journal in (folder / ".records").glob("*.jsonl"):
        lines = [json.loads(line) | {"layers_together": 5} for line in journal.read_text().splitlines()]
        journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert costs.seconds_per_hour(cache, [("band", "net@layer=0")]) == pytest.approx(5 * alone)
    from_elsewhere = cache.representation("band", "mfcc")
    (from_elsewhere / origin.ORIGIN_FILE).write_text(json.dumps(origin.Origin("mfcc.zip", "0" * 64).to_json()))
    assert costs.seconds_per_hour(cache, [("band", "mfcc")]) is None


def test_time_of_one_device_alone_by_what_a_clip_counts(cache, make_stages, tasks):
    make_stages(cache, "band", [tasks["genre"]], ["mfcc"])
    journal = next((cache.representation("band", "mfcc") / ".records").glob("*.jsonl"))
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    lines[0] |= {"device": "cuda:3 (GPU)", "seconds": 0.3}
    lines[1] |= {"device": ["odd"]}
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    folders = [("band", "mfcc")]
    assert costs.devices_of(cache, folders) == {"GPU": 30.0, "cpu": 19 * 30.0}
    assert costs.seconds_per_hour(cache, folders, device="GPU") == pytest.approx(3600 * 0.3 / 30)
    assert costs.seconds_per_hour(cache, folders, device="cpu") == pytest.approx(3600 * 0.1 / 30)
    assert costs.seconds_per_hour(cache, folders, device="cpu", counted_seconds=lambda _: 10.0) == pytest.approx(3600 * 0.1 / 10)
    assert costs.seconds_per_hour(cache, folders, device="another") is None
