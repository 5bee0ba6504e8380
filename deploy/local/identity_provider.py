"""The identity provider for development: it lets anybody sign in as anybody, without a password.

usage: python -m deploy.local.identity_provider PORT

The local stack starts it with IDENTITY_PROVIDER=1. It listens on this machine only, and does not start beside production settings.
"""

import ipaddress
import os
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

HOST = "127.0.0.1"
# Addresses of a production system, when they are not on this machine.
_ADDRESSES = (
    "SEATPOOL_DATABASE_URL",
    "SEATPOOL_KAFKA_BOOTSTRAP",
    "SEATPOOL_SMTP_URL",
    "SEATPOOL_USERS_URL",
    "SEATPOOL_SIGN_IN_LINK_URL",
    "SEATPOOL_CONSOLE_URL",
    "SEATPOOL_HOST",
)
# Settings that only a production system has.
_PRODUCTION = ("SEATPOOL_KAFKA_SASL_USERNAME", "SEATPOOL_KAFKA_SSL_CAFILE", "SEATPOOL_TRUSTED_PROXIES", "KUBERNETES_SERVICE_HOST")


def production_settings(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the settings that say that this is no developer's machine."""
    found = [name for name in _PRODUCTION if environment.get(name)]
    if environment.get("SEATPOOL_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT") != "PLAINTEXT":
        found.append("SEATPOOL_KAFKA_SECURITY_PROTOCOL")
    return sorted(found + [name for name in _ADDRESSES if not all(map(_is_local, environment.get(name, HOST).split(",")))])


def _is_local(address: str) -> bool:
    host = urlsplit(address if "://" in address else f"//{address}").hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("", "localhost")


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    if found := production_settings(environment):
        sys.stderr.write(
            "The identity provider for development lets anybody sign in as anybody, so it does not start beside production settings: "
            f"{', '.join(found)}. Unset them, or configure the identity provider of your company instead.\n"
        )
        return 2
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # plain http, on this machine
    from oidc_provider_mock import app
    from werkzeug.serving import make_server

    make_server(HOST, int(arguments[0]), app(), threaded=True).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
