"""A user's YAML: plain values are read as they are, whatever else is refused in one line that names the file, and nothing of it is done."""

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.training.compose import CONFIG_FOLDER, compose_settings, read_plain_yaml

SECRET = "s3cret-of-the-environment"


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    """``configs/data/mine.yaml`` where the command is called, and a secret in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", SECRET)
    (tmp_path / "configs" / "data").mkdir(parents=True)
    return tmp_path / "configs" / "data" / "mine.yaml"


def bomb():
    """Ten lines that stand for nine to the ninth values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    return "\n".join([*lines, *(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 10))])


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (bomb(), 1, r"an anchor or alias \(a0\)"),
        ("data_path: &here /stems\nvalid_path: *here\n", 1, "an anchor or alias"),
        ("\n\nvalid_path: *here\n", 3, "an anchor or alias"),
        ("data_path: " + "[" * 5000 + "]" * 5000, 1, "is nested more than 20 deep"),
        ("[" * 5000, 1, "is nested more than 20 deep"),
        ("\n".join(" " * level + "a:" for level in range(100)), 21, "is nested more than 20 deep"),
        ("data_path: ${oc.env:SECRET}", 1, r"data_path contains \${…\}"),
        ("dataloader:\n  batch_size: ${oc.decode:${oc.env:SECRET}}", 2, r"dataloader\.batch_size contains \${…\}"),
        ('data_path: "a\\x24{oc.env:SECRET}"', 1, r"data_path contains \${…\}"),
        ("sources: [bass, '${oc.env:SECRET}']", 1, r"sources contains \${…\}"),
        ("valid_path: ${data.data_path}", 1, r"valid_path contains \${…\}"),
        ("'${oc.env:SECRET}': 5", 1, r"an option contains \${…\}"),
        ("defaults:\n- ${oc.env:SECRET}", 2, r"defaults contains \${…\}"),
        ("defaults:\n- ../recipe/paper", 2, "lead out of the folders"),
        ("defaults:\n- /model: ../../x", 2, "lead out of the folders"),
        ("defaults:\n- override hydra/launcher: x", 2, "lead out of the folders"),
        ("# @package hydra.job\nenv_copy: [SECRET]", None, r"is for the package hydra\.job"),
        ("# @package _global_\nhydra: {job: {env_copy: [SECRET]}}", 2, "has a section for Hydra itself"),
        ("# @package a b\n", None, "Too many components"),
        ("data_path: !!python/object/apply:os.mkdir [made]", 1, "contains a tag"),
        ("data_path: !!python/object/apply:pathlib.Path [made]", 1, "contains a tag"),
        ("data_path: ! stems", 1, "contains a tag"),
        ("<<: {data_path: /stems}", 1, "an option whose name is not a string"),
        ("5: 6", 1, "an option whose name is not a string"),
        ("null: 6", 1, "an option whose name is not a string"),
        ("? [a, b]\n: 6", 1, "an option whose name is not a string"),
        ("data_path: a\nvalid_path: c\ndata_path: b\n", 3, "sets data_path a second time"),
        ("- data_path", None, "contains no options"),
        ("stems", None, "contains no options"),
        ("a: b\n---\nc: d", 2, "is not YAML"),
        ("data_path: ]", 1, "is not YAML"),
        ("data_path: \x01", None, "is not YAML"),
        ("#" * 20_001, None, "is larger than 20,000 bytes"),
        ("data_path: é".encode("latin-1"), None, "is not text in UTF-8"),
    ],
)
def test_more_than_plain_values_is_refused_with_the_place(file, text, line, word):
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    place = f"{file}, line {line}: " if line else f"{file}: "
    with pytest.raises(RequestError, match=word) as caught:
        compose_settings(["data=mine"])
    message = str(caught.value)
    assert message.startswith(place)
    assert "\n" not in message
    assert len(message) < 600
    assert SECRET not in message
    assert not Path("made").exists()


@pytest.mark.parametrize("override", ["data.data_path=${oc.env:SECRET}", "data.data_path='x${oc.env:SECRET}'", "data=${oc.env:SECRET}"])
def test_overrides_are_not_filled_in(override):
    with pytest.raises(RequestError, match="values are not filled in") as caught:
        compose_settings([override])
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "override",
    [
        "data=../data/mine",
        "data=../../../elsewhere",
        "../data=mine",
        "+../x=y",
        "recipe=a/../../b",
        "hydra.job.env_copy=[SECRET]",
        "~hydra",
    ],
)
def test_overrides_do_not_lead_out_of_the_folders(override, tmp_path):
    (tmp_path / "elsewhere.yaml").write_text("data_path: /elsewhere\n")
    with pytest.raises(RequestError, match="leads out of the folders of configurations"):
        compose_settings([override])


def test_a_path_may_lead_anywhere():
    assert compose_settings(["data.data_path=../stems"]).data.data_path == "../stems"


def test_a_configuration_that_names_itself_is_one_line(file):
    file.write_text("defaults:\n- mine\n")
    with pytest.raises(RequestError, match="does a configuration name itself"):
        compose_settings(["data=mine"])


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_what_is_no_file_is_no_choice(file, kind):
    {"fifo": os.mkfifo, "device": lambda path: path.symlink_to("/dev/zero"), "folder": os.mkdir}[kind](file)
    with pytest.raises(RequestError, match="Could not find 'data/mine'"):
        compose_settings(["data=mine"])
    with pytest.raises(RequestError, match=r"is a .*, not a file"):
        read_plain_yaml(file)


@pytest.mark.parametrize("path", sorted(CONFIG_FOLDER.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_packages_own_choices_are_plain_and_can_be_copied(path):
    assert read_plain_yaml(path) == path.read_text()


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=6), values, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.dictionaries(st.text(max_size=6), PLAIN, max_size=5), flow=st.booleans(), wide=st.booleans())
def test_every_file_of_plain_values_is_let_through(file, values, flow, wide):
    text = yaml.safe_dump(values, default_flow_style=flow, allow_unicode=wide)
    file.write_text(text, encoding="utf-8", newline="")
    more = "${" in text or "hydra" in values or "defaults" in values or "*id" in text
    if not more:
        assert read_plain_yaml(file) == text


@pytest.mark.parametrize("section", ["trainer", "data", "objective", "optimiser", "model", "model.encoder", "model.frontend"])
def test_a_section_that_is_set_to_nothing_is_refused(file, section):
    """Hydra would merge what the other files say into nothing, and the rest of the options would be lost without a word."""
    name, _, part = section.partition(".")
    file.write_text(f"# @package _global_\n{name}: {f'{{{part}: null}}' if part else 'null'}\n")
    with pytest.raises(RequestError, match=rf"{name}\S* is (missing|None)"):
        compose_settings(["data=mine"])


@pytest.mark.parametrize("option", ["trainer.precision", "trainer.devices", "model.encoder.size", "data.dataloader", "optimiser", "seed"])
def test_a_deleted_option_is_refused(option):
    with pytest.raises(RequestError, match=rf"{option}\S* is missing"):
        compose_settings([f"~{option}"])


OPTIONS = ["data_path", "valid_path", "sources", "statistics", "dataloader", "batch_size", "augmentation", "level_db", "defaults", "model"]


def outcome(overrides):
    """The settings hold no more than they were told; or one line says why there are none."""
    try:
        made = compose_settings(overrides)
    except RequestError as error:
        message = str(error)
    else:
        message = ""
        assert SECRET not in str(made.to_dict())
    assert "\n" not in message
    assert len(message) < 1000
    assert SECRET not in message


def check_changed(file, data):
    text = (CONFIG_FOLDER / "data" / "example.yaml").read_text() + "sources: [a, b, c, d]\naugmentation: {level_db: 3.0}\n"
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text)))
        piece = data.draw(
            st.sampled_from(
                [
                    "${oc.env:SECRET}",
                    "&a ",
                    "*a",
                    "!!str ",
                    "<<: ",
                    "[",
                    "{",
                    "\n",
                    "  ",
                    ": ",
                    "- ",
                    "'",
                    '"',
                    "# @",
                    "\t",
                    "?",
                    ",",
                    "\0",
                    "é",
                    "5",
                    "null",
                    *OPTIONS,
                ]
            )
            | st.text(max_size=3)
        )
        text = text[:place] + piece + text[place + data.draw(st.integers(0, 3)) :]
    file.write_text(text, encoding="utf-8", errors="replace")
    outcome(["data=mine"])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_changed_in_a_file_a_sample(file, data):
    check_changed(file, data)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_changed_in_a_file(file, data):
    check_changed(file, data)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.dictionaries(st.sampled_from([*OPTIONS, "seed", "trainer", "logger", "slurm", "dora", "optimiser"]), PLAIN, max_size=4),
    whole=st.booleans(),
)
def test_whatever_values_a_file_holds(file, values, whole):
    file.write_text(("# @package _global_\n" if whole else "") + yaml.safe_dump(values), encoding="utf-8")
    outcome(["data=mine"])
