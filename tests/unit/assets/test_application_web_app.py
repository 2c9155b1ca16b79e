import io
import json
import os
import subprocess
import sys
import zipfile

import pytest
from procfs import CONTAINER, Procfs, run

from hauberk.assets.application_web_app import (
    COLLECTOR,
    archive_versions,
    package_dependencies,
    package_version,
)
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost, Node


def shown(files, **kw):
    rows, problems = run(COLLECTOR, DictHost(files, **kw))
    return {(r.name, r.version, r.path) for r in rows}, problems


def archive(*names):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return data.getvalue()


LOCK = '{"packages": [{"name": "laravel/framework",\n  "version": "v10.3.1"}]}'


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"wp-includes/version.php": "<?php\n$wp_version = '6.4.2';\n"}, ("WordPress", "6.4.2")),
        ({"core/lib/Drupal.php": "const VERSION = '10.1.6';"}, ("Drupal", "10.1.6")),
        ({"administrator/manifests/files/joomla.xml": "<version>4.4.0</version>"}, ("Joomla", "4.4.0")),
        ({"version.php": "$OC_VersionString = '27.1.4';"}, ("Nextcloud", "27.1.4")),
        ({"artisan": "x", "composer.lock": LOCK}, ("Laravel", "10.3.1")),
        ({"thinkphp/base.php": "define('THINK_VERSION', '5.0.24');"}, ("ThinkPHP", "5.0.24")),
        ({"source/discuz_version.php": "define('DISCUZ_VERSION', 'X3.4');"}, ("Discuz!", "X3.4")),
        ({"manage.py": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'x')"}, ("Django", "")),
        ({"requirements.txt": "Flask==2.3.1\n"}, ("Flask", "2.3.1")),
        ({"app.py": "app = Flask(__name__)\n"}, ("Flask", "")),
        ({"main.py": "x", "pyproject.toml": 'dependencies = ["fastapi>=0.100"]'}, ("FastAPI", "0.100")),
        ({"Gemfile.lock": "GEM\n  specs:\n    rails (7.0.4)\n      x\n"}, ("Ruby on Rails", "7.0.4")),
        ({"package.json": '{"dependencies": {"next": "^13.4.0"}}'}, ("Next.js", "13.4.0")),
        ({"package.json": '{"dependencies": {"express": "*"}}',
          "node_modules/express/package.json": '{"version": "4.18.2"}'}, ("Express", "4.18.2")),
        ({"WEB-INF/web.xml": "<web-app/>"}, ("Java web application", "")),
        ({"WEB-INF/lib/struts2-core-2.5.30.jar": ""}, ("Apache Struts", "2.5.30")),
        ({"x.war": archive("WEB-INF/lib/spring-webmvc-5.3.9.jar")}, ("Spring MVC", "5.3.9")),
    ],
)  # fmt: skip
def test_each_mark(files, expected):
    rows, problems = shown({f"/var/www/shop/{p}": v for p, v in files.items()}, kind="root")
    assert problems == []
    assert {(name, version) for name, version, _ in rows} == {expected}


@pytest.mark.parametrize(
    "files",
    [
        {"wp-includes/version.php": "nothing"}, {"wp-includes/x": ""}, {"manage.py": "print()"},
        {"version.php": "$x = 1;"}, {"artisan": "x"}, {"package.json": '{"devDependencies": {"next": "1"}}'},
        {"package.json": "{"}, {"package.json": "[]"}, {"requirements.txt": "flask-login\n"}, {"app.py": "x"},
        {"x.war": archive("a/b")}, {"index.html": "x"},
    ],
)  # fmt: skip
def test_look_alikes_are_not(files):
    assert shown({f"/var/www/shop/{p}": v for p, v in files.items()}) == (set(), [])


def test_site_and_its_root():
    files = {
        "/usr/sbin/nginx": Node("", mode=0o755),
        "/etc/nginx/nginx.conf": "http { server { server_name blog.example; root /data/blog; } }",
        "/data/blog/wp-includes/version.php": "$wp_version = '6.4.2';",
    }
    (row,), _ = run(COLLECTOR, DictHost(files))
    assert (row.path, row.site, row.running) == ("/data/blog", "blog.example", None)


def test_working_folder_and_jar_of_processes():
    boot = archive("BOOT-INF/classes/x", "BOOT-INF/lib/spring-boot-3.1.5.jar")
    host = (
        Procfs()
        .add(10, exe="/usr/bin/node", argv=["node", "server.js"], start=4)
        .add(11, exe="/usr/bin/java", argv=["java", "-jar", "shop.jar"], cgroup=f"0::/docker/{CONTAINER}\n")
        .add(12, exe="/usr/sbin/other", argv=["x"])
        .host(
            {"/deep/er/app/package.json": '{"dependencies": {"koa": "2.14.2"}}', "/ctr/work/shop.jar": boot},
            links={"/proc/10/cwd": "/deep/er/app", "/proc/11/cwd": "/work", "/proc/11/root": "/ctr", "/proc/12/cwd": "/deep"},
        )
    )  # fmt: skip
    rows, problems = run(COLLECTOR, host)
    assert problems == []
    assert [(r.name, r.version, r.path, r.pid, r.container, r.running) for r in rows] == [
        ("Koa", "2.14.2", "/deep/er/app", 10, "", True),
        ("Spring Boot", "3.1.5", "/work/shop.jar", 11, CONTAINER, True),
    ]


def test_archive_versions():
    assert archive_versions([]) == (None, None, False)
    assert archive_versions(["BOOT-INF/x"]) == ("", None, False)
    assert archive_versions(["WEB-INF/lib/spring-boot-2.7.18.jar", "WEB-INF/x"]) == (
        "2.7.18",
        None,
        True,
    )
    assert archive_versions(["a/lib/spring-boot-starter-2.jar", "x" * 100_000]) == (
        None,
        None,
        False,
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 100_000,
        '{"dependencies": 5}',
        '{"dependencies": {"a": 5}}',
        "null",
        '{"version": 4}',
    ],
)
def test_hostile_package_json(text):
    assert package_dependencies(text) == {}
    assert package_version(text) == ""


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff" * 900_000,
        b"$wp_version " + b" " * 500_000,
        b"\x00",
        b"PK\x05\x06" + b"\xff" * 18,
        b"flask[" * 100_000,
    ],
)
def test_hostile_files(raw):
    names = ("wp-includes/version.php", "version.php", "manage.py", "package.json", "requirements.txt",
             "app.py", "Gemfile.lock", "composer.lock", "artisan", "a.war", "b.jar")  # fmt: skip
    rows, _ = shown({f"/var/www/x/{n}": raw for n in names})
    assert len(rows) <= 1


def test_folders_are_bounded(monkeypatch):
    monkeypatch.setattr("hauberk.assets.application_web_app.MAX_FOLDERS", 20)
    rows, problems = shown({f"/var/www/{i}/{j}/x": "" for i in range(9) for j in range(9)})
    assert rows == set()
    assert any("more than 20 folders" in p.what for p in problems)


def test_dependencies_are_not_searched():
    files = {"/var/www/x/node_modules/y/package.json": '{"dependencies": {"express": "1"}}',
             "/var/www/x/vendor/z/manage.py": "DJANGO_SETTINGS_MODULE"}  # fmt: skip
    assert shown(files) == (set(), [])


def test_nothing_there():
    assert shown({"/etc/x": ""}) == (set(), [])


def test_live_application_of_an_own_process(tmp_path):
    (tmp_path / "package.json").write_text(json.dumps({"dependencies": {"fastify": "4.1.0"}}))
    code = "import sys; print('up', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout.readline() == b"up\n"
        rows, _ = run(COLLECTOR, LiveHost())
        child.stdin.close()
        child.wait(10)
    (row,) = [r for r in rows if r.path == os.path.realpath(tmp_path)]
    assert (row.name, row.version, row.pid, row.running) == ("Fastify", "4.1.0", child.pid, True)
