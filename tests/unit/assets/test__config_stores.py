import re

from hauberk.assets._config_stores import REDIS, VALKEY


def test_executables():
    assert re.fullmatch(REDIS.exes, "redis-check-rdb")
    assert re.fullmatch(REDIS.exes, "redis-server")
    assert not re.fullmatch(REDIS.exes, "redis-cli")
    assert re.fullmatch(VALKEY.exes, "valkey-server")
