from __future__ import annotations

import time

import pytest
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from hauberk.errors import StorageFull, Unreachable
from hauberk.store import objects
from hauberk.store.objects import Reach, Target


def test_commits_are_conditional_and_time_is_bounded() -> None:
    options = Target("b", "p", endpoint="http://h:1", key_id="k", secret="s").delta()
    assert options["conditional_put"] == "etag"
    assert options["allow_http"] == "true"
    assert options["timeout"] == f"{objects.LOG_S}s"
    assert "aws_access_key_id" not in Target("b").delta()
    assert "aws_endpoint_url" not in Target("b").delta()
    assert Target("b", "p", endpoint="https://h").delta()["allow_http"] == "false"


def test_secrets_do_not_show() -> None:
    assert "hush" not in repr(Target("b", key_id="k", secret="hush"))


def test_urls() -> None:
    assert Target("b", "p/q").url == "s3://b/p/q"
    assert Target("b").url == "s3://b"


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (OSError("Generic S3 error: Error performing PUT"), Unreachable, "does not answer"),
        (DeltaError("Object store error: 500"), Unreachable, "does not answer"),
        (OSError("Error performing PUT: 507 Insufficient Storage"), StorageFull, "no room"),
        (OSError("S3 error: 403 Forbidden"), Unreachable, "s3_secret_file"),
        (FileNotFoundError("<Code>NoSuchBucket</Code>"), Unreachable, "no such bucket"),
        (FileNotFoundError("<Code>NoSuchKey</Code>"), FileNotFoundError, "NoSuchKey"),
        (TableNotFoundError("no log"), TableNotFoundError, "no log"),
        (CommitFailedError("concurrent"), CommitFailedError, "concurrent"),
        (PermissionError(13, "of a local file"), PermissionError, "local file"),
        (KeyError("x"), KeyError, "x"),
    ],
)
def test_what_an_error_means(error: Exception, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told), Reach("s3://b")("t/table"):
        raise error


def test_after_a_time_out_calls_fail_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "CONNECT_S", 0.01)
    monkeypatch.setattr(objects, "_REST_S", 0.2)
    reach = Reach("s3://b")
    with pytest.raises(Unreachable), reach():
        time.sleep(0.02)
        raise OSError("S3 error: timed out")
    entered = False
    with pytest.raises(Unreachable, match="timed out") as told, reach():
        entered = True
    assert not entered
    assert told.value.retry_after >= 0.5
    time.sleep(0.25)
    with reach():
        entered = True
    assert entered


def test_a_quick_error_does_not_stop_the_next_call() -> None:
    reach = Reach("s3://b")
    with pytest.raises(Unreachable), reach():
        raise OSError("S3 error: 503")
    with reach():
        pass
