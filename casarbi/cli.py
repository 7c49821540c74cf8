"""`casarbi`: enlarge photographs, train, tell what there is."""

from __future__ import annotations

import click

from casarbi.commands import completion, info, models
from casarbi.console import CasarbiGroup
from casarbi.training.command import train
from casarbi.upscaling.command import upscale


@click.group(
    cls=CasarbiGroup,
    stopped="Stopped: the results written so far are whole.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="casarbi", prog_name="casarbi")
def main() -> None:
    """Enlarge pictures by any factor, whole or not.

    \b
    Examples, all offline:
      casarbi upscale photo.jpg --scale 3.7
      casarbi upscale holiday/ --width 3840 -o large/
      casarbi models
      casarbi completion bash >> ~/.bashrc
    """


for command in (upscale, train, models, info, completion):
    main.add_command(command)


if __name__ == "__main__":
    main()
