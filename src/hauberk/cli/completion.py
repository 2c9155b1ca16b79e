"""Shell completion: prints the script for bash, zsh or fish."""

from __future__ import annotations

from typing import Literal

from cyclopts import App

app = App(name="completion", help=__doc__)


@app.default
def completion(shell: Literal["bash", "zsh", "fish"] = "bash") -> None:
    """Print the script, for `hauberk completion bash > /etc/bash_completion.d/hauberk`."""
    from hauberk.cli.main import build

    print(build().generate_completion(shell=shell))
