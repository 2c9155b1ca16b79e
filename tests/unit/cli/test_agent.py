def test_without_an_identity_it_says_to_enrol(run, tmp_path):
    done = run("agent", "--data", str(tmp_path))
    assert done.code == 3
    assert "enrol" in done.err


def test_a_wrong_setting_names_itself(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HAUBERK_AGENT_BEAT_S", "often")
    done = run("agent", "--data", str(tmp_path))
    assert done.code == 3
    assert "HAUBERK_AGENT_BEAT_S" in done.err
