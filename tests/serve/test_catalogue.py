from jukemir_like.core.cache import Cache
from jukemir_like.serve.catalogue import Catalogue


def test_a_new_file_is_noticed_and_nothing_else_changes_the_list(model, library, tmp_path, write_audio):
    catalogue = Catalogue(model, library, Cache(tmp_path / "cache"))
    first = catalogue.current(catalogue.candidates.paths)
    assert first == (1, catalogue.candidates)
    write_audio(library / "sub" / "0.wav", seconds=3, seed=5)
    generation, second = catalogue.current()
    assert (generation, "sub/0.wav" in second.paths) == (2, True)
    assert catalogue.path(1, 3) == "sub/c.wav"
    assert catalogue.path(2, 3) == "sub/0.wav"


def test_a_file_that_is_overwritten_is_noticed_where_it_is_asked_about(model, library, tmp_path, write_audio):
    catalogue = Catalogue(model, library, Cache(tmp_path / "cache"))
    before = catalogue.candidates.vectors[1]
    write_audio(library / "a.wav", seconds=3, seed=8)
    assert catalogue.current(["sub/c.wav"])[0] == 1
    generation, library_now = catalogue.current(["a.wav"])
    assert generation == 2
    assert not (library_now.vectors[1] == before).all()
