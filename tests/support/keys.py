"""The published keys of users, served by the test, and tokens signed with them, for processes that fetch keys by themselves."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
from joserfc import jwt
from joserfc.jwk import KeySet, OKPKey

KEY = OKPKey.generate_key("Ed25519", {"kid": "test"}, private=True)


@contextmanager
def published_keys() -> Iterator[str]:
    """Yield the address for the setting `users_url`."""
    keys = orjson.dumps(KeySet([KEY]).as_dict(private=False))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(keys)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def bearer(tenant: str | None, *rights: str) -> dict[str, str]:
    """Return a header with a token. Tenant None: for all tenants, of a client."""
    now = int(time.time())
    claims = {"iss": "seatpool", "aud": "seatpool", "sub": "test", "iat": now, "exp": now + 600, "rights": list(rights)}
    claims |= {"kind": "client"} if tenant is None else {"kind": "person", "tenant": tenant}
    token = jwt.encode({"alg": "Ed25519", "kid": "test"}, claims, KEY, algorithms=["Ed25519"])
    return {"authorization": f"Bearer {token}"}
