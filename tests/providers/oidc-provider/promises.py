"""npm oidc-provider, certified: every kind of key, another application's resource, rotation, and keys that cannot be had.

The provider is the one of tests/idp, with its hooks under /_test/.
"""
import json
import time

from support import tools, web
from support.house import House
from support.programs import Program, Unmet, wait_for

FOLDER = tools.ROOT / "tests/idp"
COOLDOWN = 1


def prove(report, keyhouse):
    report.version = json.loads((FOLDER / "package.json").read_text())["dependencies"]["oidc-provider"]
    node = tools.node()
    tools.npm_ci(FOLDER)
    with Program("oidc-provider", [node, "idp.mjs"], FOLDER, {"PORT": "0"}) as program:
        provider = Provider(program.wait_line("ready http://").removeprefix("ready "))
        report.step(f"oidc-provider is up at {provider.url}")
        with House(keyhouse, "corp", provider.config("5m")) as house:
            _tokens(report, house, provider)
            _rotation(report, house, provider)
            with report.promise("no token is in what the upstream heard, the record or the log; nothing is there twice"):
                house.accounts_for_all()
        with House(keyhouse, "corp", provider.config("1s")) as house:
            _trouble(report, house, provider)
        _late_keys(report, keyhouse, provider)


class Provider:
    def __init__(self, url):
        self.url = url

    def config(self, refresh):
        return {
            "issuer": self.url, "audiences": ["clickhouse"], "claim_mappings": {"groups": {"claim": "groups"}},
            "jwks_cache": {"refresh": refresh, "cooldown": f"{COOLDOWN}s"},
        }

    def token(self, alg="RS256", application="clickhouse"):
        fields = {"grant_type": "client_credentials", "resource": f"urn:{application}:{alg}"}
        return web.post_form(f"{self.url}/token", fields, web.basic("ci", "secret")).json()["access_token"]

    def hook(self, what):
        return web.ask(f"{self.url}/_test/{what}").json()


def _tokens(report, house, provider):
    for alg in ("RS256", "ES256", "EdDSA"):
        with report.promise(f"an access token signed with {alg} is let in"):
            house.lets_in(provider.token(alg), subject="ci")
    with report.promise("a token for another resource is refused: audience_mismatch"):
        house.refuses(provider.token(application="billing"), "audience_mismatch", '["billing"]', 'accepts ["clickhouse"]')


def _rotation(report, house, provider):
    old = provider.token()
    with report.promise("after a rotation the new key's token is let in at once, and the old key's while it is published"):
        provider.hook("rotate")
        house.lets_in(provider.token())
        house.lets_in(old)
    # A set is fetched for an unknown key at most once in this time.
    time.sleep(COOLDOWN + 0.2)
    with report.promise("a key that the provider withdrew is worth nothing from the next fetch on: unknown_key"):
        provider.hook("rotate?drop=1")
        house.lets_in(provider.token())
        house.refuses(old, "unknown_key")


def _trouble(report, house, provider):
    for trouble, what in (("fail=503", "answers 503"), ("delay=8000", "answers after 8 s only")):
        with report.promise(f"while the key set {what}, tokens of kept keys are let in without waiting"):
            before = provider.hook("hits")["jwks"]
            provider.hook(f"jwks?{trouble}")
            wait_for("fetches that fail", 20, lambda: provider.hook("hits")["jwks"] >= before + 2)
            began = time.monotonic()
            # `token explain` is a process of its own and keeps no keys.
            house.lets_in(provider.token(), explained=False)
            took = time.monotonic() - began
            if took > 1:
                raise Unmet(f"it took {took:.1f} s")
    with report.promise("a new key's token is refused meanwhile, and let in when the key set is back, without a restart"):
        provider.hook("jwks?fail=503")
        provider.hook("rotate")
        new = provider.token()
        house.refuses(new, "unknown_key", explained=False)
        provider.hook("jwks")
        # The pause after failures doubles up to the refresh interval, 1 s here.
        house.lets_in_soon(new, 15)


def _late_keys(report, keyhouse, provider):
    provider.hook("jwks?fail=503")
    with House(keyhouse, "corp", provider.config("5m"), ready=False) as house:
        token = provider.token()
        with report.promise("started while the keys cannot be had, it is not ready and says so: keys_unavailable, 503"):
            house.refuses(token, "keys_unavailable", "provider corp", status=503)
            if house.is_ready():
                raise Unmet("it says that it is ready")
        with report.promise("when they can be had, it becomes ready and lets in"):
            provider.hook("jwks")
            house.lets_in_soon(token, 20)
            if not house.is_ready():
                raise Unmet("it says that it is not ready")
