"""What can be said of SSH and PEM keys without their secrets."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct

import msgspec

_TYPE = re.compile(
    r"(?:ssh-(?:rsa|dss|ed25519|xmss)|ecdsa-sha2-nistp\d+|sk-[a-z0-9-]+)(?:-cert-v\d+)?"
    r"(?:@openssh\.com)?"
)
_OPTION = re.compile(r'\s*([A-Za-z0-9-]+)(?:="(?:[^"\\]|\\.)*")?\s*(?:,|$)')
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]{0,40}PRIVATE KEY)-----")
_PUTTY = re.compile(rb"PuTTY-User-Key-File-\d: ([\w-]{1,40})\r?\nEncryption: ([\w-]{1,40})")
_MAGIC = b"openssh-key-v1\0"


class PublicKey(msgspec.Struct, frozen=True):
    """`fingerprint` as ssh-keygen prints it; `bits` 0 where the type does not tell."""

    algorithm: str
    bits: int
    fingerprint: str
    comment: str = ""
    options: list[str] = []


class PrivateKey(msgspec.Struct, frozen=True):
    """`form` is openssh, pkcs1, pkcs8, sec1, dsa or putty; `encrypted`: has a passphrase."""

    form: str
    encrypted: bool
    public: PublicKey | None = None


def parse_public(line: str) -> PublicKey | None:
    """A line of authorized_keys or of a .pub file; None when it is neither."""
    text = line.strip()
    options: list[str] = []
    if not _TYPE.match(text):
        cut = _end_of_options(text)
        options = _OPTION.findall(text[:cut])
        text = text[cut:].strip()
    words = text.split(None, 2)
    if len(words) < 2 or not _TYPE.fullmatch(words[0]):
        return None
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        return None
    key = public_of_blob(blob)
    if key is None or key.algorithm != words[0]:
        return None
    comment = words[2] if len(words) > 2 else ""
    return PublicKey(key.algorithm, key.bits, key.fingerprint, comment[:256], options[:32])


def _end_of_options(text: str) -> int:
    quoted = False
    for pos, char in enumerate(text):
        if char == '"' and text[pos - 1 : pos] != "\\":
            quoted = not quoted
        elif char.isspace() and not quoted:
            return pos
    return len(text)


def public_of_blob(blob: bytes) -> PublicKey | None:
    """Type, size and fingerprint of a public key in SSH's binary form."""
    parts = _strings(blob, 3)
    if not parts or not _TYPE.fullmatch(parts[0].decode("ascii", "replace")):
        return None
    algorithm = parts[0].decode("ascii")
    bits = 0
    if algorithm == "ssh-rsa" and len(parts) == 3:
        bits = len(parts[2].lstrip(b"\0")) * 8
        first = parts[2].lstrip(b"\0")[:1]
        bits -= 8 - first[0].bit_length() if first else 0
    elif algorithm == "ssh-dss" and len(parts) >= 2:
        bits = len(parts[1].lstrip(b"\0")) * 8
    elif "ed25519" in algorithm:
        bits = 256
    elif "nistp" in algorithm:
        bits = int("".join(c for c in algorithm.partition("nistp")[2][:3] if c.isdigit()) or 0)
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return PublicKey(algorithm, bits, f"SHA256:{digest}")


def _strings(blob: bytes, most: int) -> list[bytes]:
    """The first `most` length-prefixed strings; fewer when the blob ends."""
    found: list[bytes] = []
    pos = 0
    while len(found) < most and pos + 4 <= len(blob):
        (size,) = struct.unpack_from(">I", blob, pos)
        if size > len(blob) - pos - 4:
            break
        found.append(blob[pos + 4 : pos + 4 + size])
        pos += 4 + size
    return found


def parse_private(data: bytes) -> PrivateKey | None:
    """Form of a private key file; None when it holds none. Nothing secret is decoded."""
    putty = _PUTTY.match(data)
    if putty:
        return PrivateKey("putty", putty[2] != b"none")
    begin = _BEGIN.search(data)
    if not begin:
        return None
    label = begin[1].decode("ascii")
    body = data[begin.end() :].partition(b"-----END")[0]
    if label.startswith("OPENSSH"):
        return _openssh(body)
    if label.startswith("ENCRYPTED"):
        return PrivateKey("pkcs8", encrypted=True)
    form = {"RSA PRIVATE KEY": "pkcs1", "EC PRIVATE KEY": "sec1", "DSA PRIVATE KEY": "dsa"}
    return PrivateKey(form.get(label, "pkcs8"), encrypted=b"Proc-Type: 4,ENCRYPTED" in body[:200])


def _openssh(body: bytes) -> PrivateKey | None:
    try:
        raw = base64.b64decode(b"".join(body.split()))
    except (binascii.Error, ValueError):
        return None
    if not raw.startswith(_MAGIC):
        return None
    head = _strings(raw[len(_MAGIC) :], 3)
    if len(head) < 3:
        return None
    # After cipher, kdf and its options: the number of keys, then the public ones in clear.
    after = len(_MAGIC) + sum(4 + len(part) for part in head) + 4
    public = _strings(raw[after:], 1)
    return PrivateKey("openssh", head[0] != b"none", public_of_blob(public[0]) if public else None)
