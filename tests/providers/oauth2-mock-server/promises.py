"""npm oauth2-mock-server: tokens that are well signed and wrong, each refused for what is wrong with it.

Its hook edits header and payload before the signature, but for `alg`, which is the key's whatever the hook says; keys take
turns. Its jose refuses to sign an unknown `crit`.
"""
import json
import time
from pathlib import Path

from support import tokens, tools, web
from support.house import House
from support.programs import Program, Unmet
from support.upstream import Upstream

FOLDER = Path(__file__).resolve().parent
HOUR = 3600


def prove(report, keyhouse):
    report.version = json.loads((FOLDER / "package.json").read_text())["dependencies"]["oauth2-mock-server"]
    node = tools.node()
    tools.npm_ci(FOLDER)
    with Program("oauth2-mock-server", [node, "server.mjs"], FOLDER) as program:
        provider = Provider(program.wait_line("ready http://").removeprefix("ready "))
        report.step(f"oauth2-mock-server is up at {provider.url}")
        config = {"issuer": provider.url, "audiences": ["clickhouse"], "claim_mappings": {"groups": {"claim": "groups"}}}
        with House(keyhouse, "mock", config) as house:
            _good(report, house, provider)
            for what, lies, reason, *words in _lies(provider.url):
                with report.promise(f"{what}: {reason}"):
                    status = 403 if reason == "groups_missing" else 401
                    house.refuses(provider.token(**lies), reason, *words, status=status)
            _algorithm(report, house, provider)
            _elsewhere(report, house, provider)
            with report.promise("no token is in what the upstream heard, the record or the log; nothing is there twice"):
                house.accounts_for_all()


class Provider:
    def __init__(self, url):
        self.url = url

    def token(self, alg="RS256", header=None, payload=None, without=()):
        lies = json.dumps({"header": header or {}, "payload": payload or {}, "without": list(without)})
        for _ in range(6):
            answer = web.post_form(f"{self.url}/token", {"grant_type": "client_credentials", "lies": lies})
            token = answer.json()["access_token"]
            if tokens.header(token)["alg"] == alg:
                return token
        raise Unmet(f"none of its keys signs with {alg}")


def _good(report, house, provider):
    good = (
        ("a token without lies", {}),
        ("an audience among others", {"payload": {"aud": ["billing", "clickhouse"]}}),
        ("one that names no key", {"without": ["kid"]}),
        ("one that expired within the clocks' difference", {"payload": {"exp": int(time.time()) - 20}}),
    )
    for what, lies in good:
        with report.promise(f"{what} is let in"):
            house.lets_in(provider.token(**lies), subject="ci")


def _lies(issuer):
    """What is wrong, how it is made, the reason that it is owed, and words that its sentence must hold."""
    now = int(time.time())

    def claim(name, value):
        return {"payload": {name: value}}

    def without(name):
        return {"without": [name]}

    return (
        ("`iss` as a list", claim("iss", [issuer]), "claim_type", "`iss` is a list"),
        ("no `iss`", without("iss"), "issuer_missing"),
        ("another issuer", claim("iss", "https://idp.example.com"), "unknown_issuer", issuer, "(mock)"),
        ("the issuer with a slash more", claim("iss", f"{issuer}/"), "unknown_issuer", "a slash"),
        ("another audience", claim("aud", "billing"), "audience_mismatch", '["billing"]', '["clickhouse"]'),
        ("another case of the audience", claim("aud", "ClickHouse"), "audience_mismatch", "byte for byte"),
        ("an audience that holds ours", claim("aud", "clickhouse.example.com"), "audience_mismatch"),
        ("no `aud`", without("aud"), "audience_missing"),
        ("`aud` as an empty list", claim("aud", []), "audience_missing"),
        ("`aud` as a number", claim("aud", 7), "claim_type", "`aud`"),
        ("`aud` as null", claim("aud", None), "claim_type", "`aud` is null"),
        ("`aud` with a number beside ours", claim("aud", ["clickhouse", 7]), "claim_type", "`aud`"),
        ("`exp` as a string", claim("exp", str(now + HOUR)), "claim_type", "`exp` is a string"),
        ("`exp` beyond all years", claim("exp", 1e300), "claim_type", "`exp`"),
        ("no `exp`", without("exp"), "claim_missing", "`exp`"),
        ("`exp` an hour ago", claim("exp", now - HOUR), "expired", "expired at"),
        ("a life of a year", claim("exp", now + 365 * 24 * HOUR), "lifetime_too_long", "allows"),
        ("`nbf` an hour ahead", claim("nbf", now + HOUR), "not_yet_valid", "Check the clocks"),
        ("`nbf` as a string", claim("nbf", "soon"), "claim_type", "`nbf` is a string"),
        ("`iat` an hour ahead", {"payload": {"iat": now + HOUR, "exp": now + 2 * HOUR}}, "issued_in_future", "Check the clocks"),
        ("another audience, expired too", {"payload": {"aud": "billing", "exp": now - HOUR}}, "audience_mismatch", "expired at"),
        ("an ID token", claim("token_use", "id"), "wrong_token_type", "ID token"),
        ("a logout token", {"header": {"typ": "logout+jwt"}}, "wrong_token_type", "logout+jwt"),
        ("a proof of possession", {"header": {"typ": "dpop+jwt"}}, "wrong_token_type", "dpop+jwt"),
        ("a token bound to a key", claim("cnf", {"jkt": "x"}), "sender_constrained", "`cnf`"),
        ("a token around a token", {"header": {"cty": "JWT"}}, "unsupported_header", "`cty: JWT`"),
        ("a compressed token", {"header": {"zip": "DEF"}}, "unsupported_header", "`zip`"),
        ("the `kid` of an EC key", {"header": {"kid": "ES256"}}, "key_type_mismatch"),
        ("the `kid` of no key", {"header": {"kid": "../../etc/passwd"}}, "unknown_key"),
        ("`sub` as a number", claim("sub", 7), "claim_type", "`sub`"),
        ("`sub` with a line feed", claim("sub", "ci\nadmin"), "claim_value", "`sub`"),
        ("no `sub`", without("sub"), "claim_missing", "`sub`"),
        ("groups as a number", claim("groups", 7), "claim_type", "`groups`"),
        ("a number among the groups", claim("groups", ["analysts", 7]), "claim_type", "`groups`"),
        ("no groups", without("groups"), "groups_missing", "`groups`"),
    )


def _algorithm(report, house, provider):
    with report.promise("ES256, another of its keys, is let in"):
        house.lets_in(provider.token("ES256"))
    with report.promise("ES512, a good signature that Keyhouse does not verify: alg_not_allowed"):
        house.refuses(provider.token("ES512"), "alg_not_allowed", '"ES512"')
    with report.promise("a changed claim under the same signature: bad_signature"):
        house.refuses(tokens.with_claims(provider.token(), sub="admin"), "bad_signature")


def _elsewhere(report, house, provider):
    with report.promise("a header that names keys elsewhere counts for nothing, and nobody is asked there"):
        with Upstream() as elsewhere:
            header = {"jku": f"{elsewhere.url}/jwks", "x5u": f"{elsewhere.url}/x5u"}
            house.lets_in(provider.token(header=header))
            house.refuses(provider.token(header={**header, "kid": "mine"}), "unknown_key")
            if elsewhere.everything():
                raise Unmet(f"it was asked: {elsewhere.everything()!r}")
