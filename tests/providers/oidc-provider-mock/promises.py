"""PyPI oidc-provider-mock: ID tokens that name no key, a key that says no `alg` and no `use`, opaque access tokens.

Anybody signs in by one form post (authorization code); a client needs no registration, and any secret does.
"""
import json
from pathlib import Path
from urllib.parse import urlencode

from support import tokens, tools, web
from support.house import House
from support.programs import Program, Unmet, free_port

FOLDER = Path(__file__).resolve().parent
BACK = "http://127.0.0.1/back"


def prove(report, keyhouse):
    report.version = tools.pinned(FOLDER, "oidc-provider-mock")
    python, port = tools.venv(FOLDER), free_port()
    alice = json.dumps({"sub": "alice", "groups": ["analysts"]})
    command = [python, "-m", "oidc_provider_mock", "--port", str(port), "--user-claims", alice]
    with Program("oidc-provider-mock", command) as program:
        provider = Provider(f"http://127.0.0.1:{port}")
        program.wait("discovery document", 60, lambda: web.answers(f"{provider.issuer}/.well-known/openid-configuration"))
        report.step(f"oidc-provider-mock is up at {provider.issuer}")
        config = {"issuer": provider.issuer, "audiences": ["reports"], "claim_mappings": {"groups": {"claim": "groups"}}}
        with House(keyhouse, "mock", {**config, "token_types": ["id"]}) as house:
            _id_tokens(report, house, provider)
        with House(keyhouse, "mock", config) as house:
            with report.promise("where access tokens are taken, the ID token is refused: wrong_token_type"):
                house.refuses(provider.sign_in("alice", "reports")["id_token"], "wrong_token_type", "Send the access token")
            with report.promise("and its access token cannot be read: opaque_token"):
                house.refuses(provider.sign_in("alice", "reports")["access_token"], "opaque_token", "not a JWT")


class Provider:
    def __init__(self, issuer):
        self.issuer = issuer

    def sign_in(self, person, client):
        """What a client gets for a person who signs in."""
        asked = {"client_id": client, "redirect_uri": BACK, "response_type": "code", "scope": "openid"}
        browser = web.Browser()
        page = browser.open(f"{self.issuer}/oauth2/authorize?{urlencode(asked)}")
        back = browser.submit(page, {"sub": person}, stop_at=BACK)
        if not isinstance(back, dict) or "code" not in back:
            raise Unmet(f"oidc-provider-mock does not sign {person} in: {back if isinstance(back, dict) else back.text[:600]}")
        fields = {"grant_type": "authorization_code", "code": back["code"], "redirect_uri": BACK}
        return web.post_form(f"{self.issuer}/oauth2/token", fields, web.basic(client, "any")).json()


def _id_tokens(report, house, provider):
    got = provider.sign_in("alice", "reports")
    with report.promise("its ID token names no key, its one key says no alg and no use, its audience is a list"):
        keys = web.ask(f"{provider.issuer}/jwks").json()["keys"]
        head, claims = tokens.header(got["id_token"]), tokens.claims(got["id_token"])
        if "kid" in head or claims["aud"] != ["reports"] or len(keys) != 1 or {"alg", "use"} & set(keys[0]):
            raise Unmet(f"header {head}, aud {claims['aud']}, members of keys {[sorted(key) for key in keys]}")
    with report.promise("alice's ID token is let in for her group"):
        record = house.lets_in(got["id_token"], subject="alice")
        if record["groups"] != ["analysts"]:
            raise Unmet(f"the record says the groups {record['groups']}")
    with report.promise("her access token is refused: opaque_token"):
        house.refuses(got["access_token"], "opaque_token", "not a JWT")
    with report.promise("her ID token for another client is refused: audience_mismatch"):
        house.refuses(provider.sign_in("alice", "wiki")["id_token"], "audience_mismatch", '["wiki"]', '["reports"]')
    with report.promise("bob, of whom it knows no groups: groups_missing"):
        house.refuses(provider.sign_in("bob", "reports")["id_token"], "groups_missing", "`groups`", status=403)
    with report.promise("bob's token with alice's name, and the signature left: bad_signature"):
        bobs = provider.sign_in("bob", "reports")["id_token"]
        house.refuses(tokens.with_claims(bobs, sub="alice", groups=["analysts"]), "bad_signature")
    with report.promise("no token is in what the upstream heard, the record or the log; nothing is there twice"):
        house.accounts_for_all()
