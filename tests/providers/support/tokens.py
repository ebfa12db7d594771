"""Tokens as text: looked into, and made wrong by hand."""
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode


def header(token):
    return _part(token, 0)


def claims(token):
    return _part(token, 1)


def _part(token, index):
    part = token.split(".")[index]
    return json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def _encoded(value):
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def with_header(token, **members):
    """The same claims and signature behind another header."""
    _, payload, signature = token.split(".")
    return f"{_encoded({**header(token), **members})}.{payload}.{signature}"


def with_claims(token, **members):
    """Other claims between the same header and signature."""
    head, _, signature = token.split(".")
    return f"{head}.{_encoded({**claims(token), **members})}.{signature}"


def unsigned(token):
    """What RFC 7515 (appendix A.5) calls an unsecured JWS: alg none, and nothing where the signature stood."""
    return with_header(token, alg="none").rsplit(".", 1)[0] + "."
