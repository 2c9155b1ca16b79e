"""What the product is made of, how it was made, and under which licences."""

from __future__ import annotations

import ast
import base64
import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tools import provenance, sbom  # noqa: E402

PARTS = ("agent", "server")
# Weak copyleft, used as they are: their own source stays under it, ours does not.
FREE = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software|Python-2|Zlib|Unlicense|MPL|Mozilla|CC0|LGPL|Lesser|0BSD|BlueOak|Unicode",
)
STRONG = re.compile(r"(?<!L)\bA?GPL|(?<!Lesser )General Public|SSPL|BUSL|Commons Clause")


@pytest.fixture(scope="module")
def document() -> str:
    return sbom.render(ROOT)


def test_the_bill_of_materials_fits_its_schema_and_names_everything(document: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document) is None
    made = json.loads(document)
    assert made["specVersion"] == "1.6"
    refs = {c["bom-ref"]: c for c in made["components"]}
    for part in PARTS:
        for name, (release, hashes) in sbom.pins(ROOT / f"locks/{part}.txt").items():
            found = refs[f"pypi:{name}"]
            assert found["version"] == release
            assert {h["content"] for h in found["hashes"]} == set(hashes)
            assert hashes
    lock = json.loads((ROOT / "console/package-lock.json").read_text())["packages"]
    for place, entry in lock.items():
        if place and not entry.get("dev"):
            name = place.rpartition("node_modules/")[2]
            assert f"npm:{name}@{entry['version']}" in refs
    natives = {p.name for p in (ROOT / sbom.NATIVE).glob("*.so.*")}
    assert {f"native:{name}" for name in natives} <= set(refs)
    assert sbom.render(ROOT) == document


def test_the_schema_check_can_fail(document: str) -> None:
    wrong = json.loads(document) | {"specVersion": 5}
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(wrong)) is not None


def test_every_dependency_has_a_licence_that_we_may_use(document: str) -> None:
    """No GPL is imported; what says nothing is looked up by a person, not passed over."""
    unknown, wrong = [], []
    for component in json.loads(document)["components"]:
        if component["bom-ref"].startswith("pypi:") and component.get("scope") == "optional":
            continue
        told = " ".join(
            one.get("expression") or one["license"].get("id") or one["license"]["name"]
            for one in component.get("licenses", ())
        )
        if not told:
            unknown.append(component["bom-ref"])
        elif STRONG.search(told) or not FREE.search(told):
            wrong.append((component["bom-ref"], told))
    assert wrong == []
    assert unknown == []


def test_what_is_imported_is_what_is_declared() -> None:
    """Each foreign package that src/ imports belongs to a locked distribution of its part."""
    owners = importlib.metadata.packages_distributions()
    declared = {
        re.sub(r"[-_.]+", "-", name).lower()
        for part in (*PARTS, "dev")
        for name in sbom.pins(ROOT / f"locks/{part}.txt")
    }
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                top = name.partition(".")[0]
                if top == "hauberk" or top in sys.stdlib_module_names:
                    continue
                held = {re.sub(r"[-_.]+", "-", o).lower() for o in owners.get(top, ())}
                assert held & declared, (path, name)


@pytest.mark.parametrize(
    "text", ["GPL-3.0-only", "AGPL-3.0-or-later", "GNU General Public License v2"]
)
def test_the_licence_check_can_fail(text: str) -> None:
    assert STRONG.search(text)


@pytest.mark.parametrize("text", ["LGPL-3.0-or-later", "GNU Lesser General Public License v3"])
def test_weak_copyleft_is_another_thing(text: str) -> None:
    assert not STRONG.search(text)


def test_provenance_is_checked_by_openssl_alone(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "key.pub").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    out = tmp_path / "dist"
    out.mkdir()
    (out / "hauberk-x.whl").write_bytes(b"wheel")
    assert provenance.main(["--out", str(out), "--key", str(tmp_path / "key.pem")]) == 0
    envelope = json.loads(next(out.glob("*.intoto.json")).read_text())
    payload = base64.b64decode(envelope["payload"])
    statement = json.loads(payload)
    digest = provenance.sha256(out / "hauberk-x.whl")
    assert statement["subject"] == [{"name": "hauberk-x.whl", "digest": {"sha256": digest}}]
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    definition = statement["predicate"]["buildDefinition"]
    held = {d["uri"]: d["digest"] for d in definition["resolvedDependencies"]}
    assert len(held["git+file:."]["gitCommit"]) == 40
    assert held["file:locks/server.txt"]["sha256"] == provenance.sha256(ROOT / "locks/server.txt")

    def openssl(signed: bytes) -> int:
        (tmp_path / "pae").write_bytes(signed)
        (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", tmp_path / "key.pub"]
        command += ["-rawin", "-in", tmp_path / "pae", "-sigfile", tmp_path / "sig"]
        return subprocess.run(command, capture_output=True, check=False).returncode

    assert openssl(provenance.pae(payload)) == 0
    assert openssl(provenance.pae(payload.replace(b"wheel", b"whell", 1))) != 0


def test_without_a_key_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert provenance.main(["--out", str(tmp_path)]) == 1
    (tmp_path / "a").write_bytes(b"a")
    assert provenance.main(["--out", str(tmp_path)]) == 0
    assert "not signed" in capsys.readouterr().out
    (tmp_path / "k").write_text("nonsense")
    assert provenance.main(["--out", str(tmp_path), "--key", str(tmp_path / "k")]) == 1


def test_the_threat_model_names_tests_that_exist() -> None:
    text = (ROOT / "docs/threat-model.md").read_text()
    named = re.findall(r"`(tests/[\w/.]+)::(\w+)`", text)
    assert len(named) > 40
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(), (path, name)
