import pytest

from hauberk.agent import settings
from hauberk.errors import BadInput


def test_defaults_without_file_or_variables(monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "DEFAULT_CONFIG", tmp_path / "none.toml")
    made = settings.load({})
    assert made.folder == "/var/lib/hauberk/agent"
    assert made.identity.name == "identity"
    assert made.pid_file.name == "agent.pid"


def test_variables_win_over_the_file(tmp_path):
    config = tmp_path / "h.toml"
    config.write_text('[server]\nx = 1\n[agent]\nfolder = "/a"\nbeat_s = 9\nself_pids = [4]\n')
    made = settings.load({"HAUBERK_AGENT_BEAT_S": "2.5"}, config=config)
    assert (made.folder, made.beat_s, made.self_pids) == ("/a", 2.5, [4])
    made = settings.load(
        {
            "HAUBERK_CONFIG": str(config),
            "HAUBERK_AGENT_SENSOR": "false",
            "HAUBERK_AGENT_SELF_PIDS": "1,22",
        }
    )
    assert (made.sensor, made.self_pids) == (False, [1, 22])
    assert settings.load({"HAUBERK_AGENT_SELF_PIDS": ""}, config=config).self_pids == []


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[agent]\nbeat_s = 'x'\n", "float"),
        ("[agent]\nbeet_s = 1\n", "beet_s"),
        ("agent = 1\n", "table"),
        ("[", "read"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path, text, hint):
    config = tmp_path / "h.toml"
    config.write_text(text)
    with pytest.raises(BadInput, match=hint) as caught:
        settings.load({}, config=config)
    assert str(config) in str(caught.value)


def test_a_wrong_variable_is_named(tmp_path):
    with pytest.raises(BadInput, match="HAUBERK_AGENT_BEAT_S"):
        settings.load({"HAUBERK_AGENT_BEAT_S": "soon"})
    with pytest.raises(BadInput, match="nowhere"):
        settings.load({"HAUBERK_CONFIG": str(tmp_path / "nowhere")})
