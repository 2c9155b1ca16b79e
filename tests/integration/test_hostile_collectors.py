"""Collectors of processes, network, persistence and applications over damaged machines."""

import random

import pytest
from procfs import CONTAINER, Procfs, inet_line

from hauberk.errors import HostError
from hauberk.host.memory import Node
from hauberk.ports import Collector, Notes
from hauberk.registry import discover

CLASSES = ("runtime", "network", "persistence", "application")
RULES = (
    '{"nftables":[{"chain":{"family":"ip","table":"a","name":"b"}},{"rule":{"family":"ip","table":"a","chain":"b",'
    '"expr":[{"match":{"op":"==","left":{"meta":{"key":"x"}},"right":{"set":[1,{"range":[1,2]}]}}},{"drop":null}]}}]}'
)
NGINX = "user w;\nhttp { include s/*; server { listen 80; server_name a; root /var/www/a; } }\n"
FILES = {
    "/etc/passwd": "root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n",
    "/etc/crontab": "17 * * * * root run\n@daily bob x\n",
    "/etc/anacrontab": "1 5 cron.daily run-parts /etc/cron.daily\n",
    "/var/spool/cron/atjobs/a0000101bd1b2c": "#!/bin/sh\ncurl x\n",
    "/etc/systemd/system/a.service": "[Unit]\nDescription=x\n[Service]\nExecStart=/a \\\n -b\nUser=w\n[Install]\nWantedBy=m.target\n",
    "/etc/systemd/system/a.service.d/o.conf": "[Service]\nExecStart=\nExecStart=/c\n",
    "/etc/systemd/system/a.timer": "[Timer]\nOnCalendar=daily\n",
    "/etc/init.d/old": "#!/bin/sh\n# Short-Description: x\n",
    "/etc/ld.so.preload": "/lib/a.so /lib/b.so\n",
    "/etc/udev/rules.d/9.rules": 'ACTION=="add", RUN+="/x"\n',
    "/etc/apt/apt.conf.d/9": 'DPkg::Post-Invoke { "x"; };\nAcquire::http::Proxy "http://u:p@h:1";\n',
    "/root/.config/autostart/a.desktop": "[Desktop Entry]\nExec=/x\n",
    "/etc/resolv.conf": "nameserver 192.0.2.1\nsearch a\n",
    "/etc/hosts": "127.0.0.1 localhost\n",
    "/usr/sbin/nginx": "x nginx/1.22.1 y",
    "/etc/nginx/nginx.conf": NGINX,
    "/etc/nginx/s/a": "server { listen 443 ssl; location / { proxy_pass http://b; } }\n",
    "/usr/sbin/apache2": "x Apache/2.4.57 y",
    "/etc/apache2/apache2.conf": "Listen 80\nDefine A b\n<VirtualHost *:80>\nServerName ${A}\n</VirtualHost>\n",
    "/usr/bin/redis-server": "x",
    "/etc/redis/redis.conf": "bind 127.0.0.1 -::1\nport 6379\n",
    "/var/lib/dpkg/status": "Package: redis\nStatus: install ok installed\nVersion: 5:7.0\n\n",
    "/var/www/a/wp-includes/version.php": "<?php $wp_version = '6.4';\n",
    "/var/www/b/package.json": '{"dependencies": {"next": "^13"}}',
    "/var/www/c/x.jar": b"PK\x01\x02"
    + b"\0" * 42
    + b"PK\x05\x06"
    + b"\0" * 8
    + b"\x2e"
    + b"\0" * 9,
    "/usr/bin/python3.11": b"\x7fELF\x02\x01" + b"\0" * 90 + b"\x003.11.2\x00",
    "/usr/lib/jvm/a/bin/java": "x",
    "/usr/lib/jvm/a/release": 'JAVA_VERSION="17"\n',
    "/proc/net/route": "h\neth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n",
    "/proc/net/fib_trie": "|-- 192.0.2.2\n /32 host LOCAL\n",
    "/proc/net/if_inet6": "fe8000000000000000fc00fffe000001 04 40 20 80 eth0\n",
    "/sys/class/net/eth0/mtu": "1500\n",
}
PIECES = (
    b"\0",
    b"\n",
    b"{",
    b"}",
    b'"',
    b"'",
    b"\\",
    b"\xff",
    b"[",
    b"<",
    b"9" * 400,
    b"include *;",
    b"(",
    b")",
    b"=",
    b"${",
    b" " * 99,
)


def machine():
    return (
        Procfs()
        .add(10, b"nginx", exe="/usr/sbin/nginx", argv=["nginx: master process nginx"], sockets=[1],
             maps="1-2 r-xp 0 0:0 5 /usr/sbin/nginx\n", limits="Max open files  1  2  files\n", environ="A=1\0TOKEN=x\0")
        .add(11, b"java", exe="/usr/lib/jvm/a/bin/java", argv=["java", "-jar", "x.jar"], sockets=[2], netns=2,
             cgroup=f"0::/docker/{CONTAINER}\n", maps="", limits="", environ="")
        .add(12, b"k", kernel=True)
        .table(10, "tcp", inet_line("00000000:0050", inode=1), inet_line("0100007F:0050", "0100007F:9C40", "01", inode=1))
        .table(11, "udp6", inet_line("0" * 32 + ":0035", state="07", inode=2))
    )  # fmt: skip


def damaged(rng, raw):
    data = bytearray(raw if isinstance(raw, bytes) else raw.encode())
    if rng.random() < 0.2:
        return bytes(data[: rng.randrange(len(data) + 1)])
    for _ in range(rng.randrange(1, 12)):
        at = rng.randrange(len(data) + 1)
        kind = rng.random()
        if kind < 0.4:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif kind < 0.7:
            data[at:at] = rng.choice(PIECES)
        else:
            del data[at : at + rng.randrange(20)]
    return bytes(data)


def collectors():
    found = discover("hauberk.assets", "COLLECTOR", Collector)
    return [c for c in found.values() if c.subclass.split(".")[0] in CLASSES]


def test_the_whole_machine_gives_rows_of_every_collector():
    base = machine()
    host = base.host(
        {p: Node(b, mode=0o755) for p, b in FILES.items()},
        kind="live",
        tools={"nft -j list ruleset": RULES},
    )
    empty = {c.subclass for c in collectors() if not list(c.collect(host, Notes()))}
    assert empty == set()


@pytest.mark.parametrize("seed", range(40))
def test_damage_gives_notes_and_never_an_exception(seed):
    rng = random.Random(seed)
    base = machine()
    base.files = {
        p: damaged(rng, b) if b and rng.random() < 0.5 else b for p, b in base.files.items()
    }
    files = {
        p: Node(damaged(rng, b) if rng.random() < 0.5 else b, mode=0o755) for p, b in FILES.items()
    }
    denied = rng.sample(sorted(FILES), 3)
    tools = {"nft -j list ruleset": damaged(rng, RULES)}
    host = base.host(files, kind="live", tools=tools, denied=denied)
    for collector in collectors():
        notes = Notes()
        try:
            keys = [row.key() for row in collector.collect(host, notes)]
        except HostError:
            assert collector.subclass == "network.firewall"
            continue
        assert len(keys) == len(set(keys)), collector.subclass
