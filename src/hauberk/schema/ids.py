"""Identifiers and their text forms. Randomness and clocks come in as arguments."""

from __future__ import annotations

import hashlib
import re
from typing import NewType

TenantId = NewType("TenantId", str)
WorkloadId = NewType("WorkloadId", str)
AgentId = NewType("AgentId", str)

TENANT_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
DEFAULT_TENANT = TenantId("default")


def agent_id(public_key: bytes) -> AgentId:
    """An agent is its enrolment key: 32 hex digits of the SHA-256 of the raw public key."""
    return AgentId(hashlib.sha256(b"hauberk-agent\0" + public_key).hexdigest()[:32])


def row_id(workload: str, subclass: str, key: str) -> str:
    """Stable 32-hex-digit id of an asset row, for URLs."""
    parts = f"{workload}\x00{subclass}\x00{key}"
    return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def uuid_from(random16: bytes) -> str:
    """A version 4 UUID from 16 random bytes."""
    raw = bytearray(random16)
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
