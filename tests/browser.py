"""Look at a page in a browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)


def shown_in_a_browser(page, width, tmp_path, script):
    """What the script finds on the page: it puts it into the title."""
    tested = tmp_path / "tested.html"
    tested.write_text(page.read_text().replace("</body>", script + "</body>"))
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--autoplay-policy=no-user-gesture-required",
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},800",
        "--virtual-time-budget=20000",
        "--dump-dom",
        tested.as_uri(),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    title = html.unescape(re.search(r"<title>(.*?)</title>", dom, re.DOTALL)[1])
    assert title.startswith("{"), title
    return json.loads(title)
