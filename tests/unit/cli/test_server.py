import socket


def test_a_taken_port_is_a_clear_error(run, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(
            "server",
            "--data",
            str(tmp_path),
            "--listen",
            f"127.0.0.1:{port}",
            "--gateway",
            "127.0.0.1:0",
        )
    assert done.code == 3
    assert f"127.0.0.1:{port} cannot be used" in done.err


def test_a_wrong_setting_names_itself(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HAUBERK_EVENT_DAYS", "many")
    done = run("server", "--data", str(tmp_path))
    assert done.code == 3
    assert "HAUBERK_EVENT_DAYS" in done.err


def test_a_broken_file_is_named(run, tmp_path):
    config = tmp_path / "hauberk.toml"
    config.write_text("[server\n")
    done = run("server", "--config", str(config))
    assert done.code == 3
    assert str(config) in done.err
