"""Keyhouse between callers and an upstream that records: what it lets in, what it refuses, and in which words."""
import contextlib
import itertools
import json
import re
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from .programs import Program, Unmet, wait_for
from .upstream import Upstream
from .web import answers, ask

PASSWORD = "the analyst's password in ClickHouse"
RULE = {"name": "analysts", "act_as": "analyst", "allow": [{"tables": ["sales.*"]}]}
REFUSED = re.compile(r"Code: (\d+)\. DB::Exception: (.*) \(\w+\) \[([\w-]+), request (\w+)\]\n", re.DOTALL)
# Two askings are never at the same time.
MOMENTS = re.compile(r"\d{4}-\d\d-\d\dT[\d:]+Z|\d+s ago")


class House:
    """One Keyhouse with one provider, called `name`, whose analysts are those in one of the groups."""

    def __init__(self, program, name, provider, groups=("analysts",), ready=True):
        self._binary, self._name, self._provider = program, name, provider
        self._groups, self._ready, self._numbers = groups, ready, itertools.count(1)
        self._tokens, self._asked, self._answered = [], 0, 0

    def __enter__(self):
        with contextlib.ExitStack() as opened:
            self._upstream = opened.enter_context(Upstream())
            self._folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="keyhouse-providers-")))
            self._lay_out()
            # Secrets must be in no log, however much it says.
            command = [self._binary, "serve", "--config", "keyhouse.yaml", "--log", "debug"]
            self._program = opened.enter_context(Program("keyhouse", command, self._folder))
            self._admin = _address(self._program.wait_line("admin on http://"))
            self._gate = _address(self._program.wait_line("listening on http://"))
            if self._ready:
                self._program.wait("keys and settings", 30, self.is_ready)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_):
        self._opened.close()

    def _lay_out(self):
        config = {
            "listen": [{"address": "127.0.0.1:0"}],
            "admin": {"address": "127.0.0.1:0"},
            "identity_providers": {self._name: self._provider},
            "clickhouse": {
                "clusters": {"main": {"nodes": [self._upstream.url]}},
                "users": {"analyst": {"cluster": "main", "user": "kh_analyst", "password": {"file": "password"}}},
            },
            "record": {"to": {"file": "record.jsonl"}},
        }
        (self._folder / "policies").mkdir()
        # JSON is YAML.
        (self._folder / "keyhouse.yaml").write_text(json.dumps(config))
        rule = {**RULE, "whom": {"groups": list(self._groups)}}
        (self._folder / "policies/10-rules.yaml").write_text(json.dumps({"rules": [rule]}))
        (self._folder / "password").write_text(PASSWORD)

    def is_ready(self):
        return answers(f"{self._admin}/-/ready")

    def lets_in(self, token, subject=None, explained=True):
        """The request of this token reaches the upstream once, as the rule's user and without the token."""
        before, statement, answer = self._ask(token)
        arrived = self._upstream.requests()[before:]
        _must(answer.status == 200 and answer.text == "1\n", f"it was answered {answer.status}: {answer.text}")
        _must(len(arrived) == 1, f"{len(arrived)} requests reached the upstream")
        heard = arrived[0]
        seen = heard.headers.get("X-ClickHouse-User"), heard.headers.get("X-ClickHouse-Key")
        _must(seen == ("kh_analyst", PASSWORD), f"the upstream was given the credential {seen}")
        _must(heard.body.decode() == statement, f"the upstream was asked {heard.body!r}")
        _must("Authorization" not in heard.headers, "an Authorization header reached the upstream")
        _must(token.encode() not in heard.everything(), "the token reached the upstream")
        record = self._record(answer.headers["X-Keyhouse-Request-Id"])
        _must((record["rule"], record["outcome"]) == ("analysts", "answered"), f"the record says {record}")
        _must(subject in (None, record["subject"]), f"the record says the subject {record['subject']}")
        if explained:
            code, says = self._explained(token)
            good = code == 0 and says.startswith("lets in ") and says.endswith("judged by rule `analysts`")
            _must(good, f"explain says {says!r}")
        return record

    def refuses(self, token, reason, *words, status=401, explained=True):
        """The request of this token never reaches the upstream, and its caller is told why; so does `token explain`."""
        before, _, answer = self._ask(token)
        told = REFUSED.fullmatch(answer.text)
        _must(told, f"it was answered {answer.status}: {answer.text}")
        _, sentence, spoken, request = told.groups()
        seen = answer.status, answer.headers["X-Keyhouse-Reason"], spoken
        _must(seen == (status, reason, reason), f"it was refused as {seen}: {sentence}")
        for word in words:
            _must(word in sentence, f"{word!r} is not in {sentence!r}")
        _must(len(self._upstream.requests()) == before, "it reached the upstream")
        record = self._record(request)
        _must((record["outcome"], record["reason"]) == ("refused", reason), f"the record says {record}")
        if explained:
            code, says = self._explained(token)
            same = MOMENTS.sub("then", says) == MOMENTS.sub("then", f"refused ({reason}): {sentence}")
            _must(code == 1 and same, f"explain says {says!r}, its caller was told {sentence!r}")
        return sentence

    def lets_in_soon(self, token, seconds):
        """Asks until the token is let in; every asking before must have been refused."""
        def passes():
            before, _, answer = self._ask(token)
            _must(answer.status == 200 or len(self._upstream.requests()) == before, "a refused request reached the upstream")
            return answer.status == 200
        wait_for("token that is let in", seconds, passes)

    def accounts_for_all(self):
        """No token stands in what reached the upstream, in the record or in the log. Each request left one record, and
        those that were let in are all that the upstream heard."""
        record, log = self._file("record.jsonl"), self._program.log().encode()
        for name, text in (("upstream", self._upstream.everything()), ("record", record), ("log", log)):
            for token in self._tokens:
                _must(token.encode() not in text, f"a token stands in what the {name} has")
                # The signature is the secret of it: who has the rest cannot use it.
                signature = token.rsplit(".", 1)[-1].encode()
                _must(len(signature) < 20 or signature not in text, f"a signature stands in what the {name} has")
        records = record.count(b"\n")
        _must(records == self._asked, f"{self._asked} requests left {records} records")
        heard = len(self._upstream.requests())
        _must(heard == self._answered, f"{self._answered} requests were let in, the upstream heard {heard}")

    def _ask(self, token):
        before = len(self._upstream.requests())
        statement = f"SELECT id FROM sales.orders WHERE id = {next(self._numbers)}"
        self._tokens.append(token)
        self._asked += 1
        answer = ask(f"{self._gate}/", "POST", statement, {"Authorization": f"Bearer {token}"})
        self._answered += answer.status == 200
        return before, statement, answer

    def _record(self, request):
        """The one line of this request; it is written when the answer has gone out."""
        def line():
            lines = [json.loads(line) for line in self._file("record.jsonl").splitlines(keepends=True) if line.endswith(b"\n")]
            return [record for record in lines if record["request_id"] == request]
        found = wait_for(f"record of request {request}", 10, line)
        _must(len(found) == 1, f"request {request} left {len(found)} records")
        return found[0]

    def _file(self, name):
        path = self._folder / name
        return path.read_bytes() if path.is_file() else b""

    def _explained(self, token):
        command = [self._binary, "token", "explain", "--config", "keyhouse.yaml"]
        done = subprocess.run(command, cwd=self._folder, input=token, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, (done.stdout.strip().splitlines() or [done.stderr.strip()])[-1]


def _address(line):
    return "http://" + urlsplit(line[line.index("http://"):].split()[0]).netloc


def _must(so, otherwise):
    if not so:
        raise Unmet(otherwise)
