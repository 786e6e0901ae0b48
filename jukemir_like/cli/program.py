"""The program: the group of all commands, and how it starts and ends (streams, signals, errors, exit codes)."""

from __future__ import annotations

import os
import sys

import click

from jukemir_like.cli import data, launch, listing, representations, retrieval, serve, stemjepa
from jukemir_like.core import signals, stdio
from jukemir_like.core.errors import DONE, WRONG_REQUEST, JukemirLikeError
from jukemir_like.core.version import __version__


def main() -> None:
    """Runs the command line and exits: 0 done, 1 a bug, 2 a wrong request, 3 some inputs failed, 130 interrupted."""
    stdio.prepare()
    signals.install()
    is_interrupted = False
    try:
        code = _run()
    except signals.Interrupted:
        is_interrupted = True
    except BrokenPipeError:  # the reader of our output has closed it, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    if is_interrupted:  # not in the block above, where the exception keeps generators, and what they use, alive
        signals.exit_interrupted()
    sys.exit(code)


def _run() -> int:
    try:
        with signals.not_replaced():
            code = cli.main(standalone_mode=False, prog_name="jukemir-like")
    except JukemirLikeError as error:
        from jukemir_like.core.files import printable

        click.echo(f"jukemir-like: {printable(str(error))}", err=True)
        code = error.exit_code
    except click.ClickException as error:
        click.echo(f"jukemir-like: {error.format_message()} (see jukemir-like {_command_name()}--help)", err=True)
        code = WRONG_REQUEST
    signals.disarm()
    return stdio.close(code if isinstance(code, int) else DONE)


def _command_name() -> str:
    name = next((word for word in sys.argv[1:] if word not in ("--docker", "--apptainer")), "")
    return f"{name} " if name in cli.commands else ""


@click.group(
    cls=launch.Stages,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="jukemir-like")
@click.option("--docker", is_flag=True, help="Run the stage in its image, by the Docker engine of this machine.")
@click.option("--apptainer", is_flag=True, help="Run the stage in its image, by Apptainer; the .sif is in the cache.")
@click.pass_context
def cli(context: click.Context, docker: bool, apptainer: bool) -> None:  # noqa: ARG001 -- launch.Stages reads them
    """Which representation of audio knows what about music?

    Each command is one stage; a stage reads a folder and writes a folder. `make reproduce` runs them all.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _command in (
    data.download,
    data.pack,
    data.process,
    data.deform,
    data.audit,
    listing.list_,
    representations.extract,
    stemjepa.train,
    stemjepa.convert,
    retrieval.retrieve,
    retrieval.evaluate_retrieval,
    serve.serve,
    representations.probe,
    representations.report,
    launch.commands,
    launch.conform,
):
    cli.add_command(_command)
