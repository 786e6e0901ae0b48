"""``download``, ``pack``, ``process``, ``deform`` and ``audit``: the commands about datasets."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jukemir_like.cli import options, own_data
from jukemir_like.core.errors import DONE
from jukemir_like.core.stems import KINDS

if TYPE_CHECKING:
    from jukemir_like.core.cache import Cache


@click.command()
@click.argument("dataset")
@click.option("--num_parallel", type=click.IntRange(1, 64), default=8, show_default=True, help="Files downloaded at the same time.")
@click.option("--delete_wrong", is_flag=True, help="Remove files in the cache that are not what is declared, and download them again.")
@click.option(
    "--from",
    "own_copy",
    type=click.Path(),
    help="Take the assets from this folder, your own copy, in any layout; or vectors from a pack, a file. Nothing is downloaded.",
)
@click.option(
    "--representation",
    help="Instead of assets, vectors of DATASET: those published with jukemir (chroma, mfcc, choi, musicnn, clmr, jukebox), or of a pack.",
)
@click.option("--without_audio", is_flag=True, help="Only the annotations: enough to process with --metadata_only.")
@click.option(
    "--for",
    "needed_by",
    multiple=True,
    help="Where DATASET is a download of which several datasets are made: also the lists that only this one needs; may be repeated.",
)
@click.option("--dry_run", is_flag=True, help="Print sizes, licence, access and sources, and what is in the cache; do nothing.")
@click.option("--songs", type=click.IntRange(1, 20_000), default=600, show_default=True, help="Songs of the embedded dataset.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the embedded dataset.")
@click.option(
    "--soundfonts",
    type=click.Path(file_okay=False),
    help="Folder of .sf2 and .sf3 files that synthband2 is played with, beside the soundfont that pretty_midi carries.",
)
@click.option("--card", type=click.Path(dir_okay=False), help="Card of an encoder of your own.")
@options.workers
@options.partial_ok
@options.cache
def download(
    dataset: str,
    card: str | None,
    songs: int,
    seed: int,
    workers: int | None,
    cache: str | None,
    dry_run: bool,
    own_copy: str | None,
    representation: str | None,
    soundfonts: str | None,
    without_audio: bool,
    needed_by: tuple[str, ...],
    **download_options: Any,
) -> int:
    """Get the raw assets of DATASET, or those whose tags begin with DATASET (such as GIANTSTEPS_MTG), verified and unpacked.

    Lists that only some of the datasets of a download need (the folds of gtzan_ff+artist_folds) are brought for those alone: give that
    dataset's name instead of the download's.

    With --representation, get vectors that somebody else has computed, which is then said with every result on them. The embedded
    datasets, synthband and synthband2, are composed and rendered here: no network is needed. Of an encoder (musicnn-msd, hf:ORG/NAME; see
    `jukemir-like list`) the weights are brought, and converted once.
    """
    workers = options.prepare_workers(workers)
    from jukemir_like import datasets
    from jukemir_like.encoders import encoder

    folders = options.open_cache(cache)
    copy = None if own_copy is None else Path(own_copy)
    is_one = dataset.partition("+")[0] in datasets.names()
    name = datasets.assets(dataset) if is_one else dataset
    for other in needed_by:
        if datasets.assets(other) != name:
            raise click.UsageError(f"--for {other}: it is made of the download {datasets.assets(other)}, not of {name}")
    if encoder.is_encoder(dataset, card, folders):
        return _download_weights(dataset, card, folders, dry_run=dry_run, own_copy=copy, **download_options)
    from jukemir_like.downloads.declarations import only_for_others, select_assets
    from jukemir_like.downloads.summary import describe_selection

    if representation is not None:
        return _obtain(dataset, representation, folders, copy, dry_run, **download_options)
    assets = select_assets(name, [*needed_by, *([dataset] if is_one else [])])
    left_out = only_for_others(assets) if name == dataset and name in {declaration.name for declaration, _ in assets} else {}
    if without_audio:
        assets = [(declaration, [asset for asset in chosen if asset.kind != "audio"]) for declaration, chosen in assets]
    if dry_run:
        click.echo(describe_selection(assets, folders))
        for line in map(_left_out, left_out.items()):
            click.echo(line)
        return DONE
    if soundfonts is not None and name != "synthband2":
        raise click.UsageError("--soundfonts is for synthband2")
    if name not in datasets.COMPOSED:
        from jukemir_like.downloads.download import download as run

        summary = run(assets, folders, own_copy=copy, **download_options)
        summary.notes += map(_left_out, left_out.items())
        return options.finish(summary)
    if own_copy is not None:
        raise click.UsageError(f"{name} is made here: --from is for datasets that are downloaded")
    from jukemir_like.synthband.generation import generate

    fonts = None if soundfonts is None else Path(soundfonts)
    return options.finish(generate(folders.dataset(name), songs=songs, seed=seed, workers=workers, edition=name, soundfonts=fonts))


def _left_out(only: tuple[str, list[str]]) -> str:
    """What to say of assets that only the named datasets need."""
    names, tags = only
    return f"left out, as only {names} needs them: {' '.join(tags)} (`jukemir-like download {names.partition(',')[0]}` gets them)"


def _download_weights(name: str, card: str | None, cache: Cache, *, dry_run: bool, own_copy: Path | None, **download_options: Any) -> int:
    from jukemir_like.downloads.summary import describe_selection
    from jukemir_like.encoders import encoder, hub, weights

    asked = described = encoder.card_to_download(name, cache, card, own_copy)
    if described.weights_name != described.name:
        described = encoder.card_to_download(described.weights_name, cache, None, own_copy)
    if dry_run:
        click.echo(describe_selection(weights.selection(described), cache))
        return DONE
    convert = encoder.encoder_class(described).convert
    summary = weights.get(described, cache, convert, own_copy=own_copy, **download_options)
    if asked is not described and not summary.failed:
        hub.pin(asked, cache)
    return options.finish(summary)


def _obtain(dataset: str, representation: str, cache: Cache, copy: Path | None, dry_run: bool, **download_options: Any) -> int:
    """Vectors from elsewhere: what is done, or would be, is printed; returns the exit code."""
    from jukemir_like.packs import obtaining

    if dry_run:
        click.echo(obtaining.describe(dataset, representation, cache, copy))
        return DONE
    *done, last = obtaining.obtain(dataset, representation, cache, copy, **download_options)
    for summary in done:
        options.finish(summary)
    return options.finish(last)


@click.command()
@click.argument("dataset")
@click.argument("representation")
@click.option("--output", type=click.Path(dir_okay=False), help="The file [default: DATASET-REPRESENTATION.zip in the working folder].")
@click.option("--by", "made_by", help="Who you are, for those who take the vectors over [default: it is not stated].")
@click.option("--licence", help="Of the vectors [default: it is not stated].")
@options.cache
def pack(dataset: str, representation: str, output: str | None, made_by: str | None, licence: str | None, cache: str | None) -> int:
    """Write the vectors of REPRESENTATION on DATASET, with their records and a card, into one file for another cache.

    There, `jukemir-like download DATASET --representation REPRESENTATION --from FILE` takes them over.
    """
    from jukemir_like.packs.packing import pack as run

    path = None if output is None else Path(output)
    click.echo(run(options.open_cache(cache), dataset, representation, path, made_by=made_by, licence=licence))
    return DONE


@click.command()
@click.argument("dataset")
@click.option("--audio", type=click.Path(file_okay=False), help="Folder of audio, for `folder`, `pseudo_stems`; of MIDI files, for `midi`.")
@click.option(
    "--soundfonts",
    type=click.Path(file_okay=False),
    help="Folder of .sf2 and .sf3 files, for `midi`: one is drawn for each song [default: the soundfont that pretty_midi carries].",
)
@click.option("--keep_families", is_flag=True, help="Of `midi`, a channel for each family of instruments instead of the four usual stems.")
@click.option(
    "--labels",
    type=click.Path(dir_okay=False),
    help="Table of labels, for `folder` (CSV, TSV): columns uid or path, label(s); split or fold, and group optional. For `pseudo_stems` "
    "only the splits and groups of such a table are read.",
)
@click.option(
    "--label", "label_columns", multiple=True, help="A label column of the table [default: all that look like labels]; may be repeated."
)
@click.option(
    "--task",
    "task_types",
    metavar="[COLUMN=]TYPE",
    multiple=True,
    help="Read the label columns, or this one, as multiclass, multilabel, regression, key or tempo [default: by values]; may be repeated.",
)
@click.option("--group", default="group", show_default=True, help="Column whose items must not be divided between splits or folds.")
@click.option("--fold", help="Column of folds [default: that which is called so, where the table names no splits].")
@click.option("--shared_groups", is_flag=True, help="Accept folds that divide groups.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed with which splits that your table lacks are assigned, and soundfonts drawn.",
)
@click.option(
    "--stems_table",
    type=click.Path(dir_okay=False),
    help="Of a dataset of many sources (slakh2100, babyslakh, moisesdb, medleydb, midi): which instrument is in which channel (CSV: name, "
    "channel) [default: the dataset's stems.csv].",
)
@click.option(
    "--stems",
    type=click.Choice(KINDS),
    default=KINDS[0],
    show_default=True,
    help="Of a dataset of many sources (as above): with `instruments` a channel for each instrument of a song, under its own name, so that "
    "songs have any number of stems; its name in the cache is then DATASET_instruments.",
)
@click.option("--refuse_unknown", is_flag=True, help="Refuse sources that this table does not name; without it they are in other.")
@click.option("--name", help="Name of the dataset in the cache [default: DATASET].")
@click.option("--metadata_only", is_flag=True, help="Write meta.json and dataset.json, no audio.")
@options.workers
@options.partial_ok
@options.cache
@click.pass_context
def process(
    context: click.Context, /, dataset: str, workers: int | None, cache: str | None, metadata_only: bool, name: str | None,
    stems_table: str | None, stems: str, refuse_unknown: bool, soundfonts: str | None, keep_families: bool, **table_options: Any,
) -> int:  # fmt: skip
    """Turn DATASET into WAV and meta.json.

    Or `folder`: your own audio; `midi`: your MIDI files, rendered to stems; `pseudo_stems`: your own audio, divided into what is struck,
    what is low and all else.

    Of your own table it says at the end what it understood: columns, tasks, labels, missing values, items by split; so does dataset.json.
    Whole numbers that repeat are classes, unless `--task COLUMN=regression` says otherwise; cells that are empty, NA, NaN, None, null, -
    or ? are missing labels. A known dataset has labels and splits of its own: options of tables, --seed among them, do not
    count there, and it says so.
    """
    workers = options.prepare_workers(workers)
    from jukemir_like import datasets
    from jukemir_like.datasets.deformed import split_name
    from jukemir_like.process import process as run

    folders = options.open_cache(cache)
    instruments = stems == "instruments"
    if name is None:
        name = f"{dataset}_instruments" if instruments else dataset
    output = folders.processed(name)
    if dataset in own_data.NAMES and datasets.is_known(name):
        raise click.UsageError(f"{name} is the name of a known dataset, which would be overwritten: give --name another one")
    if split_name(name) is not None:
        raise click.UsageError(f"{name} would be taken for a deformed dataset, because of the ~: give --name another one")
    if dataset != "midi" and (soundfonts is not None or keep_families):
        raise click.UsageError("--soundfonts and --keep_families are for midi")
    table = None if stems_table is None else Path(stems_table)
    if dataset in ("folder", "pseudo_stems") and (table is not None or refuse_unknown):
        raise click.UsageError("--stems_table and --refuse_unknown are for datasets of many sources, not for your own folder")
    if instruments and (dataset in ("folder", "pseudo_stems") or keep_families or refuse_unknown):
        raise click.UsageError("--stems instruments is for datasets of many sources and midi, without --keep_families and --refuse_unknown")
    if dataset == "midi":
        source = own_data.midi_dataset(name, soundfonts, table, keep_families, refuse_unknown, instruments, workers, **table_options)
    elif dataset == "pseudo_stems":
        source = own_data.pseudo_stems_dataset(name, **table_options)
    elif dataset == "folder":
        source = own_data.folder_dataset(name, **table_options)
    else:
        source = datasets.from_assets(dataset, folders, stems_table=table, refuse_unknown=refuse_unknown, instruments=instruments)
    summary = run(source, output, workers=workers, metadata_only=metadata_only)
    unused = set(table_options) - (set(table_options) if dataset == "folder" else own_data.OPTIONS.get(dataset, set()))
    if given := own_data.given(context, unused):
        reason = "takes no labels" if dataset in own_data.NAMES else "has labels and splits of its own"
        summary.notes.append(f"{', '.join(given)} did not count: {dataset} {reason}")
    return options.finish(summary)


@click.command()
@click.argument("dataset")
@options.workers
@options.partial_ok
@options.cache
def audit(dataset: str, workers: int | None, cache: str | None) -> int:
    """Look for what a score on DATASET could owe to something else than the music.

    Artists, albums and recordings in several splits, duplicate audio, labels and audio that are missing.
    """
    workers = options.prepare_workers(workers)
    from jukemir_like.audit.audit import audit as run

    audited = run(options.open_cache(cache), dataset, workers=workers)
    click.echo(audited)
    return audited.exit_code


def _show_deformations(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: ARG001
    if value:
        from jukemir_like.deform import names

        click.echo(names.table())
        context.exit()


@click.command()
@click.argument("dataset")
@click.argument("deformations", metavar="DEFORMATION...", nargs=-1, required=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of noise and reverberation.")
@click.option("--all_items", is_flag=True, help="Not the test items alone: for `probe --folds K`, which tests each item once.")
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=_show_deformations, help="List the deformations, and end."
)
@options.workers
@options.partial_ok
@options.cache
def deform(dataset: str, deformations: tuple[str, ...], seed: int, all_items: bool, workers: int | None, cache: str | None) -> int:
    """Write the test items of DATASET, which is processed, with changed audio: each DEFORMATION as a dataset DATASET~DEFORMATION.

    Such as noise-20 (SNR in dB), mp3-32 (kbit/s), pitch+2 (semitones). With its vectors extracted, `probe DATASET~DEFORMATION` trains on
    clean audio and tests on the deformed; the report says what a representation loses. A dataset that comes in folds is deformed whole, as
    each fold is tested.
    """
    workers = options.prepare_workers(workers)
    from jukemir_like.deform import names
    from jukemir_like.deform.stage import deform as run

    folders = options.open_cache(cache)
    for deformation in deformations:
        names.parse(deformation)  # all of them, before the first is written
    stage = partial(run, folders, dataset, seed=seed, workers=workers, all_items=all_items)
    return max([options.finish(stage(one)) for one in dict.fromkeys(deformations)])
