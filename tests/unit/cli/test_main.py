import subprocess
import sys

from hauberk import __version__


def test_help_names_every_noun_without_importing_any():
    code = (
        "import sys; from hauberk.cli.main import build; app = build();"
        "loaded = [m for m in sys.modules if m.startswith('hauberk.cli.')"
        " and m not in ('hauberk.cli.main',)]; sys.exit(str(loaded) if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_version(run):
    assert __version__ in run("--version").out


def test_help_states_the_exit_codes(run):
    out = run("--help").out
    assert "3 could not" in " ".join(out.split())
    for noun in (
        "up",
        "down",
        "server",
        "agent",
        "enroll",
        "uninstall",
        "doctor",
        "assets",
        "inventory",
        "budget",
        "users",
        "tenants",
        "agents",
        "tokens",
        "audit",
    ):
        assert f" {noun} " in out


def test_wrong_option_is_wrong_usage(run):
    assert run("assets", "--nope").code == 2


def test_no_server_could_not_complete(run):
    done = run("assets")
    assert done.code == 3
    assert "hauberk up" in done.err


def test_a_reader_that_leaves_is_no_error(tmp_path):
    command = f"{sys.executable} -m hauberk.cli.main completion bash | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_a_missing_extra_is_named():
    code = (
        "import sys; sys.modules['uvloop'] = None; sys.argv = ['hauberk', 'server'];"
        "from hauberk.cli.main import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "lacks uvloop: pip install 'hauberk[server]'" in done.stderr


def test_no_permission_or_room_is_one_line(run, tmp_path):
    (tmp_path / "agent").write_text("a file where the folder should be")
    done = run("agent", "--data", str(tmp_path))
    assert done.code == 3
    assert "Traceback" not in done.err
    assert str(tmp_path / "agent") in done.err
