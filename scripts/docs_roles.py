"""A griffe extension of `make docs`: cross-references in docstrings, written for reST, become links of the site."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

ROLE = re.compile(r":(?:class|func|meth|attr|data|mod|exc):`(~?)(\.?)([\w.]+)`")


class Roles(Extension):
    """Turns ``:func:`~package.module.name` `` into a link to the name, if the site has it."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:  # noqa: ARG002
        """Rewrites the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = ROLE.sub(lambda match: _link(obj, *match.groups()), obj.docstring.value)


def _link(obj: Object, short: str, relative: str, name: str) -> str:
    shown = name.rpartition(".")[2] if short else name
    if name.startswith("jukemir_like"):
        target = name
    elif relative:
        target = f"{obj.package.path if obj.module is None else obj.module.path.rpartition('.')[0]}.{name}"
    else:
        target = f"{obj.module.path}.{name}" if name.partition(".")[0] in obj.module.members else ""
    return f"[`{shown}`][{target}]" if target else f"`{shown}`"
