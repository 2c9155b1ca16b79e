from hauberk.link.token import EnrolToken


def test_a_damaged_token(run, tmp_path):
    done = run("enroll", "--token", "hbk1_!!", "--data", str(tmp_path))
    assert done.code == 3
    assert "token" in done.err


def test_a_token_is_needed(run):
    assert run("enroll").code == 2


def test_a_server_that_does_not_answer(run, tmp_path):
    token = EnrolToken("https://127.0.0.1:9", b"\0" * 32, b"s" * 32).text()
    done = run("enroll", "--token", token, "--data", str(tmp_path))
    assert done.code == 3
    assert "127.0.0.1:9" in done.err
