"""``commands`` and ``conform``, and what ``--docker`` and ``--apptainer`` before a stage do: it runs in its image."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

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

    def invoke(self, context: click.Context) -> Any:
        """As click does; the exit code is that of the command, unless ``--partial_ok`` makes it another."""
        return options.end(context, super().invoke(context))


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


_ONLY_OF = {
    "container": ("slurm",),
    "hours": ("slurm",),
    "max_array_size": ("slurm",),
    "claims": ("kubernetes",),
    "user": ("kubernetes",),
    "parallel": ("slurm", "kubernetes"),
    "cpus": ("slurm", "kubernetes"),
    "memory": ("slurm", "kubernetes"),
    "only": ("docker", "apptainer", "plain", "slurm"),
}
"""Options of ``commands extract`` that some runners do not have → those that have them."""


@commands.command()
@click.option("--representation", required=True, help="What to extract.")
@options.input_and_output
@click.option("--batch_size", type=click.IntRange(1), default=256, show_default=True, help="Files per batch.")
@click.option(
    "--runner",
    type=click.Choice(["docker", "apptainer", "plain", "slurm", "kubernetes"]),
    default="docker",
    show_default=True,
    help="What runs it; for slurm and kubernetes a file is printed, for others a line per batch.",
)
@click.option("--layers", metavar="all|L,L,…", help="Vectors of these layers from one pass, into OUTPUT/NAME.layerL/.")
@options.matrix
@options.gpus
@click.option("--image", help="Instead of the image of this version: another one, or a .sif file for Apptainer.")
@click.option("--batches", "only", metavar="I,I-J,…", help="Only these batches, from 0; as `commands collect` prints them.")
@click.option(
    "--container",
    type=click.Choice(["apptainer", "none"]),
    default="apptainer",
    show_default=True,
    help="slurm: in an image, or by this program, installed on the nodes.",
)
@click.option("--parallel", type=click.IntRange(1), default=32, show_default=True, help="slurm, kubernetes: batches at the same time.")
@click.option("--cpus", type=click.IntRange(1), help="slurm, kubernetes: processors per batch [default: --workers, else 4].")
@click.option(
    "--memory",
    type=click.FloatRange(0, min_open=True),
    metavar="GB",
    help="slurm, kubernetes: memory per batch [default: what the representation needs].",
)
@click.option(
    "--hours",
    type=click.FloatRange(0, min_open=True),
    help="slurm: time limit per batch [default: what the representation needs for files of 30 s].",
)
@options.max_array_size
@click.option(
    "--claim",
    "claims",
    metavar="NAME=FOLDER",
    multiple=True,
    help="kubernetes: the PersistentVolumeClaim that holds what this machine sees as FOLDER; may be repeated [default: hostPath].",
)
@click.option("--user", metavar="UID:GID", help="kubernetes: whom the pods run as, not root [default: yourself, or 1000:1000 for root].")
@options.representation_options
@options.workers
@options.cache
@click.pass_context
def extract(
    context: click.Context, /, representation: str, input: str | None, output: str | None, dataset: str | None, runner: str,  # noqa: A002
    cache: str | None, claims: tuple[str, ...], user: str | None, **extract_options: Any,
) -> int:  # fmt: skip
    """Print what extracts every batch, counted from the folder: a line each, a script for sbatch, or a manifest for kubectl.

    A line can be pasted into a shell as it is. The script is submitted by `sbatch FILE`, the manifest by `kubectl apply -f FILE`. In these
    two, batches in which some files failed count as done, as schedulers know no third way; `jukemir-like commands collect` tells what
    failed.
    """
    for name, runners in _ONLY_OF.items():
        if runner in runners:
            continue
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = next(parameter.opts[0] for parameter in context.command.params if parameter.name == name)
            raise click.UsageError(f"--runner {runner} has no {option}: it is of {', '.join(runners)}")
        extract_options.pop(name, None)
    if extract_options["layers"] is not None:
        from jukemir_like.launch.layer_names import check_layers

        check_layers(representation, extract_options["layers"], options.open_cache(cache), extract_options.get("card"))
    request = (representation, input, output, dataset, cache)
    if runner == "slurm":
        from jukemir_like.launch import slurm_array

        script = slurm_array.script(*request, **extract_options)
        click.echo(script.text, nl=False)
        for note in script.notes:
            click.echo(f"note: {note}", err=True)
    elif runner == "kubernetes":
        from jukemir_like.launch import indexed_job

        named = _named(claims)
        click.echo(indexed_job.manifest(*request, claims=named, user=_user_and_group(user), **extract_options))
    else:
        from jukemir_like.launch.commands import batches

        for line in batches(*request, runner=runner, **extract_options):
            click.echo(line)
    return DONE


def _named(claims: tuple[str, ...]) -> dict[str, str]:
    """Name of a claim → folder."""
    named = dict(claim.partition("=")[::2] for claim in claims)
    if len(named) < len(claims) or not all(named.values()):
        raise click.UsageError("--claim is NAME=FOLDER, each name once")
    return named


def _user_and_group(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    user, colon, group = text.partition(":")
    if not (user.isdecimal() and (group if colon else user).isdecimal()):
        raise click.UsageError(f"--user is UID:GID, two numbers, not {text!r}")
    return int(user), int(group or user)


@commands.command()
@click.argument("output", type=click.Path(file_okay=False), required=False)
@click.option(
    "--input", "input_", type=click.Path(file_okay=False), help="Folder of the inputs: then also batches are known that never began."
)
@click.option("--dataset", help="Instead of OUTPUT: the folders of this dataset in the cache; with --representation.")
@click.option("--representation", help="What was extracted of --dataset.")
@click.option("--batch_size", type=click.IntRange(1), help="Files per batch [default: as the records are named].")
@click.option("--most", type=click.IntRange(0), default=20, show_default=True, help="Lines of batches and of failures.")
@options.max_array_size
@options.cache
def collect(
    output: str | None, input_: str | None, dataset: str | None, representation: str | None, batch_size: int | None, most: int,
    max_array_size: int, cache: str | None,
) -> int:  # fmt: skip
    """List what failed or is missing over all batches of an extraction, and how to repeat only these batches.

    Of layers that were extracted in one pass, each is listed.

    The exit code is 0 where all files are done, else 3.
    """
    from jukemir_like import extract as extraction
    from jukemir_like.launch import collecting

    if (dataset is None) != (representation is None) or (dataset is None) == (output is None) or (dataset and input_):
        raise click.UsageError("give OUTPUT, and --input where it is at hand, or --dataset and --representation")
    source, target = None if input_ is None else Path(input_), Path(str(output))
    if dataset is not None:
        source, target = extraction.folders(str(representation), None, None, dataset, options.open_cache(cache))
    code = DONE
    for folder in collecting.folders(target, representation):
        collected = collecting.collect(folder, source=source, batch_size=batch_size)
        click.echo(collected.text(most, max_array_size))
        code = code or collected.exit_code
    return code


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
