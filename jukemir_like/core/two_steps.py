"""Work in two steps: many processes prepare what few compute, as processors decode what a GPU embeds.

The first step is done ahead of the second, so that no process of the second waits, but not further than a few items: memory does not grow
with their number. An item is put together from its parts before the second step has it, so what is computed together does not depend on
which process was faster.
"""

from __future__ import annotations

import resource
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from jukemir_like.core import parcels
from jukemir_like.core.parallel import map_unordered
from jukemir_like.core.parcels import Parcel
from jukemir_like.core.workers import NO_ITEM, Worker, call, dismiss, hand_out, results

Item = TypeVar("Item")
Part = TypeVar("Part")
Value = TypeVar("Value")
Result = TypeVar("Result")

_Task = tuple[int, int, Part, Parcel | None]

_MOST_FILES = 1 << 16  # that this process may have open, where the system lets it
_BYTES_AHEAD = 512 << 20  # of arrays that wait for the second step, for each of its processes


@dataclass(frozen=True)
class TwoSteps(Generic[Item, Part, Value, Result]):
    """What is done with an item: ``second([first(part) for part in split(item)])``. The three functions are picklable.

    Args:
        split: the parts of an item, at least one; called in this process.
        first: of a part.
        second: of what ``first`` returned for each part of an item, in order. It is called in this process where none of it has an array.
        second_workers: processes for the second step, beside those for the first; 0: each worker does both.

    >>> work = TwoSteps(str.split, float, sum)
    >>> work("1 2.5")
    3.5
    >>> sorted(work.map_unordered(["1 2.5", "3 4"], workers=2))
    [('1 2.5', 3.5), ('3 4', 7.0)]
    """

    split: Callable[[Item], Sequence[Part]]
    first: Callable[[Part], Value]
    second: Callable[[list[Value]], Result]
    second_workers: int = 0

    def __call__(self, item: Item) -> Result:
        """The result of ``item``, in this process."""
        return self.second([self.first(part) for part in self.split(item)])

    def map_unordered(self, items: Iterable[Item], workers: int) -> Generator[tuple[Item, Result | Exception]]:
        """As :func:`jukemir_like.core.parallel.map_unordered`; ``workers`` are those of the first step, and 1 of them is this process.

        Where a part fails, its item fails, and is not given to the second step.
        """
        if self.second_workers == 0 or workers <= 1:
            return map_unordered(self, items, workers)
        return _Run(self, iter(items), workers).results()


@dataclass
class _Open(Generic[Item, Part]):
    """An item that is under way, with what the first step has made of its parts."""

    item: Item
    parts: Sequence[Part]
    parcels: dict[int, Parcel] = field(default_factory=dict)
    is_given: bool = False

    @property
    def size(self) -> int:
        """Bytes of the arrays that are there."""
        return sum(parcel.size for parcel in self.parcels.values())

    def in_order(self) -> list[Parcel]:
        """What has been made of the parts."""
        return [self.parcels[place] for place in sorted(self.parcels)]


class _Run(Generic[Item, Part, Value, Result]):
    """The items under way, by number, and the workers of both steps."""

    def __init__(self, work: TwoSteps[Item, Part, Value, Result], source: Iterator[Item], workers: int) -> None:
        self._work, self._source, self._workers = work, source, workers
        self._first, self._second = partial(_do_first, work.first), partial(_do_second, work.second)
        self._first_pool: list[Worker[Any, Any]] = []
        self._second_pool: list[Worker[Any, Any]] = []
        self._open: dict[int, _Open[Item, Part]] = {}
        self._parts: deque[_Task[Part]] = deque()  # that the first step has not begun
        self._ready: deque[int] = deque()  # of which all parts are there
        self._spare: list[Parcel] = []  # whose files can be used again
        self._number = 0
        self._most_parts = 0
        self._finished: list[tuple[Item, Result | Exception]] = []

    def results(self) -> Generator[tuple[Item, Result | Exception]]:
        """Items and their results as they finish."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
        self._most_parts = max(soft, most) // 4
        try:
            if most > soft:  # each part that waits is an open file, here and in the process that takes it
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            while True:
                hand_out(self._second, self._next_items(), self._second_pool, self._work.second_workers, self._first_pool)
                hand_out(self._first, self._next_parts(), self._first_pool, self._workers, self._second_pool)
                finished, self._finished = self._finished, []
                yield from finished
                arrived = results((self._first, self._first_pool), (self._second, self._second_pool))
                if not (arrived or finished):
                    return
                for pool, task, result in arrived:
                    if pool is self._first_pool:
                        self._take_part(task, result)
                    else:
                        self._finish(task[0], result)
        finally:
            dismiss([*self._first_pool, *self._second_pool])
            for worker in self._first_pool:
                parcels.close(worker.item)
            for parcel in (*self._spare, *(parcel for opened in self._open.values() for parcel in opened.parcels.values())):
                parcel.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def _next_items(self) -> Iterator[tuple[Any, ...]]:
        """Tasks of the second step that can be begun: number of the item, and its parts."""
        while self._ready:
            number = self._ready.popleft()
            opened = self._open[number]
            opened.is_given = True
            yield (number, *opened.in_order())

    def _next_parts(self) -> Iterator[_Task[Part]]:
        """Tasks of the first step that can be begun: number of the item, place in it, the part, and a parcel to be used again."""
        while True:
            while self._parts:
                task = self._parts.popleft()
                if task[0] in self._open:  # else another part of it has failed
                    yield (*task[:3], self._spare.pop() if self._spare else None)
            if self._is_far_ahead() or (item := next(self._source, NO_ITEM)) is NO_ITEM:
                return
            opened = _Open(item, self._work.split(item))
            self._number += 1
            self._open[self._number] = opened
            self._parts.extend((self._number, place, part, None) for place, part in enumerate(opened.parts))

    def _is_far_ahead(self) -> bool:
        """Whether each process of the second step has its next item, and those of the first have another to go on with."""
        waiting = [opened for opened in self._open.values() if not opened.is_given]
        if not waiting:
            return False
        most = self._work.second_workers + 1 + -(-self._workers // len(waiting[0].parts))
        return (
            len(waiting) >= most
            or sum(len(opened.parts) for opened in self._open.values()) >= self._most_parts
            or sum(opened.size for opened in waiting) >= _BYTES_AHEAD * self._work.second_workers
        )

    def _take_part(self, task: _Task[Part], result: Parcel | Exception) -> None:
        number, place, _, _ = task
        parcels.close(task)
        opened = self._open.get(number)
        if opened is None:
            parcels.close(result)
        elif isinstance(result, Exception):
            self._finish(number, result)
        else:
            opened.parcels[place] = result
            if len(opened.parcels) == len(opened.parts):
                if opened.size:
                    self._ready.append(number)
                else:
                    self._finish(number, call(self._work.second, [parcel.open() for parcel in opened.in_order()]))

    def _finish(self, number: int, result: Result | Exception) -> None:
        opened = self._open.pop(number)
        self._spare += [parcel for parcel in opened.parcels.values() if parcel.size]
        self._finished.append((opened.item, result))


def _do_first(first: Callable[[Part], Value], task: _Task[Part]) -> Parcel:
    return Parcel(first(task[2]), into=task[3])


def _do_second(second: Callable[[list[Value]], Result], task: tuple[Any, ...]) -> Result:
    values = [parcel.open() for parcel in task[1:]]
    parcels.close(task)
    return second(values)
