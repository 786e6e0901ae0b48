"""A representation as a transformer of scikit-learn: audio in, a matrix of vectors out.

scikit-learn is no dependency of this package, so this module alone imports it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from jukemir_like.representations.base import Representation
from jukemir_like.representations.clips import Clip, LoadedRepresentation, load_representation, several

try:
    from sklearn.base import BaseEstimator, TransformerMixin
except ImportError as error:
    raise ImportError(
        "jukemir_like.Extractor is a transformer of scikit-learn, which is not installed: pip install scikit-learn"
    ) from error


class Extractor(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Vectors of a representation, as a step of a scikit-learn pipeline.

    There is nothing to fit: each clip's vector depends on that clip alone. Every fold of a cross-validation computes the vectors again; to
    compute them once, call :meth:`transform` before it, or give the pipeline a ``memory=``.

    Args:
        representation: name, or object, as of :func:`~jukemir_like.representations.clips.load_representation`.
        sample_rate: of the clips that are arrays, in Hz.
        options: of the representation, as ``weights=``, ``precision=``, ``device=`` and ``cache=``. They are parameters of the transformer.

    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> classifier = make_pipeline(Extractor("mfcc"), StandardScaler(), LogisticRegression())
    >>> paths = ["music/0.wav", "music/1.wav", "music/2.wav"]
    >>> classifier.fit(paths, ["rock", "jazz", "jazz"]).predict(paths).tolist()
    ['rock', 'jazz', 'jazz']
    """

    def __init__(self, representation: str | Representation = "mfcc", *, sample_rate: float | None = None, **options: Any) -> None:
        self.representation = representation
        self.sample_rate = sample_rate
        self._options = options

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002 -- the signature is scikit-learn's
        """All parameters by name, options of the representation included."""
        return {"representation": self.representation, "sample_rate": self.sample_rate, **self._options}

    def set_params(self, **params: Any) -> Extractor:
        """Sets parameters; a name that is none of the transformer's own is an option of the representation."""
        for own in params.keys() & {"representation", "sample_rate"}:
            setattr(self, own, params.pop(own))
        self._options = {**self._options, **params}
        return self

    def fit(self, X: Iterable[Clip], y: Any = None) -> Extractor:  # noqa: ARG002 -- the signature is scikit-learn's
        """Loads the representation; the clips are not used.

        Raises:
            RequestError: unknown representation, an option that it does not take, or weights that cannot be used.
        """
        self._loaded()
        return self

    def transform(self, X: Iterable[Clip]) -> np.ndarray:
        """Vectors of clips.

        Args:
            X: paths, or arrays of shape ``(samples,)`` or ``(channels, samples)``; of a table, one column of paths; of an array of
                numbers, each row is a clip.

        Returns:
            float32 of shape ``(clips, dimension)``.

        Raises:
            InputError, RequestError: as :meth:`~jukemir_like.representations.clips.LoadedRepresentation.__call__`.
        """
        return self._loaded()(iter(several(X)), sample_rate=self.sample_rate)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:  # noqa: ARG002 -- the signature is scikit-learn's
        """Names of the columns: ``mfcc_0``, ``mfcc_1`` and so on."""
        loaded = self._loaded()
        return np.array([f"{loaded.name}_{number}" for number in range(loaded.dimension)], dtype=object)

    def _loaded(self) -> LoadedRepresentation:
        """The representation of the parameters as they now are; loaded once, at the first use."""
        wanted = (self.representation, self._options)
        if getattr(self, "_loaded_with", None) != wanted:
            self._loaded_representation = load_representation(self.representation, **self._options)
            self._loaded_with = wanted
        return self._loaded_representation

    def __getstate__(self) -> dict[str, Any]:
        """Without the loaded representation, whose weights may be large: it is loaded again at the next use."""
        return {name: value for name, value in super().__getstate__().items() if not name.startswith("_loaded")}

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit, tags.no_validation = False, True
        tags.input_tags.two_d_array, tags.input_tags.string = False, True
        tags.transformer_tags.preserves_dtype = []
        return tags
