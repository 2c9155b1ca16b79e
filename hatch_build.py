"""Build hook (replaced by the native build)."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeHook(BuildHookInterface[Any]):
    """Nothing yet."""
