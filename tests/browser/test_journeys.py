"""What people do in the console, against a real server."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from browserkit import (
    CLASS_IDS,
    EVIL,
    MANY,
    Site,
    class_of,
    collectors,
    process,
    send_processes,
    settle,
    shoot,
    sign_in,
)
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
Console = Callable[..., SimpleNamespace]


def workload(site: Site) -> str:
    page = site.server.api("GET", "/workloads")
    assert isinstance(page, dict)
    return page["items"][0]["id"]


def first(site: Site, subclass: str) -> str:
    page = site.server.api("GET", f"/assets/{subclass}?limit=1")
    assert isinstance(page, dict)
    return page["items"][0]["id"]


def test_login_keeps_the_address(site: Site, console: Console) -> None:
    tab = console(login=False)
    page = tab.page
    page.goto(f"{tab.url}/inventory/software.os_package?sort=-name")
    page.fill("input#name", "eve")
    page.fill("input#password", "wrong")
    page.click("button[type=submit]")
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    shoot(page, "login-en-light")
    sign_in(page, "eve", site.password)
    expect(page).to_have_url(re.compile(r"sort=-name"))
    expect(page.get_by_role("heading", level=1)).to_have_text("OS packages")
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("input#password")).to_be_visible()


def test_overview_says_not_assessed_where_nothing_looks(console: Console) -> None:
    tab = console()
    page = tab.page
    page.goto(tab.url)
    expect(page.locator(".kpi", has_text="Risks")).to_contain_text("not assessed")
    expect(page.locator(".kpi", has_text="Incidents")).to_contain_text("not assessed")
    expect(page.locator(".tile[data-class]")).to_have_count(9)
    expect(
        page.locator(".panel", has=page.get_by_role("heading", name="Blind time"))
    ).to_contain_text("120 lost")
    # Every figure says how old it is.
    for head in page.locator(".panel-head").all():
        expect(head.locator("time")).to_have_count(1)
    page.locator(".kpi", has_text="Workloads").click()
    expect(page).to_have_url(f"{tab.url}/workloads")


@pytest.mark.parametrize("class_id", CLASS_IDS)
def test_tile_to_subclass_to_row_to_relation(console: Console, class_id: str) -> None:
    subclass = next(
        s for s in sorted(collectors()) if class_of(s) == class_id and s != "container.pod"
    )
    tab = console()
    page = tab.page
    page.goto(tab.url)
    page.locator(f".tile[data-class={class_id}]").click()
    page.locator(f"a[data-subclass='{subclass}']").click()
    expect(page).to_have_url(f"{tab.url}/inventory/{subclass}")
    rows = page.locator("tbody tr.clickable")
    # The row whose text sorts first among those with markup has relations.
    target = rows.filter(has_text=EVIL[0][:8]).first
    target.click()
    drawer = page.get_by_role("dialog")
    expect(drawer.locator("dl.facts").first).to_be_visible()
    expect(page).to_have_url(re.compile("asset="))
    before = page.url
    drawer.locator(".edges button").first.click()
    page.wait_for_function("was => location.href !== was", arg=before)
    expect(page).to_have_url(re.compile(r"/inventory/[a-z_.]+\?asset="))
    expect(drawer.locator(".edges li").first).to_be_visible()
    page.go_back()
    expect(page).to_have_url(before)


def test_permalink_keeps_everything(site: Site, console: Console) -> None:
    home, asset = workload(site), first(site, "software.os_package")
    tab = console()
    page = tab.page
    query = (
        f"q=name+~+name&sort=-name&workload={home}&gone=1&cols=name,version,hostname&asset={asset}"
    )
    page.goto(f"{tab.url}/inventory/software.os_package?{query}")
    for _ in range(2):
        expect(page.get_by_role("combobox", name="Filter")).to_have_value("name ~ name")
        expect(page.locator("th[aria-sort=descending]")).to_contain_text("Package")
        expect(page.get_by_role("checkbox", name="Include gone")).to_be_checked()
        expect(page.get_by_role("dialog").locator("dl.facts").first).to_be_visible()
        assert page.locator("thead th").count() == 3
        page.reload()


def test_filter_completes_and_points_at_mistakes(console: Console) -> None:
    tab = console()
    page = tab.page
    page.goto(f"{tab.url}/inventory/software.os_package")
    expect(page.get_by_test_id("shown")).to_contain_text(f"of {MANY}")
    page.keyboard.press("/")
    page.keyboard.type("vers")
    page.keyboard.press("Tab")
    page.keyboard.type("= ")
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("shown")).to_contain_text("1 of 1")
    expect(page).to_have_url(re.compile("q=version"))
    box = page.get_by_role("combobox", name="Filter")
    box.fill("nmae = 1")
    box.press("Escape")
    expect(page.get_by_role("alert")).to_contain_text("no column")
    box.fill("name = no-such-thing")
    box.press("Enter")
    expect(page.locator(".table-box")).to_contain_text(f"None of {MANY} rows fits")


def test_long_list_is_read_by_cursor_and_keyboard(console: Console) -> None:
    tab = console()
    page = tab.page
    page.goto(f"{tab.url}/inventory/software.os_package")
    shown = page.get_by_test_id("shown")
    expect(shown).to_contain_text(f"200 of {MANY}")
    box = page.locator(".table-box")
    for part in ("400", str(MANY)):
        box.evaluate("element => { element.scrollTop = element.scrollHeight }")
        expect(shown).to_contain_text(f"{part} of {MANY}")
    assert page.locator("tbody tr").count() < 100
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_contain_text("Next row")


def test_not_collected_is_not_zero(console: Console) -> None:
    missing = next(
        s
        for s in (
            "container.registry",
            "software.unowned_binary",
            "container.node",
            "container.pod",
        )
        if s not in collectors() or s == "container.pod"
    )
    tab = console()
    page = tab.page
    page.goto(f"{tab.url}/inventory/{missing}")
    wanted = "Scanned 1 workload, 0 found" if missing in collectors() else "Not collected"
    expect(page.locator(".table-box .empty")).to_contain_text(wanted)


def test_language_and_theme_switch_at_once_and_stay(console: Console) -> None:
    tab = console()
    page = tab.page
    page.goto(f"{tab.url}/inventory/software.os_package")
    expect(page.get_by_role("columnheader", name="Package", exact=True)).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if "/assets/index" in r.url else None)
    page.get_by_test_id("language").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("系统软件包")
    expect(page.get_by_role("columnheader", name="软件包", exact=True)).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    assert asked == []
    theme = page.get_by_test_id("theme")
    theme.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("系统软件包")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_markup_from_machines_is_inert(site: Site, console: Console) -> None:
    tab = console()
    page = tab.page
    home = workload(site)
    for path in (
        "/",
        "/workloads",
        f"/workloads/{home}",
        f"/workloads/{home}?tab=events",
        f"/inventory/runtime.process?asset={first(site, 'runtime.process')}",
        f"/asset/{first(site, 'network.listening_port')}",
        "/changes",
        "/events",
        "/agents",
        "/settings?tab=audit",
    ):
        page.goto(tab.url + path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        settle(page)
        assert page.evaluate("window.pwned") is None, path
        assert page.locator("main img, main script").count() == 0, path
    page.goto(f"{tab.url}/events?q=pid+in+(2000,2001)")
    expect(page.locator("tbody")).to_contain_text(EVIL[0])
    # Bytes that are no text, an escape sequence and a direction override are shown as what they are.
    expect(page.locator(".escaped").first).to_contain_text("\\xe9\\x1b")


def test_live_events_come_by_themselves_and_wait_when_paused(site: Site, console: Console) -> None:
    tab = console()
    page = tab.page
    page.goto(f"{tab.url}/workloads/{workload(site)}?tab=events")
    expect(page.locator(".live-live")).to_be_visible()
    expect(page.locator("tbody")).not_to_contain_text("hauberk-agent")
    send_processes(site.agent, [process(3001, "first-live", "now")])
    expect(page.locator("tbody tr").first).to_contain_text("first-live")
    page.get_by_role("button", name="Pause").click()
    send_processes(site.agent, [process(3002, "held-back"), process(3003, "held-back")])
    pill = page.get_by_role("button", name="2 new")
    expect(pill).to_be_visible()
    expect(page.locator("tbody")).not_to_contain_text("held-back")
    pill.click()
    expect(page.locator("tbody")).to_contain_text("held-back")
    own = page.get_by_role("checkbox", name="Show Hauberk's own")
    own.click()  # its state follows the address, a moment later
    expect(own).to_be_checked()
    expect(page.locator("tbody")).to_contain_text("hauberk-agent")


def test_collect_now_and_schedule(site: Site, console: Console) -> None:
    tab = console()
    page = tab.page
    home = workload(site)
    page.goto(f"{tab.url}/workloads/{home}?tab=tasks")
    page.get_by_role("button", name="Collect now").click()
    expect(page.locator(".task-pending, .task-sent").first).to_be_visible()
    page.goto(f"{tab.url}/workloads/{home}?tab=desired")
    box = page.get_by_role("spinbutton", name="Every: OS packages")
    box.fill("15")
    box.press("Tab")
    page.get_by_role("button", name="Save and send").click()
    expect(page.locator(".ant-notification")).to_contain_text("Saved")
    detail = site.server.api("GET", f"/workloads/{home}")
    assert isinstance(detail, dict)
    assert detail["schedule"]["every_s"] == {"software.os_package": 900}
    expect(page.locator("main")).to_contain_text(f"Version {detail['desired_version']}")


def test_enrol_shows_a_command_once(console: Console) -> None:
    tab = console()
    page = tab.page
    page.goto(f"{tab.url}/agents")
    page.get_by_test_id("enrol").click()
    page.get_by_label("Note").fill("a test machine")
    page.get_by_role("button", name="Make the command").click()
    expect(page.locator(".copyable code")).to_contain_text("hauberk enroll")
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Enrolment tokens").click()
    expect(page.locator("tbody")).to_contain_text("a test machine")


def test_settings_make_and_remove(console: Console) -> None:
    tab = console()
    page = tab.page
    page.goto(f"{tab.url}/settings?tab=users")
    page.get_by_label("Name").fill("sam")
    page.get_by_role("button", name="Add user").click()
    expect(page.get_by_role("dialog").locator("code")).not_to_be_empty()
    page.get_by_role("button", name="I have kept it").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    row = page.locator("tbody tr", has_text="sam")
    row.get_by_role("button", name="Delete").click()
    with page.expect_response(lambda r: r.request.method == "DELETE") as waiting:
        page.locator(".ant-popover").get_by_role("button", name="Delete").click()
    assert waiting.value.ok
    expect(row).to_have_count(0)
    page.goto(f"{tab.url}/settings?tab=audit")
    expect(page.locator("tbody")).to_contain_text("user.delete")
    page.get_by_role("button", name="Verify the chain").click()
    expect(page.get_by_role("alert")).to_contain_text("Intact")
    page.goto(f"{tab.url}/settings?tab=certificate")
    expect(page.locator("main")).to_contain_text("SHA-256 of the CA")


def test_export_has_every_row_of_the_list(console: Console) -> None:
    tab = console()
    page = tab.page
    page.goto(f"{tab.url}/inventory/software.os_package")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as waiting:
        page.get_by_role("menuitem", name="CSV, all rows").click()
    text = waiting.value.path().read_text(encoding="utf-8-sig")
    assert text.count("\n") >= MANY


def test_viewer_sees_but_cannot_change(site: Site, console: Console) -> None:
    made = site.server.api("POST", "/users", {"name": "vic", "role": "viewer"})
    assert isinstance(made, dict)
    tab = console(login=False)
    page = tab.page
    refused: list[str] = []
    page.on("response", lambda r: refused.append(r.url) if r.status == 403 else None)
    page.goto(f"{tab.url}/agents")
    sign_in(page, "vic", made["password"])
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_role("button", name="Revoke")).to_have_count(0)
    expect(page.get_by_test_id("enrol")).to_have_count(0)
    page.goto(f"{tab.url}/workloads/{workload(site)}?tab=desired")
    expect(page.get_by_role("spinbutton").first).to_be_disabled()
    expect(page.get_by_role("button", name="Save and send")).to_have_count(0)
    page.goto(f"{tab.url}/settings?tab=users")
    expect(page.get_by_role("tab", name="Users")).to_have_count(0)
    assert refused == []
