"""The local page of a review: one reader, one session, nothing from or to the network."""

import contextlib
import hmac
import secrets
import signal
import socketserver
import threading
from collections.abc import Callable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from metaecg import errors

HOST = "127.0.0.1"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # 'no-referrer' would hide the origin of the page's own forms
    "Cache-Control": "no-store",
}
_LONGEST = 2000  # bytes of a form


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """Threads, for browsers open connections on which they say nothing yet."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    timeout = 30  # seconds that such a connection is kept

    def log_message(self, format: str, *args: Any) -> None:  # the token is in every line
        pass


def check_installed() -> None:
    """Asserts that a page can be served.

    Raises:
      MetaecgError: bottle is not installed; says how to install it.
    """
    errors.check_installed("the page of a review", "bottle", "review")


def application(
    token: str,
    page: Callable[[str], str],
    answer: Callable[[str, str], None],
    undo: Callable[[str], None],
    port: Callable[[], int],
) -> Any:
    """The pages as a WSGI application.

    Args:
      token: that every address begins with.
      page: from a nonce for its script to the page of what is to be read now.
      answer: takes the id of the recording that was shown and a verdict.
      undo: takes back the last answer, which was of this id.
      port: that is listened on.

    Raises:
      MetaecgError: bottle is not installed.
    """
    check_installed()
    import bottle  # one file, without dependencies, and kept up since 2009

    app, lock = bottle.Bottle(), threading.Lock()

    def check(given: str) -> None:
        request, own = bottle.request, {f"{name}:{port()}" for name in (HOST, "localhost")}
        if request.get_header("Host") not in own:
            bottle.abort(403, "This address is not the review's.")
        if not hmac.compare_digest(given.encode(), token.encode()):
            bottle.abort(403, "The token is missing or wrong: open the address that was printed.")
        if request.method == "POST":
            if request.get_header("Origin") not in {f"http://{host}" for host in own}:
                bottle.abort(403, "Another page sent this.")
            if not 0 <= request.content_length <= _LONGEST:
                bottle.abort(413, "This is no answer.")

    def keep(act: Callable[[Any], None]) -> None:
        try:
            with lock:
                act(bottle.request.forms)
        except OSError as error:
            bottle.abort(507, f"This was not kept: {error.strerror}. All before it was.")
        bottle.redirect(f"/{token}/", 303)

    @app.get("/<given>/")
    def show(given: str) -> str:
        check(given)
        nonce = secrets.token_urlsafe(12)
        with lock:
            html = page(nonce)
        for name, value in _HEADERS.items():
            bottle.response.set_header(name, value.format(nonce=nonce))
        return html

    @app.post("/<given>/answer")
    def take(given: str) -> None:
        check(given)
        keep(lambda form: answer(form.id or "", form.verdict or ""))

    @app.post("/<given>/undo")
    def take_back(given: str) -> None:
        check(given)
        keep(lambda form: undo(form.id or ""))

    @app.error(403)
    @app.error(413)
    @app.error(507)
    def refuse(error: Any) -> str:
        bottle.response.content_type = "text/plain; charset=utf-8"
        return f"{error.body}\n"

    @app.error(404)
    @app.error(405)
    @app.error(500)
    def fail(error: Any) -> str:  # its own text would repeat the address
        bottle.response.content_type = "text/plain; charset=utf-8"
        return "There is no such page.\n" if error.status_code < 500 else "The program failed.\n"

    return app


def serve(app_of: Callable[[str, Callable[[], int]], Any], port: int) -> None:
    """Serves until Ctrl-C, which is how a reading ends; the address is printed.

    Args:
      app_of: from a token and the port to an application.
      port: to listen on; 0: any that is free.

    Raises:
      OSError: the port is taken.
    """
    token, at = secrets.token_urlsafe(24), [port]
    with make_server(HOST, port, app_of(token, lambda: at[0]), _Server, _Quiet) as server:
        at[0] = server.server_port
        with contextlib.suppress(KeyboardInterrupt):
            signal.signal(signal.SIGINT, _interrupt_once)
            print(f"http://{HOST}:{at[0]}/{token}/", flush=True)
            print("Open this address in a browser; Ctrl-C ends, and nothing is lost.", flush=True)
            server.serve_forever()


def _interrupt_once(*_: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C has nothing more to end
    raise KeyboardInterrupt
