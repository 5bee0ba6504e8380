"""Texts that only the holder of a key can read: JSON Web Encryption with AES-256-GCM.

What is sealed can be stored and sent over a topic, where others could read it. The key is derived from a long random secret that both
sides have; `purpose` keeps what was sealed for one purpose from being used for another.
"""

import hmac
from collections.abc import Iterable

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

SIGN_IN_LINK = "sign-in link"  # a purpose: users seals for notifier, with the client secret of notifier
_HEADER = {"alg": "dir", "enc": "A256GCM"}
_ALGORITHMS = list(_HEADER.values())


def seal(text: str, secret: str, purpose: str) -> str:
    return jwe.encrypt_compact(_HEADER, text.encode(), _key(secret, purpose), algorithms=_ALGORITHMS)


def unseal(sealed: str, secrets: Iterable[str], purpose: str) -> str | None:
    """Return the text; None if none of the secrets opens it. With two secrets, one can be replaced without downtime."""
    for secret in secrets:
        try:
            plaintext = jwe.decrypt_compact(sealed, _key(secret, purpose), algorithms=_ALGORITHMS).plaintext
        except (JoseError, ValueError):
            continue
        return None if plaintext is None else plaintext.decode()
    return None


def _key(secret: str, purpose: str) -> OctKey:
    return OctKey.import_key(hmac.digest(secret.encode(), purpose.encode(), "sha256"))
