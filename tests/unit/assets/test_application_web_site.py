import pytest
from procfs import CONTAINER, Procfs, run

from hauberk.assets.application_web_site import COLLECTOR, WebSite
from hauberk.host.live import LiveHost
from hauberk.host.memory import DictHost, Node

NGINX = {
    "/usr/sbin/nginx": Node("nginx/1.22.1", mode=0o755),
    "/etc/nginx/nginx.conf": "http {\n ssl_protocols TLSv1.2 TLSv1.3;\n include sites/*;\n}\nstream {\n server { listen 53 udp; proxy_pass dns; }\n}\n",
    "/etc/nginx/sites/a": (
        "upstream app { server 10.0.0.1:80; }\n"
        "server {\n listen 443 ssl http2;\n listen [::]:443 ssl;\n server_name a.example www.a.example;\n"
        " root /srv/a;\n ssl_certificate /c.pem;\n location / { proxy_pass http://app; }\n"
        " location ~ php { fastcgi_pass unix:/run/php.sock; }\n}\nserver {\n root html;\n}\n"
    ),
}


def test_nginx():
    rows, problems = run(COLLECTOR, DictHost(NGINX, kind="root"))
    assert problems == []
    assert rows == [
        WebSite(
            server="nginx", name="a.example", aliases=["www.a.example"], listen=["443", "[::]:443"],
            root="/srv/a", tls=True, certificate="/c.pem", tls_protocols=["TLSv1.2", "TLSv1.3"],
            upstreams=["http://app", "unix:/run/php.sock"], config="/etc/nginx/sites/a", line=2,
        ),
        WebSite(server="nginx", name="_", listen=["80"], root="/usr/html", config="/etc/nginx/sites/a", line=11),
        WebSite(server="nginx", name="_", listen=["53"], kind="stream", upstreams=["dns"],
                config="/etc/nginx/nginx.conf", line=6),
    ]  # fmt: skip


def test_apache():
    rows, _ = run(
        COLLECTOR,
        DictHost(
            {
                "/usr/sbin/apache2": Node("Apache/2.4.57", mode=0o755),
                "/etc/apache2/apache2.conf": "Listen 80\nListen 443\nDocumentRoot /var/www/html\nIncludeOptional s/*.conf\n",
                "/etc/apache2/s/a.conf": (
                    "<IfModule ssl>\n<VirtualHost *:443>\nServerName b.example\nServerAlias *.b.example c.example\n"
                    'DocumentRoot "/srv/b"\nSSLEngine on\nSSLCertificateFile /b.pem\nSSLProtocol all -SSLv3\n'
                    "ProxyPass /api http://10.0.0.2:8080/ retry=0\n<Location /x>\nProxyPass http://10.0.0.3/\n"
                    "</Location>\n</VirtualHost>\n</IfModule>\n"
                ),
            }
        ),
    )  # fmt: skip
    assert rows == [
        WebSite(
            server="Apache httpd", name="b.example", aliases=["*.b.example", "c.example"], listen=["*:443"],
            root="/srv/b", tls=True, certificate="/b.pem", tls_protocols=["all", "-SSLv3"],
            upstreams=["http://10.0.0.2:8080/", "http://10.0.0.3/"], config="/etc/apache2/s/a.conf", line=2,
        ),
        WebSite(server="Apache httpd", name="_", listen=["80", "443"], root="/var/www/html",
                config="/etc/apache2/apache2.conf", line=3),
    ]  # fmt: skip


def test_site_of_a_container():
    host = (
        Procfs()
        .add(10, exe="/usr/sbin/nginx", argv=["nginx: master process nginx -g daemon off;"],
             cgroup=f"0::/docker/{CONTAINER}\n")
        .host({"/ctr/etc/nginx/nginx.conf": "http { server { server_name in.example; } }"},
              links={"/proc/10/root": "/ctr"})
    )  # fmt: skip
    (row,), _ = run(COLLECTOR, host)
    assert (row.name, row.container, row.config) == (
        "in.example",
        CONTAINER,
        "/etc/nginx/nginx.conf",
    )


def test_configuration_given_as_argument():
    host = (
        Procfs()
        .add(10, exe="/usr/sbin/nginx", argv=["/usr/sbin/nginx", "-c", "/srv/n.conf"])
        .host({"/srv/n.conf": "http{server{server_name x.example;}}"})
    )
    (row,), _ = run(COLLECTOR, host)
    assert (row.name, row.config) == ("x.example", "/srv/n.conf")


def test_equal_sites_are_numbered():
    files = {**NGINX, "/etc/nginx/sites/a": "server { listen 1; }\nserver { listen 1; }\n"}
    rows, _ = run(COLLECTOR, DictHost(files))
    assert [r.occurrence for r in rows] == [1, 2, 1]


def test_a_server_name_outside_a_server_block_is_no_site():
    files = {
        **NGINX,
        "/etc/nginx/nginx.conf": "events { server { } }\nserver { listen 1; }\nhttp { upstream u { server x; } }",
    }
    assert run(COLLECTOR, DictHost(files))[0] == []


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff" * 90_000,
        b"http{" + b"server{" * 90_000,
        b"http{" + b"server{}" * 20_000,
        b"<VirtualHost" * 50_000,
        b"\x00",
    ],
)
def test_hostile(raw):
    files = {
        "/usr/sbin/nginx": Node("", mode=0o755), "/etc/nginx/nginx.conf": raw,
        "/usr/sbin/apache2": Node("", mode=0o755), "/etc/apache2/apache2.conf": raw,
    }  # fmt: skip
    rows, _ = run(COLLECTOR, DictHost(files))
    assert len(rows) <= 5_000


def test_nested_virtual_hosts_are_bounded():
    files = {
        "/usr/sbin/apache2": Node("", mode=0o755),
        "/etc/apache2/apache2.conf": "<VirtualHost a>\n" * 20_000,
    }
    rows, problems = run(COLLECTOR, DictHost(files))
    assert len(rows) <= 64
    assert any("in each other" in p.what for p in problems)


def test_deep_nesting_looks_outwards_in_bounded_time():
    raw = "http { root /r; " + "server { location / {" * 20_000
    rows, _ = run(COLLECTOR, DictHost({**NGINX, "/etc/nginx/nginx.conf": raw}))
    assert len(rows) == 1


def test_nothing_there():
    assert run(COLLECTOR, DictHost({"/etc/x": ""})) == ([], [])


def test_refused_configuration_is_a_problem():
    rows, problems = run(COLLECTOR, DictHost(NGINX, denied=["/etc/nginx/sites"]))
    assert [r.kind for r in rows] == ["stream"]
    assert "/etc/nginx/sites" in {p.where for p in problems}


def test_live_runs():
    rows, _ = run(COLLECTOR, LiveHost())
    assert all(r.config.startswith("/") for r in rows)
