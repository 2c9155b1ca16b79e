import subprocess


def test_bash_script_is_valid_and_knows_the_nouns(run, tmp_path):
    script = run("completion", "bash").out
    path = tmp_path / "completion.bash"
    path.write_text(script)
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
    for noun in ("assets", "doctor", "inventory", "users"):
        assert noun in script


def test_an_unknown_shell_is_wrong_usage(run):
    assert run("completion", "tcsh").code == 2
