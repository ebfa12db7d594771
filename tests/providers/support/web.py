"""HTTP as a client or a person's browser speaks it, without hidden help: redirects are followed where they are asked to be."""
import html.parser
import http.client
import http.cookies
import json
from base64 import b64encode
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from .programs import Unmet


class Answer:
    def __init__(self, url, raw, body):
        self.url, self.status, self.headers, self.body = url, raw.status, raw.headers, body

    @property
    def text(self):
        return self.body.decode(errors="replace")

    def json(self):
        if self.status >= 300:
            raise Unmet(f"{self.url} answered {self.status}: {self.text[:600]}")
        return json.loads(self.body)


def ask(url, method="GET", body=None, headers=None, seconds=30):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=seconds)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, {"Connection": "close", **(headers or {})})
        raw = connection.getresponse()
        return Answer(url, raw, raw.read())
    finally:
        connection.close()


def answers(url):
    """Whether something answers there with 200."""
    try:
        return ask(url, seconds=5).status == 200
    except (OSError, http.client.HTTPException):
        return False


def post_form(url, fields, headers=None):
    return ask(url, "POST", urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})})


def basic(user, password):
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


class Browser:
    """Keeps cookies, follows redirects, fills in forms: all that a sign-in needs."""

    def __init__(self):
        self._cookies = {}

    def open(self, url, stop_at=None):
        return self._follow(ask(url, headers=self._cookie()), stop_at)

    def submit(self, page, fields, stop_at=None):
        """Sends the page's only form, with these fields filled in."""
        form = _Form(page.text)
        url = urljoin(page.url, form.action or page.url)
        return self._follow(post_form(url, {**form.hidden, **fields}, self._cookie()), stop_at)

    def _follow(self, answer, stop_at):
        for _ in range(10):
            for line in answer.headers.get_all("Set-Cookie", []):
                self._cookies.update({name: each.value for name, each in http.cookies.SimpleCookie(line).items()})
            if answer.status not in (301, 302, 303, 307):
                return answer
            to = urljoin(answer.url, answer.headers["Location"])
            if stop_at and to.startswith(stop_at):
                return {name: values[0] for name, values in parse_qs(urlsplit(to).query).items()}
            answer = ask(to, headers=self._cookie())
        raise Unmet(f"{answer.url} leads from one redirect to the next")

    def _cookie(self):
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())} if self._cookies else {}


class _Form(html.parser.HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.action, self.hidden = None, {}
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self.action = attributes.get("action")
        if tag == "input" and attributes.get("type") == "hidden" and "name" in attributes:
            self.hidden[attributes["name"]] = attributes.get("value", "")
