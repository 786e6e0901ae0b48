"""Where assets lie in the cache, and what of them is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from jukemir_like.core.cache import Cache
from jukemir_like.downloads.declaration import Asset, Declaration
from jukemir_like.downloads.unpacking import folder_name, origin
from jukemir_like.downloads.verifying import Ledger

UNPACKED = "unpacked"
_PARTIAL = ".partial"


def folder(cache: Cache, name: str) -> Path:
    """Where the assets of the declared dataset ``name`` lie; need not exist yet."""
    return cache.dataset(name)


def unpacked(cache: Cache, name: str, archive: str) -> Path:
    """Where the members of ``archive`` (``genres.tar.gz``, or ``genres``) lie once it is unpacked."""
    return folder(cache, name) / UNPACKED / folder_name(archive)


@dataclass
class Place:
    """A dataset's folder in the cache, with what is known of the files in it.

    Args:
        declaration: of the dataset.
        folder: its assets' folder; need not exist yet.
    """

    declaration: Declaration
    folder: Path
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.folder)

    def path(self, asset: Asset) -> Path:
        """Where the asset's file lies, or will."""
        return self.folder / asset.path

    def partial(self, asset: Asset) -> Path:
        """Where what has arrived of it is kept."""
        return self.folder / _PARTIAL / f"{asset.tag}.part"

    def lock(self, name: str) -> Path:
        """Held by whoever works on the asset, or archive, ``name``."""
        return self.folder / _PARTIAL / f"{name}.lock"

    def target(self, archive: str) -> Path:
        """Where an archive is unpacked to."""
        return self.folder / UNPACKED / folder_name(archive)

    def parts(self, archive: str) -> list[Asset]:
        """The assets that make ``archive``, in their order."""
        return sorted((asset for asset in self.declaration.assets if asset.archive == archive), key=lambda asset: asset.path)

    def is_own(self, archive: str) -> bool:
        """Whether a user has put a folder of his own where ``archive`` would be unpacked to."""
        target = self.target(archive)
        return origin(target) is None and target.is_dir() and any(target.iterdir())

    def state(self, asset: Asset) -> str | None:
        """Why the asset need not be looked at any more, in a word; None: it must be.

        ``verified``: by the stamp of an earlier call. ``unpacked``: the file is gone, what was unpacked from it is there. ``own``: so is
        what the user has put in its place, which nobody can verify.
        """
        if self.ledger.verified(asset) is not None:
            return "verified"
        if asset.archive is None or self.path(asset).exists():
            return None
        made = origin(self.target(asset.archive))
        if made is not None and asset.digest is not None and made.get(asset.path) == asset.digest:
            return "unpacked"
        return "own" if self.is_own(asset.archive) else None
