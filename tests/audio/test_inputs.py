"""Which files of a folder are inputs, and in which order."""

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from jukemir_like import audio

STEMS = st.binary(min_size=1, max_size=3).filter(lambda name: not set(b"\0/") & set(name) and not name.startswith(b"."))
ENDS = st.sampled_from([b".wav", b".MP3", b".txt", b"", b".", b".wav/x.wav", b"/y.flac", b"/.hidden.wav", b".npy/z.ogg"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(STEMS, ENDS)))
def test_a_folder_is_listed_in_the_order_of_its_paths_bytes(tmp_path_factory, names):
    """The slow and obvious version: all files, those that are audio, sorted."""
    root = tmp_path_factory.mktemp("in")
    for stem, end in names:
        path = root / os.fsdecode(stem + end)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError:  # a folder has this name, or a file that of the folder
            continue
    files = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    wanted = [path for path in files if path.suffix.lower() in audio.EXTENSIONS and not any(part.startswith(".") for part in path.parts)]
    assert audio.find(root) == sorted(map(str, wanted), key=os.fsencode)
    assert all(audio.is_audio(Path(name)) for name in audio.find(root))


def test_links_to_folders_are_followed_once_and_the_first_name_counts(tmp_path):
    """Whatever order the file system has: every machine lists the same."""
    for name in ("m", "x"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "a.wav").touch()
    (tmp_path / "in" / "b").symlink_to("x")
    (tmp_path / "in" / "m" / "loop").symlink_to("..")
    (tmp_path / "in" / "z").symlink_to("m")
    assert audio.find(tmp_path / "in") == ["b/a.wav", "m/a.wav"]
    (tmp_path / "in" / "lost").symlink_to("nowhere")
    (tmp_path / "in" / "itself.wav").symlink_to("itself.wav")
    listing = audio.list_audio(tmp_path / "in")
    assert listing.names == [b"b/a.wav", b"itself.wav", b"m/a.wav"]
    assert sorted(listing.lost_links) == ["itself.wav", "lost"]
    assert [state.path for state in listing.folders] == ["", "b", "m"]
