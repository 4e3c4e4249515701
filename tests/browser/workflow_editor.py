"""The editor of workflows in Chromium, for its tests."""

from playwright.sync_api import Locator, Page, expect

BELL = {"key": "bell", "type": "inbox", "title": "New booking"}
WAIT = {"key": "wait", "type": "delay", "for": "30m"}
MAIL = {"key": "mail", "type": "email", "subject": "New booking", "text": "Hello"}
BUILT = [BELL, WAIT, MAIL]


class Editor:
    """The editor of one workflow."""

    def __init__(self, page: Page, key: str) -> None:
        self.page, self.key = page, key
        self.tree = page.get_by_role("tree", name="Steps")
        self.save = page.locator("[data-save]")

    def step(self, key: str) -> Locator:
        return self.tree.locator(f"[data-step={key}]")

    def card(self, key: str) -> Locator:
        return self.tree.locator(".step-box").filter(has=self.page.locator(f"[data-step={key}]"))

    def yaml(self) -> str:
        self.page.get_by_role("button", name="YAML").click()
        text = self.page.get_by_label("Definition as YAML").input_value()
        self.page.get_by_role("button", name="Canvas").click()
        return text

    def type(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def expect_saved(self) -> None:
        expect(self.save).to_have_attribute("data-save", "saved")
        expect(self.save).to_contain_text("Draft saved")

    def publish(self) -> None:
        self.page.get_by_role("button", name="Review and publish").click()
        self.page.get_by_role("button", name="Publish", exact=True).click()
        expect(self.page.get_by_role("dialog")).to_have_count(0)
