"""What is asked for besides one of a few instruments: any words, and parts of stems."""

import io

import numpy as np
import pytest
import soundfile

from jukemir_like.core.cache import Cache
from jukemir_like.serve import catalogue
from jukemir_like.stemjepa.retrieval import library as retrieval_library


@pytest.fixture
def given(words_client, mix):
    return words_client.give(mix)[1]["mix"]


def ask(client, mix, instrument, **more):
    return client.json("POST", "query", {"mix": mix, "instrument": instrument, **more})


def test_an_instrument_in_words_and_what_it_was_taken_for(words_client, words_model, given, library, tmp_path, mix):
    status, page = ask(words_client, given, "muted jazz trumpet")
    assert (status, page["title"]) == (200, "Which muted jazz trumpet fits song.wav?")
    note = words_model.interpret("muted jazz trumpet").note
    assert page["notes"][0].lower() == f"{note}.".lower()
    assert page["notes"][0][0] == "N"
    asked = words_model.predict(mix, "muted jazz trumpet")[0]
    expected = retrieval_library.open_library(words_model, library, Cache(tmp_path / "cache")).nearest(asked, 10)
    found = [(one["name"], pytest.approx(one["score"], abs=1e-5)) for one in page["comparisons"][0]["candidates"]]
    assert found == [(match.path, match.score) for match in expected]
    assert "is taken for drums" in ask(words_client, given, "Schlagzeug")[1]["notes"][0]
    assert "taken for" not in ask(words_client, given, "drums")[1]["notes"][0]


def test_a_mix_is_encoded_once_for_all_that_is_asked_about_it(words_client, words_model, given, monkeypatch):
    encoded = []
    monkeypatch.setattr(words_model, "encode", lambda *arguments: encoded.append(arguments))
    monkeypatch.setattr(words_model.network.encoder, "forward", lambda *arguments: encoded.append(arguments))
    assert [ask(words_client, given, name)[0] for name in ("trumpet", "jazz drums")] == [200, 200]
    assert not encoded


@pytest.mark.parametrize(
    ("words", "refusal"),
    [("qqq", "nothing in the instrument 'qqq' was part of a name"), ("?!", "has no letters"), ("a" * 101, "has 101 characters")],
)
def test_words_that_say_nothing_are_refused(words_client, given, words, refusal):
    status, answer = ask(words_client, given, words)
    assert status == 422
    assert refusal in answer["error"]
    assert "\n" not in answer["error"]


def test_weights_of_a_few_instruments_take_synonyms_and_say_what_another_may_mean(client, mix):
    given = client.give(mix)[1]["mix"]
    status, page = ask(client, given, "Schlagzeug")
    assert status == 200
    assert "The instrument 'Schlagzeug' is taken for drums." in page["notes"]
    status, answer = ask(client, given, "Kontrabass")
    assert status == 422
    assert answer["error"].endswith("these weights know bass, drums, other, vocals (did you mean bass?)")


def test_a_part_of_a_stem_is_heard_from_where_it_begins(words_client, words_model, given, library, tmp_path, mix):
    status, page = ask(words_client, given, "trumpet", segments=True)
    assert status == 200
    asked = words_model.predict(mix, "trumpet")[0]
    expected = retrieval_library.open_library(words_model, library, Cache(tmp_path / "cache"), segments=True).nearest(asked, 10)
    shown = page["comparisons"][0]["candidates"]
    assert [one["name"] for one in shown] == [match.path for match in expected]
    assert any(match.start_seconds for match in expected)
    for one, match in zip(shown, expected, strict=True):
        _, details = words_client.json("GET", one["details"], prefix="")
        assert details["offset_seconds"] == pytest.approx(match.start_seconds)
        response, content = words_client.request("GET", one["audio"]["url"], prefix="")
        assert response.status == 200
        heard, rate = soundfile.read(io.BytesIO(content))
        samples, file_rate = soundfile.read(library / match.path, always_2d=True)
        assert abs(len(heard) / rate - 4) < 0.01
        left = len(samples) / file_rate - match.start_seconds  # then it is silent
        assert np.abs(heard[: int((left - 0.1) * rate)]).max() > 0.01
        assert np.abs(heard[int((left + 0.1) * rate) :]).max() < 0.01


def test_parts_that_are_not_indexed_are_refused_with_the_option_that_is_missing(client, mix):
    given = client.give(mix)[1]["mix"]
    status, answer = ask(client, given, "bass", segments=True)
    assert (status, answer["error"]) == (422, "parts of stems are not indexed: start jukemir-like serve with --segments")
    assert ask(client, given, "bass", segments=1)[0] == 400
    assert b'<option value="parts" disabled>' in client.request("GET", "")[1]


def test_details_are_those_of_the_sound_or_say_why_there_is_none(client, mix, library):
    given = client.give(mix)[1]["mix"]
    _, page = ask(client, given, "bass")
    shown = {one["name"]: one for one in page["comparisons"][0]["candidates"]}
    status, details = client.json("GET", shown["a.wav"]["details"], prefix="")
    assert (status, max(details["peaks"]), details["notes"]) == (200, 100, ["ends after 3 s"])
    (library / "sub" / "c.wav").write_bytes(b"no audio")
    status, details = client.json("GET", shown["sub/c.wav"]["details"], prefix="")
    assert (status, details["audio"]) == (200, None)
    assert details["problem"].startswith("cannot be heard: sub/c.wav cannot be decoded as audio")
    (library / "a.wav").unlink()
    _, details = client.json("GET", shown["a.wav"]["details"], prefix="")
    assert details["problem"] == "cannot be heard: a.wav was removed from the library: ask again"


def test_a_sound_is_made_once_for_all_that_ask(client, mix, monkeypatch):
    given = client.give(mix)[1]["mix"]
    _, page = ask(client, given, "bass")
    first = page["comparisons"][0]["candidates"][0]
    made = []
    hearing = client.server.room._hearing
    for step in ("_cut", "_compressed"):
        make = getattr(hearing, step)
        monkeypatch.setattr(hearing, step, lambda *asked, step=step, make=make: made.append(step) or make(*asked))
    for address in (first["details"], first["audio"]["url"], first["details"], first["audio"]["url"]):
        assert client.request("GET", address, prefix="")[0].status == 200
    assert made == ["_cut", "_compressed"]


def test_whether_the_library_is_indexed_is_told(client, library, write_audio, monkeypatch):
    told = [client.json("GET", "state")]
    embed = catalogue.retrieval_library.open_library
    monkeypatch.setattr(catalogue.retrieval_library, "open_library", lambda *of: told.append(client.json("GET", "state")) or embed(*of))
    write_audio(library / "new.wav", seconds=3, seed=7)
    assert client.json("GET", "stems")[1]["of"] == 5
    told.append(client.json("GET", "state"))
    assert told == [(200, {"indexing": False}), (200, {"indexing": True}), (200, {"indexing": False})]
