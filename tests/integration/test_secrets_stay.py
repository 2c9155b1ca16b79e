"""No collector lets a secret leave: every row and problem of every one is searched for known ones."""

from __future__ import annotations

import base64
import re

import msgspec
import pytest
from procfs import Procfs

from hauberk.errors import HostError
from hauberk.host.clock import SystemClock
from hauberk.host.collect import collectors, run
from hauberk.host.memory import DictHost, Node
from hauberk.host.root import RootHost


def with_secret(text: str, name: str) -> str:
    """`text` with the secret for its `@@`."""
    return text.replace("@@", secret(name))


def secret(name: str) -> str:
    """A word that stands nowhere else."""
    return f"S3cr3t{name}Zq9X"


KEY_BODY = base64.b64encode(b"openssh-key-v1\0" + secret("key").encode() * 20).decode()
KEY = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{KEY_BODY}\n-----END OPENSSH PRIVATE KEY-----\n"
PEM = KEY.replace("OPENSSH PRIVATE", "RSA PRIVATE")
HASH = f"$6$rounds=5000$salt${secret('hash')}abcdefghijklmnop"
FILES: dict[str, str] = {
    "/etc/passwd": "root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n"
    f"old:{secret('passwd')}:1001:1001::/home/old:/bin/sh\n",
    "/etc/shadow": f"root:{HASH}:19000:0:99999:7:::\nbob:!{HASH}:19000::::::\nbad {secret('bad')}\n",
    "/etc/shadow-": f"root:{HASH}:19000:0:99999:7:::\n",
    "/etc/gshadow": f"wheel:{HASH}:root:bob\n",
    "/etc/group": f"wheel:{secret('group')}:10:bob\n",
    "/etc/ssh/ssh_host_ed25519_key": KEY,
    "/root/.ssh/id_rsa": PEM,
    "/home/bob/.ssh/id_ed25519": KEY,
    "/home/bob/.ssh/authorized_keys": f"{KEY}not a key {secret('authorized')}\n",
    "/home/bob/.ssh/config": f"Host a\n  ProxyCommand x --password {secret('proxy')}\n",
    "/etc/ssl/private/a.key": PEM,
    "/etc/ssl/certs/a.pem": PEM,
    "/root/.aws/credentials": f"[default]\naws_secret_access_key = {secret('aws')}\n",
    "/root/.docker/config.json": with_secret('{"auths": {"r.example": {"auth": "@@"}}}', "docker"),
    "/home/bob/.config/containers/auth.json": with_secret('{"auths": {"q": {"auth": "@@"}}}', "podman"),
    "/etc/docker/daemon.json": with_secret('{"registry-mirrors": ["https://u:@@@m.example"]}', "mirror"),
    "/root/.kube/config": f"users:\n- user:\n    token: {secret('kube')}\n",
    "/etc/kubernetes/kubelet.conf": "clusters:\n- cluster: {server: 'https://k:1'}\nusers:\n"
    f"- user: {{token: {secret('kubelet')}, client-key-data: {KEY_BODY}}}\n",
    "/var/run/secrets/kubernetes.io/serviceaccount/token": secret("account"),
    "/root/.netrc": f"machine a login b password {secret('netrc')}\n",
    "/root/.pgpass": f"*:*:*:b:{secret('pgpass')}\n",
    "/root/.my.cnf": f"[client]\npassword={secret('mycnf')}\n",
    "/root/.git-credentials": f"https://u:{secret('git')}@g.example\n",
    "/root/.bash_history": f"export TOKEN={secret('history')}\n",
    "/etc/redis/redis.conf": f"port 6379\nrequirepass {secret('redis')}\nmasterauth {secret('master')}\n"
    f"user default on >{secret('acl')} ~* +@all\n",
    "/etc/mysql/my.cnf": f"[client]\npassword={secret('mysql')}\n[mysqld]\nport=3306\n",
    "/etc/postgresql/15/main/postgresql.conf": f"port = 5432\nssl_passphrase_command = 'echo {secret('pg')}'\n"
    f"primary_conninfo = 'host=a password={secret('conninfo')}'\n",
    "/etc/rabbitmq/rabbitmq.conf": f"listeners.tcp.default = 5672\ndefault_pass = {secret('rabbit')}\n",
    "/etc/mongod.conf": f"net:\n  port: 27017\n  tls: {{certificateKeyFilePassword: {secret('mongo')}}}\n",
    "/etc/elasticsearch/elasticsearch.yml": f"http.port: 9200\nxpack.security.x: {secret('elastic')}\n",
    "/etc/nginx/nginx.conf": "http { server { listen 80; server_name a; root /var/www/a;\n"
    f"  proxy_set_header Authorization \"Bearer {secret('nginx')}\";\n"
    f"  location / {{ proxy_pass http://u:{secret('upstream')}@b; }} }} }}\n",
    "/etc/apache2/apache2.conf": f"Listen 80\nDefine TOKEN {secret('apache')}\nSetEnv KEY {secret('setenv')}\n"
    "<VirtualHost *:80>\nServerName a\nDocumentRoot /var/www/a\n</VirtualHost>\n",
    "/var/www/a/wp-config.php": f"<?php define('DB_PASSWORD', '{secret('wp')}');\n",
    "/var/www/a/wp-includes/version.php": "<?php $wp_version = '6.4';\n",
    "/var/www/b/.env": f"APP_KEY={secret('env')}\n",
    "/var/www/b/package.json": with_secret('{"dependencies": {"x": "https://u:@@@g.example/x.git"}}', "npm"),
    "/root/.npmrc": f"//registry.example/:_authToken={secret('npmrc')}\n",
    "/etc/apt/apt.conf.d/9": f'Acquire::http::Proxy "http://u:{secret("aptproxy")}@h:1";\n',
    "/etc/apt/auth.conf": f"machine a login b password {secret('aptauth')}\n",
    "/etc/apt/sources.list": f"deb https://u:{secret('source')}@d.example/ a main\n",
    "/etc/systemd/system/a.service": "[Service]\nExecStart=/a\n"
    f"Environment=TOKEN={secret('unit')}\n[Install]\nWantedBy=m.target\n",
    "/etc/crontab": f"TOKEN={secret('cron')}\n17 * * * * root run\n",
    "/etc/sudoers": f"# {secret('sudoers')}\nroot ALL=(ALL) ALL\n",
    "/etc/environment": f"TOKEN={secret('environment')}\n",
    "/etc/profile.d/x.sh": f"export TOKEN={secret('profile')}\n",
    "/etc/resolv.conf": "nameserver 192.0.2.1\n",
    "/etc/fstab": f"//h/s /m cifs username=u,password={secret('fstab')} 0 0\n"
    f"https://u:{secret('dav')}@h/d /d davfs rw 0 0\n",
    "/etc/wpa_supplicant/wpa_supplicant.conf": f"psk={secret('wifi')}\n",
    "/etc/NetworkManager/system-connections/a": f"[wifi-security]\npsk={secret('nm')}\n",
    "/etc/krb5.keytab": secret("keytab"),
    "/var/lib/hauberk/key.pem": PEM,
}  # fmt: skip
SECRETS = ("S3cr3t", KEY_BODY[40:80])


def told(host) -> str:
    """Everything that the collectors say of `host`, as one text."""
    found = []
    for collector in collectors().values():
        rows, proof = run(collector, host, epoch=1, clock=SystemClock())
        assert not [p for p in proof.problems if ".py:" in p.where], proof
        found += [collector.subclass, rows, proof]
    return msgspec.json.encode(found).decode()


def leaks(text: str) -> set[str]:
    """Where secrets stand in `text`, with what stands around them."""
    places = [m.start() for secret in SECRETS for m in re.finditer(re.escape(secret), text)]
    return {text[max(0, at - 60) : at + 40] for at in places}


def test_the_secrets_would_be_found():
    assert leaks(f"x {secret('a')} y")
    assert leaks(KEY.replace("\n", "\\n"))


@pytest.mark.parametrize("kind", ["live", "root"])
def test_no_secret_of_a_machine_leaves(kind):
    machine = Procfs()
    for pid, name in enumerate(("sshd", "redis-server", "nginx", "java", "node", "python3"), 10):
        machine.add(pid, name.encode(), exe=f"/usr/bin/{name}", argv=[name], maps="", limits="",
                    environ=f"TOKEN={secret('environ')}\0JAVA_TOOL_OPTIONS=-Dx={secret('java')}\0")  # fmt: skip
    files = {p: Node(t, mode=0o640) for p, t in FILES.items()}
    for name in ("sshd", "redis-server", "nginx", "java", "node", "python3"):
        files[f"/usr/bin/{name}"] = Node(b"\x7fELF" + secret("binary").encode(), mode=0o755)
    files |= {p: Node(t) for p, t in machine.files.items() if not p.endswith("/")}
    empty = {p: t for p, t in machine.files.items() if p.endswith("/")}
    nft = HostError("nft: not here")
    host = DictHost(
        {**files, **empty}, links=machine.links, kind=kind, tools={"nft -j list ruleset": nft}
    )
    assert leaks(told(host)) == set()


def test_no_secret_of_a_mounted_root_leaves(tmp_path):
    for path, text in FILES.items():
        file = tmp_path / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o600)
    # What a user may do: name the system's secrets as own files.
    (tmp_path / "home/bob/.ssh/authorized_keys2").symlink_to("/etc/shadow")
    (tmp_path / "home/bob/.docker").mkdir()
    (tmp_path / "home/bob/.docker/config.json").symlink_to("/etc/shadow")
    with RootHost(str(tmp_path)) as host:
        assert leaks(told(host)) == set()
