"""Reads machines: live, a mounted or unpacked root, a test's dict; and runs collectors on them."""
