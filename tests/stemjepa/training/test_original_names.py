"""Configuration files and overrides of the original code: understood, or answered with the name that an option has here."""

import re

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.settings import Training, changed_options, differences
from jukemir_like.stemjepa.training.compose import compose_settings
from jukemir_like.stemjepa.training.original_names import ANSWERS, UNDERSTOOD

DATA_FILE = """
defaults:
  - default

dataset:
  data_path: /my stems
  sample_rate: 32000

transform:
  norm_stats:
    - -8.
    - 3
"""


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    """``configs/data/my_data.yaml`` where the command is called, in the original's words; a function that writes another text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "data").mkdir(parents=True)

    def write(text):
        (tmp_path / "configs" / "data" / "my_data.yaml").write_text(text)

    write(DATA_FILE)
    return write


def test_a_data_file_of_the_original_is_understood():
    assert differences(compose_settings(["data=my_data"])) == [
        ("data.data_path", "/my stems"),
        ("data.statistics", False),
        ("model.frontend.mean", -8.0),
        ("model.frontend.sample_rate", 32000),
        ("model.frontend.std", 3.0),
    ]


def test_a_part_of_it_is_understood_too(own):
    own("dataset: {data_path: /stems}\n")
    assert differences(compose_settings(["data=my_data"])) == [("data.data_path", "/stems")]
    own("transform: {norm_stats: [0., 1.]}\n")
    run = compose_settings(["data=my_data", "recipe=original"])
    assert (run.model.frontend.mean, run.model.frontend.std, run.data.statistics) == (0.0, 1.0, False)


def test_its_overrides_are_understood():
    theirs = ["data.dataset.data_path=/my stems", "+data.dataset.sample_rate=32000", "data.transform.norm_stats=[-8., 3]"]
    assert compose_settings(theirs) == compose_settings(["data=my_data"])


@pytest.mark.parametrize("override", ["data.data_path=/other", "data.dataset.data_path=/other"])
def test_an_override_comes_after_the_file(override):
    assert compose_settings(["data=my_data", override]).data.data_path == "/other"


def test_its_choices_are_understood():
    assert compose_settings(["model=mlp_predictor"]) == Training()
    transformer = compose_settings(["model=trf_predictor"]).model.predictor
    assert (transformer.kind, transformer.width, transformer.depth, transformer.heads) == ("transformer", 512, 8, 16)
    assert compose_settings(["trainer=ddp"]) == compose_settings(["trainer=gpu"])
    simulated = compose_settings(["trainer=ddp_sim"]).trainer
    assert (simulated.accelerator, simulated.devices) == ("cpu", 2)


def test_a_choice_that_is_not_possible_is_answered():
    with pytest.raises(RequestError, match=r"trainer=mps is not possible here, .*: choose trainer=cpu"):
        compose_settings(["trainer=mps"])


@pytest.mark.parametrize("name", ANSWERS)
def test_every_other_option_is_answered_with_its_name_here(own, name):
    with pytest.raises(RequestError, match=f"^{re.escape(name)}, an option of the original code, is {re.escape(ANSWERS[name])}$"):
        compose_settings([f"{name}=1"])
    own(f"# @package _global_\n{nested(name)}")
    with pytest.raises(RequestError, match=f"^{re.escape(name)}, an option of the original code, is "):
        compose_settings(["data=my_data"])


def nested(name):
    return "".join(f"{'  ' * depth}{part}:\n" for depth, part in enumerate(name.split(".")))[:-1] + " 1\n"


def test_the_names_that_are_given_exist():
    known = {option for option, _, _ in changed_options(Training().to_dict(), {})} | set(options(Training().to_dict()))
    for name in [*ANSWERS.values(), *(ours for several in UNDERSTOOD.values() for ours in several)]:
        given = re.findall(r"\b(?:data|model|objective|optimiser|trainer)\.[a-z_.0-9]*[a-z_0-9]", name)
        assert given or name.startswith("nothing here")
        assert set(given) <= known
    assert not known & {*ANSWERS, *UNDERSTOOD}


def options(values, section=""):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from options(value, f"{section}{name}.")
        else:
            yield f"{section}{name}"


@pytest.mark.parametrize("stats", ["[1]", "[1, 2, 3]", "5", "[a, b]", "{a: 1}", "[true, 1]", "'[1'"])
def test_statistics_that_are_not_two_numbers_are_refused(own, stats):
    own(f"transform: {{norm_stats: {stats}}}\n")
    for overrides in (["data=my_data"], [f"data.transform.norm_stats={stats}"]):
        with pytest.raises(RequestError, match=r"^data\.transform\.norm_stats is .*: give \[mean, standard deviation\]"):
            compose_settings(overrides)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dataset: {path: /stems}\n", "unknown option data.dataset"),
        ("dataset: /stems\n", "unknown option data.dataset"),
        ("dataset: {data_path: 5}\n", "data.data_path is 5"),
        ("dataset: {sample_rate: high}\n", "frontend.sample_rate is 'high'"),
        ("dataset: {data_path: '${paths.data_dir}/my_dataset'}\n", "values are not filled in, write the value itself"),
    ],
)
def test_what_else_such_a_file_says_is_refused_in_one_line(own, text, message):
    own(text)
    with pytest.raises(RequestError, match=re.escape(message)) as caught:
        compose_settings(["data=my_data"])
    assert "\n" not in str(caught.value)


def test_the_recipe_original_is_the_papers_run_but_for_what_the_original_does_otherwise():
    assert differences(compose_settings(["recipe=original"])) == [
        ("data.statistics", False),
        ("model.encoder.positions", "time-first"),
        ("model.predictor.initialisation", "pytorch"),
        ("optimiser.decay", "all"),
    ]
