"""A lens on a connection: what it shows, and that it costs nothing while nobody looks."""

from __future__ import annotations

from sensord.decode.base import Sample
from sensord.device.intake import Route
from sensord.device.lens import Lens, Lenses, ReaderSeen
from sensord.device.reader import Link
from sensord.model.readings import Level, Quality, Reason
from sensord.model.sights import MOST_SHOWN, Sight, What
from tests.kit.loops import on_each_loop
from tests.unit.device.test_device import Scene


class Eye:
    """Somebody who looks."""

    def __init__(self) -> None:
        self.sights: list[Sight] = []
        self.lens: Lens | None = None
        self.is_ended = False

    def see(self, sight: Sight) -> None:
        self.sights.append(sight)

    def moved(self, lens: Lens) -> None:
        self.lens = lens

    def ended(self) -> None:
        self.is_ended = True

    @property
    def kinds(self) -> list[What]:
        return [one.what for one in self.sights]


def link_of(scene: Scene) -> Link:
    return scene.device.lens.over(scene.device)


def test_while_nobody_looks_the_link_is_the_device_itself() -> None:
    """Its methods are the device's own, and the intake shows its values to nobody."""
    scene = Scene()
    link = link_of(scene)
    eye = Eye()
    scene.device.lens.open(eye)
    assert link.data != scene.device.data
    scene.device.lens.close(eye)
    for name in ("opened", "data", "message", "samples", "fault", "sent", "received"):
        assert getattr(link, name) == getattr(scene.device, name)
    assert scene.device._intake.listener is None


def test_bytes_are_followed_by_what_became_of_them() -> None:
    """Raw pieces as they came, then values and faults, published or not."""
    scene = Scene()
    link, eye = link_of(scene), Eye()
    link.data(b"t=1\n")
    scene.device.lens.open(eye)
    link.data(b"t=1")
    link.data(b"\nnonsense\n")
    assert eye.kinds == [What.RECEIVED, What.RECEIVED, What.VALUE, What.FAULT]
    assert [one.data for one in eye.sights[:2]] == [b"t=1", b"\nnonsense\n"]
    assert eye.sights[3].detail.startswith("nonsense")
    assert (eye.sights[2].topic, eye.sights[2].value) == ("boiler/t", 1.0)
    assert [r.reading.value for r in scene.records("boiler/t")] == [1.0]


def test_requests_messages_and_news_are_shown() -> None:
    """What is sent, whole messages with their source, and the connection's coming and going."""
    scene = Scene()
    link, eye = link_of(scene), Eye()
    scene.device.lens.open(eye)
    scene.device.up("/dev/ttyUSB0")
    link.sent(b"?\r\n", "meter")
    link.message(Route("in", is_retained=True), b"t=2")
    link.samples([Sample("u", 3.0)])
    link.fault("no answer", "waited 1 s")
    scene.device.down("unplugged", "hung up", 1.0)
    assert eye.kinds == ["up", "sent", "message", "value", "value", "fault", "down"]
    assert (eye.sights[1].data, eye.sights[1].source) == (b"?\r\n", "meter")
    assert (eye.sights[2].source, eye.sights[2].is_retained) == ("in", True)
    assert eye.sights[3].quality == Quality(Level.UNCERTAIN, Reason.RETAINED)
    assert eye.sights[6].detail == "unplugged: hung up"


def test_a_long_piece_is_cut_and_its_length_given() -> None:
    """A bound for each piece; the device gets all of it."""
    scene = Scene()
    link, eye = link_of(scene), Eye()
    scene.device.lens.open(eye)
    link.data(b"t=1\n" * MOST_SHOWN)
    assert (len(eye.sights[0].data), eye.sights[0].length) == (MOST_SHOWN, 4 * MOST_SHOWN)
    assert scene.device.statistics().messages == MOST_SHOWN


def test_who_looks_before_the_reader_runs_sees_its_first_byte() -> None:
    """Also in the next run, after the connection was lost."""
    scene, eye = Scene(), Eye()
    scene.device.lens.open(eye)
    for _ in range(2):
        link_of(scene).data(b"t=1\n")
    assert eye.kinds == [What.RECEIVED, What.VALUE] * 2


def test_a_device_behind_a_connection_is_found_by_its_name() -> None:
    """All of its connection is shown: the line is one."""
    scene = Scene(topic="house/{device}/{field}", device="{1}")
    lenses = Lenses()
    lenses.add(scene.device.lens)
    assert lenses.find("hall") is None
    scene.device.message(Route("s/hall", captures=("hall",)), b"t=1")
    assert lenses.find("hall") is lenses.find("boiler") is scene.device.lens


@on_each_loop
async def test_the_reader_gets_the_link_that_is_looked_at() -> None:
    """Its own limits are kept."""
    scene = Scene()

    class Short:
        async def run(self, link: Link) -> None:
            link.data(b"t=1\n")

    eye = Eye()
    scene.device.lens.open(eye)
    await ReaderSeen(Short(), scene.device.lens).run(scene.device)
    assert eye.kinds == [What.RECEIVED, What.VALUE]


def test_who_looks_at_a_device_that_a_reload_replaces_looks_at_the_new_one() -> None:
    """Under the same name; at one that is removed, the look ends."""
    old, new, eye = Scene(), Scene(), Eye()
    lenses = Lenses()
    lenses.add(old.device.lens)
    old.device.lens.open(eye)
    lenses.remove(old.device.lens)
    lenses.add(new.device.lens)
    lenses.settle()
    assert (eye.lens, eye.is_ended, old.device.lens.is_used) == (new.device.lens, False, False)
    link_of(old).data(b"t=1\n")
    link_of(new).data(b"t=2\n")
    assert eye.kinds == [What.RECEIVED, What.VALUE]
    lenses.remove(new.device.lens)
    lenses.settle()
    assert eye.is_ended
