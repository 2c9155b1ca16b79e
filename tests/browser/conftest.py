"""A real server with a real agent's data, and Chromium on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import fleetkit
import pytest
from browserkit import REPO, Site, fill, sign_in
from fleetkit import Fleet
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright
from serverkit import Agent, ServerProcess

STATIC = REPO / "src/hauberk/api/static/index.html"
CHROMIUM = Path("/usr/bin/chromium")
# Machines that run tests are busy.
expect.set_options(timeout=15_000)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not STATIC.exists():
        pytest.skip("the console is not built: make console")
    folder = tmp_path_factory.mktemp("site")
    server = ServerProcess(folder)
    server.start()
    try:
        made = server.api("POST", "/users", {"name": "eve", "role": "admin"})
        assert isinstance(made, dict)
        agent = Agent.enrolled(server, folder / "agent")
        fill(server, agent)
        yield Site(server, agent, made["password"])
    finally:
        server.stop()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Watched:
    """What a page did that it must not."""

    foreign: list[str]
    errors: list[str]


def cookies_of(site: Site, chromium: Browser, name: str, password: str) -> dict[str, object]:
    """Cookies of one login, so that tests don't meet the throttle."""
    context = chromium.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.goto(site.url)
    sign_in(page, name, password)
    state = context.storage_state()
    context.close()
    return {"cookies": state.get("cookies", []), "origins": []}


@pytest.fixture(scope="session")
def signed_in(site: Site, chromium: Browser) -> dict[str, object]:
    return cookies_of(site, chromium, "eve", site.password)


def opener(
    site: Site, chromium: Browser, state: dict[str, object]
) -> Iterator[Callable[..., SimpleNamespace]]:
    """Gives what opens pages of a site, and looks afterwards at what they did."""
    contexts: list[tuple[BrowserContext, Watched]] = []

    def make(
        language: str = "en",
        theme: str = "light",
        *,
        login: bool = True,
        other: dict[str, object] | None = None,
    ) -> SimpleNamespace:
        context = chromium.new_context(
            ignore_https_errors=True,
            viewport={"width": 1440, "height": 900},
            storage_state=(other or state) if login else None,  # type: ignore[arg-type]
            locale="en-GB",
        )
        prefs = f'{{"language":"{language}","theme":"{theme}"}}'
        context.add_init_script(
            f"if (!localStorage.getItem('hauberk.prefs')) localStorage.setItem('hauberk.prefs', '{prefs}')"
        )
        watched = Watched([], [])
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("request", lambda r: _watch(r.url, site.url, watched))
        page.on("pageerror", lambda e: watched.errors.append(str(e)))
        contexts.append((context, watched))
        return SimpleNamespace(page=page, watched=watched, url=site.url, context=context)

    yield make
    for context, watched in contexts:
        context.close()
        assert watched.foreign == []
        assert watched.errors == []


@pytest.fixture
def console(
    site: Site, chromium: Browser, signed_in: dict[str, object]
) -> Iterator[Callable[..., SimpleNamespace]]:
    """Call it for a page: `console(language=, theme=, login=)` gives page, watched, url."""
    yield from opener(site, chromium, signed_in)


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Four machines with all that can be wrong, and what was ordered of them."""
    if not STATIC.exists():
        pytest.skip("the console is not built: make console")
    folder = tmp_path_factory.mktemp("fleet")
    server = ServerProcess(folder)
    server.start()
    try:
        yield fleetkit.fill(server, folder)
    finally:
        server.stop()


@pytest.fixture(scope="session")
def people(fleet: Fleet, chromium: Browser) -> dict[str, dict[str, object]]:
    """Logins of the fleet's users."""
    return {
        name: cookies_of(fleet.site, chromium, name, password)
        for name, password in fleet.passwords.items()
    }


@pytest.fixture
def fleet_console(
    fleet: Fleet, chromium: Browser, people: dict[str, dict[str, object]]
) -> Iterator[Callable[..., SimpleNamespace]]:
    """As `console`, of the fleet's server; `other=people[NAME]` signs in as somebody else."""
    yield from opener(fleet.site, chromium, people["eve"])


def _watch(url: str, own: str, watched: Watched) -> None:
    if not url.startswith((own + "/", "data:", "blob:")):
        watched.foreign.append(url)
