"""Which server a client trusts."""

from __future__ import annotations

import ssl

from sensord.client.trust import Trust, plain


def test_a_fingerprint_is_read_as_people_copy_it() -> None:
    """With colons, in capitals, or with the name of the digest."""
    assert plain("AB:CD") == plain("sha256:abcd") == "abcd"


def test_without_a_fingerprint_names_and_signatures_are_checked() -> None:
    """With one, the certificate itself is compared instead."""
    checked = Trust().context()
    assert checked.check_hostname
    assert checked.verify_mode is ssl.CERT_REQUIRED
    pinned = Trust("ab").context()
    assert pinned.verify_mode is ssl.CERT_NONE
