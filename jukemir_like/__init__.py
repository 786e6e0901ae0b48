"""Which representation of audio knows what about music? From folders of audio to probes and a results page.

The names below are the library; the command line ``jukemir-like`` is made of the same functions, with folders around them.

>>> import jukemir_like as jl
>>> mfcc = jl.load_representation("mfcc")
>>> mfcc("song.wav").shape
(120,)
>>> jl.Extractor("chroma").fit_transform(["music/0.wav", "music/1.wav"]).shape
(2, 72)
>>> data = jl.load_dataset("gtzan_ff")  # doctest: +SKIP
>>> scores = jl.probe(vectors, data.labels("genre"), split=data.splits, groups=data.groups)  # doctest: +SKIP
>>> jl.compare(scores, others)  # doctest: +SKIP

=========================  =====================================================================================================
``load_representation``    a representation by name: a function from files or arrays to vectors
``list_representations``   their names, those of other packages included
``Representation``         the class to derive your own from
``Extractor``              a representation as a transformer of scikit-learn
``load_dataset``           a dataset by name: its table, its audio, its labels
``list_datasets``          their names
``probe``                  how well vectors predict labels: a :class:`ProbeResult`, with intervals
``compare``                two of these, paired
``StemJEPA``               a trained Stem-JEPA: embeds clips, predicts and ranks missing stems
``Cache``                  the folders in which all stages read and write
``JukemirLikeError``       the root of all errors that are no bugs; ``RequestError``: of a call as a whole; ``InputError``: of one clip
=========================  =====================================================================================================

Each is imported when it is first used, so that importing the package takes a few milliseconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jukemir_like.core.version import __version__ as __version__

if TYPE_CHECKING:
    from jukemir_like.core.cache import Cache
    from jukemir_like.core.errors import InputError, JukemirLikeError, RequestError
    from jukemir_like.datasets import load_dataset
    from jukemir_like.datasets import names as list_datasets
    from jukemir_like.probes.array_results import ProbeResult
    from jukemir_like.probes.arrays import compare, probe
    from jukemir_like.representations.base import Representation
    from jukemir_like.representations.base import names as list_representations
    from jukemir_like.representations.clips import load_representation
    from jukemir_like.representations.sklearn_extractor import Extractor
    from jukemir_like.stemjepa import StemJEPA

__all__ = [
    "Cache",
    "Extractor",
    "InputError",
    "JukemirLikeError",
    "ProbeResult",
    "Representation",
    "RequestError",
    "StemJEPA",
    "compare",
    "list_datasets",
    "list_representations",
    "load_dataset",
    "load_representation",
    "probe",
]

_DEFINED_IN = {
    "Cache": "jukemir_like.core.cache:Cache",
    "Extractor": "jukemir_like.representations.sklearn_extractor:Extractor",
    "InputError": "jukemir_like.core.errors:InputError",
    "JukemirLikeError": "jukemir_like.core.errors:JukemirLikeError",
    "ProbeResult": "jukemir_like.probes.array_results:ProbeResult",
    "Representation": "jukemir_like.representations.base:Representation",
    "RequestError": "jukemir_like.core.errors:RequestError",
    "StemJEPA": "jukemir_like.stemjepa:StemJEPA",
    "compare": "jukemir_like.probes.arrays:compare",
    "list_datasets": "jukemir_like.datasets:names",
    "list_representations": "jukemir_like.representations.base:names",
    "load_dataset": "jukemir_like.datasets:load_dataset",
    "load_representation": "jukemir_like.representations.clips:load_representation",
    "probe": "jukemir_like.probes.arrays:probe",
}


def __getattr__(name: str) -> Any:
    """The name of the library called ``name``, imported at its first use."""
    if name not in _DEFINED_IN:
        raise AttributeError(f"jukemir_like has no {name!r}: it has {', '.join(__all__)}", name=name)
    module, _, attribute = _DEFINED_IN[name].partition(":")
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"TYPE_CHECKING", "Any", "annotations", "import_module"})
