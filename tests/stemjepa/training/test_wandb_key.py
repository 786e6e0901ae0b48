import importlib.machinery
import importlib.util
from pathlib import Path

import pytest

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.training import batches, run
from jukemir_like.stemjepa.training.wandb_key import check_wandb


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    """A home without a key, and the package as if it were installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: importlib.machinery.ModuleSpec(name, None))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "NETRC", "WANDB_CONFIG_DIR", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def netrc_for(host):
    Path(".netrc").write_text(f"machine {host}\n  login user\n  password {'a' * 40}\n")
    Path(".netrc").chmod(0o600)


def test_without_a_key_the_run_is_refused_before_anything(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "find_tracks", lambda *_, **__: pytest.fail("the data are looked at"))
    with pytest.raises(RequestError, match=r"finds no key: run `wandb login`") as caught:
        run.train(settings(logger=["csv", "wandb"]), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_run_without_it_needs_none(settings):
    check_wandb(settings(logger=["csv", "tensorboard"]))


@pytest.mark.parametrize("name", ["WANDB_API_KEY=" + "a" * 40, "WANDB_MODE=offline", "WANDB_MODE=disabled"])
def test_variables(settings, monkeypatch, name):
    monkeypatch.setenv(*name.split("="))
    check_wandb(settings(logger=["wandb"]))


def test_a_login_is_for_its_server(settings, monkeypatch):
    netrc_for("api.wandb.ai")
    check_wandb(settings(logger=["wandb"]))
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    with pytest.raises(RequestError, match="no key"):
        check_wandb(settings(logger=["wandb"]))
    netrc_for("wandb.example.org")
    check_wandb(settings(logger=["wandb"]))


@pytest.mark.parametrize(
    "text", ["machine api.wandb.ai\n  login user\n", "nonsense nonsense\n", "machine other.org\n  login a\n  password b\n"]
)
def test_a_file_without_the_key(settings, text):
    Path(".netrc").write_text(text)
    Path(".netrc").chmod(0o600)
    with pytest.raises(RequestError, match="no key"):
        check_wandb(settings(logger=["wandb"]))


def test_wandb_offline_in_this_folder(settings):
    Path("wandb").mkdir()
    Path("wandb/settings").write_text("[default]\nmode = offline\n")
    check_wandb(settings(logger=["wandb"]))


def test_without_the_package(settings, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(RequestError, match="needs the package wandb: pip install wandb"):
        check_wandb(settings(logger=["wandb"]))
