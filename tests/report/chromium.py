"""A real browser for the tests of the report: the Chromium or Chrome of this machine."""

import contextlib
import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
HINT = (
    "no Chromium or Chrome on this machine, so the report cannot be tested in one; "
    "`apt-get install chromium`, or say CHROMIUM=/path/to/it"
)


def find() -> str:
    """Its path. The test fails, in one line, when there is none."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found or not os.access(found, os.X_OK):
        pytest.fail(f"{found or 'chromium'}: {HINT}", pytrace=False)
    return found


@contextlib.contextmanager
def opened():
    """Yields a function from (path, options of a page) to (page, list of what went wrong).

    Wrong: messages of warnings and errors, exceptions, and any request but for the file itself.
    """
    path = find()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])

        def open_page(file, **options):
            page, wrong = browser.new_page(**options), []
            page.on("console", lambda m: wrong.append(m.text) if m.type != "log" else None)
            page.on("pageerror", lambda error: wrong.append(str(error)))
            url = file.resolve().as_uri()
            page.on("request", lambda r: wrong.append(r.url) if _outside(r.url, url) else None)
            page.goto(url)
            return page, wrong

        yield open_page
        browser.close()


def _outside(url: str, page: str) -> bool:
    return not url.startswith("data:") and url.split("#")[0] != page
