"""A mix in other keys: against one search for each key, and with a model that hears nothing but pitch."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from jukemir_like.core.cache import Cache
from jukemir_like.core.errors import RequestError
from jukemir_like.deform import stretching
from jukemir_like.deform.key_and_tempo import Change
from jukemir_like.stemjepa import checkpoint
from jukemir_like.stemjepa.inference import StemJEPA
from jukemir_like.stemjepa.retrieval import library, transposing

RATE = 16000
C = 261.63


@pytest.fixture
def jepa(weights):
    return StemJEPA(checkpoint.load(weights), "cpu")


@pytest.fixture
def stretch():
    pytest.importorskip("python_stretch")


def chord(semitones, seconds=2.0):
    time = np.arange(round(seconds * RATE)) / RATE
    notes = [C * 2 ** ((semitones + above) / 12) for above in (0, 4, 7)]
    return sum(0.1 * np.sin(2 * np.pi * note * time) for note in notes).astype(np.float32)


class PitchHearing:
    """A model whose vectors are how loud each semitone is, of mixes as of stems."""

    sample_rate, dimension = RATE, 36

    def interpret(self, instrument):
        return SimpleNamespace(taken_for=instrument, note=None)

    def predict(self, clip, instrument):
        spectrum = np.abs(np.fft.rfft(clip * np.hanning(len(clip))))
        semitone = 12 * np.log2(np.maximum(np.fft.rfftfreq(len(clip), 1 / RATE), 1) / C) + 12
        return np.array([[spectrum[np.abs(semitone - number) < 0.3].sum() for number in range(self.dimension)]], np.float32)


@pytest.mark.parametrize("semitones", [-3, -1, 0, 2])
def test_a_stem_in_another_key_is_found_by_the_way_back(stretch, tmp_path, semitones):
    """It is `semitones` above the mix, so it is to be played as much lower."""
    model = PitchHearing()
    soundfile.write(tmp_path / "mix.wav", chord(0), RATE)
    stems = {"fits": chord(semitones), "does not": np.random.default_rng(0).normal(0, 0.1, 2 * RATE)}
    vectors = np.concatenate([model.predict(stem, "") for stem in stems.values()])
    candidates = library.Library.of_vectors(list(stems), vectors)
    query = library.query(model, tmp_path / "mix.wav", "piano", transpose=3)
    best, _ = candidates.nearest(query.vectors, 2, query.changes)
    assert (best.path, best.change) == ("fits", Change(-semitones))
    assert best.score > 0.9
    heard = best.change.apply(stems["fits"], RATE)
    assert set(model.predict(heard, "")[0].argsort()[-3:]) == set(model.predict(chord(0), "")[0].argsort()[-3:])


@pytest.mark.parametrize("segments", [False, True])
def test_it_is_the_best_of_a_search_for_each_key(stretch, jepa, tmp_path, write_audio, segments):
    for number in range(5):
        write_audio(tmp_path / "stems" / f"{number}.wav", seconds=2.5, seed=number, sample_rate=jepa.sample_rate)
    mix = write_audio(tmp_path / "mix.wav", seconds=2, seed=9, sample_rate=jepa.sample_rate)
    candidates = library.open_library(jepa, tmp_path / "stems", Cache(tmp_path / "cache"), segments=segments)
    query = library.query(jepa, tmp_path / "mix.wav", "bass", transpose=2)
    matches = candidates.nearest(query.vectors, 5, query.changes)
    mix, _ = soundfile.read(tmp_path / "mix.wav", dtype="float32")
    searches = {}
    for semitones in (0, 1, -1, 2, -2):
        played = stretching.shift_pitch(mix, jepa.sample_rate, -semitones) if semitones else mix
        searches[semitones] = {match.path: match for match in candidates.nearest(jepa.predict(played, "bass")[0], 5)}
    for match in matches:
        best = max(searches, key=lambda semitones: searches[semitones][match.path].score)
        assert match.change == Change(best)
        assert (match.score, match.start_seconds) == (searches[best][match.path].score, searches[best][match.path].start_seconds)
    assert [match.score for match in matches] == sorted((match.score for match in matches), reverse=True)
    assert len({match.change for match in matches}) > 1 or matches[0].change != Change(0)
    assert candidates.scores(query.vectors).tolist() == [
        next(one.score for one in matches if one.path == path) for path in candidates.paths
    ]


def test_of_each_file_the_chunk_and_the_key_are_those_of_the_nearest_pair():
    generator = np.random.default_rng(0)
    chunks = [3, 1, 4, 2]
    vectors, queries = generator.normal(size=(10, 8)).astype(np.float32), generator.normal(size=(5, 8)).astype(np.float32)
    candidates = library.Library.of_vectors("abcd", vectors, chunks, 4.0)
    for match in candidates.nearest(queries, 4, transposing.changes(2)):
        first = sum(chunks[: "abcd".index(match.path)])
        pairs = {
            (semitones, 4.0 * chunk): np.corrcoef(query, vectors[first + chunk])[0, 1]
            for semitones, query in zip((0, 1, -1, 2, -2), queries, strict=True)
            for chunk in range(chunks["abcd".index(match.path)])
        }
        assert (match.change.semitones, match.start_seconds) == max(pairs, key=pairs.get)
        assert match.score == pytest.approx(max(pairs.values()), abs=1e-6)


def test_as_it_is_nothing_changes_to_the_bit(stretch, jepa, tmp_path, write_audio, monkeypatch):
    monkeypatch.setattr(transposing, "SECONDS", 1)  # of the whole mix, whatever is heard in other keys
    write_audio(tmp_path / "mix.wav", seconds=2, seed=9)
    plain = library.query(jepa, tmp_path / "mix.wav", "bass")
    assert plain.changes == [Change()]
    assert np.array_equal(plain.vector, jepa.predict(library.audio.load(tmp_path / "mix.wav", jepa.sample_rate), "bass")[0])
    with_keys = library.query(jepa, tmp_path / "mix.wav", "bass", transpose=1)
    assert np.array_equal(plain.vector, with_keys.vector)
    assert len(with_keys.vectors) == 3
    vectors = np.random.default_rng(0).normal(size=(50, jepa.dimension)).astype(np.float32)
    candidates = library.Library.of_vectors([str(number) for number in range(50)], vectors)
    one = candidates.nearest(plain.vector, 50)
    assert one == candidates.nearest(plain.vectors, 50)
    repeated = candidates.nearest(np.repeat(plain.vectors, 3, 0), 50, with_keys.changes)  # as it is wins ties
    assert [(match.path, match.score) for match in repeated] == [(match.path, match.score) for match in one]
    assert {match.change for match in repeated} == {Change(0)}


def test_what_has_no_key_is_not_transposed_and_that_is_said(jepa, tmp_path, write_audio):
    write_audio(tmp_path / "mix.wav", seconds=2, seed=9)
    query = library.query(jepa, tmp_path / "mix.wav", "drums", transpose=3)
    assert query.changes == [Change(0)]
    assert "drums are not transposed: they have no key" in query.notes
    assert [
        name for name in ("bass", "vocals", "hi-hat", "congas", "steel drums", "Timpani", "kazoo") if not transposing.has_key(name)
    ] == [
        "hi-hat",
        "congas",
    ]


def test_of_a_long_mix_pieces_are_transposed_and_that_is_said():
    hour = np.arange(3600 * 10)
    part = transposing.part_that_is_transposed(hour, 10)
    assert len(part) == transposing.SECONDS * 10
    assert (part[0], part[-1]) == (0, len(hour) - 1)
    steps = np.diff(part)
    assert (steps == 1).sum() == len(steps) - 7
    assert np.ptp(steps[steps != 1]) <= 1
    assert len(transposing.part_that_is_transposed(hour[:2400], 10)) == 2400
    assert "60 min" in transposing.note_on_length(hour, 10)
    assert transposing.note_on_length(hour[:2400], 10) is None


def test_refusals_are_one_line(jepa, tmp_path, write_audio, monkeypatch):
    write_audio(tmp_path / "mix.wav", seconds=2, seed=9)
    for semitones in (-1, 7):
        with pytest.raises(RequestError, match="give 0 to 6"):
            library.query(jepa, tmp_path / "mix.wav", "bass", transpose=semitones)
    write_audio(tmp_path / "short.wav", seconds=0.05, seed=9)
    if stretching_is_there():
        with pytest.raises(RequestError, match=r"short.wav is too short for a change of tempo or pitch"):
            library.query(jepa, tmp_path / "short.wav", "bass", transpose=1)
    monkeypatch.setitem(sys.modules, "python_stretch", None)
    with pytest.raises(RequestError, match=r"pip install .jukemir-like\[deform\]"):
        library.query(jepa, tmp_path / "mix.wav", "bass", transpose=1)
    assert library.query(jepa, tmp_path / "mix.wav", "drums", transpose=1).changes == [Change(0)]  # which needs none


def stretching_is_there():
    try:
        return bool(stretching.load())
    except RequestError:
        return False
