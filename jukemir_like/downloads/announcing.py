"""What a download would do, without doing any of it: nothing is written, digested or asked over the network."""

from __future__ import annotations

from collections.abc import Sequence

from jukemir_like.core.cache import Cache
from jukemir_like.downloads.declaration import Asset
from jukemir_like.downloads.downloading import Selection
from jukemir_like.downloads.places import Place, folder
from jukemir_like.downloads.table import byte_size, table
from jukemir_like.downloads.transfer import host

_MOST_ROWS = 30


def announce(selection: Selection, cache: Cache) -> str:
    """Licence, access, sizes, sources, and what is there already, of each dataset of ``selection``."""
    sections = []
    for declaration, assets in selection:
        place = Place(declaration, folder(cache, declaration.name))
        lines = [f"{declaration.name}: {declaration.title}", f"  licence:  {declaration.licence}"]
        lines.append(f"  access:   {declaration.access or 'public'}")
        lines.append(f"  folder:   {place.folder}")
        if not declaration.assets:
            sections.append("\n".join([*lines, "", "nothing would be downloaded: it is made on this machine"]))
            continue
        sections.append("\n".join([*lines, "", _table(place, assets), "", _sum(place, assets)]))
    return "\n\n".join(sections)


def _table(place: Place, assets: Sequence[Asset]) -> str:
    rows: list[tuple[str, ...]] = [(asset.tag, asset.kind, _size(asset), _here(place, asset), _sources(asset)) for asset in assets]
    if len(rows) > _MOST_ROWS:
        alike: dict[tuple[str, str, str], list[Asset]] = {}
        for asset, row in zip(assets, rows, strict=True):
            alike.setdefault((row[1], row[3].partition(" ")[0], row[4]), []).append(asset)
        rows = [
            (
                group[0].tag if len(group) == 1 else f"{group[0].tag} … {group[-1].tag} ({len(group):,})",
                kind,
                _sizes(group),
                here,
                sources,
            )
            for (kind, here, sources), group in alike.items()
        ]
    return table(rows, ("asset", "kind", "size", "here", "sources"))


def _size(asset: Asset) -> str:
    return "?" if asset.size is None else byte_size(asset.size)


def _sizes(assets: Sequence[Asset]) -> str:
    known = [asset.size for asset in assets if asset.size is not None]
    shown = byte_size(sum(known)) if known else "?"
    return shown if len(known) in (0, len(assets)) else f"over {shown}"


def _sources(asset: Asset) -> str:
    return ", ".join(dict.fromkeys(map(host, asset.urls))) or "none: see access"


def _here(place: Place, asset: Asset) -> str:
    state = place.state(asset)
    if state is not None:
        return state
    if place.path(asset).exists():
        return "unverified"
    partial = place.partial(asset)
    size = partial.stat().st_size if partial.exists() else 0
    return f"partly ({byte_size(size)})" if size else "no"


def _sum(place: Place, assets: Sequence[Asset]) -> str:
    missing = [asset for asset in assets if place.state(asset) is None and not place.path(asset).exists()]
    if not missing:
        return "nothing would be downloaded"
    archives = sum(asset.archive is not None for asset in missing)
    unpacked = f", and {archives:,} of them unpacked" if archives else ""
    size = _sizes(missing).replace("?", "of unknown size")
    return f"{len(missing):,} of {len(assets):,} files would be downloaded, {size}{unpacked}"
