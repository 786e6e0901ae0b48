"""``commands`` and ``conform``, and what ``--docker`` and ``--apptainer`` before a stage do: it runs in its image."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import click

from jukemir_like.cli import options
from jukemir_like.core.errors import DONE


class Stages(click.Group):
    """A group in which, where its option ``docker`` or ``apptainer`` is set, those commands that are stages run in their images."""

    def resolve_command(self, context: click.Context, arguments: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; the command found is replaced by one that runs in its image if that was asked for."""
        name, command, rest = super().resolve_command(context, arguments)
        program = next((program for program in ("docker", "apptainer") if context.params.get(program)), None)
        if command is not None and program is not None:
            command = _in_its_image(command, program)
        return name, command, rest


def _in_its_image(command: click.Command, program: str) -> click.Command:
    """``command``, which is parsed and checked here as usual, but runs in a container."""
    from jukemir_like.launch import images

    if command.name not in images.STAGES:
        raise click.UsageError(f"{command.name} is no stage and has no image: leave out --{program}")

    def launch(**params: Any) -> int:
        from jukemir_like.core.cache import Cache
        from jukemir_like.launch import apptainer, planning, running

        container = planning.plan(click.get_current_context())
        return running.run(container) if program == "docker" else apptainer.run(container, Cache.default(params.get("cache")))

    launched = copy.copy(command)
    launched.callback = launch
    return launched


@click.group()
def commands() -> None:
    """Print the commands of a stage's parts, for a scheduler or another machine."""


@commands.command()
@click.option("--representation", required=True, help="What to extract.")
@options.input_and_output
@click.option("--batch_size", type=click.IntRange(1), default=256, show_default=True, help="Files per batch.")
@click.option("--runner", type=click.Choice(["docker", "apptainer", "plain"]), default="docker", show_default=True, help="What runs it.")
@click.option("--layers", metavar="all|L,L,…", help="Vectors of these layers from one pass, into OUTPUT/NAME.layerL/.")
@options.gpus
@click.option("--image", help="Instead of the image of this version: another one, or a .sif file for apptainer.")
@options.representation_options
@options.workers
@options.cache
def extract(
    representation: str, input: str | None, output: str | None, dataset: str | None, batch_size: int, runner: str, gpus: bool,  # noqa: A002
    image: str | None, cache: str | None, **representation_options: Any,
) -> int:  # fmt: skip
    """Print the command of every batch of extraction, counted from the folder, one per line; each can be pasted into a shell as it is."""
    from jukemir_like.launch.commands import batches

    for line in batches(
        representation, input, output, dataset, cache,
        batch_size=batch_size, runner=runner, gpus=gpus, image=image, **representation_options,
    ):  # fmt: skip
        click.echo(line)
    return DONE


@click.command()
@click.argument("image")
@click.option(
    "--rule", "rules", multiple=True, help="Only this clause of the contract (C5), or this rule of it (C5.dtype); may be repeated."
)
@click.option(
    "--weights", type=click.Path(exists=True, file_okay=False), multiple=True,
    help="Folder of an encoder's weights, such as cache/weights/choi: the image sees it, read-only, in /cache/weights; may be repeated.",
)  # fmt: skip
@options.gpus
def conform(image: str, rules: tuple[str, ...], weights: tuple[str, ...], gpus: bool) -> int:
    """Check that IMAGE keeps the contract of a representation's image."""
    from jukemir_like.conformance import check

    report = check(image, only=rules or None, gpus=gpus, weights=[Path(folder).absolute() for folder in weights])
    click.echo(report.text())
    return report.exit_code
