"""Keycloak: without an Audience mapper its tokens are for nobody here, and Keyhouse says what to set; with it they are let in.

Programs sign in by client credentials, alice by her password. realm.json has a client for each case:

  reports     as Keycloak makes one: the audience of its tokens is `account`, the built-in client
  narrow      without full scope, so without roles: its tokens have no audience at all, and no `realm_access` either
  light       with the mapper, but lightweight tokens, into which a mapper puts nothing unless it says `lightweight.claim`
  dashboards  with the mapper, and the roles where Keycloak puts them
  modern      with the mapper; ES256, and the type `at+jwt` of RFC 9068
  wiki        with the mapper, and a mapper for groups, whose names begin with a slash
"""
import json
import re
import shutil
from pathlib import Path

from support import tokens, tools, web
from support.house import House
from support.programs import Program, Unmet, free_port

FOLDER = Path(__file__).resolve().parent
ADMIN = ("admin", "admin-secret")


def prove(report, keyhouse):
    report.version = re.search(r"<keycloak.version>(.+?)<", (FOLDER / "pom.xml").read_text())[1]
    tools.java(17)
    home = tools.maven(FOLDER) / f"keycloak-{report.version}"
    (home / "data/import").mkdir(parents=True, exist_ok=True)
    shutil.copy(FOLDER / "realm.json", home / "data/import/realm.json")
    port = free_port()
    # In memory, so that every run begins with the realm as it is imported.
    options = ["--import-realm", "--db=dev-mem", "--http-host=127.0.0.1", f"--http-port={port}"]
    environment = {
        "KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN[0], "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN[1], "JAVA_OPTS_KC_HEAP": "-Xms64m -Xmx512m",
    }
    report.step("starting Keycloak, whose first start takes a minute")
    with Program("keycloak", [str(home / "bin/kc.sh"), "start-dev", *options], home, environment) as program:
        provider = Provider(f"http://127.0.0.1:{port}")
        program.wait("discovery document", 300, lambda: web.answers(f"{provider.issuer}/.well-known/openid-configuration"))
        report.step(f"Keycloak is up at {provider.issuer}")
        config = {"issuer": provider.issuer, "audiences": ["clickhouse"]}
        with House(keyhouse, "keycloak", {**config, "claim_mappings": {"groups": {"claim": "/realm_access/roles"}}}) as house:
            _missing_audience(report, house, provider)
            _with_mapper(report, house, provider)
            _as_the_sentence_says(report, house, provider)
            with report.promise("no token is in what the upstream heard, the record or the log; nothing is there twice"):
                house.accounts_for_all()
        mapped = {"username": {"claim": "preferred_username"}, "groups": {"claim": "groups"}}
        with House(keyhouse, "keycloak", {**config, "claim_mappings": mapped}, groups=["/analysts"]) as house:
            _person(report, house, provider)


class Provider:
    def __init__(self, url):
        self.url = url
        self.issuer = f"{url}/realms/company"

    def token(self, client):
        return self._tokens(web.basic(client, f"{client}-secret"), grant_type="client_credentials")["access_token"]

    def sign_in(self, person, client):
        fields = {"grant_type": "password", "username": person, "password": f"{person}-secret", "scope": "openid"}
        return self._tokens(web.basic(client, f"{client}-secret"), **fields)

    def _tokens(self, headers, realm="company", **fields):
        return web.post_form(f"{self.url}/realms/{realm}/protocol/openid-connect/token", fields, headers).json()

    def administer(self, method, path, body=None):
        fields = {"grant_type": "password", "client_id": "admin-cli", "username": ADMIN[0], "password": ADMIN[1]}
        bearer = self._tokens({}, realm="master", **fields)["access_token"]
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        answer = web.ask(f"{self.url}/admin/realms/company/{path}", method, body and json.dumps(body), headers)
        if answer.status >= 300:
            raise Unmet(f"{method} {path} was answered {answer.status}: {answer.text[:600]}")
        return answer


def _missing_audience(report, house, provider):
    with report.promise("a client as Keycloak makes one is refused, and told of the Audience mapper: audience_mismatch"):
        sentence = house.refuses(
            provider.token("reports"), "audience_mismatch", '["account"]', "Keycloak sets no audience by itself",
            'add an Audience mapper with "clickhouse"', 'client "reports"',
        )
        print(f"        its caller reads: {sentence}")
    for client, what in (("narrow", "without full scope"), ("light", "with lightweight tokens, for all the mapper,")):
        with report.promise(f"a client {what} has no audience at all: audience_missing"):
            token = provider.token(client)
            if {"aud", "realm_access"} & set(tokens.claims(token)):
                raise Unmet(f"its claims are {tokens.claims(token)}")
            house.refuses(token, "audience_missing", "no audience", '["clickhouse"]', "Audience mapper", "lightweight")


def _with_mapper(report, house, provider):
    with report.promise("with the mapper it is let in, for its role in /realm_access/roles"):
        token = provider.token("dashboards")
        record = house.lets_in(token, subject=tokens.claims(token)["sub"])
        if "analysts" not in record["groups"]:
            raise Unmet(f"the record says the groups {record['groups']}")
    with report.promise("signed with ES256 and of the type at+jwt, too"):
        token = provider.token("modern")
        head = tokens.header(token)
        if (head["alg"], head["typ"]) != ("ES256", "at+jwt"):
            raise Unmet(f"its header is {head}")
        house.lets_in(token)
    with report.promise("got under another name of the host, its issuer is another, as Keycloak has it: unknown_issuer"):
        elsewhere = Provider(provider.url.replace("127.0.0.1", "localhost"))
        house.refuses(elsewhere.token("dashboards"), "unknown_issuer", f'"{elsewhere.issuer}"', f'"{provider.issuer}" (keycloak)')
    with report.promise("a header that names the key for encryption: unknown_key"):
        keys = web.ask(f"{provider.issuer}/protocol/openid-connect/certs").json()["keys"]
        encryption = next(key["kid"] for key in keys if key["use"] == "enc")
        house.refuses(tokens.with_header(provider.token("dashboards"), kid=encryption), "unknown_key")


def _as_the_sentence_says(report, house, provider):
    with report.promise("the refused client's next token is let in after what the sentence says was done"):
        mapper = {
            "name": "for ClickHouse", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
            "config": {"included.custom.audience": "clickhouse", "access.token.claim": "true"},
        }
        scope = {"name": "clickhouse", "protocol": "openid-connect", "protocolMappers": [mapper]}
        scope_id = provider.administer("POST", "client-scopes", scope).headers["Location"].rsplit("/", 1)[-1]
        client_id = provider.administer("GET", "clients?clientId=reports").json()[0]["id"]
        provider.administer("PUT", f"clients/{client_id}/default-client-scopes/{scope_id}")
        house.lets_in(provider.token("reports"))


def _person(report, house, provider):
    got = provider.sign_in("alice", "wiki")
    with report.promise("alice is let in by her name and her group, which a mapper calls /analysts"):
        record = house.lets_in(got["access_token"])
        if (record["username"], record["groups"]) != ("alice", ["/analysts"]):
            raise Unmet(f"the record says {record['username']} in {record['groups']}")
    with report.promise("her ID token is refused, for the client that it is for: audience_mismatch"):
        house.refuses(got["id_token"], "audience_mismatch", '["wiki"]', "This is an ID token")
    with report.promise("and her refresh token: audience_mismatch"):
        house.refuses(got["refresh_token"], "audience_mismatch", '"Refresh"')
