"""What else a hand can do, and what can be lost while it presses: command and pedal, screen lock, sleep, the microphone; the first start.

Standard library only.
"""

import asyncio
from collections.abc import Awaitable, Callable

from gallery import ME, Gallery, Seen
from picture import Picture
from stage import StageError
from terminal import Terminal

PEDAL = "191"
"""X11's code of F13, which pedals send."""


async def sources(gallery: Gallery) -> None:
    """By command and by pedal one talks as by the key."""
    desk, program = gallery.desk, str(gallery.stage.binaries / "talkbridge-ptt")
    for name, press, release in (
        ("by-command", (program, "ptt", "press"), (program, "ptt", "release")),
        ("by-pedal", ("xdotool", "keydown", PEDAL), ("xdotool", "keyup", PEDAL)),
    ):
        await desk.command(*press)
        await gallery.catch(name, "on-air", "ON AIR: Heard on all sides", far=Seen(ME, "normal", joined=True))
        await desk.command(*release)
        await gallery.until("FREE")


async def losses(gallery: Gallery) -> None:
    """Whatever is lost while the key is down closes the microphone, and the far unit hears no more."""
    async def silence() -> None:
        await gallery.desk.command("pactl", "suspend-source", "microphone", "1")

    async def wake() -> None:
        await gallery.desk.command("pactl", "suspend-source", "microphone", "0")
        await asyncio.sleep(2.0)

    saver = "/org/gnome/ScreenSaver org.gnome.ScreenSaver.ActiveChanged"
    logind = "/org/freedesktop/login1 org.freedesktop.login1.Manager.PrepareForSleep"
    for name, told, lose, back in (
        ("locked", "the screen is locked", _signal(gallery, saver, True), _signal(gallery, saver, False)),
        ("asleep", "the machine sleeps", _signal(gallery, logind, True), _signal(gallery, logind, False)),
        ("no-microphone", "No microphone", silence, wake),
    ):
        async with gallery.pressed():
            await gallery.until("ON AIR")
            await gallery.wait_for(lambda: Seen.of(gallery.far.events, "be").talker == ME, 4.0, "the far unit hears it")
            await lose()
            await gallery.catch(name, "free", "FREE", foot=told, far=Seen(joined=True))
        await back()


def _signal(gallery: Gallery, what: str, holds: bool) -> Callable[[], Awaitable[None]]:
    async def send() -> None:
        await gallery.desk.command("dbus-send", "--session", "--type=signal", *what.split(), f"boolean:{str(holds).lower()}")

    return send


async def first_start(gallery: Gallery, terminal: Terminal, config: str) -> None:
    """The window asks for a configuration, says what is wrong with a bad one, and goes on to devices and key with a good one."""
    desk, out = gallery.desk, gallery.out / "first-start"
    out.mkdir(parents=True)
    await terminal.appear()
    for name, path, told in (
        ("0-nothing", None, "This terminal has no configuration yet"),
        ("1-wrong", f"{config}x", "cannot be read"),
        ("2-set-up", config, "Speak: level of the microphone"),
    ):
        if path:
            await desk.command("xdotool", "key", "Tab")
            await desk.command("xdotool", "key", "ctrl+a")
            await desk.command("xdotool", "type", "--delay", "2", path)
            await desk.command("xdotool", "key", "Return")
        await _says(terminal, told)
        await asyncio.sleep(0.3)
        Picture.of_screen(desk.frame_buffer.read_bytes(), 800, 480).png(out / f"{name}.png")
        print(f"  {'first':9} {name:20} agrees", flush=True)
    await terminal.ready()


async def _says(terminal: Terminal, told: str) -> None:
    nodes = []
    for _ in range(100):
        nodes = await terminal.tree()
        if any(told in node["name"] for node in nodes):
            return
        await asyncio.sleep(0.05)
    raise StageError(f"first start: the window does not say '{told}' but {[node['name'] for node in nodes if node['name']]}")
