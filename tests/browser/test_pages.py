"""Every page in both languages and themes: rendered, accessible, photographed."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from browserkit import AXE, Site, settle, shoot
from fleetkit import Fleet
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
PAGES = {
    "overview": "/",
    "assets": "/inventory",
    "packages": "/inventory/software.os_package",
    "process-drawer": "/inventory/runtime.process?asset={asset}",
    "not-collected": "/inventory/container.pod",
    "asset": "/asset/{asset}",
    "workloads": "/workloads",
    "workload": "/workloads/{workload}",
    "workload-events": "/workloads/{workload}?tab=events",
    "workload-changes": "/workloads/{workload}?tab=changes",
    "workload-collections": "/workloads/{workload}?tab=collections",
    "workload-schedule": "/workloads/{workload}?tab=desired",
    "workload-tasks": "/workloads/{workload}?tab=tasks",
    "events-network": "/events?table=network_activity",
    "events-blind": "/events?table=blind_time",
    "changes": "/changes",
    "agents": "/agents",
    "enrolments": "/agents?tab=enrolments",
    "settings": "/settings",
    "certificate": "/settings?tab=certificate",
    "server": "/settings?tab=server",
    "users": "/settings?tab=users",
    "tokens": "/settings?tab=tokens",
    "audit": "/settings?tab=audit",
    "tenants": "/settings?tab=tenants",
}
LOOKS = [("en", "light"), ("zh", "dark"), ("en", "dark"), ("zh", "light")]
# Contrast depends on the theme, names on the language: one look of each is enough.
CHECKED = {"en-light", "zh-dark"}
SERIOUS = """async () => {
  const found = await axe.run(document, { resultTypes: ['violations'] });
  return found.violations.filter(v => ['serious', 'critical'].includes(v.impact))
    .map(v => v.id + ': ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + ' ' + n.failureSummary).join(' | '));
}"""


FLEET_PAGES = {
    "fleet-overview": "/",
    "cost": "/cost",
    "cost-machines": "/cost?by=workload",
    "cost-machine": "/cost?workload={workload}",
    "cost-nothing": "/cost?q=hostname+%3D+edge-4",
    "runs": "/runs",
    "run": "/runs?run={run}",
    "fleet-workloads": "/workloads",
    "fleet-workload": "/workloads/{workload}",
    "windows": "/workloads/{workload}?tab=desired",
    "fleet-agents": "/agents",
    "agent": "/agents?agent={agent}",
    "agent-packages": "/agents?tab=packages",
    "rollouts": "/agents?tab=rollouts",
    "rollout": "/rollouts/{rollout}",
    "alarms": "/agents?tab=alarms",
    "fleet-server": "/settings?tab=server",
}


def look(tab: SimpleNamespace, pages: dict[str, str], ids: dict[str, str], look_: str) -> None:
    """Open each page, check it with axe where that tells something new, photograph it."""
    axe = AXE.read_text(encoding="utf-8")
    page = tab.page
    problems: dict[str, list[str]] = {}
    for name, path in pages.items():
        page.goto(tab.url + path.format(**ids))
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        settle(page)
        if look_ in CHECKED:
            # Not a script tag: the page's own policy would refuse it, as it should.
            page.evaluate(axe)
            if found := page.evaluate(SERIOUS):
                problems[name] = found
        shoot(page, f"{name}-{look_}")
    assert problems == {}


@pytest.mark.slow
@pytest.mark.parametrize(("language", "theme"), LOOKS)
def test_pages(
    site: Site, console: Callable[..., SimpleNamespace], language: str, theme: str
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is missing: npm ci in console/")
    workloads = site.server.api("GET", "/workloads")
    assets = site.server.api("GET", "/assets/runtime.process?limit=1")
    assert isinstance(workloads, dict)
    assert isinstance(assets, dict)
    ids = {"workload": workloads["items"][0]["id"], "asset": assets["items"][0]["id"]}
    look(console(language, theme), PAGES, ids, f"{language}-{theme}")


@pytest.mark.slow
@pytest.mark.parametrize(("language", "theme"), LOOKS)
def test_fleet_pages(
    fleet: Fleet, fleet_console: Callable[..., SimpleNamespace], language: str, theme: str
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is missing: npm ci in console/")
    look(fleet_console(language, theme), FLEET_PAGES, fleet.ids(), f"{language}-{theme}")


@pytest.mark.slow
@pytest.mark.parametrize(("language", "theme"), LOOKS)
def test_overlays(
    fleet: Fleet, fleet_console: Callable[..., SimpleNamespace], language: str, theme: str
) -> None:
    """Palette, help, job tray, views and dialogs: what no address opens."""
    if not AXE.exists():
        pytest.skip("axe-core is missing: npm ci in console/")
    axe = AXE.read_text(encoding="utf-8")
    tab = fleet_console(language, theme)
    page = tab.page
    problems: dict[str, list[str]] = {}

    def check(name: str) -> None:
        settle(page)
        page.wait_for_timeout(250)
        if f"{language}-{theme}" in CHECKED:
            page.evaluate(axe)
            if found := page.evaluate(SERIOUS):
                problems[name] = found
        shoot(page, f"{name}-{language}-{theme}")

    page.goto(f"{tab.url}/workloads")
    expect(page.locator("tbody tr").first).to_be_visible()
    page.keyboard.press("Control+k")
    page.keyboard.type("we")
    expect(page.get_by_role("option", name="web-2")).to_be_visible()
    check("palette")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    check("help")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_test_id("tray").click()
    expect(page.locator(".tray")).to_be_visible()
    check("tray")
    page.keyboard.press("Escape")
    page.get_by_test_id("views").click()
    expect(page.locator(".views")).to_be_visible()
    check("views")
    page.goto(f"{tab.url}/agents?tab=packages")
    page.get_by_test_id("upload").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    check("upload")
    page.goto(f"{tab.url}/agents?tab=rollouts")
    page.locator(".page-actions button").last.click()
    expect(page.locator(".preview")).to_be_visible()
    check("start-rollout")
    assert problems == {}


def test_login_page(console: Callable[..., SimpleNamespace]) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is missing: npm ci in console/")
    for language, theme in LOOKS:
        tab = console(language, theme, login=False)
        tab.page.goto(tab.url)
        expect(tab.page.locator("input#password")).to_be_visible()
        tab.page.evaluate(AXE.read_text(encoding="utf-8"))
        assert tab.page.evaluate(SERIOUS) == []
        shoot(tab.page, f"login-{language}-{theme}")
