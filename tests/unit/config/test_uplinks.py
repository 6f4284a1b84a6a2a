"""Uplinks in the configuration: every fault with its key and what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sensord.config.load import parse
from sensord.decode import registry as decoders
from sensord.errors import ConfigError
from sensord.host.secrets import read_secret
from sensord.readers import registry as readers
from sensord.uplinks import registry as uplinks
from sensord.uplinks.influx import Config as Influx

GOOD = 'type = "influx"\nurl = "http://127.0.0.1:8086"\ndatabase = "plant"\n'


POSTGRES = 'type = "postgres"\nurl = "postgresql://u@h/plant"\n'
KAFKA = 'type = "kafka"\nservers = ["h:9092"]\n'
NATS = 'type = "nats"\nservers = ["nats://h:4222"]\n'


def found(table: str) -> list[str]:
    """Return the faults of an uplink's table."""
    text = f"[uplinks.cloud]\n{table}"
    try:
        parse(text, "c.toml", readers, decoders, uplinks=uplinks)
    except ConfigError as exc:
        return [f"{one.path}: {one.message}" for one in exc.faults]
    return []


def test_an_uplink_has_its_options_and_those_of_its_type() -> None:
    """Defaults stand for the others."""
    text = f"[uplinks.cloud]\n{GOOD}topics = ['plant/#']\ninterval = '5s'\n"
    [one] = parse(text, "c.toml", readers, decoders, uplinks=uplinks).uplinks
    assert (one.name, one.type) == ("cloud", "influx")
    assert isinstance(one.options, Influx)
    assert (one.options.topics, one.options.interval) == (("plant/#",), 5.0)
    assert one.options.start == "now"


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("", 'uplinks.cloud: expected a table with a type, such as type = "influx"'),
        ('type = "inflx"', 'type: there is no uplink "inflx"; did you mean influx?'),
        (
            GOOD.replace("http:", "ftp:"),
            'url: expected an address, such as "http://127.0.0.1:8086"',
        ),
        (GOOD.replace("8086", "99999"), "url: expected an address"),
        (GOOD + 'bucket = "b"', "bucket: give bucket (InfluxDB 2) or database (1 and 3), not both"),
        (GOOD + 'topics = ["a/#/b"]', 'topics: "a/#/b": '),
        (GOOD + "topics = []", 'topics: name at least one filter, such as "plant/#"'),
        (GOOD + 'measurement = ""', "measurement: expected a name"),
        (
            GOOD + 'token_file = "t"\npassword_file = "p"',
            "give password_file or token_file, not both",
        ),
        (GOOD + "batch = 5", "batch: unknown key"),
        ('type = "mqtt"', "host: is missing"),
        ('type = "mqtt"\nhost = "h"\ntopic = "x/#"', "topic: expected a topic with {topic}"),
        ('type = "mqtt"\nhost = "h"\nstatus = ""', "status: expected a topic"),
        ('type = "mqtt"\nhost = "h"\npassword_file = "p"', "password_file: needs username"),
        (
            'type = "mqtt"\nhost = "h"\npayload = "plain"\nhome_assistant = {}',
            'payload: must be "json" with home_assistant',
        ),
        ('type = "kafka"', "servers: is missing"),
        (KAFKA.replace(":9092", ""), 'servers: "h": expected host and port'),
        (KAFKA + 'topic = "a/b"', "topic: expected letters, digits"),
        (KAFKA + 'user = "u"', "user: give user and password_file, both or neither"),
        (KAFKA + 'ca_file = "c"', "ca_file: needs tls = true"),
        (KAFKA + 'tls = true\nkey_file = "k"', "key_file: needs cert_file"),
        ('type = "postgres"', "url: expected an address"),
        (POSTGRES.replace("@", ":secret@"), "url: a password does not belong there"),
        (POSTGRES + 'table = "a b"', "table: expected a name"),
        (POSTGRES + 'last_table = "a;b"', "last_table: expected a name"),
        (POSTGRES + 'last_table = "readings"', "last_table: must differ from table"),
        ('type = "nats"', "servers: is missing"),
        (NATS.replace("nats://", "http://"), 'servers: "http://h:4222": expected an address'),
        (NATS + 'stream = "a.b"', "stream: expected a name without blanks"),
        (NATS + 'subject = "{topic}"', "subject: expected tokens and, at the end, {topic}"),
        (NATS + 'subject = "a.{topic}.b"', "subject: expected tokens and, at the end, {topic}"),
        (NATS + 'user = "u"', "user: give user and password_file, both or neither"),
        (NATS + 'token_file = "t"\ncreds_file = "c"', "not both"),
        (NATS + 'key_file = "k"', "key_file: needs cert_file"),
        (
            'type = "mqtt"\nhost = "h"\nretain = false\nhome_assistant = {}',
            "retain: must be true with home_assistant",
        ),
    ],
)
def test_a_fault_names_its_key_and_what_to_do(table: str, fault: str) -> None:
    """Each kind once."""
    assert any(fault in one for one in found(table)), found(table)


def test_a_missing_library_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each kind is an extra."""
    monkeypatch.delitem(sys.modules, "sensord.uplinks.nats", raising=False)
    for name in {"nats", *(one for one in sys.modules if one.partition(".")[0] == "nats")}:
        monkeypatch.setitem(sys.modules, name, None)
    expected = "nats needs the library nats: pip install 'sensord[nats]'"
    assert any(expected in one for one in found(NATS))


def test_uplinks_are_tables_with_plain_names() -> None:
    """A name is a level of a topic."""
    for text, fault in (
        ("uplinks = 5", "expected tables, such as [uplinks.cloud]"),
        (f'[uplinks."a/b"]\n{GOOD}', "an uplink's name is a level of a topic"),
    ):
        with pytest.raises(ConfigError) as caught:
            parse(text, "c.toml", readers, decoders, uplinks=uplinks)
        assert fault in str(caught.value)


def test_a_secret_is_the_first_line_of_a_file_or_a_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative name is one that the service manager provides."""
    (tmp_path / "token").write_text("abc \nsecond\n")
    assert read_secret(str(tmp_path / "token")) == "abc"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_secret("token") == "abc"


@pytest.mark.parametrize("host", ["a..b", "a" * 64, "mqtt://broker", "broker:1883"])
def test_a_host_that_no_resolver_takes_is_refused(host: str) -> None:
    """The resolver raised, which ended the daemon at each start."""
    (fault,) = found(f'type = "mqtt"\nhost = "{host}"\n')
    assert fault.startswith("uplinks.cloud.host: ")
