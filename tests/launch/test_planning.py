"""What a command becomes: the same command in the image, with what it needs of this machine and no more."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukemir_like import __version__
from jukemir_like.cli import cli
from jukemir_like.core.errors import RequestError
from jukemir_like.launch import images, planning
from jukemir_like.launch.planning import PathMapping, absolute
from jukemir_like.packs import origin
from jukemir_like.stemjepa import checkpoint


def parse(words):
    name, *rest = words
    return cli.commands[name].make_context(name, rest)


def plan(*words):
    return planning.plan(parse([str(word) for word in words]))


def mounted(container):
    return {mount.target: (mount.source, mount.writable) for mount in container.mounts}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder to be in, with a cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUKEMIR_LIKE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("JUKEMIR_LIKE_IMAGES", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "image", "network", "gpu"),
    [
        ("download gtzan", "download", True, False),
        ("download synthband", "download", False, False),
        ("download gtzan --from own", "download", False, False),
        ("process gtzan", "process", False, False),
        ("audit gtzan", "process", False, False),
        ("train", "train", False, True),
        ("convert last.ckpt", "representations", False, False),
        ("probe gtzan mfcc", "probe", False, True),
        ("report", "probe", False, False),
        ("evaluate-retrieval", "representations", False, True),
        ("extract chroma . out", "representations_chroma", False, False),
        ("extract mfcc . out", "representations_mfcc", False, False),
        ("extract stemjepa . out", "representations", False, True),
        ("extract stemjepa-untrained . out", "representations", False, True),
        ("extract stemjepa@layer=2@pool=max . out", "representations", False, True),
        ("extract level . out", "representations_level", False, True),
        ("download musicnn-msd", "representations_musicnn", True, False),
        ("download hf:facebook/hubert-base-ls960", "representations_hf", True, False),
        ("download choi --from own", "representations_choi", False, False),
    ],
)
def test_a_stage_has_its_image_and_what_it_needs(words, image, network, gpu):
    container = plan(*words.split())
    assert container.image == f"stemjepa/{image}:{__version__}"
    assert (container.network, container.gpu) == (network, gpu)


def test_images_may_come_from_elsewhere(monkeypatch):
    monkeypatch.setenv("JUKEMIR_LIKE_IMAGES", "registry.example:5000/music/")
    assert images.reference("probe") == f"registry.example:5000/music/probe:{__version__}"


def test_every_command_that_writes_to_the_cache_has_an_image():
    with_cache = {name for name, command in cli.commands.items() if any(option.name == "cache" for option in command.params)}
    # pack reads the cache and writes a file elsewhere, list only reads, and serve answers on the loopback of this machine alone
    assert with_cache - {"pack", "list", "serve"} == set(images.STAGES)


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
names = text.filter(lambda name: "/" not in name and name not in (".", ".."))
STAGE_OPTIONS = {
    "process": {
        "--label": text,
        "--group": text,
        "--name": text,
        "--seed": st.integers(0, 9).map(str),
        "--metadata_only": None,
        "--stems_table": names,
        "--refuse_unknown": None,
        "--partial_ok": None,
    },
    "probe": {"--task": text, "--seed": st.integers(0, 9).map(str), "--protocol": st.sampled_from(["linear", "jukemir"])},
    "evaluate-retrieval": {"--split": text, "--untrained": None, "--weights": names, "--output": names, "--data": names},
    "train": {"--name": text, "--recipe": text, "--restart": None, "--data": names},
    "report": {"--dataset": text, "--representation": text},
    "download": {"--songs": st.integers(1, 9).map(str), "--dry_run": None, "--from": names},
}
POSITIONS = {"process": 1, "probe": 2, "evaluate-retrieval": 0, "train": 3, "report": 0, "download": 1}


@st.composite
def commands(draw):
    name = draw(st.sampled_from(sorted(STAGE_OPTIONS)))
    words = [name]
    for option, values in STAGE_OPTIONS[name].items():
        repeated = option in ("--label", "--task", "--dataset", "--representation") or (name == "probe" and option == "--seed")
        times = range(draw(st.integers(0, 3 if repeated else 1)))
        words += [option if values is None else f"{option}={draw(values)}" for _ in times]
    return [*words, "--", *draw(st.lists(text, min_size=POSITIONS[name], max_size=POSITIONS[name]))]


@given(commands())
def test_the_command_inside_is_parsed_as_the_one_outside(words):
    outside = parse(words)
    container = planning.plan(outside)
    assert container.entrypoint == ("jukemir-like", words[0])
    inside = parse([words[0], *container.arguments])
    assert container.working_folder == str(Path.cwd())
    assert "--partial_ok" not in container.arguments  # the command outside makes the exit code another
    for parameter in (parameter for parameter in outside.command.params if parameter.expose_value):
        assert inside.params[parameter.name] == outside.params[parameter.name], parameter.name


def test_folders_are_seen_under_their_own_paths_and_only_results_can_be_written(here):
    for name in ("stems", "music"):
        (here / name).mkdir()
    for name in ("labels.csv", "w.safetensors"):
        (here / name).touch()
    cache = {str(here / "cache"): (here / "cache", True)}
    container = plan("evaluate-retrieval", "--data", "stems", "--output", "results/new", "--weights", "./w.safetensors")
    assert mounted(container) == cache | {
        str(here / "stems"): (here / "stems", False),
        str(here / "results" / "new"): (here / "results" / "new", True),
        str(here / "w.safetensors"): (here / "w.safetensors", False),
    }
    assert container.arguments == ("--data", "stems", "--output", "results/new", "--weights", "./w.safetensors")
    assert container.working_folder == str(here)
    container = plan("process", "folder", "--audio", "music", "--labels", "labels.csv")
    assert mounted(container) == cache | {str(here / name): (here / name, False) for name in ("music", "labels.csv")}
    (here / "last.ckpt").touch()
    assert mounted(plan("convert", "last.ckpt")) == cache | {str(here / "last.ckpt"): (here / "last.ckpt", False)}
    container = plan("report", "--cache", "other")
    assert mounted(container) == {str(here / "other"): (here / "other", True)}
    assert container.environment["JUKEMIR_LIKE_CACHE_DIR"] == str(here / "other")


def test_a_missing_path_is_missing_inside_too(here):
    container = plan("process", "folder", "--audio", "missing", "--labels", "missing.csv")
    assert list(mounted(container)) == [str(here / "cache")]
    assert "missing" in container.arguments


def test_a_path_through_a_link_and_back_is_resolved_as_the_kernel_does(here):
    (here / "elsewhere" / "deep").mkdir(parents=True)
    (here / "elsewhere" / "audio").mkdir()
    (here / "link").symlink_to("elsewhere/deep")
    assert plan("process", "folder", "--audio", "link/../audio").arguments[1] == str((here / "elsewhere" / "audio").resolve())
    assert str(here / "link") in mounted(plan("process", "folder", "--audio", "link"))


def test_paths_are_absolute_where_a_container_cannot_have_the_same_working_folder(here, monkeypatch):
    monkeypatch.chdir("/usr/share")
    container = plan("process", "folder", "--audio", "doc")
    assert container.working_folder is None
    assert mounted(container)[container.arguments[1]] == (Path("/usr/share/doc"), False)


def test_no_image_writes_among_vectors_that_were_taken_over(here):
    (here / "in").mkdir()
    for folder in (here / "out", here / "layers" / "stemjepa.layer1"):
        folder.mkdir(parents=True)
        origin.write(folder, origin.Origin("a.zip", "0" * 64, "Ada"))
    with pytest.raises(RequestError, match=r"out holds vectors that were taken over from a\.zip"):
        plan("extract", "chroma", "in", "out")
    with pytest.raises(RequestError, match=r"stemjepa\.layer1 holds vectors that were taken over"):
        plan("extract", "stemjepa", "in", "layers", "--layers", "all")


def test_a_name_that_no_engine_takes_is_one_line(here):
    folder = here / "caf\udce9"
    folder.mkdir()
    with pytest.raises(RequestError, match=r"not UTF-8, as .*caf\\xe9"):
        plan("extract", "chroma", folder, "out")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("data.data_path=stems", "data.data_path='stems'"),
        ("++data.valid_path='stems'", "++data.valid_path='stems'"),
        ('data.data_path="my stems"', "data.data_path='my stems'"),
        (r"data.data_path='it\'s'", r"data.data_path='it\'s'"),
        ("init.weights=mine.safetensors", "init.weights='mine.safetensors'"),
        ("init.weights=mine", "init.weights=mine"),
        (r"data.data_path=[stems, 'it\'s',my stems]", r"data.data_path=['stems','it\'s','my stems']"),
        ("trainer.max_steps=3", "trainer.max_steps=3"),
        ("data=mine", "data=mine"),
    ],
)
def test_the_folders_of_overrides_are_seen(here, override, told):
    from jukemir_like.stemjepa.training import compose

    for name in ("stems", "my stems", "it's"):
        (here / name).mkdir()
    (here / "mine.safetensors").write_bytes(b"")
    container = plan("train", override)
    assert container.arguments == ("--", told)
    if "mine.safetensors" in override:
        assert str(here / "mine.safetensors") in mounted(container)
    if "_path" in override:
        outside, inside = (compose.compose_settings([one]).data for one in (override, container.arguments[1]))
        assert inside == outside
        assert all(str(here / path) in mounted(container) for path in outside.folders or [str(outside.valid_path)])


def test_extraction_is_by_the_contract(here, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    (here / "in").mkdir()
    for name in ("chroma", "stemjepa", "level"):
        container = plan("extract", name, "in", "out", "--batch_size", "4")
        assert container.entrypoint is None
        assert container.arguments == ("--batch_size", "4")
        assert container.environment == {"SLURM_ARRAY_TASK_ID": "3"}
        assert mounted(container) == {"/input": (here / "in", False), "/output": (here / "out", True)}


def test_extraction_of_a_dataset_reads_and_writes_its_folders_in_the_cache(here):
    (here / "cache" / "processed" / "mine" / "wav").mkdir(parents=True)
    container = plan("extract", "mfcc", "--dataset", "mine", "--batch_size", "2", "--batch_idx", "0", "--workers", "1")
    assert container.arguments == ("--batch_size", "2", "--batch_idx", "0", "--workers", "1")
    folders = {"/input": here / "cache" / "processed" / "mine" / "wav", "/output": here / "cache" / "representations" / "mine" / "mfcc"}
    assert {target: source for target, (source, _) in mounted(container).items()} == folders
    container = plan("extract", "stemjepa", "--dataset", "mine", "--layers", "all")
    assert container.arguments == ("--layers", "all")
    assert plan("extract", "mfcc", "--dataset", "mine", "--matrix").arguments == ("--matrix",)
    with pytest.raises(RequestError, match="takes --batch_size and --batch_idx: leave out --matrix"):
        plan("extract", "level", "--dataset", "mine", "--matrix")  # anyone's image knows the options of the contract
    assert mounted(container)["/output"] == (here / "cache" / "representations" / "mine", True)
    container = plan("extract", "stemjepa@layer=2", "--dataset", "mine")
    assert container.arguments == ("stemjepa@layer=2", "/input", "/output")
    assert mounted(container)["/output"] == (here / "cache" / "representations" / "mine" / "stemjepa.layer2", True)


def test_weights_of_the_cache_are_mounted_and_those_of_the_package_are_in_the_image(here):
    (here / "in").mkdir()
    file = here / "cache" / "checkpoints" / "mine.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    for words in (["stemjepa-mine"], ["stemjepa-mine-untrained"], ["stemjepa", "--weights", "mine"]):
        container = plan("extract", words[0], "in", "out", *words[1:])
        assert mounted(container)["/cache/checkpoints/mine.safetensors"] == (file, False)
        assert ("--weights" in container.arguments) == (len(words) > 1)
    container = plan("extract", "stemjepa-mine", "in", "out", "--precision", "bf16")
    assert (container.entrypoint, container.arguments[:3]) == (("jukemir-like", "extract"), ("stemjepa-mine", "/input", "/output"))
    container = plan("extract", "stemjepa", "in", "out", "--weights", "cache/checkpoints/mine.safetensors")
    assert mounted(container)[container.arguments[1]] == (file, False)
    for name in ("stemjepa", f"stemjepa-{checkpoint.EMBEDDED}", "stemjepa-untrained"):
        assert len(plan("extract", name, "in", "out").mounts) == 2


@pytest.fixture
def weights_of(here, monkeypatch):
    """A function that puts what stands for converted weights of an encoder into the cache, and returns their folder."""

    def put(name):
        folder = here / "cache" / "weights" / name
        folder.mkdir(parents=True)
        (folder / f"{name}.safetensors").touch()
        return folder

    (here / "in").mkdir()
    return put


@pytest.mark.parametrize(
    ("name", "folder", "image", "word"),
    [
        ("musicnn", "musicnn", "representations_musicnn", None),
        ("musicnn-msd", "musicnn-msd", "representations_musicnn", "musicnn-msd"),
        ("clmr-59049", "clmr", "representations_clmr", "clmr-59049"),
        ("crepe-tiny", "crepe-tiny", "representations_crepe", "crepe-tiny"),
        ("jukebox@layer=3", "jukebox", "representations_jukebox", "jukebox@layer=3"),
        ("mert-95m", "mert-95m", "representations_hf", None),
        ("hubert-base@layer=7@pool=max", "hubert-base", "representations_hf", "hubert-base@layer=7@pool=max"),
    ],
)
def test_an_encoder_runs_in_the_image_of_its_family_and_sees_its_own_weights_alone(weights_of, name, folder, image, word):
    weights = weights_of(folder)
    weights_of("other")
    container = plan("extract", name, "in", "out", "--workers", "1")
    assert container.image == f"stemjepa/{image}:{__version__}"
    assert container.gpu
    assert mounted(container).keys() == {"/input", "/output", f"/cache/weights/{folder}"}
    assert mounted(container)[f"/cache/weights/{folder}"] == (weights, False)
    named = () if word is None else (word, "/input", "/output")
    assert container.arguments == (*named, "--workers", "1")
    assert container.entrypoint == (None if word is None else ("jukemir-like", "extract"))


def test_weights_that_are_missing_are_one_line_before_a_container_is_started(weights_of):
    with pytest.raises(RequestError, match=r"the weights of musicnn-msd are not in the cache.*jukemir-like download musicnn-msd"):
        plan("extract", "musicnn-msd", "in", "out")
    with pytest.raises(RequestError, match="jukemir-like download hf:some/model"):
        plan("extract", "hf:some/model", "in", "out")


CARD = """
name = "mine"
title = "Mine"
family = "musicnn"
licence = "MIT"
sample_rate = 16000
width = 1506
"""


def test_an_encoder_of_one_s_own_is_known_by_its_card(weights_of, here):
    (here / "mine.toml").write_text(CARD)
    (here / "w.safetensors").touch()
    container = plan("extract", "mine", "in", "out", "--card", "mine.toml", "--weights", "w.safetensors")
    assert container.image == f"stemjepa/representations_musicnn:{__version__}"
    inside = {f"{here}/{name}": (here / name, False) for name in ("mine.toml", "w.safetensors")}
    assert inside.items() <= mounted(container).items()
    assert container.arguments == ("mine", "/input", "/output", "--weights", f"{here}/w.safetensors", "--card", f"{here}/mine.toml")
    weights = weights_of("mine")
    assert mounted(plan("extract", "mine", "in", "out", "--card", "mine.toml"))["/cache/weights/mine"] == (weights, False)


def test_all_layers_are_written_below_the_folder_of_the_dataset(weights_of, here):
    weights_of("hubert-base")
    (here / "cache" / "processed" / "mine" / "wav").mkdir(parents=True)
    container = plan("extract", "hubert-base", "--dataset", "mine", "--layers", "all")
    assert mounted(container)["/output"] == (here / "cache" / "representations" / "mine", True)
    assert container.arguments == ("hubert-base", "/input", "/output", "--layers", "all")


def test_names_that_begin_like_a_family_are_not_of_it():
    assert images.family_of("stemjepas").name == "stemjepas"
    assert images.family_of("stemjepa-mine@layer=2").name == "stemjepa"
    assert images.family_of("musicnn-large").image == "representations_musicnn-large"


def test_every_card_has_an_image():
    from jukemir_like.encoders import card
    from jukemir_like.encoders.encoder import FAMILIES

    assert {family.cards for family in images.FAMILIES if family.cards} == set(FAMILIES)
    for name in card.names():
        assert images.family_of(name).cards == card.read(name).family
    assert {family.name for family in images.FAMILIES if family.cards} <= set(card.names())


def test_a_name_that_no_image_can_have_is_refused(here):
    (here / "in").mkdir()
    with pytest.raises(RequestError, match="no image can be called representations_Level"):
        plan("extract", "Level", "in", "out")
    assert images.family_of("Level").image == "representations_Level"


def test_declarations_of_a_site_are_seen(here, monkeypatch):
    (here / "site").mkdir()
    monkeypatch.setenv("JUKEMIR_LIKE_DECLARATIONS", "site")
    container = plan("process", "gtzan")
    assert here / container.environment["JUKEMIR_LIKE_DECLARATIONS"] == here / "site"
    assert mounted(container)[str(here / "site")] == (here / "site", False)


def test_proxies_and_certificates_are_for_downloads_alone(here, monkeypatch):
    (here / "ca.pem").touch()
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(here / "ca.pem"))
    container = plan("download", "gtzan")
    assert container.environment["https_proxy"] == "http://proxy.example:3128"
    assert container.environment["REQUESTS_CA_BUNDLE"] in mounted(container)
    assert not {"https_proxy", "REQUESTS_CA_BUNDLE"} & plan("process", "gtzan").environment.keys()


# ---- under which path a container sees a path of this machine ----


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
