import pytest

from hauberk.assets import _config_web
from hauberk.host.memory import DictHost
from hauberk.ports import Notes


def nginx(files, config="/etc/nginx/nginx.conf", notes=None):
    return list(_config_web.nginx(DictHost(files), notes or Notes(), config))


def apache(files, config="/etc/apache2/apache2.conf", notes=None):
    return list(_config_web.apache(DictHost(files), notes or Notes(), config))


def test_nginx_tokens_lines_and_blocks():
    text = (
        "# c\nuser www;\nhttp {\n  log_format a '$x {;} \"q\"'\n     more;\n  server { listen 80; }\n"
        '  map $a $b { "~x" 1; }\n  set $v ${host}x;\n}\n'
    )
    shown = [
        (d.name, d.args, d.line, d.block, d.opens) for d in nginx({"/etc/nginx/nginx.conf": text})
    ]
    assert shown == [
        ("user", ["www"], 2, 0, 0),
        ("http", [], 3, 0, 1),
        ("log_format", ["a", '$x {;} "q"', "more"], 4, 1, 0),
        ("server", [], 6, 1, 2),
        ("listen", ["80"], 6, 2, 0),
        ("map", ["$a", "$b"], 7, 1, 3),
        ("~x", ["1"], 7, 3, 0),
        ("set", ["$v", "${host}x"], 8, 1, 0),
    ]


def test_nginx_includes_keep_their_place():
    found = nginx(
        {
            "/etc/nginx/nginx.conf": "http {\n include conf.d/*.conf;\n include /etc/nginx/absent.conf;\n}\n",
            "/etc/nginx/conf.d/a.conf": "server {\n}\n",
            "/etc/nginx/conf.d/b.conf": "server {\n include c;\n}\n",
            "/etc/nginx/c": "listen 1;\n",
        }
    )
    assert [(d.name, d.file.rpartition("/")[2], d.line, d.block) for d in found] == [
        ("http", "nginx.conf", 1, 0),
        ("server", "a.conf", 1, 1),
        ("server", "b.conf", 1, 1),
        ("listen", "c", 1, 3),
    ]


@pytest.mark.parametrize("reader", [nginx, apache])
def test_include_of_itself_ends(reader):
    notes = Notes()
    files = {
        "/etc/x/a": "include /etc/x/b;\n".replace(";", ";" if reader is nginx else ""),
        "/etc/x/b": "",
    }
    files["/etc/x/b"] = files["/etc/x/a"].replace("/b", "/a")
    assert reader(files, "/etc/x/a", notes) == []
    assert len(notes.problems) == 1


def test_fan_out_of_includes_is_bounded(monkeypatch):
    monkeypatch.setattr(_config_web, "MAX_FILES", 20)
    notes = Notes()
    files = {f"/etc/x/{n}": f"include /etc/x/{n + 1};\n" * 50 for n in range(9)}
    nginx(files, "/etc/x/0", notes)
    assert notes.problems != []


@pytest.mark.parametrize(
    "raw",
    [b"", b"\xff" * 100_000, b"{" * 100_000, b"}" * 100_000, b"server {" * 50_000, b"${" * 300_000,
     b'"' * 100_001, b"'\"" * 100_000, b"\\" * 100_001, b"<" * 100_000, b"a;" * 100_000, b"<x>" * 50_000,
     b"</x>\n" * 50_000, b"include /*/*/*/*;" * 100, b"Define a ${a}${a}\n" * 10_000],
)  # fmt: skip
@pytest.mark.parametrize("reader", [nginx, apache])
def test_hostile(reader, raw):
    found = reader({"/etc/x/a": raw}, "/etc/x/a")
    assert len(found) <= 250_000
    assert all(len(a) <= 1_100_000 for d in found for a in d.args)


def test_words_are_bounded(monkeypatch):
    monkeypatch.setattr(_config_web, "MAX_WORDS", 100)
    notes = Notes()
    assert len(nginx({"/a": "x;\n" * 500}, "/a", notes)) < 100
    assert len(notes.problems) == 1


def test_apache():
    found = apache(
        {
            "/etc/apache2/envvars": "export APACHE_LOG=/var/log$SUFFIX\n",
            "/etc/apache2/apache2.conf": (
                '# c\nServerRoot "/etc/apache2"\nDefine DOM x.example\nListen 80\n'
                "IncludeOptional sites/*.conf\nErrorLog ${APACHE_LOG}/${UNKNOWN}\n"
            ),
            "/etc/apache2/sites/a.conf": "<VirtualHost *:80 [::]:80>\n ServerName \\\n  ${DOM}\n</VirtualHost>\n",
        }
    )  # fmt: skip
    assert [(d.name, d.args, d.line, d.block, d.opens) for d in found] == [
        ("serverroot", ["/etc/apache2"], 2, 0, 0),
        ("define", ["DOM", "x.example"], 3, 0, 0),
        ("listen", ["80"], 4, 0, 0),
        ("virtualhost", ["*:80", "[::]:80"], 1, 0, 1),
        ("servername", ["x.example"], 2, 1, 0),
        ("errorlog", ["/var/log/${UNKNOWN}"], 6, 0, 0),
    ]


def test_base_of_a_container():
    host = DictHost({"/proc/9/root/etc/n.conf": "include sub;\n", "/proc/9/root/etc/sub": "a b;\n"})
    found = list(_config_web.nginx(host, Notes(), "/etc/n.conf", "/proc/9/root"))
    assert [(d.name, d.file) for d in found] == [("a", "/etc/sub")]
