"""One file per asset subclass: its Struct, how it is collected, and its COLLECTOR.

Modules are pure: they see a `Host` and return rows. Names of files are free; the subclass is
`COLLECTOR.subclass`. Helpers shared by several collectors start with an underscore.
"""
