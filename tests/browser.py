"""A headless Chromium, driven through its own pipe: no package and no port."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time

CHROME = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
_KEYS = {"?": ("Slash", 191)}


PIPES_FIRST = """
import os, sys
theirs = [os.dup(int(name)) for name in sys.argv[1:3]]
for given, wanted in zip(theirs, (3, 4)):
    os.dup2(given, wanted)
    os.set_inheritable(wanted, True)  # dup2 leaves it as it was where both are the same
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One page. `console` collects what it writes there, and errors that nothing caught."""

    def __init__(self, profile, size=(1400, 1000)):
        self.console, self._number, self._rest = [], 0, b""
        read, theirs_out = os.pipe()
        theirs_in, write = os.pipe()
        self._in, self._out = read, write
        # A program between gives Chromium the pipes: a function in the child would need a fork,
        # which jax forbids where it is loaded.
        command = [sys.executable, "-c", PIPES_FIRST, str(theirs_in), str(theirs_out), CHROME]
        command += ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += ["--remote-debugging-pipe", f"--user-data-dir={profile}"]
        command += [f"--window-size={size[0]},{size[1]}", "about:blank"]
        self._process = subprocess.Popen(
            command, pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        targets = self._send("Target.getTargets", session=False)["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        self._session = self._send(
            "Target.attachToTarget", session=False, targetId=page["targetId"], flatten=True
        )["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._send(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._send("Browser.close", session=False)
        self._process.kill()
        self._process.wait(30)
        os.close(self._in)
        os.close(self._out)

    def _send(self, method, session=True, **params):
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + 60
        while True:
            answer = self._receive(until)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                return answer["result"]

    def _receive(self, until):
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], max(0, until - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            more = os.read(self._in, 1 << 16)
            if not more:
                raise OSError("the browser has ended")
            self._rest += more
        text, _, self._rest = self._rest.partition(b"\0")
        event = json.loads(text)
        if event.get("method") in (
            "Runtime.consoleAPICalled",
            "Runtime.exceptionThrown",
            "Log.entryAdded",
        ):
            self.console.append(event["params"])
        return event

    def open(self, address):
        """Opens an address, and returns when the page is there."""
        self._send("Page.navigate", url=address)
        self.wait(f"location.href === {json.dumps(address)} && document.readyState === 'complete'")

    def run(self, script):
        """The value of a JavaScript expression."""
        result = self._send("Runtime.evaluate", expression=script, returnByValue=True)
        return result["result"].get("value")

    def wait(self, script, seconds=60):
        """Returns when an expression is true and the page is complete."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(RuntimeError):  # between two pages
                if self.run(f"document.readyState === 'complete' && ({script})"):
                    return
            time.sleep(0.05)
        raise TimeoutError(f"never true: {script}")

    def press(self, key):
        """Presses a key."""
        code, number = _KEYS.get(key, (f"Key{key.upper()}", ord(key.upper())))
        fields = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        self._send("Input.dispatchKeyEvent", type="keyDown", text=key, **fields)
        self._send("Input.dispatchKeyEvent", type="keyUp", **fields)

    def picture(self, path):
        """Writes what is seen as a PNG."""
        path.write_bytes(base64.b64decode(self._send("Page.captureScreenshot")["data"]))
