from jukemir_like.core.cache import Cache
from jukemir_like.serve.catalogue import Catalogue


def test_a_new_file_is_noticed_and_nothing_else_changes_the_list(model, library, tmp_path, write_audio):
    catalogue = Catalogue(model, library, Cache(tmp_path / "cache"))
    first = catalogue.edition
    assert catalogue.current() is first
    assert catalogue.checked(first.paths) is first
    assert first.generation == 1
    write_audio(library / "sub" / "0.wav", seconds=3, seed=5)
    second = catalogue.current()
    assert (second.generation, second.stems.paths[second.numbers["sub/0.wav"]]) == (2, "sub/0.wav")
    assert catalogue.path(1, 3) == "sub/c.wav"
    assert catalogue.path(2, 3) == "sub/0.wav"


def test_a_file_that_is_overwritten_is_noticed_where_it_is_asked_about(model, library, tmp_path, write_audio):
    catalogue = Catalogue(model, library, Cache(tmp_path / "cache"))
    before = catalogue.edition.stems.vectors[1]
    write_audio(library / "a.wav", seconds=3, seed=8)
    assert catalogue.current().generation == 1
    assert catalogue.checked(["sub/c.wav"]).generation == 1
    edition = catalogue.checked(["a.wav"])
    assert edition.generation == 2
    assert not (edition.stems.vectors[1] == before).all()
