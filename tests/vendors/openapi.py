#!/usr/bin/env python3
"""A whole sync from Xero, with every request checked against Xero's own published OpenAPI files by a validator that knows
nothing of ledgerward. By hand:

    python3 -m venv venv && venv/bin/pip install openapi-core pyyaml
    cargo build && LEDGERWARD_SPECS=DIR venv/bin/python tests/vendors/openapi.py

DIR holds `xero_accounting.yaml` and `xero-identity.yaml` as Xero publishes them. First the sandbox answers, behind the
validator. Then the validator answers accounting requests itself, as a mock that knows only the files: with their examples.
Nobody may lose a folder by an answer of strangers.
"""
import collections
import http.client
import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import yaml
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers, ImmutableMultiDict

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
EXE = os.environ.get("LEDGERWARD", os.path.join(ROOT, "target/debug/ledgerward"))
PORT = int(os.environ.get("PORT", "9400"))
SPECS = os.environ.get("LEDGERWARD_SPECS", "specs")


class Spec:
    """One published file: which requests are its, whether one is valid, and the example it gives for an answer."""

    def __init__(self, name):
        with open(os.path.join(SPECS, name)) as f:
            self.spec = yaml.load(f, yaml.CSafeLoader)
        server = urllib.parse.urlparse(self.spec["servers"][0]["url"])
        self.host, self.base = f"{server.scheme}://{server.netloc}", server.path.rstrip("/")
        # The file itself has small faults (a default that is text); the requests are what is checked.
        self.check = OpenAPI.from_dict(self.spec, config=Config(spec_validator_cls=None))
        self.routes = [(re.compile(self.base + re.sub(r"\{[^}]+\}", "[^/]+", p) + "$"), p) for p in self.spec["paths"]]
        # A fixed path before one with a hole.
        self.routes.sort(key=lambda r: r[1].count("{"))

    def path(self, path):
        return next((p for pattern, p in self.routes if pattern.match(path)), None)

    def example(self, path, method):
        content = self.spec["paths"][path][method.lower()]["responses"].get("200", {}).get("content", {})
        body = content.get("application/json", {})
        return body.get("example") or next((e.get("value") for e in body.get("examples", {}).values()), None)


class Asked:
    """A request as openapi-core wants it."""

    def __init__(self, spec, handler, body):
        url = urllib.parse.urlparse(handler.path)
        self.host_url, self.path, self.method = spec.host, url.path, handler.command.lower()
        self.content_type, self.body = handler.headers.get("content-type", ""), body or None
        self.parameters = RequestParameters(query=ImmutableMultiDict(urllib.parse.parse_qsl(url.query)),
                                            header=Headers(list(handler.headers.items())), cookie=ImmutableMultiDict())


class Gate(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream, specs, mock = None, [], False
    seen, invalid, unknown, lock = collections.Counter(), [], collections.Counter(), threading.Lock()

    def log_message(self, *_):
        pass

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def serve(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = urllib.parse.urlparse(self.path).path
        spec, known = next(((s, p) for s in self.specs if (p := s.path(path))), (None, None))
        with self.lock:
            if spec is None:
                self.unknown[re.sub(r"[0-9a-f-]{36}", "{id}", path)] += 1
            else:
                self.seen[f"{self.command} {known}"] += 1
                try:
                    spec.check.validate_request(Asked(spec, self, body))
                except Exception as e:
                    self.invalid.append(f"{self.command} {self.path}: {e!r} {e.__cause__!r}")
        if spec is not None and self.mock and spec.base:
            example = spec.example(known, self.command)
            status, text = (404, b"{}") if example is None else (200, json.dumps(example, default=str).encode())
            return self.answer(status, [("content-type", "application/json")], text)
        there = http.client.HTTPConnection(self.upstream, timeout=60)
        headers = {n: v for n, v in self.headers.items() if n.lower() not in ("connection", "transfer-encoding")}
        there.request(self.command, self.path, body or None, headers)
        back = there.getresponse()
        return self.answer(back.status, back.getheaders(), back.read())

    do_GET = do_POST = do_PUT = do_DELETE = serve


def main():
    folder = tempfile.mkdtemp(prefix="ledgerward-openapi-")
    Gate.specs = [Spec("xero_accounting.yaml"), Spec("xero-identity.yaml")]
    sandbox = subprocess.Popen([EXE, "sandbox", "--listen", f"127.0.0.1:{PORT}"], stderr=subprocess.PIPE, text=True)
    name, config = None, {}
    for line in sandbox.stderr:
        if "Stop it" in line:
            break
        if m := re.match(r"  (\S+)\s+http://(\S+)", line):
            name = m[1]
            config[name] = {"at": m[2].rstrip("/")}
        if m := re.search(r"endpoints = (\{.*\})", line):
            config[name]["endpoints"] = m[1]
        if m := re.search(r'client_id = "([^"]+)", the secret is: (\S+)', line):
            config[name]["app"] = (m[1], m[2])
    threading.Thread(target=sandbox.stderr.read, daemon=True).start()
    xero = config["xero"]
    Gate.upstream = xero["at"]
    gate = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gate)
    threading.Thread(target=gate.serve_forever, daemon=True).start()
    endpoints = xero["endpoints"].replace(xero["at"], f"127.0.0.1:{gate.server_port}")
    os.mkdir(f"{folder}/disk")
    with open(os.open(f"{folder}/secret", os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write(xero["app"][1])
    with open(f"{folder}/ledgerward.toml", "w") as f:
        f.write(f"""version = 1
[firm]
name = "Harbour & Co"
domains = ["harbour.example"]
timezone = "Pacific/Auckland"
[schedule]
access = "every 5 minutes"
statements = "30 6 * * *"
[connections.xero]
connector = "xero"
endpoints = {endpoints}
client_id = "{xero['app'][0]}"
client_secret = {{ file = "secret" }}
scopes = "granular-finance"
statement_lines = true
[targets.disk]
connector = "local"
root = "{folder}/disk"
new_root = true
sharing = "off"
audience = "the partners"
[statements]
kinds = ["profit-and-loss", "balance-sheet", "trial-balance", "bank-summary", "bank-register", "bank-statement", "files", "attachments"]
formats = ["csv", "pdf"]
periods = ["month", "quarter"]
after_days = 5
[policy]
confirm_after = "2 seconds"
""")
    base = [EXE, "--config", f"{folder}/ledgerward.toml", "--state", f"{folder}/state"]

    def run(*args, ok=(0,)):
        done = subprocess.run([*base, *args], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if ok and done.returncode not in ok:
            sys.exit(f"{' '.join(args)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def files():
        return sorted(os.path.join(at, n) for at, _, names in os.walk(f"{folder}/disk") for n in names)

    def report(title, requests):
        print(f"{title}: {sum(Gate.seen.values()) - requests} requests of {len(Gate.seen)} operations, "
              f"{len(Gate.invalid)} invalid; of no published file: {dict(Gate.unknown)}")

    try:
        # The state may be made before the configuration is read; `init` wants to write its own.
        subprocess.run([EXE, "--config", f"{folder}/unused.toml", "--state", f"{folder}/state", "init", "--owner",
                        "ana@harbour.example", "--name", "Harbour & Co"], check=True, capture_output=True)
        child = subprocess.Popen([*base, "connect", "xero"], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, text=True)
        for line in child.stderr:
            if line.startswith("  http"):
                time.sleep(0.3)
                urllib.request.urlopen(line.strip()).read()
                break
        child.communicate(timeout=60)
        run("pull", ok=None)
        run("clients", "accept", "--all")
        run("sync", "--yes", ok=None)
        for hold in json.loads(run("hold", "--json").stdout)["holds"]:
            run("approve", hold["digest"], "--reason", "first plan")
        synced = run("sync", "--yes", ok=None)
        first = files()
        report("a whole sync against the sandbox", 0)
        assert len(first) > 50, synced.stdout + synced.stderr
        before, Gate.mock = sum(Gate.seen.values()), True
        mocked = run("sync", "--yes", ok=None)
        report("a sync against the mock", before)
        found = json.loads(run("findings", "--json").stdout)["findings"]
        strangers = sum(f["code"] == "source.own_missing" for f in found)
        assert strangers > 5, "the examples are another firm's, and nobody noticed"
        assert files() == first, "what strangers answered became a file"
        assert "panicked" not in mocked.stderr, mocked.stderr
        for line in Gate.invalid[:10]:
            print(line)
        assert not Gate.invalid
        print("all good")
    finally:
        sandbox.terminate()


main()
