"""The states of the bell that `make pictures` shows. Each function takes an open page to its state."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from picture_inbox import EXPORT, HIGH, REQUEST, URGENT
from playwright.sync_api import Page, Route

Device = Literal["desktop", "phone"]
Act = Callable[[Page, "Stage"], None]
LIVE = "({ session }) => session?.state.status === 'live'"


class Stage(NamedTuple):
    """The inputs of a state besides its page."""

    notify: Callable[..., None]
    device: Device


class State(NamedTuple):
    """A picture. `body` is the page's markup, `devices` lists the devices on which the state exists."""

    name: str
    caption: str
    act: Act
    body: str = '<bellcast-bell token="{token}"></bellcast-bell>'
    story: bool = True
    lang: str = "en"
    css: str = ""
    devices: tuple[Device, ...] = ("desktop", "phone")
    options: Mapping[str, Any] = MappingProxyType({})


STATES: list[State] = []


def state(name: str, caption: str, **options: Any) -> Callable[[Act], Act]:
    """Add a state."""

    def add(act: Act) -> Act:
        STATES.append(State(name, caption, act, **options))
        return act

    return add


def bell(page: Page) -> Any:
    return page.locator("bellcast-bell .button")


def open_panel(page: Page) -> None:
    bell(page).click()
    page.locator("bellcast-bell :is(.row, .blank:not([data-state=loading]))").first.wait_for()


def row(page: Page, text: str) -> Any:
    return page.locator(".row", has_text=text).first


def choose_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def in_bell(page: Page, code: str) -> Any:
    return page.locator("bellcast-bell").evaluate(f"async (bell) => {code}")


def open_menu(page: Page, text: str, stage: Stage) -> None:
    if stage.device == "phone":
        row(page, text).get_by_role("button", name="More actions").click()
    else:
        row(page, text).get_by_role("button", name="Mark as").first.focus()
        row(page, text).locator(".menu").dispatch_event("click")
    page.get_by_role("menu").wait_for()


@state("bell", "A bell and its count")
def _(page: Page, stage: Stage) -> None:
    pass


@state("bell-many", "More than 99 unread notifications")
def _(page: Page, stage: Stage) -> None:
    stage.notify(HIGH, count=100)
    page.locator(".badge", has_text="99+").wait_for()


@state("bell-offline", "A bell without a connection")
def _(page: Page, stage: Stage) -> None:
    in_bell(page, "bell.session.close()")
    page.locator(".button.offline").wait_for()


@state("panel", "The inbox: today, yesterday and before")
def _(page: Page, stage: Stage) -> None:
    open_panel(page)


@state("row-pointed-at", "A row under the pointer shows its tools", devices=("desktop",))
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    row(page, "contract").hover()


@state("row-focused", "A row with the focus", devices=("desktop",))
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    page.keyboard.press("j")
    page.keyboard.press("j")


@state("new-divider", "New since the panel was last open")
def _(page: Page, stage: Stage) -> None:
    in_bell(page, "bell.session.seen('all')")
    page.wait_for_function("() => document.querySelector('bellcast-bell').session.state.unseen === 0")
    stage.notify({**HIGH, "title": "Mikael Ström signed “Nordic Weddings”", "priority": "normal", "body": None})
    stage.notify(
        {"title": "Cleo Diaz left a review", "body": "“Patient with the children, and fast.”", "actor": "Cleo Diaz"}
    )
    page.wait_for_function("() => document.querySelector('bellcast-bell').session.state.unseen === 2")
    open_panel(page)


@state("new-above", "New rows move nothing: a pill counts them")
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    page.locator(".scroll").evaluate("(list) => { list.scrollTop = 260 }")
    stage.notify({"title": "Cleo Diaz left a review", "actor": "Cleo Diaz"}, count=2)
    page.get_by_role("button", name="2 new").wait_for()


@state("unread", "The unread tab")
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    choose_tab(page, "Unread")


@state("snoozed", "Snoozed, with the time of return")
def _(page: Page, stage: Stage) -> None:
    page.wait_for_function(f"() => ({LIVE})(document.querySelector('bellcast-bell'))")
    in_bell(page, "(globalThis.ids = bell.session.state.notifications.map(({ id }) => id))")
    in_bell(page, "bell.session.snooze(ids[2], { until: '2026-03-11T08:00:00+01:00' })")
    in_bell(page, "bell.session.snooze(ids[3], { until: '2026-03-16T08:00:00+01:00' })")
    in_bell(page, "bell.session.snooze(ids[4], { until: 'back' })")
    open_panel(page)
    choose_tab(page, "Snoozed")
    row(page, "contract").wait_for()


@state("archive", "The archive")
def _(page: Page, stage: Stage) -> None:
    in_bell(page, "bell.session.archive(bell.session.state.notifications.slice(5).map(({ id }) => id))")
    open_panel(page)
    choose_tab(page, "Archive")
    row(page, "Storage").wait_for()


@state("caught-up", "Nothing left to read", story=False)
def _(page: Page, stage: Stage) -> None:
    open_panel(page)


@state("nothing-archived", "An empty archive", story=False)
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    choose_tab(page, "Archive")


@state("nothing-snoozed", "Nothing snoozed", story=False)
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    choose_tab(page, "Snoozed")


def hold(route: Route) -> None:
    """Leave the request without a response."""


@state("loading", "Loading")
def _(page: Page, stage: Stage) -> None:
    page.route("**/v1/inbox?*", hold)
    page.reload()
    bell(page).click()
    page.locator(".skeleton").first.wait_for()


@state("failed", "The server cannot be reached")
def _(page: Page, stage: Stage) -> None:
    page.route("**/v1/inbox?*", lambda route: route.abort())
    page.route_web_socket("**/v1/**", lambda socket: socket.close())
    page.reload()
    bell(page).click()
    page.get_by_role("button", name="Try again").wait_for()


@state("ended", "The session has ended", body='<bellcast-bell token="{token}" sign-in-url="/login"></bellcast-bell>')
def _(page: Page, stage: Stage) -> None:
    page.route("**/v1/inbox?*", lambda route: route.fulfill(status=401, json={"code": "unauthenticated"}))
    page.reload()
    page.locator(".button.offline").wait_for()
    open_panel(page)


@state("offline", "Offline: actions wait for the connection")
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    page.context.set_offline(True)
    in_bell(page, "{ bell.session.read(bell.session.state.notifications[2].id).catch(() => {}) }")
    page.get_by_text("to send").wait_for()


@state("menu", "The menu of a row")
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    open_menu(page, "payment", stage)


@state("snooze", "Snooze, in the person's time zone")
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    open_menu(page, "payment", stage)
    page.get_by_role("menuitem", name="Snooze").click()
    page.get_by_role("menuitem", name="Tomorrow").wait_for()


@state("selection", "Several rows are selected")
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    for _ in range(2):
        page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Shift+ArrowDown")


@state("undo", "Every action can be undone")
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    page.get_by_role("button", name="Mark all as read").click()
    page.get_by_text("marked as read").wait_for()


@state("keys", "The keys", devices=("desktop",))
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keyboard shortcuts").wait_for()


@state("group", "A folded group names its actors")
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    row(page, "3 others").scroll_into_view_if_needed()
    page.locator(".scroll").evaluate("(list) => { list.scrollTop = 330 }")


@state("group-open", "A group, unfolded")
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    page.get_by_role("button", name="4 more").click()
    page.locator(".scroll").evaluate("(list) => { list.scrollTop = 470 }")


@state("action-pending", "A button waits for the server's response")
def _(page: Page, stage: Stage) -> None:
    page.route("**/actions/accept", hold)
    open_panel(page)
    page.get_by_role("button", name="Accept").click()
    page.locator(".act[data-state=pending]").wait_for()


@state("action-failed", "An action that failed")
def _(page: Page, stage: Stage) -> None:
    page.route("**/actions/accept", lambda route: route.fulfill(status=502, json={"code": "handler_failed"}))
    open_panel(page)
    page.get_by_role("button", name="Accept").click()
    page.locator(".act[data-state=failed]").wait_for()


@state("action-taken", "Accepted")
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    page.get_by_role("button", name="Accept").click()
    page.locator(".taken").wait_for()


@state("preferences", "Preferences, inside the panel")
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    page.get_by_role("button", name="Preferences").click()
    page.locator(".type-head").first.wait_for()


@state("preferences-changed", "A change is saved and can be undone; required channels are locked")
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    page.get_by_role("button", name="Preferences").click()
    for name in ("Booking", "Payment"):  # e-mails about payments are required
        page.locator("summary", has_text=name).first.click()
    page.get_by_role("switch", name="Booking, E-mail").uncheck()
    page.get_by_text("Saved").wait_for()
    page.locator(".help").evaluate("(form) => { form.scrollTop = 190 }")


@state(
    "preferences-page",
    "Preferences as a part of a page",
    body='<bellcast-preferences token="{token}"></bellcast-preferences>',
)
def _(page: Page, stage: Stage) -> None:
    page.locator(".type-head").first.wait_for()


@state("inbox-page", "The inbox as a part of a page", body='<bellcast-inbox token="{token}"></bellcast-inbox>')
def _(page: Page, stage: Stage) -> None:
    page.locator(".row").first.wait_for()


TOASTS = '<bellcast-bell token="{token}"></bellcast-bell><bellcast-toasts token="{token}" duration="600000"></bellcast-toasts>'


def wait_live(page: Page) -> None:
    page.wait_for_function(f"() => ({LIVE})(document.querySelector('bellcast-bell'))")


@state("toast", "A toast", body=TOASTS)
def _(page: Page, stage: Stage) -> None:
    wait_live(page)
    stage.notify({**REQUEST, "action_text": "See the request", "action_url": "/bookings/7", "actions": []})
    page.locator(".toast").wait_for()


@state("toasts", "Urgent ones stay; the rest is counted", body=TOASTS)
def _(page: Page, stage: Stage) -> None:
    wait_live(page)
    stage.notify(URGENT)
    page.locator(".toast").wait_for()
    stage.notify(HIGH)
    stage.notify(EXPORT, count=29)
    page.locator(".toast-more", has_text="more").wait_for()


@state("german", "Deutsch", lang="de")
def _(page: Page, stage: Stage) -> None:
    open_panel(page)


@state("french", "Français", lang="fr")
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    page.locator(".choice.settings").click()
    page.locator(".type-head").first.wait_for()


@state("arabic", "العربية", lang="ar")
def _(page: Page, stage: Stage) -> None:
    open_panel(page)


@state("swipe", "A swipe archives", devices=("phone",))
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    page.evaluate("import('/bellcast/elements/touch.js')")
    box = row(page, "contract").bounding_box()
    touch = page.context.new_cdp_session(page)
    points = [{"x": box["x"] + 300 - step * 26, "y": box["y"] + 20} for step in range(7)]
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points[:1]})
    page.wait_for_timeout(100)
    for point in points[1:]:
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    page.locator(".swipe-hint").wait_for()


@state("narrow", "320 pixels", devices=("phone",), options={"viewport": {"width": 320, "height": 640}}, lang="de")
def _(page: Page, stage: Stage) -> None:
    open_panel(page)


@state("forced-colors", "The system's forced colours", options={"forced_colors": "active"}, devices=("desktop",))
def _(page: Page, stage: Stage) -> None:
    open_panel(page)
    page.keyboard.press("j")
    page.keyboard.press("x")
