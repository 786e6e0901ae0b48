"""``serve``: stems heard with one's own mix, in a browser of this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from jukemir_like.cli import options
from jukemir_like.core.errors import DONE
from jukemir_like.core.parallel import wait_without_spinning
from jukemir_like.core.temporary import temporary_folder


@click.command()
@click.option("--library", "folder", required=True, type=click.Path(), help="Folder of audio to choose from; sub-folders included.")
@click.option("--segments", is_flag=True, help="Parts of stems can be asked for too; they are embedded before the page opens.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of this machine [default: one that is free].")
@options.weights
@options.device
@options.threads
@options.cache
def serve(folder: str, segments: bool, port: int, weights: str | None, device: str | None, threads: int | None, cache: str | None) -> int:
    """Drop a mix in the browser, and hear which stems of a library fit it.

    Only this machine is served, at the address that is printed, until Ctrl-C. What is given stays in memory. A library that changes
    meanwhile is indexed again at the next question.
    """
    wait_without_spinning()
    import torch

    from jukemir_like.core import machine
    from jukemir_like.serve.server import Server

    # Requests are answered by threads that end with the process, whatever they are at: what they were given goes with the folder.
    with temporary_folder() as mixes, Server(port, mixes) as server:  # before the index, which may take long
        from jukemir_like.serve.catalogue import Catalogue
        from jukemir_like.serve.room import Room
        from jukemir_like.stemjepa import checkpoint
        from jukemir_like.stemjepa.inference import StemJEPA

        folders = options.open_cache(cache)
        torch.set_num_threads(threads or machine.available_cpus())
        model = StemJEPA.from_pretrained(checkpoint.resolve(weights, folders), device)
        catalogue = Catalogue(model, Path(folder), folders, segments=segments)
        server.room = Room(model, catalogue, server.prefix)
        click.echo(catalogue.edition.stems.summary.text(), err=True)
        if catalogue.edition.parts is not None:
            summary = catalogue.edition.parts.summary
            click.echo(replace(summary, stage=f"parts of {summary.stage}").text(), err=True)
        click.echo(f"listening (Ctrl-C ends it): {server.address}")
        server.serve_forever(poll_interval=0.1)
    return DONE
