"""C6: a vector depends on the bytes of its own input alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jukemir_like.launch.conformance import material, npy
from jukemir_like.launch.conformance.batches import Batches, batches
from jukemir_like.launch.conformance.folder import Snapshot, vector_of
from jukemir_like.launch.conformance.inputs import Whole, whole
from jukemir_like.launch.conformance.laboratory import Laboratory, Seen
from jukemir_like.launch.conformance.rule import rule
from jukemir_like.records import printable

_TONE = material.formats()[material.TONE] if False else None
