"""Representations: from a clip of audio to one vector.

base: the class to derive from, and the registry · clips: files and arrays to vectors, as the library offers it · transformer: the same
for scikit-learn · chroma, mfcc: harmony and timbre · spectra: the signal processing of both · stemjepa: Stem-JEPA's embedding.
"""

from jukemir_like.representations.base import Representation, load, names

__all__ = ["Representation", "load", "names"]
