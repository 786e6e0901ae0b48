"""All assets of a dataset into the cache: several at once, each verified, archives unpacked, and a table of what became of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

from jukemir_like.core.cache import Cache, sweep
from jukemir_like.core.errors import InputError, RequestError, StorageError
from jukemir_like.core.locks import locked
from jukemir_like.core.parallel import Progress
from jukemir_like.core.records import Summary, printable
from jukemir_like.downloads import adopting, room, threads
from jukemir_like.downloads.declaration import Asset, Declaration
from jukemir_like.downloads.exchange import Patience
from jukemir_like.downloads.obtaining import Row, Run, obtain
from jukemir_like.downloads.places import Place, folder
from jukemir_like.downloads.progress import Board
from jukemir_like.downloads.table import Outcome
from jukemir_like.downloads.threads import Stopped
from jukemir_like.downloads.unpacking import origin, unpack

Selection = Sequence[tuple[Declaration, Sequence[Asset]]]

_MOST_NAMED = 5
_ADVICE = "choose a cache on another with --cache"


def download(
    selection: Selection,
    cache: Cache,
    *,
    num_parallel: int = 8,
    delete_wrong: bool = False,
    own_copy: Path | None = None,
    patience: Patience | None = None,
) -> Summary:
    """Brings the assets of ``selection`` (see :func:`jukemir_like.downloads.select`) into ``cache``, verified, and unpacks the archives.

    Files that an earlier call has verified are kept without being read, as long as their size and time of change are as they were then.

    Args:
        num_parallel: files under way at once.
        delete_wrong: remove files in the cache that are not what is declared, and get them again; otherwise they are named and stay.
        own_copy: take the assets from this folder, whatever its layout, and nothing from the network.
        patience: with hosts.

    Returns:
        Counts and a table; ``failed`` by tag.

    Raises:
        RequestError: nothing is selected, or ``own_copy`` is no folder.
        StorageError: no room, or the cache cannot be written. What was finished is kept, and so is what has arrived of the others.
    """
    started = time.perf_counter()
    stage = "download " + " ".join(declaration.name for declaration, _ in selection)
    places = [(Place(declaration, folder(cache, declaration.name)), assets) for declaration, assets in selection]
    wanted = [(place, asset) for place, assets in places for asset in assets]
    if not wanted:
        raise RequestError(f"{stage}: nothing to download is declared")
    if own_copy is not None and not own_copy.is_dir():
        raise RequestError(f"{own_copy} is not a folder: give the folder of your own copy with --from")
    work = _Work(wanted, num_parallel, stage)
    access = [] if own_copy is not None else [f"access to {made.name}: {made.access}" for made, _ in selection if made.access]
    try:
        work.obtain_all(Patience() if patience is None else patience, delete_wrong, own_copy)
        for place, assets in places:
            for archive in dict.fromkeys(asset.archive for asset in assets if asset.archive):
                work.unpack(place, archive)
    finally:
        for place, _ in places:
            place.ledger.close()
    return work.outcome(time.perf_counter() - started, access)


class _Work:
    """One run, and what has become of each asset so far."""

    def __init__(self, wanted: list[tuple[Place, Asset]], number: int, stage: str):
        self._wanted = wanted
        self._number = number
        self._stage = stage
        self._rows: dict[str, Row] = {}
        self._notes: list[str] = []
        self._stop = threading.Event()

    def obtain_all(self, patience: Patience, delete_wrong: bool, own_copy: Path | None) -> None:
        """Every asset that is not there and verified, in threads."""
        todo = []
        for place, asset in self._wanted:
            state = place.state(asset)
            if state is None:
                todo.append((place, asset))
            else:
                self._rows[asset.tag] = _row_of_state(place, asset, state)
        if not todo:
            return
        copy = None if own_copy is None else adopting.Copy(own_copy)
        if copy is not None:
            self._notes += [f"not looked at: {printable(name)} {reason}" for name, reason in sorted(copy.unreadable.items())]
        for parent in {path.parent for place, asset in todo for path in (place.path(asset), place.partial(asset))}:
            sweep(parent)
        board = Board(self._stage, len(todo), self._stop)
        run = Run(board, delete_wrong, copy, patience=patience)
        try:
            if copy is not None:
                run.found = copy.find([asset for place, asset in todo if delete_wrong or not place.path(asset).exists()], self._every)
            self._make_room([(place, asset) for place, asset in todo if not place.path(asset).exists()], run)
            busy = self._pass(todo, run, wait=False)
            self._pass(busy, run, wait=True)
        finally:
            board.close()
        if copy is not None:
            self._say_what_looks_unpacked(todo, copy)

    def _make_room(self, missing: list[tuple[Place, Asset]], run: Run) -> None:
        known = room.sizes(missing, run, self._number, self._stop)
        run.board.expect(sum(known.values()))
        if missing:  # all datasets are in one cache
            room.check(missing[0][0].folder, room.needed(missing, known))

    def _pass(self, todo: list[tuple[Place, Asset]], run: Run, *, wait: bool) -> list[tuple[Place, Asset]]:
        """Works through ``todo``; returns those that another process was at."""
        busy = []
        work = threads.each(lambda pair: obtain(*pair, run, wait=wait), todo, self._number, self._stop)
        with closing(work) as results:
            for (place, asset), result in results:
                if isinstance(result, StorageError):
                    raise result
                if result is None:
                    busy.append((place, asset))
                    continue
                if isinstance(result, Exception):
                    place.ledger.note_failure(asset, result)
                    reason = str(result) if isinstance(result, InputError) else f"unexpected {type(result).__name__}: {result}"
                    result = Row(asset.tag, "failed", reason=reason)
                self._rows[asset.tag] = result
                run.board.finished()
        return busy

    def _every(self, function: Callable[[Path], None], paths: Iterable[Path]) -> None:
        """Looks at files of the user's copy, in threads."""
        paths = list(paths)

        def look(path: Path) -> None:
            if self._stop.is_set():
                raise Stopped
            function(path)

        with closing(threads.each(look, paths, self._number, self._stop)) as results, Progress(len(paths), "looking", "file") as bar:
            for _, result in results:
                bar.update()
                if isinstance(result, Exception):
                    raise result

    def _say_what_looks_unpacked(self, todo: list[tuple[Place, Asset]], copy: adopting.Copy) -> None:
        said = set()
        for place, asset in todo:
            if self._rows[asset.tag].status == "failed" and copy.looks_unpacked(asset) and asset.archive not in said:
                said.add(asset.archive)
                target = place.target(str(asset.archive))
                self._notes.append(
                    f"{copy.folder} looks like {asset.archive} unpacked, which cannot be verified: give the archive itself, or, to use the "
                    f"files as they are, copy or link them to {target}, laid out as in the archive"
                )

    def unpack(self, place: Place, archive: str) -> None:
        """Unpacks ``archive`` if all its parts are verified, and it was not unpacked from the same bytes before."""
        if place.is_own(archive):
            self._notes.append(f"{place.target(archive)} is your own, not unpacked from {archive}: it is used as it is, unverified")
            return
        digests = _digests(place, archive)
        if digests is None or origin(place.target(archive)) == digests:
            return
        started = time.perf_counter()
        parts = place.parts(archive)
        with locked(place.lock(f"{archive}.unpacking"), advice=_ADVICE):
            if origin(place.target(archive)) == digests:  # another process was faster
                return
            size = sum(place.path(part).stat().st_size for part in parts)
            try:
                with Progress(size, f"unpacking {archive}", "B", unit_scale=True) as bar:
                    done = unpack(
                        archive,
                        [place.path(part) for part in parts],
                        place.target(archive),
                        origin=digests,
                        trusted=all(part.digest for part in parts),
                        unpacked_size=_total([part.unpacked_size for part in parts]),
                        progress=bar.update,
                    )
            except InputError as error:
                self._rows[archive] = Row(f"{archive} (unpacking)", "failed", reason=str(error))
                return
        row = Row(f"{archive}: {done.files:,} files", "unpacked", done.bytes, archive, time.perf_counter() - started)
        self._rows[archive] = row
        if done.left_out:
            more = f" and {len(done.left_out) - _MOST_NAMED:,} more" if len(done.left_out) > _MOST_NAMED else ""
            self._notes.append(f"{archive}: left out {'; '.join(done.left_out[:_MOST_NAMED])}{more}")

    def outcome(self, seconds: float, access: list[str]) -> Outcome:
        """Counts and table; where something failed, with what ``access`` says."""
        order = {asset.tag: number for number, (_, asset) in enumerate(self._wanted)}
        rows = [row for _, row in sorted(self._rows.items(), key=lambda pair: order.get(pair[0], len(order)))]
        made = Outcome(self._stage, seconds=seconds, rows=rows)
        for row in rows:
            if row.status == "failed":
                made.failed[row.tag] = row.reason or ""
            elif row.status == "kept":
                made.kept += 1
            elif row.status != "unpacked":
                made.done += 1
                made.transferred += row.size or 0
            if row.status != "failed" and row.reason:
                made.notes.append(f"{row.tag}: {row.reason}")
        made.notes += [*self._notes, *(access if made.failed else [])]
        return made


def _row_of_state(place: Place, asset: Asset, state: str) -> Row:
    path = place.path(asset)
    size = path.stat().st_size if path.exists() else None
    return Row(asset.tag, "kept", size, "" if state == "verified" else f"{state} folder {place.target(str(asset.archive))}")


def _digests(place: Place, archive: str) -> dict[str, str] | None:
    """Path → digest of the parts of ``archive``; None where one of them is not there or not verified."""
    digests = {part.path: place.ledger.verified(part) for part in place.parts(archive)}
    return None if None in digests.values() else {path: str(digest) for path, digest in digests.items()}


def _total(sizes: list[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if known else None
