"""The one helper that finds parts by walking a package, called by composition roots."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TypeVar

T = TypeVar("T")


def discover(package: str, attribute: str, kind: type[T]) -> dict[str, T]:
    """Import every module of `package` and gather what each calls `attribute`.

    Args:
        package: dotted name, such as "hauberk.assets".
        attribute: module attribute to read, such as "COLLECTOR"; modules without it are helpers.
        kind: the attribute must be an instance of this.

    Returns:
        module name (last part) -> object, in name order.

    Raises:
        TypeError: a module's attribute is of another kind.
    """
    root = importlib.import_module(package)
    found: dict[str, T] = {}
    for info in sorted(pkgutil.iter_modules(root.__path__), key=lambda i: i.name):
        module = importlib.import_module(f"{package}.{info.name}")
        part = getattr(module, attribute, None)
        if part is None:
            continue
        if not isinstance(part, kind):
            raise TypeError(f"{package}.{info.name}.{attribute} is not a {kind.__name__}")
        found[info.name] = part
    return found
