"""The server's settings: options over HAUBERK_* variables over the `[server]` table of a file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from hauberk.errors import BadInput

PREFIX = "HAUBERK_"
CONFIG_VARIABLE = "HAUBERK_CONFIG"
WRAP_CREDENTIAL = "hauberk-wrap-key"
_BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9_.=/-]*))?")
DEFAULT_CONFIG = Path("/etc/hauberk/hauberk.toml")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each field is `HAUBERK_<NAME>` or `server.<name>` in the TOML file.

    Args:
        data: data folder; the server's own things are below `data/server`.
        listen: ADDRESS:PORT of console and API.
        gateway: ADDRESS:PORT for agents; 0.0.0.0:8444 lets other machines enrol.
        gateway_url: address that enrolment tokens carry; empty: made from `gateway`.
        names: more names for the server's certificate.
        tls_cert: own certificate chain (PEM) of console and API; agents keep to Hauberk's CA.
        tls_key: its key.
        wrap_key_file: file with 64 hex digits that wrap the server's key files; empty: the systemd
            credential "hauberk-wrap-key" if there is one, else they are plain.
        database: SQLAlchemy URL of the state; empty: SQLite below the data folder.
        user: user to run as when started as root.
        event_days: days that events are kept.
        event_gib: GiB that events may take.
        change_days: days that the change log is kept.
        inbox: NATS servers (nats://user:password@one:4222,nats://two:4222) that keep what waits for
            the consumers and let workers share the work; empty: a SQLite file of this server.
        inbox_partitions: parts that workers can share; fixed once the streams exist.
        inbox_replicas: NATS servers that have each batch before it is acknowledged.
        inbox_credentials: NATS credentials file; empty: the login in `inbox`, or none.
        inbox_ca: PEM file with the CA of the NATS servers; for tls:// addresses.
        consume: whether this process consumes the inbox; off where workers do.
        lease_s: seconds after which the work of a silent process goes to another one.
        inbox_items: batches that may wait before agents are told to wait.
        inbox_mib: MiB that may wait.
        query_mib: MiB that searches may take.
        lake: where events are: s3://BUCKET/PREFIX; empty: a folder below the data folder.
        blobs: where evidence, reports and packages are, likewise.
        s3_endpoint: URL of the S3-compatible store; empty: AWS.
        s3_region: its region.
        s3_key_id: access key; empty: the AWS_* variables, else the machine's role.
        s3_secret_file: file with the secret key, readable by `user`.
        s3_ca: PEM file with the authorities of the store's certificate.
        cache_mib: MiB of local copies of what is searched in S3.
        hunt: engine of exports: "duckdb" in the server, or "ray" (Daft on a Ray cluster).
        ray_address: of the cluster, such as 10.0.0.5:6379; empty: processes on this machine.
        metrics: ADDRESS:PORT where a worker shows its figures to Prometheus; empty: nowhere.
        log_level: of the server's own log.
    """

    data: str = "/var/lib/hauberk"
    listen: str = "127.0.0.1:8443"
    gateway: str = "127.0.0.1:8444"
    gateway_url: str = ""
    names: list[str] = []
    tls_cert: str = ""
    tls_key: str = ""
    wrap_key_file: str = ""
    database: str = ""
    user: str = "hauberk"
    event_days: int = 30
    event_gib: float = 20.0
    change_days: int = 90
    inbox: str = ""
    inbox_partitions: int = 4
    inbox_replicas: int = 1
    inbox_credentials: str = ""
    inbox_ca: str = ""
    consume: bool = True
    lease_s: float = 10.0
    inbox_items: int = 200_000
    inbox_mib: int = 2048
    query_mib: int = 256
    lake: str = ""
    blobs: str = ""
    s3_endpoint: str = ""
    s3_region: str = "us-east-1"
    s3_key_id: str = ""
    s3_secret_file: str = ""
    s3_ca: str = ""
    cache_mib: int = 2048
    hunt: Literal["duckdb", "ray"] = "duckdb"
    ray_address: str = ""
    metrics: str = ""
    log_level: str = "INFO"

    @property
    def folder(self) -> Path:
        """Everything of the server."""
        return Path(self.data) / "server"

    @property
    def keys_folder(self) -> Path:
        """Private keys and certificates."""
        return self.folder / "keys"

    @property
    def run_folder(self) -> Path:
        """Pid, ready file and local socket."""
        return self.folder / "run"

    @property
    def socket(self) -> Path:
        """The local socket of the API."""
        return self.run_folder / "api.sock"

    @property
    def ready_file(self) -> Path:
        """JSON `{"pid": ..., "urls": [...]}`, there while the server is ready."""
        return self.run_folder / "server.json"

    @property
    def pid_file(self) -> Path:
        """The server's pid, locked while it runs."""
        return self.run_folder / "server.pid"


def load(
    env: Mapping[str, str],
    *,
    options: Mapping[str, object] | None = None,
    config: Path | None = None,
) -> Settings:
    """Read the settings.

    Args:
        env: the environment.
        options: from the command line; None values are left out.
        config: TOML file; None: HAUBERK_CONFIG, else /etc/hauberk/hauberk.toml if it exists.

    Raises:
        BadInput: names the file, variable or option and what is wrong with it.
    """
    path = config or Path(env.get(CONFIG_VARIABLE, "") or DEFAULT_CONFIG)
    values: dict[str, Any] = {}
    if config is not None or CONFIG_VARIABLE in env or path.exists():
        values.update(_table(path))
        _check(values, str(path))
    for name in Settings.__struct_fields__:
        text = env.get(PREFIX + name.upper())
        if text is not None:
            values[name] = [t for t in text.split(",") if t] if name == "names" else text
            _check({name: values[name]}, PREFIX + name.upper())
    given = {k: str(v) if isinstance(v, Path) else v for k, v in (options or {}).items()}
    values.update({k: v for k, v in given.items() if v is not None})
    if "wrap_key_file" not in values and (credentials := env.get("CREDENTIALS_DIRECTORY")):
        file = Path(credentials) / WRAP_CREDENTIAL
        if file.exists():
            values["wrap_key_file"] = str(file)
    settings = _check(values, "options")
    _fits(settings)
    return settings


def _fits(settings: Settings) -> None:
    """What no type says. Raises BadInput."""
    for name in ("listen", "gateway"):
        address_of(getattr(settings, name), name)
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise BadInput("tls_cert and tls_key go together", source="tls_cert")
    for name in ("lake", "blobs"):
        if getattr(settings, name):
            bucket_of(getattr(settings, name), name)
    if bool(settings.s3_key_id) != bool(settings.s3_secret_file):
        raise BadInput("s3_key_id and s3_secret_file go together", source="s3_key_id")
    if settings.s3_endpoint and not settings.s3_endpoint.startswith(("http://", "https://")):
        raise BadInput(f"{settings.s3_endpoint!r}: write https://HOST:PORT", source="s3_endpoint")
    if not settings.inbox and not settings.consume:
        raise BadInput("a SQLite inbox is consumed by its own server alone", source="consume")
    if settings.metrics:
        address_of(settings.metrics, "metrics")
    if settings.lease_s < 1:
        raise BadInput("at least 1 second", source="lease_s")


def address_of(text: str, name: str) -> tuple[str, int]:
    """(host, port) of ADDRESS:PORT. Raises BadInput."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 0xFFFF:
        raise BadInput(f"{text!r}: write ADDRESS:PORT, such as 127.0.0.1:8443", source=name)
    return host.strip("[]"), int(port)


def bucket_of(url: str, name: str) -> tuple[str, str]:
    """(bucket, prefix) of s3://BUCKET/PREFIX. Raises BadInput."""
    match = _BUCKET.fullmatch(url)
    prefix = (match[2] or "").strip("/") if match else ""
    if match is None or ".." in prefix or "//" in prefix:
        raise BadInput(f"{url!r}: write s3://BUCKET or s3://BUCKET/PREFIX", source=name)
    return match[1], prefix


def _check(values: Mapping[str, Any], source: str) -> Settings:
    try:
        return msgspec.convert(dict(values), Settings, strict=False)
    except msgspec.ValidationError as error:
        raise BadInput(str(error), source=source) from error


def _table(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot be read: {error}", source=str(path)) from error
    table = document.get("server", {})
    if not isinstance(table, dict):
        raise BadInput("[server] is not a table", source=str(path))
    return dict(table)
