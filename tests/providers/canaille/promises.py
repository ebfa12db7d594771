"""PyPI canaille: its discovery advertises `none`, and an issuer that ends with a slash.

People sign in by its forms (authorization code). Its keys say neither `alg` nor `use`. Its access tokens are JWTs with the
audience and groups of its ID tokens, and live ten days. A client that is registered for ID tokens of alg none gets RS512.
"""
from pathlib import Path
from urllib.parse import urlencode

from support import tokens, tools, web
from support.house import House
from support.programs import Program, Unmet, free_port

FOLDER = Path(__file__).resolve().parent
BACK = "http://127.0.0.1/back"


def prove(report, keyhouse):
    report.version = tools.pinned(FOLDER, "Canaille")
    python, port = tools.venv(FOLDER), free_port()
    with Program("canaille", [python, "serve.py", str(port)], FOLDER) as program:
        provider = Provider(f"http://127.0.0.1:{port}/")
        program.wait("discovery document", 60, lambda: web.answers(provider.discovery))
        report.step(f"canaille is up at {provider.issuer}")
        access = {
            "issuer": provider.issuer, "audiences": ["reports", "modern"], "claim_mappings": {"groups": {"claim": "groups"}},
            "max_token_lifetime": "11days",
        }
        with House(keyhouse, "canaille", {**access, "token_types": ["id"], "max_token_lifetime": "2h"}) as house:
            _id_tokens(report, house, provider)
        with House(keyhouse, "canaille", access) as house:
            _access_tokens(report, house, provider)
        with House(keyhouse, "canaille", {**access, "max_token_lifetime": "48h"}) as house:
            with report.promise("an access token for ten days is more than the default allows: lifetime_too_long"):
                house.refuses(provider.sign_in("alice", "reports")["access_token"], "lifetime_too_long", "10days", "allows 2days")


class Provider:
    def __init__(self, issuer):
        self.issuer = issuer
        self.discovery = f"{issuer}.well-known/openid-configuration"

    def sign_in(self, person, client):
        """What a client gets for a person who signs in."""
        asked = {
            "client_id": client, "redirect_uri": BACK, "response_type": "code", "scope": "openid profile groups",
            "nonce": "once", "state": "here",
        }
        browser = web.Browser()
        page = browser.open(f"{self.issuer}oauth/authorize?{urlencode(asked)}")
        page = browser.submit(page, {"login": person})
        back = browser.submit(page, {"password": f"{person}-secret"}, stop_at=BACK)
        if not isinstance(back, dict) or "code" not in back:
            raise Unmet(f"canaille does not sign {person} in: {back if isinstance(back, dict) else back.text[:600]}")
        fields = {"grant_type": "authorization_code", "code": back["code"], "redirect_uri": BACK}
        return web.post_form(f"{self.issuer}oauth/token", fields, web.basic(client, f"{client}-secret")).json()


def _id_tokens(report, house, provider):
    with report.promise("its discovery advertises alg none, and its keys say no alg and no use"):
        discovery = web.ask(provider.discovery).json()
        keys = web.ask(discovery["jwks_uri"]).json()["keys"]
        advertises_none = "none" in discovery["id_token_signing_alg_values_supported"]
        seen = discovery["issuer"], advertises_none, any({"alg", "use"} & set(key) for key in keys)
        if seen != (provider.issuer, True, False):
            raise Unmet(f"issuer, none, alg or use in keys: {seen}")
    token = provider.sign_in("alice", "reports")["id_token"]
    for client, alg in (("reports", "RS256"), ("modern", "EdDSA")):
        with report.promise(f"alice's ID token, signed with {alg}, is let in for her group"):
            signed = provider.sign_in("alice", client)["id_token"]
            _signed_with(signed, alg)
            record = house.lets_in(signed, subject="alice")
            if record["groups"] != ["analysts"]:
                raise Unmet(f"the record says the groups {record['groups']}")
    with report.promise("bob, who is in another group, is known and refused: no-rule"):
        # To `token explain` bob's token is good; it says that no rule is meant for him.
        house.refuses(provider.sign_in("bob", "reports")["id_token"], "no-rule", status=403, explained=False)
    for alg in ("none", "None", "HS256", ""):
        with report.promise(f"alice's token made over to alg {alg!r}, with the signature left: alg_not_allowed"):
            house.refuses(tokens.with_header(token, alg=alg), "alg_not_allowed", f'algorithm is "{alg}"')
    with report.promise("her token made over to alg none, without a signature: malformed_token"):
        house.refuses(tokens.unsigned(token), "malformed_token", "no signature")
    with report.promise("bob's token with alice's name, and the signature left: bad_signature"):
        house.refuses(tokens.with_claims(provider.sign_in("bob", "reports")["id_token"], sub="alice"), "bad_signature")
    with report.promise("an ID token for another client, which asked for alg none, is signed all the same: audience_mismatch"):
        other = provider.sign_in("alice", "unsigned")["id_token"]
        _signed_with(other, "RS512")
        house.refuses(other, "audience_mismatch", '["unsigned"]')
    with report.promise("no token is in what the upstream heard, the record or the log; nothing is there twice"):
        house.accounts_for_all()


def _access_tokens(report, house, provider):
    got = provider.sign_in("alice", "reports")
    with report.promise("alice's access token is let in where tokens may live that long"):
        house.lets_in(got["access_token"], subject="alice")
    with report.promise("her ID token is not, where access tokens are taken: wrong_token_type"):
        house.refuses(got["id_token"], "wrong_token_type", "Send the access token")


def _signed_with(token, alg):
    if tokens.header(token)["alg"] != alg:
        raise Unmet(f"it is signed with {tokens.header(token)['alg']}")
