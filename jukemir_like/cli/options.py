"""Options that several commands have, and what the commands do with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from jukemir_like.core.errors import DONE, SOME_FAILED

if TYPE_CHECKING:
    from jukemir_like.core.cache import Cache
    from jukemir_like.core.records import Summary

_Command = TypeVar("_Command", bound=Callable[..., Any])

REPRESENTATION_VARIABLE, INPUT_VARIABLE, OUTPUT_VARIABLE = (f"JUKEMIR_LIKE_{name}" for name in ("REPRESENTATION", "INPUT", "OUTPUT"))
"""What the arguments of an extraction are where they are not given; set in the images of encoders."""
PARTIAL_OK_VARIABLE = "JUKEMIR_LIKE_PARTIAL_OK"
"""Set to 1, it is ``--partial_ok`` of every stage."""


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Keeps the option for :func:`end`; the stage itself does the same with and without it."""
    context.meta[str(parameter.name)] = value


def _page(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """By its name a browser knows that it is a page; and no mix or stem is overwritten."""
    if value is not None and not value.lower().endswith((".html", ".htm")):
        raise click.BadParameter(f"{value!r} is no name of a page: let it end in .html", context, parameter)
    return value


def _number(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """``nan`` is in every range."""
    if math.isnan(value):
        raise click.BadParameter(f"{value} is no number", context, parameter)
    return value


cache = click.option(
    "--cache",
    type=click.Path(file_okay=False),
    help="Where stages read and write [default: $JUKEMIR_LIKE_CACHE_DIR, else ~/.jukemir_like].",
)
workers = click.option("--workers", type=click.IntRange(1), help="Worker processes [default: one per processor].")
gpus = click.option("--gpus", is_flag=True, help="Give the containers the GPUs.")
device = click.option("--device", help="cpu, cuda (in extraction: all GPUs) or cuda:1 [default: cuda where there is one].")
threads = click.option("--threads", type=click.IntRange(1), help="Processors to compute on [default: all].")
partial_ok = click.option(
    "--partial_ok",
    is_flag=True,
    envvar=PARTIAL_OK_VARIABLE,
    expose_value=False,
    callback=_remember,
    help=f"Where some inputs failed, end with 0 and not 3, for schedulers; failures are told as usual [also: {PARTIAL_OK_VARIABLE}=1].",
)
matrix = click.option("--matrix", is_flag=True, help="One file per batch, in OUTPUT/.matrices/, instead of one per audio file.")
max_array_size = click.option(
    "--max_array_size", type=click.IntRange(2), default=1001, show_default=True, help="slurm: what the cluster calls MaxArraySize."
)
weights = click.option("--weights", help="Name of weights in the package or the cache, or a path [default: the package's own].")
page = click.option(
    "--page", type=click.Path(dir_okay=False), callback=_page, help="Also write a page on which they are heard, e.g. fits.html."
)
page_seconds = click.option(
    "--page_seconds",
    type=click.FloatRange(1, 600),
    default=30,
    show_default=True,
    callback=_number,
    help="How much of a longer mix the page plays: the first part that is about as loud as the loudest.",
)


def input_and_output(command: _Command) -> _Command:
    """INPUT and OUTPUT of an extraction, or ``--dataset`` instead. An image says by variables what they are unless they are given."""
    command = click.option("--dataset", help="Instead of INPUT and OUTPUT: the folders of this dataset in the cache.")(command)
    command = click.argument("output", type=click.Path(), required=False, envvar=OUTPUT_VARIABLE)(command)
    return click.argument("input", type=click.Path(), required=False, envvar=INPUT_VARIABLE)(command)


def representation_options(command: _Command) -> _Command:
    """``--weights``, ``--precision``, ``--device`` and ``--card`` of an extraction, which neural representations take."""
    command = click.option("--card", type=click.Path(dir_okay=False), help="Card of an encoder of your own.")(command)
    command = device(command)
    command = click.option("--precision", type=click.Choice(["32", "bf16", "16"]), help="Of neural representations [default: 32].")(command)
    return click.option(
        "--weights", help="A path, or of stemjepa also a name in the package or the cache [default: the representation's own]."
    )(command)


def given(*arguments: str) -> list[str | None]:
    """The values of arguments of the running command that stand on its command line; None for those that a variable has set."""
    context = click.get_current_context()
    return [None if context.get_parameter_source(name) is ParameterSource.ENVIRONMENT else context.params[name] for name in arguments]


def open_cache(folder: str | None) -> Cache:
    """The cache that ``--cache`` names, else the default one."""
    from jukemir_like.core.cache import Cache

    return Cache.default(folder)


def prepare_workers(number: int | None = None) -> int:
    """Sets up this process for worker processes with one numerical thread each; to be called before NumPy is imported.

    Returns:
        the number of workers that ``--workers`` names, else one per available processor.
    """
    from jukemir_like.core import machine, parallel

    parallel.use_one_thread_per_process()
    parallel.keep_freed_memory()
    return number or machine.available_cpus()


def finish(summary: Summary) -> int:
    """Prints ``summary``, on standard error if some inputs failed; returns the exit code."""
    click.echo(summary.text(), err=bool(summary.failed))
    return summary.exit_code


def end(context: click.Context, code: Any) -> Any:
    """The exit code of a command that has ended with ``code``: with ``--partial_ok`` 0 instead of 3, which is then said."""
    if code == SOME_FAILED and context.meta.get("partial_ok"):
        click.echo("some inputs failed; the exit code is 0, as --partial_ok asks", err=True)
        return DONE
    return code
