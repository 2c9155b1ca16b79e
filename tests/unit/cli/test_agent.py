def test_without_an_identity_it_says_to_enrol(run, tmp_path):
    done = run("agent", "--data", str(tmp_path))
    assert done.code == 3
    assert "enrol" in done.err


def test_a_wrong_setting_names_itself(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HAUBERK_AGENT_BEAT_S", "often")
    done = run("agent", "--data", str(tmp_path))
    assert done.code == 3
    assert "HAUBERK_AGENT_BEAT_S" in done.err


def test_only_a_package_can_be_installed(run, tmp_path):
    done = run("agent", "--install", str(tmp_path), "--data", str(tmp_path))
    assert done.code == 3
    assert "make agent-bundle" in done.err


def test_stop_without_an_agent_is_fine(run, tmp_path):
    assert run("agent", "--stop", "--data", str(tmp_path)).code == 0


def test_supervise_needs_a_package(run, tmp_path):
    done = run("agent", "--supervise", "--data", str(tmp_path))
    assert done.code == 3
    assert "not in a slot" in done.err


def test_the_selftest_says_what_is_wrong(run, tmp_path, monkeypatch):
    monkeypatch.setattr("hauberk.agent.selftest._imports", lambda: iter(()))
    done = run("agent", "--selftest", "--data", str(tmp_path))
    assert done.code == 3
    assert "manifest.json" in done.out
