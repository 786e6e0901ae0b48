import os
import re
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.settings import Training, differences
from jukemir_like.stemjepa.training import compose
from jukemir_like.stemjepa.training.compose import compose_settings
from jukemir_like.stemjepa.training.run import check_phases


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    """An own folder of choices, ``configs/data/NAME.yaml``: a function that writes one."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="mine", group="data"):
        folder = tmp_path / "configs" / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yaml").write_text(text)

    return write


def test_without_overrides_it_is_the_papers_run():
    assert compose_settings([]) == Training()
    assert compose_settings(["recipe=paper"]) == Training()
    assert differences(compose_settings([])) == []


@pytest.mark.parametrize("recipe", sorted(path.stem for path in (compose.CONFIG_FOLDER / "recipe").glob("*.yaml")))
def test_every_recipe_makes_a_run(recipe):
    check_phases(compose_settings([f"recipe={recipe}"]))
    assert compose_settings([f"+recipe={recipe}"]) == compose_settings([f"recipe={recipe}"])


@pytest.mark.parametrize(
    "override",
    [
        f"{path.parent.name}={path.stem}"
        for group in ("data", "model", "trainer", "logger")
        for path in sorted((compose.CONFIG_FOLDER / group).glob("*.yaml"))
    ],
)
def test_every_choice_makes_a_run(override):
    compose_settings([override])


def test_the_commands_that_users_know(own):
    own("data_path: /stems\n", "my_data")
    run = compose_settings([
        "data=my_data", "data.dataloader.batch_size=128", "logger=wandb", "trainer=gpu", "model.predictor.num_sources=6",
    ])  # fmt: skip
    assert (run.data.data_path, run.data.dataloader.batch_size, run.model.predictor.num_sources) == ("/stems", 128, 6)
    assert (run.logger, run.trainer.accelerator, run.trainer.precision) == (("wandb",), "gpu", "bf16")


def test_what_is_on_the_command_line_comes_after_the_recipe():
    assert compose_settings(["trainer.max_steps=7000", "recipe=reproduce"]).trainer.max_steps == 7000


def test_the_example_to_copy_shows_the_defaults():
    """But for the path."""
    example = compose_settings(["data=example"])
    assert differences(example) == [("data.data_path", "/path/to/stems")]


def test_two_loggers():
    assert compose_settings(["logger=[csv,wandb]"]).logger == ("csv", "wandb")


def test_a_path_may_hold_spaces_and_a_number_is_a_precision():
    run = compose_settings(["data.data_path=/a folder/of stems", "trainer.precision=32"])
    assert (run.data.data_path, run.trainer.precision) == ("/a folder/of stems", "32")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("_target_: os.mkdir\ndata_path: made\n", "^unknown option data._target_: "),
        ("data_path: {_target_: os.mkdir, path: made}\n", "^data.data_path is "),
        ("dataloader: {_target_: os.mkdir, path: made}\n", "^unknown option data.dataloader._target_: "),
        ("# @package _global_\nmodel: {encoder: {_target_: os.mkdir, path: made}}\n", "^unknown option encoder._target_: "),
        ("# @package _global_\nplugin: {_target_: os.mkdir, path: made}\n", "^unknown option plugin of a training run"),
    ],
)
def test_a_configuration_names_no_class(own, text, message):
    own(text)
    with pytest.raises(RequestError, match=message):
        compose_settings(["data=mine"])
    assert not Path("made").exists()


def test_hydras_own_section_is_refused_and_starts_nothing(own):
    own("# @package _global_\nhydra: {callbacks: {mine: {_target_: os.mkdir, path: made}}}\n")
    with pytest.raises(RequestError, match=r"mine\.yaml, line 2: has a section for Hydra itself"):
        compose_settings(["data=mine"])
    assert not Path("made").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data=nope", "Could not find 'data/nope'"),
        ("optimiser.learning_rate=1", "^there is no option optimiser.learning_rate, the nearest .* optimiser.lr"),
        ("+optimiser.learning_rate=1", "^there is no option optimiser.learning_rate, the nearest .* optimiser.lr"),
        ("~optimiser.learning_rate", "^there is no option optimiser.learning_rate, the nearest .* optimiser.lr"),
        ("batch_size=64", "the nearest is data.dataloader.batch_size: "),
        ("data.num_worker=1", "the nearest is data.dataloader.num_workers: "),
        ("loger=csv", "the nearest is logger: "),
        ("recpie=paper", "the nearest is recipe: "),
        ("zzz.qqq=1", "^there is no option zzz.qqq: `jukemir-like train --show` prints all options, docs/training.md explains them$"),
        ("trainer.max_steps=many", "^trainer.max_steps is 'many': give a value of type int$"),
        ("trainer.max_steps=0", "trainer.max_steps 0"),
        ("trainer.accelerator=tpu", "choose cpu, gpu or auto"),
        ("model.encoder=tiny", "^model.encoder is 'tiny': it is a section"),
        ("data.dataloader=5", "^data.dataloader is 5: it is a section"),
        ("seed=-1", "^seed is -1"),
        ("seed=true", "^seed is True"),
        ("data.sources=[bass,drums]", "data.sources are 2, model.predictor.num_sources is 4"),
        ("my_data", "^'my_data' is not an override"),
        ("seed=b=c", "mismatched input"),
        ("logger=null", "Config group override"),
    ],
)
def test_wrong_requests_are_one_line(override, message):
    with pytest.raises(RequestError, match=message) as caught:
        compose_settings([override])
    assert "\n" not in str(caught.value)
    assert "+" not in str(caught.value)


@pytest.mark.parametrize("plus", ["", "+", "++"])
def test_a_plus_changes_nothing(own, plus):
    own("# @package _global_\nseed: 5\n", "mine", "experiment")
    run = compose_settings([f"{plus}trainer.max_steps=30000", f"{plus}model=tiny", f"{plus}recipe=paper", f"{plus}experiment=mine"])
    assert (run.trainer.max_steps, run.model.encoder.size, run.seed) == (30000, "tiny", 5)


def test_a_logger_can_be_switched_by_its_name():
    assert compose_settings(["logger.wandb=true", "logger.tensorboard=false"]).logger == ("csv", "wandb")


@pytest.mark.parametrize("name", ["learning_rate", "optimiser.learning_rate", "warmup", "step", "valid", "heads"])
def test_the_options_that_are_offered_can_be_set(name):
    with pytest.raises(RequestError) as caught:
        compose_settings([f"{name}=1"])
    offered = re.findall(r"\w+(?:\.\w+)+", str(caught.value).partition(" nearest ")[2].partition(": ")[0])
    assert offered
    refuses_one = {
        "model.predictor.heads",
        "model.encoder.heads",
        "data.valid_path",
        "data.stems",
        "data.held_out",
    }  # their values, not their names
    for option in offered:
        with suppress(RequestError) if option in refuses_one else nullcontext():
            compose_settings([f"{option}=1"])


def test_broken_yaml_is_one_line(own):
    own("data_path: [\n")
    with pytest.raises(RequestError) as caught:
        compose_settings(["data=mine"])
    assert "\n" not in str(caught.value)


def test_the_same_run_has_the_same_signature_however_it_is_spelt(own):
    own("# @package _global_\noptimiser: {lr: 1}\ntrainer: {max_steps: 30000}\n", "mine", "recipe")
    same = [
        ["recipe=mine"],
        ["optimiser.lr=1.0", "trainer.max_steps=30000"],
        ["trainer.max_steps=30000", "optimiser.lr=1", "logger=csv", "trainer=cpu", "data.dataloader.num_workers=7", "trainer.threads=3"],
    ]
    assert len({str(differences(compose_settings(overrides))) for overrides in same}) == 1
    for other in ("seed=1", "trainer=gpu", "data.data_path=x", "objective.temperature=0.2", "data.dataloader.batch_size=128"):
        assert differences(compose_settings([*same[0], other])) != differences(compose_settings(same[0])), other


def test_composing_needs_no_lightning():
    code = "import sys; from jukemir_like.cli import stemjepa; "
    code += "from jukemir_like.stemjepa.training import compose, metrics_log, run; sys.exit('lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 22050, 24000, 32000, 44100, 48000, 96000])
def test_another_sample_rate_is_answered_with_values_that_work(rate):
    """One line after the other, until the run is accepted: at most one for the highest frequency and one for the chunk."""
    overrides = [f"model.frontend.sample_rate={rate}"]
    for _ in range(3):
        try:
            run = compose_settings(overrides)
        except RequestError as error:
            (printed,) = re.findall(r"for example (\S+=\S+)$", str(error))
            overrides.append(printed)
        else:
            break
    assert abs(run.model.encoder.chunk_seconds - 8) < 0.5 * 160 * 16 / rate + 1e-6
    assert run.model.frontend.sample_rate == rate
