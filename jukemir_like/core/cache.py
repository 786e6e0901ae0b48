"""Where every stage reads and writes: the folders of the cache.

The layout is a contract that users see::

    datasets/<name>/…                          raw assets
    weights/<encoder>/…                        weights of encoders: as published, and converted
    processed/<dataset>/meta.json  wav/<uid>.wav
    checkpoints/<name>.safetensors
    representations/<dataset>/<representation>/<uid>.npy
    probes/<dataset>/<representation>/…
    report/index.html

How files get there, whole or not at all, is in :mod:`jukemir_like.core.atomic`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from jukemir_like.core.errors import RequestError

ENVIRONMENT_VARIABLE = "JUKEMIR_LIKE_CACHE_DIR"

POOLS = ("mean", "mean+std", "max")
"""How the frames of a layer become one vector, see :mod:`jukemir_like.representations.pooling`."""

_LIKE_OPTIONS = re.compile(rf"hf--.*|.*\.(layer[^.]*|{'|'.join(map(re.escape, POOLS))})", re.DOTALL)
_MAX_NAME_BYTES = 200  # file systems take 255: a suffix must fit


@dataclass(frozen=True)
class Cache:
    """The folders of one cache. A name that cannot be a folder's is a :class:`RequestError`, see :func:`folder_name`.

    Args:
        root: the cache's folder; need not exist yet.

    >>> Cache(Path("cache")).representation("gtzan_ff", "mfcc").as_posix()
    'cache/representations/gtzan_ff/mfcc'
    """

    root: Path

    @classmethod
    def default(cls, root: str | os.PathLike[str] | None = None) -> Cache:
        """``root`` if given, else ``$JUKEMIR_LIKE_CACHE_DIR``, else ``~/.jukemir_like``; looked up at call time."""
        chosen = root or os.environ.get(ENVIRONMENT_VARIABLE)
        return cls(Path(chosen).absolute() if chosen else Path.home() / ".jukemir_like")

    def dataset(self, name: str) -> Path:
        """Raw assets of dataset ``name``."""
        return self.root / "datasets" / folder_name(name)

    def weights(self, encoder: str) -> Path:
        """Weights of an encoder of others."""
        return self.root / "weights" / folder_name(encoder)

    def processed(self, dataset: str) -> Path:
        """Folder of ``meta.json``, ``dataset.json`` and ``wav/``."""
        return self.root / "processed" / folder_name(dataset)

    def checkpoint(self, name: str) -> Path:
        """Weights called ``name``; ``checkpoint("*")`` is the pattern of all."""
        return self.root / "checkpoints" / f"{folder_name(name)}.safetensors"

    def representation(self, dataset: str, representation: str) -> Path:
        """Folder of one ``.npy`` per clip.

        >>> Cache(Path("cache")).representation("gtzan_ff", "mert-95m@layer=7@pool=max").as_posix()
        'cache/representations/gtzan_ff/mert-95m.layer7.max'
        """
        return self.root / "representations" / folder_name(dataset) / folder_name(representation_folder(representation))

    def probe(self, dataset: str, representation: str) -> Path:
        """Folder of the probes' runs and results."""
        return self.root / "probes" / folder_name(dataset) / folder_name(representation_folder(representation))

    @property
    def report(self) -> Path:
        """Folder of the results page."""
        return self.root / "report"


def representation_folder(name: str) -> str:
    """The name of a representation as paths spell it: ``NAME.layerL.P`` for ``NAME@layer=L@pool=P``, ``hf--ORG--NAME`` for ``hf:ORG/NAME``.

    >>> representation_folder("hf:facebook/hubert-base-ls960@layer=7")
    'hf--facebook--hubert-base-ls960.layer7'
    """
    base, *options = name.split("@")
    if base.startswith("hf:"):
        base = "hf--" + base.removeprefix("hf:").replace("/", "--")
    return ".".join([base, *(option.replace("layer=", "layer").removeprefix("pool=") for option in options)])


def reads_as_options(base: str) -> bool:
    """Whether ``base``, a name without options, is what paths call another one with options: their vectors would share a folder.

    >>> reads_as_options("stemjepa-mine.layer3"), reads_as_options("stemjepa-mine.v3")
    (True, False)
    """
    return _LIKE_OPTIONS.fullmatch(base) is not None


def is_name(name: str) -> bool:
    """Whether a dataset, a representation or weights can be called so: one part of a path, not hidden, not long, that can be shown.

    >>> is_name("my_music"), is_name("../music"), is_name(".music")
    (True, False, False)
    """
    return bool(name) and name[0] != "." and "/" not in name and name.isprintable() and len(name.encode()) <= _MAX_NAME_BYTES


def folder_name(name: str) -> str:
    """``name`` itself; :class:`RequestError` where it is none by :func:`is_name`."""
    if is_name(name):
        return name
    shown = ascii(name) if len(name) <= 100 else f"{name[:100]!a}…"
    raise RequestError(
        f"{shown} cannot be the name of a dataset, a representation or weights: it may not be empty, begin with a dot, hold a '/' or a "
        f"control character, or have more than {_MAX_NAME_BYTES} bytes"
    )
