"""Does an image keep the contract of a representation's image (``containers/README.md``)? Tried out, rule by rule.

Nothing in the image is asked for but what the contract says: it may have no shell, no Python and no file beside its program. Audio is made
here; containers, volumes and folders are removed afterwards.
"""

from jukemir_like.conformance.check import check, rules
from jukemir_like.conformance.report import Finding, Report

__all__ = ["Finding", "Report", "check", "rules"]
