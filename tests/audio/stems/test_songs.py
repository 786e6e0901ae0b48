"""How the stems of songs lie in folders of strangers: the declared stems come back, or a reason; never half of a stereo file."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like.audio.stems import finding, reading, songs
from jukemir_like.core.errors import RequestError
from jukemir_like.core.stems import STEMS


def put(folder, name, value, channels=2, format=None):
    """A file whose channel c is ``value`` + c/512 throughout."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        samples = np.tile(value + np.arange(channels) / 512, (64, 1))
        soundfile.write(file, samples, 16000, subtype="PCM_16", format=format or path.suffix[1:].upper())


def values(track):
    """What each stem is throughout."""
    samples = reading.read(track, 0, 64)
    assert (samples == samples[:, :1]).all()
    return samples[:, 0].tolist()


MEAN = 0.5 / 512  # of the channels of a stereo file above its first


@pytest.mark.parametrize(
    "names",
    [
        ["{}/vocals.wav", "{}/no_vocals.wav"],
        ["{}/Vocals.WAV", "{}/Accompaniment.WAV"],
        ["1_{}_(Vocals).wav", "1_{}_(Instrumental).wav"],
        ["{} (Vocals).flac", "{} (Instrumental).flac"],
        ["{}_(Vocals)_UVR-MDX-NET-Inst_HQ_3.wav", "{}_(Instrumental)_UVR-MDX-NET-Inst_HQ_3.wav"],
        ["sub/{}_vocals.wav", "sub/{}_instrum.wav"],
        ["{}_vocals_split_by_lalalai.wav", "{}_no_vocals_split_by_lalalai.wav"],
        ["{}-vocals-Eb minor-120bpm.wav", "{}-instrumental-Eb minor-120bpm.wav"],
        ["{} - Vocals.wav", "{} - Karaoke.wav"],
    ],
)
@pytest.mark.parametrize("songs", [["Song"], ["Song", "Other song"]])
@pytest.mark.parametrize("lacking", [False, True])
def test_stereo_files_per_stem_are_songs_whichever_program_wrote_them(tmp_path, names, songs, lacking):
    for number, song in enumerate(songs):
        for place, name in enumerate(names):
            put(tmp_path, name.format(song), (2 + 10 * number + place) / 32)
    if lacking:  # a song lacks a stem: it fails by its name, and its left and right are no stems
        put(tmp_path, names[0].format("Half"), 0.5)
    put(tmp_path, "stray/Mixed.wav", 0.25)
    found = finding.find(tmp_path, 2)
    assert len(found.tracks) == len(songs)
    for track in found.tracks:
        number = next(number for number, song in enumerate(songs) if song in track.name)
        expected = [(2 + 10 * number) / 32 + MEAN, (3 + 10 * number) / 32 + MEAN]
        assert values(track) == pytest.approx(expected if found.sources[0] == "vocals" else expected[::-1])
    reasons = dict(found.failures)
    assert "stereo is not two stems" in reasons.pop("stray/Mixed.wav")
    if lacking:
        ((name, reason),) = reasons.items()
        assert "Half" in name
        assert "has no file for" in reason
    else:
        assert not reasons
    assert found.notes[0].startswith(f"{len(songs)} track{'s' * (len(songs) > 1)}: one file per stem ({', '.join(found.sources)})")


def test_mixtures_beside_the_stems_are_left_out_and_said(tmp_path):
    for name in ("a/vocals", "a/no_vocals", "a/mixture", "b/vocals", "b/no_vocals", "b/b"):
        put(tmp_path, f"{name}.wav", 0.125)
    for name in ("1_c_(Vocals)", "1_c_(No Vocals)", "c", "d_vocals", "d_no_vocals", "d_mix"):
        put(tmp_path, f"flat/{name}.wav", 0.125)
    found = finding.find(tmp_path, 2)
    assert [track.name for track in found.tracks] == ["a", "b", "flat/1_c", "flat/d"]
    assert not found.failures
    assert found.notes == ["4 tracks: one file per stem (no_vocals, vocals); 4 mixtures beside them left out"]


@pytest.mark.parametrize("num_sources", [2, 4])
def test_stereo_music_is_no_stems(tmp_path, num_sources):
    for name in ("01 One.wav", "02 Two.flac", "album/03 Three.wav"):
        put(tmp_path, name, 0.25)
    with pytest.raises(RequestError, match=r"holds no usable track of . stems: 3 cannot be used") as caught:
        finding.find(tmp_path, num_sources)
    assert "\n" not in str(caught.value)


def test_albums_whose_tracks_have_the_same_numbers_are_no_songs(tmp_path):
    for album in "ab":
        put(tmp_path, f"{album}/01.wav", 0.25)
        put(tmp_path, f"{album}/02.wav", 0.25)
    with pytest.raises(RequestError, match="stereo is not two stems"):
        finding.find(tmp_path, 2)


def test_declared_names_say_that_channels_are_stems(tmp_path):
    put(tmp_path, "a.wav", 0.25)
    put(tmp_path, "b.wav", 0.5)
    put(tmp_path, "voice.wav", 0.5)
    names = ("voice", "band")
    found = finding.find(tmp_path, 2, declared=names)
    assert [values(track) for track in found.tracks] == [[0.25, 0.25 + 1 / 512], [0.5, 0.5 + 1 / 512]]
    assert found.sources == ("voice", "band")
    assert found.notes == ["2 tracks: one channel per stem (voice, band), in the order of dataset.json"]
    assert "is called as one stem" in found.failures["voice.wav"]
    with pytest.raises(RequestError, match="names 2 stems, voice, band, where 4 are expected"):
        finding.find(tmp_path, 4, declared=names)
    with pytest.raises(RequestError, match=r"in the order of dataset.json \(voice, band\), not in the one given \(band, voice\)"):
        finding.find(tmp_path, 2, sources=("band", "voice"), declared=names)
    found = finding.find(tmp_path, 2, sources=("x", "y"), declared=names)
    assert "called as given, not as in dataset.json: voice, band" in found.notes[1]


def test_what_speaks_against_a_channel_per_stem(tmp_path):
    for number in range(3):
        put(tmp_path, f"good/{number}.wav", 0.25, 4)
    put(tmp_path, "good/song_vocals.wav", 0.25, 4)
    put(tmp_path, "good/drums.wav", 0.25, 4)
    put(tmp_path, "good/forest AmbiX.wav", 0.25, 4)
    put(tmp_path, "good/quad.wav", 0.25, 4, format="WAVEX")
    for number in range(3):
        put(tmp_path, f"music/{number}.wav", 0.25, 2)
    put(tmp_path, "music/odd.wav", 0.25, 4)
    found = finding.find(tmp_path, 4)
    assert [track.name for track in found.tracks] == ["good/0", "good/1", "good/2"]
    assert values(found.tracks[0]) == [0.25 + channel / 512 for channel in range(4)]
    reasons = {
        "good/song": "has 1 stems where 4 are expected: vocals",
        "good/drums.wav": "is called as one stem",
        "good/forest AmbiX.wav": "sound field by its name",
        "good/quad.wav": "loudspeakers by its header",
        "music/odd.wav": "has 4 channels, most files beside it have not",
    }
    assert set(found.failures) == set(reasons) | {f"music/{number}.wav" for number in range(3)}
    assert all(reason in found.failures[name] for name, reason in reasons.items())
    assert found.notes == [
        "3 tracks: one channel per stem (bass, drums, other, vocals), in an order that nothing here says: taken as usual",
    ]


def test_an_order_that_only_the_alphabet_gives_is_none_of_channels(tmp_path):
    for song in "ab":
        for number, name in enumerate(("violin", "viola", "cello")):
            put(tmp_path, f"{song}/{name}.wav", number / 8, 1)
    put(tmp_path, "wide/c.wav", 0.25, 3)
    found = finding.find(tmp_path, 3)
    assert [values(track) for track in found.tracks] == [[2 / 8, 1 / 8, 0]] * 2
    assert "nothing says which is which" in found.failures["wide/c.wav"]
    assert len(finding.find(tmp_path, 3, sources=("violin", "viola", "cello")).tracks) == 3


def test_stems_of_many_channels_are_mixed_down_and_said(tmp_path):
    for name in STEMS:
        put(tmp_path, f"a/{name}.wav", 0.25, 6 if name == "other" else 1)
    found = finding.find(tmp_path, 4)
    assert values(found.tracks[0]) == pytest.approx([0.25, 0.25, 0.25 + 2.5 / 512, 0.25], abs=1e-4)
    assert found.notes[1] == "1 file of one stem with more than two channels: mixed down with equal weights"


PATTERNS = ["{}/{}.wav", "{}/{}.flac", "{} ({}).wav", "1_{}_({}).wav", "{}_{}.wav", "{} - {}.flac", "x/{}-{}.wav", "y/{} [{}].aiff"]
SETS = [("vocals", "no_vocals"), ("instrumental", "vocals"), ("bass", "drums", "vocals"), STEMS]
SONG = st.tuples(
    st.sampled_from(PATTERNS), st.booleans(), st.booleans(), st.sampled_from([str.lower, str.title, str.upper]), st.integers(1, 2)
)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(SETS),
    st.lists(SONG, max_size=4),
    st.integers(0, 2),
    st.lists(st.sampled_from(["stereo.wav", "mono.wav", "text.wav", "odd.wav", "quad.wav", "part.wav"]), unique=True),
    st.booleans(),
)
def test_any_folder_gives_back_just_its_songs_or_reasons(names, songs, wide, strays, given_names):
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        expected, left_out = {}, set()
        for number, (pattern, lacks, mixture, case, channels) in enumerate(songs):
            song = f"Song {number}"
            for place, name in enumerate(names[lacks:]):
                put(folder, pattern.format(song, case(name)), (number * 8 + place + lacks) / 64, channels)
            if mixture:
                put(folder, pattern.format(song, "mixture"), 0.5)
            label = pattern.rpartition(".")[0].partition("{}")
            label = label[0] + label[1].format(song)
            if lacks:
                left_out.add(label)
            else:
                expected[label] = [(number * 8 + place) / 64 + (channels == 2) * MEAN for place in range(len(names))]
        whole = bool(expected)
        for number in range(wide if len(names) > 2 else 0):
            put(folder, f"wide/w{number}.wav", number / 4, len(names))
            if given_names or not whole or names == STEMS:
                expected[f"wide/w{number}"] = [number / 4 + channel / 512 for channel in range(len(names))]
            else:
                left_out.add(f"wide/w{number}.wav")
        for stray in strays:
            where = folder / "strays" / stray
            put(
                folder,
                f"strays/{stray}",
                0.125,
                {"mono.wav": 1, "odd.wav": 7, "quad.wav": 4}.get(stray, 2),
                "WAVEX" if stray == "quad.wav" else None,
            )
            if stray == "text.wav":
                where.write_text("no audio")
            left_out.add(f"strays/{stray}")
        labels = {label.removesuffix("_"): value for label, value in expected.items()}
        if not expected:
            with pytest.raises(RequestError):
                finding.find(folder, len(names), sources=names if given_names else None)
            return
        found = finding.find(folder, len(names), sources=names if given_names else None)
        assert {track.name for track in found.tracks} == set(labels)
        assert set(found.failures) == {label.removesuffix("_") for label in left_out}
        of_names = found.sources or names
        assert set(of_names) == set(names)
        for track in found.tracks:
            place = [names.index(name) for name in of_names] if len(track.files) > 1 else range(len(names))
            assert values(track) == pytest.approx([labels[track.name][stem] for stem in place], abs=1e-4)
        said = [note for note in found.notes if "one file per stem" in note or "one channel per stem" in note]
        assert sum(int(note.partition(" ")[0]) for note in said) == len(found.tracks)


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
    assert songs.song_and_stem(name, songs.stem_names()) == IN_SONG[name]


@pytest.mark.parametrize("name", NEITHER)
def test_other_names_have_no_song_and_stem(name):
    assert songs.song_and_stem(name, songs.stem_names()) is None


@given(
    st.text("abcXYZ 0123-_.'é", min_size=1).map(str.strip).filter(lambda song: song.strip(" _-.")),
    st.sampled_from(sorted(songs.STEM_NAMES)),
    st.sampled_from([" ({})", "_({})", " [{}]", " - {}", "_{}", "-{}", ".{}", "_{}_split_by_lalalai", "-{}-C minor-120bpm-440hz"]),
    st.sampled_from([str, str.upper, str.title]),
    st.sampled_from(["_", " ", "-"]),
)
def test_what_was_put_together_comes_apart(song, stem, pattern, case, blank):
    name = song + pattern.format(case(stem.replace("_", blank)))
    assert songs.song_and_stem(name, songs.stem_names()) == (song.rstrip(" _-."), stem)


def test_names_of_the_user_count_and_are_alone_where_they_are_declared():
    assert songs.song_and_stem("a_Hurdy Gurdy", songs.stem_names(["hurdy gurdy"])) == ("a", "hurdy_gurdy")
    assert songs.song_and_stem("a_Hurdy Gurdy", songs.stem_names()) is None
    assert songs.stem_names(["Low", "high"], only=True) == {"low", "high"}
    assert songs.stem_of("No Vocals", songs.stem_names()) == "no_vocals"
    assert songs.stem_of("El Violin", songs.stem_names()) == "el violin"


def test_numbers_of_an_album_and_names_of_sound_fields():
    assert songs.are_numbered(["01", "Track 2", "song_3"])
    assert not songs.are_numbered(["01", "violin"])
    for name in ("a_AmbiX.wav", "B-Format/x.wav", "forest ambisonics.wav", "x_FOA.wav"):
        assert songs.is_sound_field(name), name
    for name in ("foam.wav", "buffoa.wav", "webformat.wav"):
        assert not songs.is_sound_field(name), name
