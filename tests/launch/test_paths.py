"""Under which path a container sees a path of this machine."""

from pathlib import Path

import pytest

from jukemir_like.launch.paths import PathMapping, absolute


@pytest.mark.parametrize("path", ["/", "/usr/share", "/etc", "/dev", "/proc/self"])
def test_the_image_s_own_folders_are_never_hidden(path):
    mapping = PathMapping()
    target = mapping.read(path)
    assert target.startswith("/host/")
    assert mapping.mounts[target].source == Path(path)
    assert mapping.read(path) == target
    assert len(mapping.mounts) == 1


def test_two_folders_of_one_name_are_both_seen():
    mapping = PathMapping()
    assert mapping.read("/usr/share") != mapping.read("/etc/../usr/share/../../usr") != mapping.write("/opt/share")
    assert len({mount.target for mount in mapping.mounts.values()}) == 3


def test_relative_paths_keep_their_names_where_the_container_has_the_same_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "music").mkdir()
    mapping = PathMapping.from_working_folder()
    assert (mapping.read("music"), mapping.write("out"), mapping.read("missing")) == ("music", "out", "missing")
    assert {target: mount.writable for target, mount in mapping.mounts.items()} == {f"{tmp_path}/music": False, f"{tmp_path}/out": True}
    assert PathMapping().read("music") == f"{tmp_path}/music"


def test_a_folder_that_is_read_and_written_is_writable(tmp_path):
    mapping = PathMapping()
    assert mapping.write(tmp_path) == mapping.read(tmp_path) == str(tmp_path)
    assert mapping.mounts[str(tmp_path)].writable


def test_links_stay_unless_a_path_leads_back(tmp_path):
    (tmp_path / "deep" / "folder").mkdir(parents=True)
    (tmp_path / "link").symlink_to("deep/folder")
    assert absolute(tmp_path / "link") == tmp_path / "link"
    assert absolute(tmp_path / "link" / "..") == (tmp_path / "deep").resolve()
