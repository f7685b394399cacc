"""The form in a real browser: what is drawn, and that the buttons reach the notebook's kernel."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

import agolkit as ak
from agolkit.sandbox import Sandbox
from agolkit.schedule import shipped

BROWSER = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome", "chrome"])), None)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")]


@pytest.fixture
def page(signed_in: Sandbox, tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A browser that shows the backup notebook as Voilà serves it, without leaving this machine."""
    shutil.copyfile(shipped("notebooks") / "backup.ipynb", tmp_path / "backup.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "voila", "backup.ipynb", "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"]
    environment = {**os.environ, "AGOLKIT_URL": signed_in.url}
    with (
        (tmp_path / "voila.log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as server,
    ):
        try:
            with browser() as driver:
                WebDriverWait(driver, 60, ignored_exceptions=[OSError]).until(lambda _: answers(port))
                driver.get(f"http://127.0.0.1:{port}/")
                yield driver
        finally:
            server.terminate()


def browser() -> webdriver.Chrome:
    options = Options()
    options.binary_location = BROWSER or ""
    for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,1600"):
        options.add_argument(argument)
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # Chromium's own sandbox does not work for root
        options.add_argument("--no-sandbox")
    driver = shutil.which("chromedriver")
    return webdriver.Chrome(options=options, service=Service(driver) if driver else None)


def answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def ticks(field: WebElement) -> list[WebElement]:
    """The check boxes that a list shows now."""
    return [label for label in field.find_elements(By.CSS_SELECTOR, ".agk-list label") if label.is_displayed()]


def test_the_form_works_in_a_browser(page: webdriver.Chrome, signed_in: Sandbox) -> None:
    """The form is drawn with the organization's lists; *Start* runs a backup, and the result table appears."""
    wait = WebDriverWait(page, 120)
    form = wait.until(lambda page: page.find_element(By.CSS_SELECTOR, ".agk-form"))
    wait.until(lambda _: "city_admin (" in form.text and signed_in.org.name in form.text)
    assert not page.find_elements(By.XPATH, "//*[contains(text(), 'javascript error')]")

    pdfs = sum(item.type == "PDF" for item in signed_in.org.items.values())
    types = form.find_element(By.XPATH, ".//div[contains(@class,'agk-field')][contains(., 'Item types')]")
    types.find_element(By.CSS_SELECTOR, "input[type=text]").send_keys("PDF")
    wait.until(lambda _: [label.text for label in ticks(types)][:1] == [f"PDF ({pdfs})"])
    ticks(types)[0].click()
    wait.until(lambda _: "1 of " in types.text)
    form.find_element(By.XPATH, ".//button[contains(., 'Start')]").click()

    wait.until(lambda _: "is complete" in form.text)
    rows = wait.until(lambda _: form.find_elements(By.CSS_SELECTOR, "table.dataTable tbody tr"))
    assert any("verified" in row.text for row in rows)
    backup = ak.open_store("backups").backups().iloc[0]
    assert (backup["state"], backup["verified"] > 0) == ("complete", True)
