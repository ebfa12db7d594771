"""Passes for ClickHouse: keeps every request whole, tells its settings, and answers each statement with one row."""
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What Keyhouse asks before the first statement, and what a server that has these settings says.
QUESTION = b"SELECT * FROM system.settings WHERE name IN ("
SETTINGS = {"log_comment": "", "readonly": "0", "input_format_values_interpret_expressions": "1"}


class Heard:
    def __init__(self, line, headers, body):
        self.line, self.headers, self.body = line, headers, body

    def everything(self):
        return f"{self.line}\n{self.headers}".encode() + self.body


class Upstream:
    def __enter__(self):
        self._heard = []
        stage = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                stage._play(self)

            # Whatever else comes is heard too: nothing may.
            do_GET = do_HEAD = do_POST

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def requests(self):
        """What was heard, without the questions for settings."""
        return [heard for heard in list(self._heard) if not heard.body.startswith(QUESTION)]

    def everything(self):
        return b"\n".join(heard.everything() for heard in list(self._heard))

    def _play(self, request):
        heard = Heard(request.requestline, request.headers, _body(request))
        self._heard.append(heard)
        rows = "1\n"
        if heard.body.startswith(QUESTION):
            asked = [name for name in SETTINGS if f"'{name}'".encode() in heard.body]
            rows = "".join(json.dumps({"name": name, "value": SETTINGS[name], "readonly": 0}) + "\n" for name in asked)
        request.send_response(200)
        request.send_header("Content-Type", "text/tab-separated-values; charset=UTF-8")
        request.send_header("Content-Length", str(len(rows)))
        request.end_headers()
        request.wfile.write(rows.encode())


def _body(request):
    if request.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length", 0)))
    body = b""
    while size := int(request.rfile.readline().split(b";")[0], 16):
        body += request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()
    return body
