"""Where keys, certificates and credential files lie: type, owner, fingerprint; never the secret."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Annotated, Any

from hauberk.errors import HostError, PathMissing
from hauberk.ports import Collector, FileStat, Host, Notes
from hauberk.schema.asset import Asset, column
from hauberk.schema.text import from_bytes

from . import _accounts
from ._sshkeys import PrivateKey, PublicKey, parse_private, parse_public

MAX_FILES = 5000
_KEY_LIMIT = 1 << 18
_MAX_LINES = 5000
_MAX_NAMES = 200
_MAX_CHAIN = 20
_MAX_NS = 2**63 - 1
_SUFFIXES = (".pem", ".crt", ".cer", ".key", ".p12", ".pfx", ".jks", ".keystore")
# Roots of trust that distributions ship: hundreds of certificates that are nobody's identity.
_TRUST_STORES = frozenset(
    {
        "/etc/ssl/certs",
        "/etc/ca-certificates",
        "/etc/pki/ca-trust",
        "/etc/pki/tls/certs",
        "/etc/pki/java",
        "/etc/pki/nssdb",
        "/etc/alternatives",
        "/etc/ssh",
    }
)
_CERTIFICATE_FOLDERS = ("/etc", "/var/lib/kubelet/pki")
# Below a home folder -> what kind of service it opens.
_HOME_FILES = (
    (".aws/credentials", "aws"),
    (".azure/msal_token_cache.json", "azure"),
    (".azure/accessTokens.json", "azure"),
    (".config/gcloud/application_default_credentials.json", "google"),
    (".config/gcloud/credentials.db", "google"),
    (".aliyun/config.json", "alibaba"),
    (".tccli/default.credential", "tencent"),
    (".kube/config", "kubernetes"),
    (".docker/config.json", "container registry"),
    (".config/containers/auth.json", "container registry"),
    (".git-credentials", "git"),
    (".config/gh/hosts.yml", "github"),
    (".netrc", "netrc"),
    (".npmrc", "npm"),
    (".pypirc", "pypi"),
    (".m2/settings.xml", "maven"),
    (".my.cnf", "mysql"),
    (".pgpass", "postgresql"),
    (".vault-token", "vault"),
    (".terraform.d/credentials.tfrc.json", "terraform"),
)
_SYSTEM_FILES = (
    ("/etc/krb5.keytab", "kerberos"),
    ("/etc/kubernetes/admin.conf", "kubernetes"),
    ("/etc/kubernetes/super-admin.conf", "kubernetes"),
    ("/etc/kubernetes/kubelet.conf", "kubernetes"),
    ("/etc/rancher/k3s/k3s.yaml", "kubernetes"),
    ("/etc/mysql/debian.cnf", "mysql"),
    ("/etc/ppp/chap-secrets", "ppp"),
    ("/etc/ipsec.secrets", "ipsec"),
)


class Credential(Asset, frozen=True, kw_only=True):
    """One key, certificate or credential file."""

    KEY = ("kind", "path", "fingerprint", "account")
    VOLATILE = frozenset({"line"})

    kind: Annotated[
        str,
        column(
            "Kind",
            "类型",
            "authorized_key, ssh_host_key, private_key, certificate, key_store, credential_file",
        ),
    ]
    path: Annotated[str, column("File", "文件")]
    fingerprint: Annotated[str, column("Fingerprint", "指纹")] = ""
    owner: Annotated[str, column("Owner", "属主")] = ""
    mode: Annotated[str, column("Mode", "权限位", "octal")] = ""
    algorithm: Annotated[str, column("Algorithm", "算法", "or the service it opens")] = ""
    bits: Annotated[int | None, column("Bits", "位数")] = None
    has_passphrase: Annotated[bool | None, column("Passphrase", "有口令保护")] = None
    exposed: Annotated[
        bool | None, column("Open to others", "他人可读", "secret that other users may read")
    ] = None
    account: Annotated[str, column("Opens account", "可登录账号", "for authorised keys")] = ""
    comment: Annotated[str, column("Comment", "注释")] = ""
    options: Annotated[
        list[str], column("Restrictions", "限制", "names of authorized_keys options", wide=True)
    ] = []
    subject: Annotated[str, column("Subject", "主体")] = ""
    issuer: Annotated[str, column("Issuer", "签发者", wide=True)] = ""
    names: Annotated[
        list[str], column("Names", "备用名称", "DNS names and addresses", wide=True)
    ] = []
    serial: Annotated[str, column("Serial number", "序列号", wide=True)] = ""
    not_before_ns: Annotated[int | None, column("Valid from", "生效时间", wide=True)] = None
    not_after_ns: Annotated[int | None, column("Valid until", "到期时间", "ns since 1970")] = None
    line: Annotated[int | None, column("Line", "行号", wide=True)] = None


def collect(host: Host, notes: Notes) -> Iterator[Credential]:
    """Rows of homes, /etc/ssh and the certificate folders; nothing is decrypted."""
    # One key may stand twice in a file: it is one key.
    return _accounts.unique(_collect(host, notes))


def _collect(host: Host, notes: Notes) -> Iterator[Credential]:
    people = _accounts.accounts(host, notes)
    look = _Look(host, notes, people)
    yield from look.host_keys()
    patterns = _authorized_patterns(host, notes)
    for account in people:
        yield from look.authorized(account, patterns)
    for home, _ in _accounts.homes(people):
        yield from look.home(home)
    for path, service in _SYSTEM_FILES:
        yield from look.file(path, service)
    for folder in _CERTIFICATE_FOLDERS:
        yield from look.certificates(folder)


def _authorized_patterns(host: Host, notes: Notes) -> list[str]:
    """AuthorizedKeysFile of sshd_config: the first one counts, as for sshd."""
    paths = []
    try:
        paths = [
            f"/etc/ssh/sshd_config.d/{n}"
            for n in host.listdir("/etc/ssh/sshd_config.d")[:200]
            if n.endswith(".conf")
        ]
    except PathMissing:
        paths = []
    except HostError as error:
        notes.add("/etc/ssh/sshd_config.d", error)
    for path in [*paths, "/etc/ssh/sshd_config"]:
        try:
            text = from_bytes(host.head(path, _KEY_LIMIT))
        except PathMissing:
            continue
        except HostError as error:
            notes.add(path, error)
            continue
        for line in text.splitlines():
            words = line.replace("=", " ", 1).split()
            if words and words[0].lower() == "match":
                break
            if len(words) > 1 and words[0].lower() == "authorizedkeysfile":
                return [w.strip('"') for w in words[1:] if w != "none"]
    return [".ssh/authorized_keys", ".ssh/authorized_keys2"]


class _Look:
    def __init__(self, host: Host, notes: Notes, people: list[_accounts.Account]) -> None:
        self._host = host
        self._notes = notes
        self._owners: dict[int, str] = {}
        for account in people:
            self._owners.setdefault(account.uid, account.name)
        self._left = MAX_FILES

    def _load(self, path: str) -> tuple[FileStat, bytes] | None:
        """State and first bytes of a regular file; absent ones are None, others noted."""
        try:
            found = self._host.stat(path)
            if found.kind != "file":
                return None
            self._left -= 1
            if self._left < 0:
                if self._left == -1:
                    self._notes.add(path, f"more than {MAX_FILES} candidate files", hides=True)
                return None
            return found, self._host.head(path, _KEY_LIMIT)
        except PathMissing:
            return None
        except HostError as error:
            self._notes.add(path, error)
            return None

    def _row(self, kind: str, found: FileStat, **more: Any) -> Credential:
        return Credential(
            kind=kind,
            path=found.path,
            owner=self._owners.get(found.uid, str(found.uid)),
            mode=f"{found.mode & 0o7777:04o}",
            **more,
        )

    def host_keys(self) -> Iterator[Credential]:
        """/etc/ssh/ssh_host_*_key, private and public."""
        try:
            names = self._host.listdir("/etc/ssh")
        except PathMissing:
            return
        except HostError as error:
            self._notes.add("/etc/ssh", error)
            return
        for name in names[:500]:
            if not name.startswith("ssh_host_") or not name.endswith("_key"):
                continue
            loaded = self._load(f"/etc/ssh/{name}")
            if loaded is not None:
                yield from self._private("ssh_host_key", *loaded)

    def authorized(self, account: _accounts.Account, patterns: list[str]) -> Iterator[Credential]:
        """Keys that open `account`."""
        for pattern in patterns:
            path = pattern.replace("%h", account.home).replace("%u", account.name)
            path = path.replace("%U", str(account.uid)).replace("%%", "%")
            if not path.startswith("/"):
                path = f"{account.home.rstrip('/')}/{path}"
            if not path.startswith("/"):
                continue
            loaded = self._load(path)
            if loaded is None:
                continue
            found, data = loaded
            # As sshd reads it: only a newline ends a line, whatever else stands in it.
            lines = from_bytes(data).split("\n")
            if len(lines) > _MAX_LINES or found.size > len(data):
                self._notes.add(
                    path,
                    f"more than {_MAX_LINES} lines or {_KEY_LIMIT} bytes; the rest is left out",
                    hides=True,
                )
            for number, line in enumerate(lines[:_MAX_LINES], 1):
                if not line.strip() or line.lstrip().startswith("#"):
                    continue
                key = parse_public(line)
                if key is None:
                    self._notes.add(f"{path}:{number}", "not an SSH public key")
                    continue
                yield self._row(
                    "authorized_key",
                    found,
                    account=account.name,
                    line=number,
                    comment=key.comment,
                    options=key.options,
                    **_public(key),
                )

    def home(self, home: str) -> Iterator[Credential]:
        """Private keys of ~/.ssh and credential files of tools."""
        folder = f"{home}/.ssh"
        try:
            names = self._host.listdir(folder)
        except PathMissing:
            names = []
        except HostError as error:
            self._notes.add(folder, error)
            names = []
        if len(names) > _MAX_NAMES:
            self._notes.add(
                folder, f"more than {_MAX_NAMES} names; the rest is left out", hides=True
            )
        for name in names[:_MAX_NAMES]:
            if name.startswith(("authorized_keys", "known_hosts")) or name.endswith(".pub"):
                continue
            loaded = self._load(f"{folder}/{name}")
            if loaded is not None:
                yield from self._private("private_key", *loaded)
        for name, service in _HOME_FILES:
            yield from self.file(f"{home}/{name}", service)

    def file(self, path: str, service: str) -> Iterator[Credential]:
        """A credential file that exists and is not empty; its contents are not read."""
        try:
            found = self._host.stat(path)
        except PathMissing:
            return
        except HostError as error:
            self._notes.add(path, error)
            return
        if found.kind == "file" and found.size:
            exposed = bool(found.mode & 0o007)
            yield self._row("credential_file", found, algorithm=service, exposed=exposed)

    def _private(self, kind: str, found: FileStat, data: bytes) -> Iterator[Credential]:
        key = parse_private(data)
        if key is None:
            if kind == "ssh_host_key":
                self._notes.add(found.path, "not a private key of a known form")
            return
        yield self._private_row(kind, found, key)

    def _private_row(self, kind: str, found: FileStat, key: PrivateKey) -> Credential:
        more = _public(key.public) if key.public else {"algorithm": key.form}
        return self._row(
            kind,
            found,
            has_passphrase=key.encrypted,
            exposed=bool(found.mode & 0o007),
            **more,
        )

    def certificates(self, top: str) -> Iterator[Credential]:
        """Certificates, keys and key stores below `top`, by the endings of their names."""
        try:
            for found in self._host.walk(top, skip=_TRUST_STORES, max_depth=6):
                if found.kind != "file" or not found.path.endswith(_SUFFIXES):
                    continue
                if found.path.endswith((".p12", ".pfx", ".jks", ".keystore")):
                    exposed = bool(found.mode & 0o007)
                    yield self._row("key_store", found, exposed=exposed)
                    continue
                loaded = self._load(found.path)
                if loaded is not None:
                    yield from self._pem(*loaded)
        except PathMissing:
            return
        except HostError as error:
            self._notes.add(top, error)

    def _pem(self, found: FileStat, data: bytes) -> Iterator[Credential]:
        yield from self._private("private_key", found, data)
        try:
            certificates = load_certificates(data)
        except ValueError as error:
            self._notes.add(found.path, f"a certificate that cannot be read: {error}")
            return
        for facts in certificates:
            yield self._row("certificate", found, **facts)


def _public(key: PublicKey) -> dict[str, Any]:
    return {"algorithm": key.algorithm, "bits": key.bits or None, "fingerprint": key.fingerprint}


def load_certificates(data: bytes) -> list[dict[str, Any]]:
    """Facts of the first 20 certificates in PEM or DER. Raises ValueError for a broken one."""
    der = data[:1] == b"\x30"
    if not der and b"-----BEGIN CERTIFICATE-----" not in data:
        return []
    from cryptography import x509  # noqa: PLC0415 - only where there are certificates

    parts = data.split(b"-----BEGIN CERTIFICATE-----")[1 : _MAX_CHAIN + 1]
    try:
        loaded = (
            [x509.load_der_x509_certificate(data)]
            if der
            else [
                x509.load_pem_x509_certificate(b"-----BEGIN CERTIFICATE-----" + part)
                for part in parts
            ]
        )
    except x509.InvalidVersion as error:
        raise ValueError(str(error)) from error
    return [_facts(certificate) for certificate in loaded]


def _facts(certificate: Any) -> dict[str, Any]:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415

    try:
        key = certificate.public_key()
        algorithm, bits = type(key).__name__.lstrip("_"), getattr(key, "key_size", None)
    except (UnsupportedAlgorithm, ValueError):
        algorithm, bits = certificate.public_key_algorithm_oid.dotted_string, None
    try:
        alternative = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
        names = [str(name.value) for name in alternative]
    except (
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        ValueError,
    ):
        names = []
    return {
        "algorithm": algorithm.removesuffix("PublicKey").lower() if algorithm else "",
        "bits": bits,
        "fingerprint": "SHA256:" + certificate.fingerprint(hashes.SHA256()).hex(),
        "subject": certificate.subject.rfc4514_string()[:1024],
        "issuer": certificate.issuer.rfc4514_string()[:1024],
        "names": names[:100],
        "serial": f"{certificate.serial_number:x}",
        "not_before_ns": _ns(certificate.not_valid_before_utc),
        "not_after_ns": _ns(certificate.not_valid_after_utc),
    }


def _ns(when: dt.datetime) -> int:
    return min(int(when.timestamp()) * 1_000_000_000, _MAX_NS)


COLLECTOR = Collector("access.credential", Credential, collect, 3600)
