"""Entry point: one noun per file of this package, imported only when it is asked for."""

from __future__ import annotations

import os
import pkgutil
import sys
from pathlib import Path

from cyclopts import App, CycloptsError

import hauberk.cli
from hauberk import __version__
from hauberk.errors import HauberkError

USAGE, INCOMPLETE = 2, 3
HELP = """Protects machines, VMs, containers and clusters.

Exit status: 0 done, 1 findings over --fail-on, 2 wrong usage, 3 could not complete.
"""


def build() -> App:
    """The application, with every noun registered by name and none imported."""
    app = App(name="hauberk", help=HELP, version=__version__, version_flags=["--version"])
    for info in pkgutil.iter_modules(hauberk.cli.__path__):
        if info.name.startswith("_") or info.name == "main":
            continue
        source = Path(hauberk.cli.__path__[0]) / f"{info.name}.py"
        app.command(f"hauberk.cli.{info.name}:app", name=info.name, help=_summary(source))
    return app


def main() -> None:
    """Run the command line and exit."""
    try:
        code = build()(sys.argv[1:], exit_on_error=False, print_error=True)
    except CycloptsError:
        sys.exit(USAGE)
    except ImportError as error:
        missing = _missing(error)
        if missing is None:
            raise
        print(
            f"hauberk: this installation lacks {missing}: pip install 'hauberk[server]'",
            file=sys.stderr,
        )
        sys.exit(INCOMPLETE)
    except HauberkError as error:
        print(f"hauberk: {error}", file=sys.stderr)
        sys.exit(INCOMPLETE)
    except BrokenPipeError:
        # The reader left (`| head`): Python would complain at exit when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        # No room, no permission: an operator's matter, not a fault to trace.
        root = "; run it as root" if isinstance(error, PermissionError) and os.geteuid() else ""
        print(f"hauberk: {error}{root}", file=sys.stderr)
        sys.exit(INCOMPLETE)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _missing(error: BaseException | None) -> str | None:
    """The library whose absence is at the root of `error`; None when it is a part of ours."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            return None if error.name.startswith("hauberk") else error.name
        error = error.__cause__
    return None


def _summary(source: Path) -> str:
    with source.open(encoding="utf-8") as file:
        return file.readline().strip().strip('"')


if __name__ == "__main__":
    main()
