def test_removes_what_the_agent_kept_and_nothing_else(run, tmp_path):
    agent = tmp_path / "agent"
    (agent / "identity").mkdir(parents=True)
    (agent / "spool").mkdir()
    (agent / "notes.txt").write_text("mine")
    done = run("uninstall", "--data", str(tmp_path))
    assert done.code == 0
    assert "identity" in done.out
    assert [p.name for p in agent.iterdir()] == ["notes.txt"]


def test_nothing_there(run, tmp_path):
    assert "there was no agent" in run("uninstall", "--data", str(tmp_path)).out
