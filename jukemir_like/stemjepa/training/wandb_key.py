"""Whether Weights & Biases can be used, which is asked before a run begins: its package and its key.

Without this it asks for a key in the middle of the start, or raises an error after minutes of measuring the data.
"""

from __future__ import annotations

import configparser
import importlib.util
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from jukemir_like.core.errors import RequestError
from jukemir_like.stemjepa.settings import Training

_SERVER = "https://api.wandb.ai"
_WITHOUT_KEY = ("offline", "disabled", "dryrun", "shared")


def check_wandb(settings: Training, environment: Mapping[str, str] = os.environ) -> None:
    """Checks that a run which logs to Weights & Biases can do so. The key is looked for where ``wandb login`` and its manual put it.

    Args:
        settings: of the run.
        environment: variables of the process.

    Raises:
        RequestError: the package is missing, or there is no key.

    >>> check_wandb(Training(logger=("csv",)))
    """
    if "wandb" not in settings.logger:
        return
    if importlib.util.find_spec("wandb") is None:
        raise RequestError("logger=wandb needs the package wandb: pip install wandb, or choose logger=csv")
    if not _has_key(environment):
        raise RequestError(
            "logger=wandb finds no key: run `wandb login`, set WANDB_API_KEY, keep the run on this machine by WANDB_MODE=offline, "
            "or choose logger=csv"
        )


def _has_key(environment: Mapping[str, str]) -> bool:
    """Whether there is a key, or none is needed."""
    saved = _saved(environment)
    if environment.get("WANDB_MODE", saved.get("mode", "")) in _WITHOUT_KEY or environment.get("WANDB_API_KEY"):
        return True
    if environment.get("WANDB_IDENTITY_TOKEN_FILE") or saved.get("api_key"):
        return True
    server = environment.get("WANDB_BASE_URL") or saved.get("base_url") or _SERVER
    home = Path(environment.get("HOME", "~")).expanduser()
    given = environment.get("NETRC")
    for path in [Path(given).expanduser()] if given else [home / ".netrc", home / "_netrc"]:
        try:
            known = netrc.netrc(path).authenticators(urlsplit(server).netloc)
        except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
            continue
        if known is not None and known[2]:
            return True
    return False


def _saved(environment: Mapping[str, str]) -> dict[str, str]:
    """Settings that ``wandb offline`` and ``wandb login --host`` saved, for this user and for this folder."""
    home = Path(environment.get("HOME", "~")).expanduser()
    folder = Path(environment.get("WANDB_CONFIG_DIR", home / ".config" / "wandb"))
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read([folder / "settings", Path("wandb") / "settings"])
    except (configparser.Error, UnicodeDecodeError):
        return {}
    return dict(parser["default"]) if parser.has_section("default") else {}
