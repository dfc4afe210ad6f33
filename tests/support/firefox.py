"""Debian's Firefox, driven over WebDriver BiDi, because playwright can only drive its own build of Firefox.

Every run has a temporary profile with a home folder inside, a fake camera and microphone, and no access to
other machines. Each tab has separate storage and a separate window, because Firefox slows down hidden tabs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.support.bidi import Bidi, BidiError, Event, bidi_session
from tests.support.visitors import INSECURE_HOST, SCRIPTS

NEEDS_FIREFOX = "These tests need Firefox. Install it: apt-get install firefox-esr"
LIMIT_S = 60
"""The time limit of its start, and of each command."""

PREFERENCES = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.peerconnection.ice.loopback": True,
    # Otherwise a page without devices uses an mDNS name, which few containers can resolve.
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "network.dns.localDomains": INSECURE_HOST,
    # A proxy that does not exist blocks access to all other machines.
    "network.proxy.type": 1,
    "network.proxy.socks": "127.0.0.1",
    "network.proxy.socks_port": 9,
    "network.proxy.socks_remote_dns": True,
    "network.proxy.failover_direct": False,
    "network.proxy.allow_bypass": False,
    "network.proxy.no_proxies_on": f"127.0.0.1, localhost, {INSECURE_HOST}",
    # Otherwise it waits up to a minute before it reconnects to a server that refused it.
    "network.websocket.delay-failed-reconnects": False,
    "network.prefetch-next": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.trr.mode": 5,
    "doh-rollout.disable-heuristics": True,
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
    "browser.startup.page": 0,
    "browser.newtabpage.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
}

KEYS = {
    "Backspace": "\ue003",
    "Tab": "\ue004",
    "Enter": "\ue007",
    "Shift": "\ue008",
    "Escape": "\ue00c",
    "Space": " ",
    "ArrowLeft": "\ue012",
    "ArrowUp": "\ue013",
    "ArrowRight": "\ue014",
    "ArrowDown": "\ue015",
}
"""WebDriver's codes of keys, by their names in the DOM, which playwright uses too."""


def firefox_path() -> str | None:
    """The path of Firefox on this machine."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


class FirefoxTab:
    """A `Tab` of Firefox."""

    def __init__(self, bidi: Bidi, width: int, height: int) -> None:
        self._bidi = bidi
        self._user: str = bidi.ask("browser.createUserContext")["userContext"]
        created = bidi.ask("browsingContext.create", type="window", userContext=self._user)
        self.context: str = created["context"]
        self.heard: list[str] = []
        bidi.listeners[self.context] = self._heed
        self.resize(width, height)

    def open(self, url: str) -> None:
        self._ask("browsingContext.navigate", url=url, wait="complete")

    def begin(self, url: str) -> None:
        self._ask("browsingContext.navigate", url=url, wait="none")
        for _ in range(LIMIT_S * 20):
            with suppress(BidiError):  # the page before may be unloading
                if self.evaluate("location.href") == url:
                    return
            self.pause(50)
        raise AssertionError(f"Firefox did not go to {url}")

    def reload(self) -> None:
        self._ask("browsingContext.reload", wait="complete")

    def evaluate(self, expression: str) -> Any:
        answer = self._bidi.ask(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({expression})))()",
            target={"context": self.context},
            awaitPromise=True,
        )
        if answer["type"] == "exception":
            raise BidiError(f"{answer['exceptionDetails']['text']}, in {expression}")
        return json.loads(answer["result"].get("value", "null"))

    def click(self, x: int, y: int) -> None:
        self._act(
            "pointer",
            {"type": "pointerMove", "x": x, "y": y},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        )

    def type(self, text: str) -> None:
        self._act("key", *(_turn(way, key) for key in text for way in ("keyDown", "keyUp")))

    def press(self, key: str) -> None:
        keys = key.split("+")
        downs = [_turn("keyDown", key) for key in keys]
        self._act("key", *downs, *(_turn("keyUp", key) for key in reversed(keys)))

    def hold(self, key: str) -> None:
        self._act("key", _turn("keyDown", key))

    def let_go(self, key: str) -> None:
        self._act("key", _turn("keyUp", key))

    def pause(self, milliseconds: int) -> None:
        time.sleep(milliseconds / 1000)

    def resize(self, width: int, height: int) -> None:
        self._ask("browsingContext.setViewport", viewport={"width": width, "height": height})

    def close(self) -> None:
        del self._bidi.listeners[self.context]
        self._bidi.ask("browser.removeUserContext", userContext=self._user)

    def _heed(self, entry: Event) -> None:
        self.heard.append(f"{entry['params']['level']}: {entry['params']['text']}")

    def _act(self, kind: str, *actions: dict[str, Any]) -> None:
        self._ask("input.performActions", actions=[{"type": kind, "id": kind, "actions": actions}])

    def _ask(self, method: str, **params: Any) -> Any:
        return self._bidi.ask(method, context=self.context, **params)


def _turn(way: str, key: str) -> dict[str, str]:
    return {"type": way, "value": KEYS.get(key, key)}


@contextmanager
def running_firefox() -> Iterator[Bidi]:
    """Run one Firefox, for any number of tabs, while the block is open; then delete its profile."""
    with (
        TemporaryDirectory(prefix="studymatch-firefox-", ignore_cleanup_errors=True) as profile,
        _process(Path(profile)) as address,
        bidi_session(address, LIMIT_S) as bidi,
    ):
        bidi.ask("session.subscribe", events=["log.entryAdded"])
        for script in SCRIPTS:
            bidi.ask("script.addPreloadScript", functionDeclaration=f"() => {{ {script.read_text()} }}")
        yield bidi


@contextmanager
def _process(profile: Path) -> Iterator[str]:
    """Run the process with this profile; yields its address. A file in the profile gets its output."""
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items())
    (profile / "user.js").write_text("".join(lines))
    command = [firefox_path() or "firefox-esr", "--headless", "--no-remote", "--remote-debugging-port", "0"]
    command += ["--profile", str(profile), "about:blank"]
    environment = os.environ | {"HOME": str(profile), "MOZ_CRASHREPORTER_DISABLE": "1"}
    log = profile / "stderr"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=stderr,
            stderr=stderr,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield _address(process, log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address that Firefox prints to its log."""
    for _ in range(LIMIT_S * 20):
        if said := re.search(r"BiDi listening on (ws://\S+)", log.read_text()):
            return said[1]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"Firefox did not start: {log.read_text()}")
