"""``list``: what there is, and what would have to be fetched."""

from __future__ import annotations

import click

from jukemir_like.cli import options, own_data
from jukemir_like.core.errors import DONE


@click.command(name="list")
@options.cache
def list_(cache: str | None) -> int:
    """List the datasets, deformations, representations, encoders and weights: which are there, and what would have to be fetched."""
    from jukemir_like import datasets, representations
    from jukemir_like.deform import names
    from jukemir_like.encoders import catalogue
    from jukemir_like.stemjepa import checkpoint

    folders = options.open_cache(cache)
    encoders = catalogue.encoders(folders)
    named = {row.name for row in encoders}
    click.echo("datasets:         " + " ".join([*datasets.names(), *own_data.NAMES]))
    click.echo("deformations:     " + " ".join(f"{kind.example.split()[0]}" for kind in names.KINDS.values()))
    click.echo("representations:  " + " ".join(name for name in representations.names() if name not in named))
    click.echo("weights:          " + " ".join(checkpoint.names_with_remarks(folders)))
    click.echo("encoders of others, whose weights `jukemir-like download NAME` brings:\n" + catalogue.table(encoders))
    return DONE
