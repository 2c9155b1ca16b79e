"""`python -m tools.provenance`: dist/hauberk-<version>.intoto.json, how the rest was made.

An in-toto statement with SLSA provenance v1 in a DSSE envelope. With `--key` (Ed25519, PEM) it is
signed; docs/threat-model.md says how to check it with openssl alone.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from tools.sbom import version

ROOT = Path(__file__).resolve().parents[1]
PAYLOAD_TYPE = "application/vnd.in-toto+json"
BUILD_TYPE = "https://hauberk.dev/build/make/v1"
MATERIALS = ("pyproject.toml", "hatch_build.py", "console/package-lock.json")
TOOLS = ("gcc", "clang", "node", "npm")


def main(arguments: list[str]) -> int:
    """Write it; 0, or 1 with one line about what is wrong."""
    parser = argparse.ArgumentParser(prog="tools.provenance", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--key", type=Path, help="Ed25519 private key, PEM; none: not signed")
    options = parser.parse_args(arguments)
    name = f"hauberk-{version(ROOT)}.intoto.json"
    artefacts = [
        p
        for p in sorted(options.out.glob("*"))
        if p.is_file() and p.name != name and p.name[0] != "."
    ]
    if not artefacts:
        print(f"provenance: nothing in {options.out}: make wheel first", file=sys.stderr)
        return 1
    try:
        key = private_key(options.key) if options.key else None
        payload = json.dumps(statement(ROOT, artefacts), sort_keys=True).encode()
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"provenance: {error}", file=sys.stderr)
        return 1
    (options.out / name).write_text(json.dumps(envelope(payload, key), indent=1) + "\n")
    how = "signed" if key else "not signed: give --key"
    print(f"{options.out / name}: {len(artefacts)} files, {how}")
    return 0


def statement(root: Path, artefacts: Sequence[Path]) -> dict[str, Any]:
    """The in-toto statement. Raises CalledProcessError outside of a git checkout."""
    commit = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    locks = sorted(str(p.relative_to(root)) for p in (root / "locks").glob("*.txt"))
    materials = [
        {"uri": f"file:{name}", "digest": {"sha256": sha256(root / name)}}
        for name in (*MATERIALS, *locks)
    ]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": p.name, "digest": {"sha256": sha256(p)}} for p in artefacts],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "targets": ["wheel", "agent-bundle", "sbom"],
                    # What no commit describes cannot be built again.
                    "uncommittedChanges": bool(changed),
                },
                "internalParameters": {"tools": tools()},
                "resolvedDependencies": [
                    {"uri": "git+file:.", "digest": {"gitCommit": commit}},
                    *materials,
                ],
            },
            "runDetails": {
                "builder": {
                    "id": "https://hauberk.dev/builder/make",
                    "version": {"python": platform.python_version(), "arch": platform.machine()},
                }
            },
        },
    }


def tools() -> dict[str, str]:
    """First line of what each build tool says of itself; "absent" for one that is not here."""
    out = {}
    for name in TOOLS:
        path = shutil.which(name)
        if path is None:
            out[name] = "absent"
            continue
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        out[name] = done.stdout.partition("\n")[0].strip()
    return out


def pae(payload: bytes) -> bytes:
    """What DSSE signs."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def envelope(payload: bytes, key: Ed25519PrivateKey | None) -> dict[str, Any]:
    """The DSSE envelope; without a key it has no signature."""
    signatures = []
    if key is not None:
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        signatures.append(
            {
                "keyid": hashlib.sha256(public).hexdigest(),
                "sig": base64.b64encode(key.sign(pae(payload))).decode(),
            }
        )
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode(),
        "signatures": signatures,
    }


def private_key(path: Path) -> Ed25519PrivateKey:
    """Raises ValueError when it is no such key."""
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} is no Ed25519 key: openssl genpkey -algorithm ed25519")  # noqa: TRY004
    return key


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
