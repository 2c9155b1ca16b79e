from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hauberk.errors import Unreachable
from hauberk.store.object_cache import Cache


def content(key: str, size: int = 1000) -> bytes:
    return b"PAR1" + key.encode().ljust(size - 8, b".") + b"PAR1"


class Store:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.wait = 0.0
        self.broken = False

    def fetch(self, key: str) -> Iterator[bytes]:
        self.asked.append(key)
        time.sleep(self.wait)
        if key == "absent":
            raise FileNotFoundError(key)
        if self.broken:
            yield content(key)[:500]
            raise Unreachable("cut off")
        yield content(key)[:300]
        yield content(key)[300:]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def cache(tmp_path: Path, store: Store) -> Iterator[Cache]:
    made = Cache(tmp_path, store.fetch, max_bytes=5_000)
    yield made
    made.close()


def read(cache: Cache, *keys: str) -> list[bytes]:
    with cache.held([(key, 1000) for key in keys]) as paths:
        return [Path(path).read_bytes() for path in paths]


def copies(cache: Cache) -> list[Path]:
    return sorted(cache.folder.glob("objects/*/*"))


def test_each_is_fetched_once_and_given_in_order(cache: Cache, store: Store) -> None:
    assert read(cache, "b", "a") == [content("b"), content("a")]
    assert read(cache, "a", "b") == [content("a"), content("b")]
    assert sorted(store.asked) == ["a", "b"]
    assert list((cache.folder / "held").glob("*/*")) == []


def test_two_readers_at_once_fetch_once(cache: Cache, store: Store) -> None:
    store.wait = 0.05
    threads = [threading.Thread(target=read, args=(cache, "a")) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.asked == ["a"]


def test_the_least_recently_used_go_first(cache: Cache, store: Store) -> None:
    for key in "abcde":
        read(cache, key)
        time.sleep(0.01)
    read(cache, "a")
    read(cache, "f")
    assert sum(path.stat().st_size for path in copies(cache)) <= 5_000
    store.asked.clear()
    read(cache, "a", "f")
    assert store.asked == []
    read(cache, "b")
    assert store.asked == ["b"]


def test_what_is_held_stays_readable_whatever_is_evicted(cache: Cache) -> None:
    with cache.held([("a", 1000)]) as (path,):
        for n in range(20):
            read(cache, f"other-{n}")
        assert Path(path).read_bytes() == content("a")
    assert not Path(path).exists()


@pytest.mark.parametrize("damage", [b"", content("a")[:-1], content("a")[:-4] + b"\0\0\0\0"])
def test_a_broken_copy_is_fetched_again(cache: Cache, store: Store, damage: bytes) -> None:
    read(cache, "a")
    copies(cache)[0].write_bytes(damage)
    assert read(cache, "a") == [content("a")]
    assert store.asked == ["a", "a"]
    cache.drop(["a"])
    assert copies(cache) == []


def test_a_fetch_that_breaks_off_leaves_nothing(cache: Cache, store: Store) -> None:
    store.broken = True
    with pytest.raises(Unreachable, match="cut off"):
        read(cache, "a")
    assert copies(cache) == []
    with pytest.raises(FileNotFoundError):
        read(cache, "absent")
    store.broken = False
    assert read(cache, "a") == [content("a")]


def test_another_object_than_the_log_tells_is_refused(cache: Cache) -> None:
    with pytest.raises(Unreachable, match="something else"), cache.held([("a", 999)]):
        pass
    assert copies(cache) == []


def test_what_was_written_need_not_be_fetched(cache: Cache, store: Store) -> None:
    cache.keep("a", content("a"))
    assert read(cache, "a") == [content("a")]
    assert store.asked == []


def test_copies_outlive_their_process_and_what_a_dead_one_held_does_not(
    cache: Cache, store: Store, tmp_path: Path
) -> None:
    read(cache, "a")
    code = (
        "import os, sys, pathlib\n"
        "from hauberk.store.object_cache import Cache\n"
        "cache = Cache(pathlib.Path(sys.argv[1]), lambda key: [], max_bytes=5000)\n"
        "held = cache.held([('a', 1000)])\n"
        "print(held.__enter__()[0], flush=True)\n"
        "os._exit(9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    left = Path(done.stdout.strip())
    assert done.returncode == 9
    assert left.read_bytes() == content("a")
    with cache.held([("a", 1000)]) as (path,):
        again = Cache(tmp_path, store.fetch, max_bytes=5_000)
        assert not left.exists()
        assert Path(path).exists()
        assert read(again, "a") == [content("a")]
        again.close()
    assert store.asked == ["a"]
