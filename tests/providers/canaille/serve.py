"""Canaille with two people, a group and clients, all in memory, on loopback at the port that it is given."""
import asyncio
import sys

from asgiref.wsgi import WsgiToAsgi
from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from hypercorn.asyncio import serve
from hypercorn.config import Config

port = int(sys.argv[1])
app = create_app(config={
    "SECRET_KEY": "not a secret: nobody signs in here",
    "CANAILLE": {"DATABASE": "memory", "JAVASCRIPT": False, "HTMX": False, "LOGGING": {"version": 1}, "SMTP": None},
    # No ACTIVE_JWKS: it makes an Ed25519 key and an RSA key.
    "CANAILLE_OIDC": {},
}, env_file="")


def person(name):
    user = models.User(
        user_name=name, formatted_name=name, family_name=name, emails=[f"{name}@example.com"], password=f"{name}-secret",
    )
    Backend.instance.save(user)
    return user


def client(name, alg):
    one = models.Client(
        client_id=name, client_secret=f"{name}-secret", client_name=name,
        # A client at home is trusted: nobody has to consent.
        client_uri="http://127.0.0.1", redirect_uris=["http://127.0.0.1/back"],
        grant_types=["authorization_code"], response_types=["code"], scope=["openid", "profile", "groups"],
        token_endpoint_auth_method="client_secret_basic", id_token_signed_response_alg=alg,
    )
    Backend.instance.save(one)
    one.audience = [one]
    Backend.instance.save(one)


with app.app_context():
    alice, bob = person("alice"), person("bob")
    Backend.instance.save(models.Group(display_name="analysts", members=[alice]))
    Backend.instance.save(models.Group(display_name="guests", members=[bob]))
    for name, alg in (("reports", "RS256"), ("modern", "EdDSA"), ("unsigned", "none")):
        client(name, alg)

config = Config()
config.bind = [f"127.0.0.1:{port}"]
asyncio.run(serve(WsgiToAsgi(app), config))
