"""What makes the console quick to work with: palette, keys, views, runs, exports, upgrades, cost."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from types import SimpleNamespace

import packagekit
import pytest
from browserkit import settle
from fleetkit import HOSTS, Fleet, ask, word
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
Console = Callable[..., SimpleNamespace]
People = dict[str, dict[str, object]]


def rows_shown(page: Page) -> list[str]:
    return page.locator(".table tbody tr:not(.spacer)").all_inner_texts()


def palette(page: Page, text: str) -> None:
    expect(page.get_by_test_id("palette")).to_be_visible()
    page.keyboard.press("Control+k")
    box = page.get_by_role("combobox", name="Page, subclass, saved view, host or action")
    expect(box).to_be_focused()
    page.keyboard.type(text)


def test_palette_goes_to_a_subclass_a_host_and_an_action(
    fleet: Fleet, fleet_console: Console
) -> None:
    tab = fleet_console()
    page = tab.page
    page.goto(tab.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    # The other language's name finds it as well.
    palette(page, "系统软件")
    expect(page.get_by_role("option").first).to_contain_text("OS packages")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{tab.url}/inventory/software.os_package")
    palette(page, "web-3")
    option = page.get_by_role("option", name="web-3")
    expect(option).to_be_visible()
    expect(option).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    home = fleet.agents["web-3"].identity.ids.workload
    expect(page).to_have_url(f"{tab.url}/workloads/{home}")
    palette(page, "theme dark")
    expect(page.get_by_role("option", name="Theme: Dark")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    palette(page, "new enrol")
    expect(page.get_by_role("status")).to_contain_text("Nothing is called")
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox", name="Go to or do")).to_have_count(0)
    palette(page, "enrol mach")
    expect(page.get_by_role("option", name="Enrol a machine")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Enrol a machine")).to_be_visible()


def test_views_are_saved_shared_updated_and_deleted(
    fleet: Fleet, fleet_console: Console, people: People
) -> None:
    tab = fleet_console(other=people["ann"])
    page = tab.page
    page.goto(f"{tab.url}/workloads?q=hostname+~+web&sort=-hostname&cols=hostname,os")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_test_id("views").click()
    page.get_by_role("button", name="Save view").click()
    page.get_by_label("Name").fill("web machines")
    page.get_by_role("checkbox", name="Share with everybody").check()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_test_id("views")).to_contain_text("web machines")
    expect(page).to_have_url(re.compile(r"view="))
    # Somebody else finds it by name, and sees the same rows, order and columns.
    other = fleet_console(other=people["vic"])
    theirs = other.page
    theirs.goto(other.url)
    palette(theirs, "web mach")
    expect(theirs.get_by_role("option", name="web machines")).to_be_visible()
    theirs.keyboard.press("Enter")
    expect(theirs.locator("tbody tr")).to_have_count(2)
    expect(theirs.locator("tbody tr").first).to_contain_text("web-3")
    expect(theirs.get_by_role("columnheader")).to_have_count(2)
    theirs.get_by_test_id("views").click()
    row = theirs.locator(".views li", has_text="web machines")
    expect(row).to_contain_text("ann")
    expect(row.get_by_role("button", name="Delete")).to_have_count(0)
    # The owner changes what it holds; a copy of the link shows the new state.
    box = page.get_by_role("combobox", name="Filter")
    box.fill("hostname ~ db")
    box.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_test_id("views")).to_contain_text("*")
    page.get_by_test_id("views").click()
    page.get_by_role("button", name="Update").click()
    expect(page.get_by_test_id("views")).not_to_contain_text("*")
    saved = ask(fleet.site.server, "GET", "/views")["items"]
    assert [(v["name"], v["owner"], "db" in v["query"]) for v in saved] == [
        ("web machines", "ann", True)
    ]
    page.get_by_role("button", name="Delete: web machines").click()
    page.locator(".ant-popconfirm").get_by_role("button", name="Delete").click()
    expect(page.locator(".views")).to_contain_text("No saved view")
    assert ask(fleet.site.server, "GET", "/views")["items"] == []


def test_run_on_selected_machines_and_cancel(fleet: Fleet, fleet_console: Console) -> None:
    tab = fleet_console()
    page = tab.page
    page.goto(f"{tab.url}/workloads")
    for host in ("web-2", "web-3"):
        page.locator("tbody tr", has_text=host).get_by_role("checkbox").check()
    page.get_by_role("button", name="Collect now on 2").click()
    dialog = page.get_by_role("dialog", name="Collect now on 2 workloads?")
    dialog.get_by_role("button", name="Collect now").click()
    drawer = page.locator(".ant-drawer")
    expect(drawer.locator("tbody tr")).to_have_count(2)
    expect(drawer).to_contain_text("0 of 2 ended")
    expect(drawer.locator(".task-pending")).to_have_count(2)
    # An agent fetches its order: the drawer hears of it.
    fleet.agents["web-2"].transport.beat(word("web-2"))
    expect(drawer.locator("tbody .task-sent")).to_have_count(1)
    page.get_by_role("button", name="Jobs").click()
    tray = page.locator(".tray")
    expect(tray).to_contain_text("0 of 2 ended")
    page.keyboard.press("Escape")
    drawer.get_by_role("button", name="Cancel run").click()
    page.get_by_role("dialog", name="Call off 2 machines?").get_by_role(
        "button", name="Cancel run"
    ).click()
    expect(drawer.locator(".facts .task-cancelled")).to_be_visible()
    expect(drawer.locator("tbody .task-cancelled").first).to_be_visible()
    newest = ask(fleet.site.server, "GET", "/runs")["items"][0]
    assert newest["state"] == "cancelled"
    assert newest["total"] == 2
    # One state only, by the address; the machine is a link.
    drawer.get_by_text(re.compile(r"^cancelled \d")).click()
    expect(page).to_have_url(re.compile("task=cancelled"))
    drawer.locator("tbody a").first.click()
    expect(page).to_have_url(re.compile(r"/workloads/[^?]+\?tab=tasks"))


def test_export_is_what_the_screen_shows(fleet_console: Console) -> None:
    tab = fleet_console("zh")
    page = tab.page
    page.goto(f"{tab.url}/workloads?q=hostname+~+web&sort=-hostname&cols=hostname,os,kernel")
    expect(page.locator("tbody tr")).to_have_count(2)
    titles = page.get_by_role("columnheader").all_inner_texts()
    shown = [text.split("\t") for text in rows_shown(page)]
    got: dict[str, bytes] = {}
    for kind in ("CSV", "JSON", "Excel"):
        page.get_by_role("button", name="导出").click()
        with page.expect_download() as waiting:
            page.get_by_role("menuitem", name=re.compile(kind)).click()
        got[kind] = waiting.value.path().read_bytes()
        page.keyboard.press("Escape")
    table = list(csv.reader(io.StringIO(got["CSV"].decode("utf-8-sig"))))
    # The first column of the screen is the tick.
    assert table[0] == [title.strip(" ↑↓\n") for title in titles if title.strip()]
    assert table[1:] == [[cell for cell in row if cell] for row in shown]
    assert [row["hostname"] for row in json.loads(got["JSON"])] == ["web-3", "web-2"]
    sheet = zipfile.ZipFile(io.BytesIO(got["Excel"]))
    assert "web-3" in sheet.read("xl/worksheets/sheet1.xml").decode()
    page.get_by_test_id("tray").click()
    expect(page.locator(".download-done")).to_have_count(3)
    # What fails is said, and no file is made of it.
    page.route(
        "**/export?**",
        lambda route: route.fulfill(
            status=503, json={"code": "busy", "message": "too many exports"}
        ),
    )
    page.keyboard.press("Escape")
    page.get_by_role("button", name="导出").click()
    page.get_by_role("menuitem", name=re.compile("CSV")).click()
    expect(page.locator(".download-failed")).to_contain_text("too many exports")


def test_package_is_uploaded_and_a_bad_one_refused(fleet: Fleet, fleet_console: Console) -> None:
    tab = fleet_console()
    page = tab.page
    page.goto(f"{tab.url}/agents?tab=packages")
    expect(page.locator("tbody tr")).to_have_count(1)
    # Its note is text, whatever it says.
    expect(page.locator("tbody")).to_contain_text("fixes the <b>clock</b>")
    page.get_by_test_id("upload").click()
    dialog = page.get_by_role("dialog")
    file = {"name": "agent.tar.xz", "mimeType": "application/x-xz", "buffer": b"no archive"}
    page.locator("input[type=file]").set_input_files(files=[file])  # type: ignore[list-item]
    dialog.get_by_role("button", name="Upload and sign").click()
    expect(dialog.get_by_role("alert")).to_contain_text("refused")
    file["buffer"] = packagekit.package(version="0.3.0", sequence=3)
    page.locator("input[type=file]").set_input_files(files=[file])  # type: ignore[list-item]
    dialog.get_by_label("Note").fill("for the lab")
    dialog.get_by_role("button", name="Upload and sign").click()
    expect(dialog).to_have_count(0)
    row = page.locator("tbody tr", has_text="0.3.0")
    expect(row).to_contain_text("for the lab")
    # The dialog says whom it would reach, before anybody is touched.
    row.get_by_role("button", name="Roll out").click()
    preview = page.locator(".preview")
    expect(preview).to_contain_text("Reaches up to 2 agents.")
    expect(preview).to_contain_text("2 are skipped: not installed from a package")
    page.keyboard.press("Escape")
    expect(preview).to_have_count(0)
    row.get_by_role("button", name="Delete").click()
    page.locator(".ant-popconfirm").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    assert len(ask(fleet.site.server, "GET", "/packages")["items"]) == 1


def test_rollout_page_has_the_rows_and_the_brakes(fleet: Fleet, fleet_console: Console) -> None:
    tab = fleet_console()
    page = tab.page
    page.goto(f"{tab.url}/agents?tab=rollouts")
    page.locator("tbody tr").first.click()
    expect(page).to_have_url(f"{tab.url}/rollouts/{fleet.rollout}")
    known = ask(fleet.site.server, "GET", f"/rollouts/{fleet.rollout}/agents")["items"]
    expect(page.locator("tbody tr")).to_have_count(len(known))
    words = {"rolled_back": "rolled back", "trial": "on trial"}
    for one in known:
        row = page.locator("tbody tr", has_text=one["hostname"])
        expect(row).to_contain_text(words.get(one["state"], one["state"]))
        if one["message"]:
            expect(row).to_contain_text(one["message"])
    skipped = page.locator("tbody tr", has_text="web-3")
    expect(skipped).to_contain_text("was not installed from a package")
    state = ask(fleet.site.server, "GET", f"/rollouts/{fleet.rollout}")["state"]
    if state in ("canary", "all"):
        page.get_by_role("button", name="Pause").click()
        expect(page.locator(".rollout-paused")).to_be_visible()
        page.get_by_role("button", name="Resume").click()
        expect(page.locator(".rollout-paused")).to_have_count(0)
    else:
        assert state == "halted"
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_role("button", name="Pause")).to_have_count(0)


def test_cost_adds_up_and_leads_to_the_machine(fleet: Fleet, fleet_console: Console) -> None:
    tab = fleet_console()
    page = tab.page
    page.goto(f"{tab.url}/cost?since=1h")
    told = ask(fleet.site.server, "GET", "/ledger?by=capability&limit=1000")["items"]
    expect(page.locator("tbody tr")).to_have_count(len(told))
    assert len(told) == 7
    shed = sum(row["shed"] for row in told)
    expect(page.locator(".kpi", has_text="Shed")).to_contain_text(f"{shed:,}")
    expect(page.locator("tbody")).to_contain_text("Collect: OS packages")
    expect(page.locator(".kpi", has_text="Blind time").locator(".kpi-value")).to_have_text("1")
    page.get_by_text("Machines", exact=True).click()
    # One machine told nothing: it is not in the list, and never a zero.
    expect(page.locator("tbody tr")).to_have_count(3)
    row = page.locator("tbody tr", has_text="db-1")
    expect(row).to_contain_text("60.0 MiB")
    row.click()
    home = fleet.agents["db-1"].identity.ids.workload
    expect(page).to_have_url(re.compile(f"workload={home}"))
    expect(page.locator("tbody tr")).to_have_count(7)
    page.locator("tbody tr", has_text="Collect: OS packages").click()
    expect(page).to_have_url(f"{tab.url}/inventory/software.os_package?workload={home}")
    page.goto(f"{tab.url}/cost?q=hostname+%3D+edge-4")
    expect(page.locator(".table-box .empty")).to_contain_text("not assessed")
    expect(page.locator(".kpi.unlit")).to_have_count(5)


def test_alarms_are_seen_everywhere_and_acknowledged(
    fleet: Fleet, fleet_console: Console, people: People
) -> None:
    tab = fleet_console(other=people["ann"])
    page = tab.page
    page.goto(tab.url)
    badge = page.get_by_test_id("alarms")
    expect(badge.locator("b")).to_have_text("2")
    panel = page.locator(".panel", has_text="Agent alarms, open")
    expect(panel).to_contain_text("size 4096, was 5120")
    badge.click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.locator("tbody tr", has_text="file changed").get_by_role("button").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(badge.locator("b")).to_have_text("1")
    home = fleet.agents["db-1"].identity.ids
    page.goto(f"{tab.url}/agents?agent={home.agent}")
    drawer = page.locator(".ant-drawer")
    expect(drawer).to_contain_text("sensor detached")
    expect(drawer).to_contain_text("control group v2")
    expect(drawer).to_contain_text("background work waits")
    expect(drawer).to_contain_text("network accept events")


def test_windows_are_edited_and_sent(fleet: Fleet, fleet_console: Console) -> None:
    home = fleet.agents["web-3"].identity.ids.workload
    tab = fleet_console()
    page = tab.page
    page.goto(f"{tab.url}/workloads/{home}?tab=desired")
    page.get_by_role("button", name="Add window").click()
    page.get_by_role("button", name="Sat").click()
    page.get_by_role("button", name="Sun").click()
    page.get_by_label("from").fill("23:00")
    expect(page.locator(".window")).to_contain_text("until 01:00 the next day")
    page.get_by_role("button", name="Add window").click()
    page.get_by_label("from").nth(1).fill("")
    expect(page.get_by_role("button", name="Save and send")).to_be_disabled()
    page.get_by_role("button", name="Remove window: Window 2").click()
    page.get_by_label("Pressure").fill("55")
    page.get_by_role("button", name="Save and send").click()
    expect(page.locator(".ant-notification")).to_contain_text("Saved")
    detail = ask(fleet.site.server, "GET", f"/workloads/{home}")
    assert detail["schedule"]["windows"] == [
        {"start": "23:00", "minutes": 120, "days": [0, 1, 2, 3, 4]}
    ]
    assert detail["budget"]["pressure_pct"] == 55


def test_live_machine_is_not_removed(fleet: Fleet, fleet_console: Console) -> None:
    home = fleet.agents["web-3"].identity.ids.workload
    tab = fleet_console()
    page = tab.page
    page.goto(f"{tab.url}/workloads/{home}?tab=desired")
    page.get_by_role("button", name="Remove workload").click()
    dialog = page.get_by_role("dialog", name="Remove web-3?")
    dialog.get_by_role("button", name="Remove workload").click()
    expect(page.locator(".ant-notification")).to_contain_text("Not done")
    assert ask(fleet.site.server, "GET", f"/workloads/{home}")["workload"]["hostname"] == "web-3"


def test_everything_by_keyboard(fleet_console: Console) -> None:
    tab = fleet_console()
    page = tab.page
    page.goto(tab.url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    page.keyboard.press("g")
    page.keyboard.press("w")
    expect(page.get_by_role("heading", level=1)).to_have_text("Workloads")
    expect(page.locator("tbody tr")).to_have_count(len(HOSTS))
    page.keyboard.press("/")
    expect(page.get_by_role("combobox", name="Filter")).to_be_focused()
    page.keyboard.type("hostname ~ web")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    expect(page.locator("tbody tr.at")).to_contain_text("web-3")
    page.keyboard.press("x")
    expect(page.locator("tbody tr.at").get_by_role("checkbox")).to_be_checked()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_contain_text("Select the row")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("web-3")
    page.keyboard.press("g")
    page.keyboard.press("g")
    expect(page.locator("tbody tr")).to_have_count(len(HOSTS))
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".ant-drawer")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".ant-drawer-open")).to_have_count(0)
    # Tab leaves every control again, and what has the focus can be seen.
    settle(page)
    page.evaluate("document.activeElement.blur()")
    seen: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        at = page.evaluate(
            """() => { const e = document.activeElement;
              if (!e || e === document.body) return '';
              const s = getComputedStyle(e);
              const ring = (n) => { const c = getComputedStyle(n); return (c.outlineStyle !== 'none' && parseFloat(c.outlineWidth) > 0) || c.boxShadow !== 'none'; };
              let shown = false;
              for (let n = e, i = 0; n && i < 4; n = n.parentElement, i++) shown = shown || ring(n);
              return [e.tagName, e.getAttribute('role'), (e.textContent || e.getAttribute('aria-label') || '').slice(0, 30), shown].join('|'); }"""
        )
        seen.append(at)
        if at == "" and len(seen) > 5:
            break
    assert "" in seen, seen[-12:]
    assert [at for at in seen if at.endswith("|false")] == []


def test_viewer_sees_all_and_orders_nothing(
    fleet: Fleet, fleet_console: Console, people: People
) -> None:
    tab = fleet_console(other=people["vic"])
    page = tab.page
    refused: list[str] = []
    page.on("response", lambda r: refused.append(r.url) if r.status == 403 else None)
    for path, buttons in {
        "/workloads": ("Collect now", "Enrol a machine"),
        "/agents?tab=packages": ("Upload package", "Roll out", "Delete"),
        "/agents?tab=rollouts": ("Start rollout",),
        f"/rollouts/{fleet.rollout}": ("Pause", "Cancel rollout"),
        "/agents?tab=alarms": ("Acknowledge: ",),
        f"/runs?run={fleet.run}": ("Cancel run",),
    }.items():
        page.goto(tab.url + path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        settle(page)
        for name in buttons:
            expect(page.get_by_role("button", name=name)).to_have_count(0)
    palette(page, "collect")
    expect(page.get_by_role("option", name=re.compile("Collect now"))).to_have_count(0)
    assert refused == []
