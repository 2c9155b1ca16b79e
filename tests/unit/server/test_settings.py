from __future__ import annotations

from pathlib import Path

import pytest

from hauberk.errors import BadInput
from hauberk.server.settings import Settings, address_of, bucket_of, load

NONE = {"HAUBERK_CONFIG": "/dev/null"}


def test_options_over_variables_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "h.toml"
    config.write_text('[server]\nlisten = "127.0.0.1:1"\nuser = "file"\nevent_days = 3\n[agent]\n')
    env = {"HAUBERK_USER": "variable", "HAUBERK_LISTEN": "127.0.0.1:2", "HAUBERK_NAMES": "a,b"}
    settings = load(env, options={"listen": "127.0.0.1:3", "gateway": None}, config=config)
    assert settings == Settings(
        listen="127.0.0.1:3", user="variable", event_days=3, names=["a", "b"]
    )


def test_folders_follow_from_the_data_folder() -> None:
    settings = load(NONE, options={"data": Path("/d")})
    assert str(settings.socket) == "/d/server/run/api.sock"
    assert str(settings.ready_file) == "/d/server/run/server.json"
    assert str(settings.pid_file) == "/d/server/run/server.pid"


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"HAUBERK_EVENT_DAYS": "many"}, "HAUBERK_EVENT_DAYS"),
        ({"HAUBERK_LISTEN": "nowhere"}, "listen"),
        ({"HAUBERK_GATEWAY": "1.2.3.4:99999"}, "gateway"),
        ({"HAUBERK_TLS_CERT": "/x.pem"}, "tls_key"),
        ({"HAUBERK_CONFIG": "/no/such.toml"}, "/no/such.toml"),
        ({"HAUBERK_LAKE": "/srv/lake"}, "lake.*s3://BUCKET"),
        ({"HAUBERK_LAKE": "s3://bucket/../x"}, "lake"),
        ({"HAUBERK_BLOBS": "s3://B/x"}, "blobs"),
        ({"HAUBERK_S3_KEY_ID": "k"}, "s3_secret_file"),
        ({"HAUBERK_S3_ENDPOINT": "store:9000"}, "s3_endpoint"),
        ({"HAUBERK_HUNT": "spark"}, "hunt"),
    ],
)
def test_wrong_values_are_named(env: dict[str, str], named: str) -> None:
    with pytest.raises(BadInput, match=named):
        load({**NONE, **env})


def test_unknown_names_in_the_file_are_refused(tmp_path: Path) -> None:
    config = tmp_path / "h.toml"
    config.write_text("[server]\nlissten = 1\n")
    with pytest.raises(BadInput, match="lissten"):
        load({}, config=config)
    config.write_text("server = 1\n")
    with pytest.raises(BadInput, match="not a table"):
        load({}, config=config)


def test_addresses() -> None:
    assert address_of("[::1]:8443", "listen") == ("::1", 8443)
    assert address_of("0.0.0.0:1", "listen") == ("0.0.0.0", 1)


def test_buckets() -> None:
    assert bucket_of("s3://bucket", "lake") == ("bucket", "")
    assert bucket_of("s3://my.bucket-1/a/b=c/", "lake") == ("my.bucket-1", "a/b=c")


def test_the_wrapping_key_may_be_a_credential(tmp_path: Path) -> None:
    assert load({"CREDENTIALS_DIRECTORY": str(tmp_path)}).wrap_key_file == ""
    file = tmp_path / "hauberk-wrap-key"
    file.write_text("ab" * 32)
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert load(env).wrap_key_file == str(file)
    assert load({**env, "HAUBERK_WRAP_KEY_FILE": "/x"}).wrap_key_file == "/x"
