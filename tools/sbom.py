"""`python -m tools.sbom`: dist/hauberk-<version>.cdx.json, what the product is made of.

CycloneDX 1.6. Python packages with the hashes that the lock files pin, the console's npm packages,
and the C libraries that are copied beside the sensor and into the agent package.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib.metadata
import json
import re
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parents[1]
NATIVE = "src/hauberk/sensor/_native"
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s\\;]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
# Of those that the locks pin for other platforms, so that no build here has them.
ELSEWHERE = {"colorama": "BSD-3-Clause", "tzdata": "Apache-2.0", "win32-setctime": "MIT"}
_licences = LicenseFactory()


def main(arguments: list[str]) -> int:
    """Write it; 0, or 1 with one line about what is wrong."""
    parser = argparse.ArgumentParser(prog="tools.sbom", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    options = parser.parse_args(arguments)
    text = render(ROOT, sorted(options.out.glob("hauberk-agent-*.tar.xz")))
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        print(f"sbom: does not fit its schema: {str(wrong)[:300]}", file=sys.stderr)
        return 1
    options.out.mkdir(exist_ok=True)
    path = options.out / f"hauberk-{version(ROOT)}.cdx.json"
    path.write_text(text)
    print(f"{path}: {len(json.loads(text)['components'])} components")
    return 0


def version(root: Path) -> str:
    """The product's."""
    found = re.search(r'^version = "([^"]+)"', (root / "pyproject.toml").read_text(), re.MULTILINE)
    assert found  # the build itself reads it from there
    return found[1]


def render(root: Path, bundles: Iterable[Path] = ()) -> str:
    """The document; the same for the same input.

    Args:
        root: the source tree, its native parts built.
        bundles: agent packages whose own parts are listed as well.
    """
    product = version(root)
    bom = Bom()
    bom.metadata.component = Component(
        name="hauberk",
        version=product,
        type=ComponentType.APPLICATION,
        bom_ref="hauberk",
        licenses=[_licences.make_from_string("Apache-2.0")],
        purl=PackageURL("pypi", name="hauberk", version=product),
    )
    found: dict[str, Component] = {}
    for component in (*python(root), *npm(root), *native(root)):
        found.setdefault(str(component.bom_ref.value), component)
    for bundle in bundles:
        for component in bundled(bundle):
            found.setdefault(str(component.bom_ref.value), component)
    bom.components.update(found.values())
    bom.register_dependency(bom.metadata.component, found.values())
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    # Of the content, not of the moment: a second run gives the same bytes.
    document["metadata"].pop("timestamp", None)
    document.pop("serialNumber", None)
    body = json.dumps(document, sort_keys=True)
    number = uuid.UUID(bytes=hashlib.sha256(body.encode()).digest()[:16], version=4)
    return json.dumps(document | {"serialNumber": f"urn:uuid:{number}"}, indent=1, sort_keys=True)


def pins(path: Path) -> dict[str, tuple[str, list[str]]]:
    """By name: (version, SHA-256 of its files) of a lock file."""
    out: dict[str, tuple[str, list[str]]] = {}
    name = ""
    for line in path.read_text().splitlines():
        if match := _PIN.match(line):
            name = re.sub(r"[-_.]+", "-", match[1]).lower()
            out[name] = (match[2], [])
        if name:
            out[name][1].extend(_HASH.findall(line))
    return out


def python(root: Path) -> Iterator[Component]:
    """What agent and server import, and the extras for larger deployments."""
    parts = {part: pins(root / f"locks/{part}.txt") for part in ("agent", "server")}
    every = pins(root / "locks/dev.txt")
    extras = ("psycopg", "psycopg-binary", "nats-py", "obstore", "daft", "ray")
    parts["scale"] = {name: every[name] for name in extras if name in every}
    names = sorted({name for part in parts.values() for name in part})
    for name in names:
        users = [part for part, held in parts.items() if name in held]
        release, hashes = parts[users[0]][name]
        yield Component(
            name=name,
            version=release,
            type=ComponentType.LIBRARY,
            bom_ref=f"pypi:{name}",
            purl=PackageURL("pypi", name=name, version=release),
            licenses=_licence(licence_of(name)),
            # Of every file that the lock allows: one for each platform.
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in sorted(hashes)],
            scope=ComponentScope.OPTIONAL if users == ["scale"] else ComponentScope.REQUIRED,
            properties=[Property(name="hauberk:part", value=user) for user in users],
        )


def licence_of(name: str) -> str:
    """What an installed distribution says of its licence; "" when it is not here or silent."""
    try:
        told = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return ELSEWHERE.get(name, "")
    if expression := told.get("License-Expression"):
        return str(expression)
    classified = [
        str(line).rpartition("::")[2].strip()
        for line in told.get_all("Classifier") or ()
        if str(line).startswith("License ::") and not str(line).endswith("OSI Approved")
    ]
    short = str(told.get("License") or "").strip().partition("\n")[0]
    return " AND ".join(classified) or (short if len(short) < 60 else "")


def npm(root: Path) -> Iterator[Component]:
    """What the built console holds."""
    lock = json.loads((root / "console/package-lock.json").read_text())
    for place, entry in sorted(lock["packages"].items()):
        if not place or entry.get("dev") or entry.get("link"):
            continue
        name = place.rpartition("node_modules/")[2]
        group, _, short = name.rpartition("/")
        yield Component(
            name=short,
            group=group or None,
            version=entry["version"],
            type=ComponentType.LIBRARY,
            bom_ref=f"npm:{name}@{entry['version']}",
            purl=PackageURL("npm", group or None, short, entry["version"]),
            licenses=_licence(str(entry.get("license", ""))),
            hashes=_integrity(str(entry.get("integrity", ""))),
            properties=[Property(name="hauberk:part", value="console")],
        )


def native(root: Path) -> Iterator[Component]:
    """Libraries that the build copied beside the sensor."""
    licences = {"libbpf": "BSD-2-Clause", "libelf": "LGPL-3.0-or-later", "libz": "Zlib"}
    for path in sorted((root / NATIVE).glob("*.so.*")):
        name = path.name.partition(".")[0]
        package, release = distribution(path.name)
        yield Component(
            name=name,
            version=release or None,
            type=ComponentType.LIBRARY,
            bom_ref=f"native:{path.name}",
            purl=PackageURL("deb", "debian", package, release) if package else None,
            licenses=_licence(licences.get(name, "")),
            hashes=[
                HashType(
                    alg=HashAlgorithm.SHA_256,
                    content=hashlib.sha256(path.read_bytes()).hexdigest(),
                )
            ],
            properties=[Property(name="hauberk:part", value="sensor")],
        )


def distribution(library: str) -> tuple[str, str]:
    """(Debian package, version) of a library of this machine; empty where dpkg knows none."""
    try:
        owner = subprocess.run(
            ["dpkg-query", "-S", f"*/{library}"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.partition(":")[0]
        if not owner:
            return "", ""
        release = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}\n", owner],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.partition("\n")[0]
    except FileNotFoundError:
        return "", ""
    return owner, release


def bundled(path: Path) -> Iterator[Component]:
    """What an agent package says that it holds, interpreter and C libraries included."""
    with tarfile.open(path, "r:xz") as tar:
        first = tar.next()
        file = tar.extractfile(first) if first and first.name == "manifest.json" else None
        if file is None:
            raise SystemExit(f"sbom: {path} is no agent package")
        manifest: dict[str, Any] = json.load(file)
    for part in manifest.get("components", []):
        if part["name"] == "hauberk":
            continue
        yield Component(
            name=part["name"],
            version=part.get("version") or None,
            type=ComponentType.LIBRARY,
            bom_ref=f"agent:{part['name']}",
            licenses=_licence(str(part.get("licence", ""))),
            properties=[
                Property(name="hauberk:part", value="agent package"),
                Property(name="hauberk:source", value=str(part.get("source", ""))),
            ],
        )


def _licence(text: str) -> list[Any]:
    return [_licences.make_from_string(text)] if text else []


def _integrity(text: str) -> list[HashType]:
    algorithms = {"sha512": HashAlgorithm.SHA_512, "sha1": HashAlgorithm.SHA_1}
    out = []
    for one in text.split():
        kind, _, value = one.partition("-")
        if kind in algorithms:
            out.append(HashType(alg=algorithms[kind], content=base64.b64decode(value).hex()))
    return out


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
