"""Which pages may send requests, and by which names the machine may be addressed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.access.origins import Origins, host_name_fault, origin_fault

ALLOWED = Origins.of(
    ["https://panel.example", "http://10.0.0.7:3000"], ["Gateway.Example"], lambda: "gw.lan"
)


def test_programs_send_no_origin_and_pass() -> None:
    """By any address, and by a name of the machine."""
    for host in ("127.0.0.1:8765", "[::1]:8765", "localhost:8765", "192.168.1.20", "[fe80::1]"):
        assert Origins().refusal(host, None) is None
    assert Origins().refusal(None, None) is None


@pytest.mark.parametrize(
    "host", ["gw", "GW:8765", "gw.lan", "gw.local:80", "gateway.example.", "gateway.example:443"]
)
def test_the_machine_answers_to_its_own_names(host: str) -> None:
    """To its host name, short, whole and with .local, and to configured ones."""
    assert ALLOWED.refusal(host, None) is None


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8765", "", "127.0.0.1.evil.example", "localhost.evil"),
        *("2130706433.example", "gw.evil", "127.0.0.1@evil.example", ":8765", "a:b:c"),
    ],
)
def test_a_rebound_name_is_refused(host: str) -> None:
    """With a sentence that names the option."""
    refusal = ALLOWED.refusal(host, None)
    assert refusal is not None
    assert "server.hosts" in refusal
    # Its pages are of the same origin, and get no further.
    assert ALLOWED.refusal(host, f"http://{host}") is not None


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("localhost:8765", "http://LOCALHOST:8765"),
        ("[::1]:8765", "http://[::1]:8765"),
        ("gateway.example", "https://gateway.example"),
        ("gateway.example:443", "https://gateway.example"),
        ("gw", "http://gw"),
    ],
)
def test_a_page_of_the_server_passes(host: str, origin: str) -> None:
    """Whatever address it was opened by."""
    assert ALLOWED.refusal(host, origin) is None


@pytest.mark.parametrize(
    "origin",
    [
        *(
            "https://evil.example",
            "http://127.0.0.1:8764",
            "http://127.0.0.1",
            "null",
            "",
            "file://",
        ),
        *("http://127.0.0.1:8765.evil.example", "http://127.0.0.1:8765/", "http://localhost:8765"),
        *("https://panel.example.evil.example", "http://panel.example", "https://panel.example:1"),
    ],
)
def test_a_foreign_page_is_refused(origin: str) -> None:
    """With a sentence that names the option."""
    refusal = ALLOWED.refusal("127.0.0.1:8765", origin)
    assert refusal is not None
    assert "server.origins" in refusal


@pytest.mark.parametrize(
    "origin", ["https://panel.example", "HTTPS://panel.example:443", "http://10.0.0.7:3000"]
)
def test_a_listed_page_passes(origin: str) -> None:
    """However a browser writes it."""
    assert ALLOWED.refusal("127.0.0.1:8765", origin) is None


def test_null_is_an_origin_that_can_be_listed() -> None:
    """For a page opened from a file."""
    assert Origins.of(["null"], []).refusal("127.0.0.1", "null") is None


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_header_gets_an_answer_in_one_line(host: str, origin: str) -> None:
    """Never an exception, and nothing that a terminal would act on."""
    refusal = ALLOWED.refusal(host, origin)
    assert refusal is None or refusal.isprintable()


def test_entries_that_can_match_nothing_are_faults() -> None:
    """Each with what to write."""
    for origin in ("https://panel.example", "http://[::1]:3000", "null", "chrome-extension://ab"):
        assert origin_fault(origin) is None
    for origin in ("*", "https://*.example", "panel.example", "https://panel.example/", ""):
        assert origin_fault(origin) is not None
    assert host_name_fault("gateway.example") is None
    for host in ("gateway:8765", "http://gateway", "", "*", "10.0.0.1", "a b"):
        assert host_name_fault(host) is not None
