"""Names of files as programs that separate stems write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like.audio.stems import names

IN_SONG = {
    "1_Song_(Vocals)": ("1_Song", "vocals"),
    "Song (Instrumental)": ("Song", "instrumental"),
    "12_Some - Song (live)_(No Drums)": ("12_Some - Song (live)", "no_drums"),
    "Song_(Vocals)_model_bs_roformer_ep_317": ("Song_model_bs_roformer_ep_317", "vocals"),
    "Song_(Instrumental)_model_bs_roformer_ep_317": ("Song_model_bs_roformer_ep_317", "instrumental"),
    "Song [Bass]": ("Song", "bass"),
    "Song (Lead Vocals)": ("Song", "lead_vocals"),
    "Artist - Song - Backing Vocals": ("Artist - Song", "backing_vocals"),
    "song_vocals": ("song", "vocals"),
    "song_no_vocals": ("song", "no_vocals"),
    "song_instrum": ("song", "instrum"),
    "song.DRUMS": ("song", "drums"),
    "a_vocals_split_by_lalalai": ("a", "vocals"),
    "a_no_vocals_split_by_lalalai": ("a", "no_vocals"),
    "My Song-vocals-Eb minor-120bpm": ("My Song", "vocals"),
    "My Song-other-F# major-98.5bpm-440hz": ("My Song", "other"),
    "song_mixture": ("song", "mixture"),
}
NEITHER = ["vocals", "Kind of bass", "Song", "01 Song", "Bassline", "song (live)", "(Vocals)", "_vocals", "drums of war", "vocals_song", ""]


@pytest.mark.parametrize("name", IN_SONG)
def test_song_and_stem_of_a_name(name):
    assert names.song_and_stem(name, names.stem_names()) == IN_SONG[name]


@pytest.mark.parametrize("name", NEITHER)
def test_other_names_have_no_song_and_stem(name):
    assert names.song_and_stem(name, names.stem_names()) is None


@given(
    st.text("abcXYZ 0123-_.'é", min_size=1).map(str.strip).filter(lambda song: song.strip(" _-.")),
    st.sampled_from(sorted(names.STEM_NAMES)),
    st.sampled_from([" ({})", "_({})", " [{}]", " - {}", "_{}", "-{}", ".{}", "_{}_split_by_lalalai", "-{}-C minor-120bpm-440hz"]),
    st.sampled_from([str, str.upper, str.title]),
    st.sampled_from(["_", " ", "-"]),
)
def test_what_was_put_together_comes_apart(song, stem, pattern, case, blank):
    name = song + pattern.format(case(stem.replace("_", blank)))
    assert names.song_and_stem(name, names.stem_names()) == (song.rstrip(" _-."), stem)


def test_names_of_the_user_count_and_are_alone_where_they_are_declared():
    assert names.song_and_stem("a_Hurdy Gurdy", names.stem_names(["hurdy gurdy"])) == ("a", "hurdy_gurdy")
    assert names.song_and_stem("a_Hurdy Gurdy", names.stem_names()) is None
    assert names.stem_names(["Low", "high"], only=True) == {"low", "high"}
    assert names.stem_of("No Vocals", names.stem_names()) == "no_vocals"
    assert names.stem_of("El Violin", names.stem_names()) == "el violin"


def test_numbers_of_an_album_and_names_of_sound_fields():
    assert names.are_numbered(["01", "Track 2", "song_3"])
    assert not names.are_numbered(["01", "violin"])
    for name in ("a_AmbiX.wav", "B-Format/x.wav", "forest ambisonics.wav", "x_FOA.wav"):
        assert names.is_sound_field(name), name
    for name in ("foam.wav", "buffoa.wav", "webformat.wav"):
        assert not names.is_sound_field(name), name
