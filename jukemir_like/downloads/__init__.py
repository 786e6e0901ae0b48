"""Assets: what datasets are made from, brought into the cache and verified.

Read in this order: ``declaration`` says what is declared, ``verifying`` whether a file is that, ``contents``, ``archives``, ``parts`` and
``unpacking`` look into archives; ``partial``, ``answer``, ``exchange`` and ``transfer`` fetch one file, ``adopting`` takes it from a user's
copy, ``places`` and ``obtaining`` deal with one asset, ``downloading`` with all, and ``announcing`` says
what would be done. How to use it: docs/datasets.md.
"""

from jukemir_like.downloads.announcing import announce
from jukemir_like.downloads.declaration import Asset, Contents, Declaration, declarations, declared, names, select
from jukemir_like.downloads.downloading import download
from jukemir_like.downloads.places import folder, unpacked

__all__ = [
    "Asset", "Contents", "Declaration", "announce", "declarations", "declared", "download", "folder", "names", "select", "unpacked",
]  # fmt: skip
