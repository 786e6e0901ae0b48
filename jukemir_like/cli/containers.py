"""On the command line: ``--docker`` before a stage, and ``commands``, which prints what a scheduler is to run."""

from __future__ import annotations

import copy
from typing import Any

import click

from jukemir_like.core.errors import DONE
from jukemir_like.launch import images


class Stages(click.Group):
    """Commands of which those that are stages run in their image where the group's option ``docker`` is set."""

    def resolve_command(self, context: click.Context, arguments: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(context, arguments)
        if command is not None and context.params.get("docker"):
            command = _in_its_image(command)
        return name, command, rest


def _in_its_image(command: click.Command) -> click.Command:
    """``command``, parsed and checked here as ever, and run in a container."""
    if command.name not in images.STAGES:
        raise click.UsageError(f"{command.name} is no stage and has no image: leave out --docker")

    def launch(**_: Any) -> int:
        from jukemir_like.launch import planning, running

        return running.run(planning.plan(click.get_current_context()))

    launched = copy.copy(command)
    launched.callback = launch
    return launched


@click.group()
def commands() -> None:
    """Print the commands of a stage's parts, for a scheduler or another machine."""


@commands.command()
@click.option("--representation", required=True, help="What to extract.")
@click.argument("input", type=click.Path(), required=False)
@click.argument("output", type=click.Path(), required=False)
@click.option("--dataset", help="Instead of INPUT and OUTPUT: the folders of this dataset in the cache.")
@click.option("--batch_size", type=click.IntRange(1), default=256, show_default=True, help="Files a batch.")
@click.option("--runner", type=click.Choice(["docker", "apptainer", "plain"]), default="docker", show_default=True, help="What runs it.")
@click.option("--gpus", is_flag=True, help="Give the containers the GPUs.")
@click.option("--image", help="Instead of the image of this version: another one, or a .sif file for apptainer.")
@click.option("--weights", help="Of stemjepa: a name in the package or the cache, or a path [default: the package's own].")
@click.option("--precision", type=click.Choice(["32", "bf16"]), help="Of stemjepa [default: 32].")
@click.option("--workers", type=click.IntRange(1), help="Worker processes [default: one a processor].")
@click.option(
    "--cache",
    type=click.Path(file_okay=False),
    help="Where stages read and write [default: $JUKEMIR_LIKE_CACHE_DIR, else ~/.jukemir_like].",
)
def extract(
    representation: str, input: str | None, output: str | None, dataset: str | None, batch_size: int, runner: str, gpus: bool,  # noqa: A002
    image: str | None, cache: str | None, **options: Any,
) -> int:  # fmt: skip
    """Print the command of every batch of extraction, counted from the folder, one a line; each can be pasted into a shell as it is."""
    from jukemir_like.launch import batches

    for line in batches.lines(
        representation, input, output, dataset, cache, batch_size=batch_size, runner=runner, gpus=gpus, image=image, **options
    ):
        click.echo(line)
    return DONE
