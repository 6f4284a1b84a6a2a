"""Logging in and out at the page, in a real browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.test_tokens import CONFIG, _run
from tests.kit.browser import Browser
from tests.kit.daemon import Daemon


@pytest.mark.slow
def test_a_person_logs_in_sees_what_the_token_allows_and_logs_out(tmp_path: Path) -> None:
    """No script reads the cookie, and without it the page leads back to the log-in."""
    file = ("--file", str(tmp_path / "tokens.json"))
    made = _run("token", "create", "panel", "--read", "tank/#", "--json", *file)
    token = json.loads(made.stdout)["token"]
    with (
        Daemon(tmp_path, CONFIG.format(folder=tmp_path)) as daemon,
        Browser(tmp_path / "chromium") as browser,
        browser.open(f"http://{daemon.address}/") as page,
    ):

        def enter(text: str) -> None:
            page.until_there("document.querySelector('#login[data-ready]')")
            page.eval(f"document.querySelector('#token').value = {json.dumps(text)}")
            page.eval("document.querySelector('#login').requestSubmit()")

        page.until_there("location.pathname === '/login'")
        enter(f"{token}x")
        page.until_there("document.querySelector('#problem').textContent.includes('mistyped')")
        enter(token)
        page.until_there(
            "location.pathname === '/' && document.body.innerText.includes('tank/level')"
        )
        assert page.eval("document.cookie") == ""
        stored = page.eval("JSON.stringify([{...localStorage}, {...sessionStorage}])")
        assert token not in stored
        page.eval("location.assign('/login')")
        page.until_there("document.querySelector('#login[data-ready]')")
        page.eval("document.querySelector('#logout').click()")
        page.until_there("document.querySelector('#problem').textContent === 'You are logged out.'")
        page.eval("location.assign('/')")
        page.until_there("location.pathname === '/login'")
