"""Commands of `casarbi` that tell what there is: models, one model, completion. Heavy imports stay in the bodies."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from casarbi.completion import SHELLS, complete_model, completion_script
from casarbi.console import make_console, say
from casarbi.errors import CasarbiError

if TYPE_CHECKING:
    from casarbi.known_models import KnownModel
    from casarbi.sr import ModelInfo


@click.command()
def models() -> None:
    """List the models that -m takes: size, scales, licence, training pictures, looks and speed.

    Speed is for one CPU core. `casarbi info REF` says more of each.

    \b
    Example:
      casarbi models
    """
    console = make_console()
    say(console, _line("MODEL", "SIZE", "SCALES", "LOOKS AND SPEED"))
    say(console, "    trained on · licence")
    from casarbi.known_models import known_models

    for model in known_models():
        facts = model.info()
        licence = model.weights.licence if model.weights else facts.licence if facts else ""
        more = " · ".join(word for word in (model.trained_on, licence, model.missing) if word)
        say(console, _line(model.reference, model.size, _scales(facts), model.looks))
        if more:
            say(console, f"    {more}")
    say(console, "Plug-ins: -m my_package.module:factory. Your own weights: -m liif:FILE, casarbi:FILE and so on.")


def _line(reference: str, size: str, scales: str, words: str) -> str:
    return f"{reference:<33}{size:>8}  {scales:<8}{words}"


def _scales(facts: ModelInfo | None) -> str:
    return "x{:g}–x{:g}".format(*facts.trained_scales) if facts and facts.trained_scales else "any"


@click.command()
@click.argument("reference", metavar="[REF]", required=False, shell_complete=complete_model)
def info(reference: str | None) -> None:
    """Say what a model is: weights, trained scales, licence, what decides its output, and its options.

    Without REF the names of all methods are listed (`casarbi models` says more of each); for a weights file, its header
    is printed: settings, training data, curve, metrics and the command that trained it.

    \b
    Examples, all offline:
      casarbi info
      casarbi info liif:mini-face
      casarbi info runs/mini-liif-face/best.safetensors
    """
    from casarbi.known_models import find_known
    from casarbi.sr import MODELS

    console = make_console()
    if reference is None:
        for name in MODELS.names():
            say(console, name)
        return
    # A file: its header says more than a model opened from it.
    if os.path.isfile(reference):  # False for what can be no file name, too
        from casarbi.training.describe import describe_file

        if not reference.endswith(".safetensors"):
            raise CasarbiError(f"{reference} has no header to print: name its method too, as in idm:{reference}.")
        for line in describe_file(Path(reference)):
            say(console, line)
        return
    known = find_known(reference)
    # What is known is said even if the weights are not here; a model that is here is opened too.
    lines = _known_facts(known) if known else {}
    if not known or not (known.is_pattern or known.missing):
        lines = _facts(reference) | lines
    for name, value in {"model": reference, **lines, **_options(reference)}.items():
        say(console, f"{name:<14} {value}")


def _facts(reference: str) -> dict[str, str]:
    """Facts of an opened model."""
    from casarbi.sr import create_model

    model = create_model(reference)
    facts = model.info
    trained = "none" if facts.trained_scales is None else "x{:g} to x{:g}".format(*facts.trained_scales)
    lines = {
        "parameters": f"{facts.parameters:,}",
        "trained scales": trained,
        "stochastic": "yes, by --seed" if facts.stochastic else "no",
        "weights": facts.weights,
        "licence": facts.licence,
        "source": facts.source,
        "identity": json.dumps(model.identity, ensure_ascii=False, sort_keys=True),
    }
    return lines | ({"warning": facts.warning} if facts.warning else {})


def _options(reference: str) -> dict[str, str]:
    """What may stand after the reference's question mark, and what it does."""
    from casarbi.references import MODELS, Reference, options_of_factory
    from casarbi.settings import WORDS

    factory, _ = MODELS.factory(Reference.parse(reference))
    lines = {}
    for name, kind in options_of_factory(factory).items():
        about = kind.option.help if kind.option else WORDS.get(kind.type, "")
        lines[f"?{name}="] = f"{' | '.join(kind.choices)}: {about}" if kind.choices else about
    return lines


def _known_facts(known: KnownModel) -> dict[str, str]:
    """What is known of a model without opening it."""
    lines = {"file size": known.size, "trained on": known.trained_on, "looks": known.looks}
    if known.missing and known.weights:
        lines |= {"licence": known.weights.licence, "source": known.weights.source, "not here": known.missing}
    if known.is_pattern:
        lines["usage"] = f"-m {known.reference}"
    if known.command:
        lines["trained by"] = f"{known.command}   (casarbi info {known.path} prints the whole header)"
    return {name: value for name, value in lines.items() if value and value != "–"}


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a script that completes commands, options and models.

    \b
    Examples:
      casarbi completion bash >> ~/.bashrc
      casarbi completion zsh >> ~/.zshrc
      casarbi completion fish > ~/.config/fish/completions/casarbi.fish
    """
    click.echo(completion_script(click.get_current_context().find_root().command, "casarbi", shell))
