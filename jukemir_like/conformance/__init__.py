"""Checks whether an image keeps the contract of a representation's image (``containers/README.md``), rule by rule.

``check`` runs *scenarios*, each in containers of a ``session`` on ``synthetic_audio``, and lets ``rules`` judge what they observed
(``snapshots``, ``npy``). The rules of each clause are in a module: ``input_output`` (C1, C2, C5, C7), ``batches`` (C3, C4, C6),
``failures`` (C8, C9), ``record_fields`` (C10), ``resume`` (C11), ``interruption`` (C12), ``restrictions`` (C13, C14). Nothing is assumed
about an image but what the contract says: it may have no shell, no Python and no file but its program.
"""

from jukemir_like.conformance.check import check, rules
from jukemir_like.conformance.rules import ConformanceReport, Finding

__all__ = ["ConformanceReport", "Finding", "check", "rules"]
