"""Headless Chromium driven over a pipe by its DevTools protocol: no port, no driver, no library."""

from __future__ import annotations

import base64
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-extensions"),
    "--remote-debugging-pipe",
]


def find() -> str | None:
    """Return where Chromium is."""
    return os.environ.get("BEDSIDE_BROWSER") or shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """One browser with a profile of its own."""

    def __init__(self, profile: str, *flags: str) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4.
        command = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        arguments = [find(), *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            ["bash", "-c", command, "chromium", *arguments], pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out, self._buffer, self._number = ours_in, ours_out, b"", 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, timeout: float = 60, **params: Any) -> Any:
        """Send a command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        data = orjson.dumps(message) + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        deadline = time.monotonic() + timeout
        while True:
            found = self._receive(deadline)
            if found.get("id") == self._number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']['message']}")
                return found["result"]
            self.events.append(found)

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._in], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError("Chromium does not answer")
            chunk = os.read(self._in, 1 << 20)
            if not chunk:
                raise ConnectionError("Chromium has ended")
            self._buffer += chunk
        message, self._buffer = self._buffer.split(b"\0", 1)
        found: dict[str, Any] = orjson.loads(message)
        return found

    def open(self, url: str, *, private: bool = False, wait: bool = True) -> Tab:
        """Open a tab, in a private window if asked, and wait until the page says that it is ready."""
        where = {"browserContextId": self.call("Target.createBrowserContext")["browserContextId"]} if private else {}
        target = self.call("Target.createTarget", url="about:blank", **where)["targetId"]
        tab = Tab(self, target)
        tab.go(url, wait=wait)
        return tab

    def close(self) -> None:
        """End the browser."""
        try:
            self.call("Browser.close", timeout=10)
        except (OSError, TimeoutError):
            self.process.kill()
        self.process.wait(20)
        os.close(self._in)
        os.close(self._out)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(20)


class Tab:
    """One page."""

    def __init__(self, browser: Browser, target: str) -> None:
        self.browser, self.target = browser, target
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """Send a command to the page."""
        return self.browser.call(method, self.session, **params)

    def go(self, url: str, *, wait: bool = True) -> None:
        """Load a page."""
        self.call("Page.navigate", url=url)
        if wait:
            self.ready()

    def reload(self) -> None:
        """Load the page again."""
        self.run("document.body.dataset.state = 'leaving'")
        self.call("Page.reload")
        self.ready()

    def ready(self) -> None:
        """Wait until the page says that it is ready."""
        self.until("document.body?.dataset.state === 'ready'")

    def until(self, expression: str, timeout: float = 60) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + timeout
        while not self.run(f"Boolean({expression})"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"never true: {expression}")
            time.sleep(0.02)

    def run(self, expression: str) -> Any:
        """Return the value of an expression; promises are awaited."""
        result = self.call(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
            allowUnsafeEvalBlockedByCSP=False,
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return result["result"].get("value")

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def press(self, key: str, code: str | None = None) -> None:
        """Press a key."""
        typed = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        numbers = {"Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38}
        for kind in ("keyDown", "keyUp"):
            more = typed if kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=code or key,
                      windowsVirtualKeyCode=numbers.get(key, 0), **more)  # fmt: skip

    def picture(self, path: Path, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        """Save what the page looks like."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        """Close the tab."""
        self.browser.call("Target.closeTarget", targetId=self.target)


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """Run a browser with an empty profile."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        browser = Browser(profile, *flags)
        try:
            yield browser
        finally:
            browser.close()
