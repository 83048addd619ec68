#!/usr/bin/env python3
"""The local API under a fuzzer that knows nothing of it but its own OpenAPI description. By hand:

    python3 -m venv venv && venv/bin/pip install schemathesis
    cargo build && venv/bin/python tests/vendors/fuzz_api.py

One daemon on loopback TCP, and a token for each of six roles. For each role schemathesis asks every operation, with what the
description allows and with what it does not. Nothing may be a 500, no answer may be outside the description, and no operation
may be done that the role does not have: that is looked up in what went over the line. EXAMPLES, SEED and ROLES choose how much.
"""
import base64
import collections
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
EXE = os.environ.get("LEDGERWARD", os.path.join(TARGET, "debug/ledgerward"))
FUZZER = os.path.join(os.path.dirname(sys.executable), "schemathesis")
EXAMPLES = os.environ.get("EXAMPLES", "20")
SEED = os.environ.get("SEED", "1")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance"
# Who; what the description calls the operations that are not theirs; who goes before the ones that change who may what.
ROLES = [
    ("vera", "viewer", {"firm.manage", "firm.publish"}),
    ("emma", "employee", {"firm.manage", "firm.publish"}),
    ("desk", "custom:desk", {"firm.publish"}),
    ("op", "custom:operator", {"firm.publish"}),
    ("adam", "admin", {"firm.publish"}),
    ("ana", "primary-owner", set()),
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class House:
    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        os.mkdir(f"{folder}/disk")
        self.base = [EXE, "--config", f"{folder}/ledgerward.toml", "--state", f"{folder}/state"]
        with open(f"{folder}/ledgerward.toml", "w") as f:
            f.write(f"""version = 1
[firm]
name = "Harbour"
domains = ["harbour.example"]
timezone = "UTC"
[schedule]
access = "every 12 hours"
statements = "30 6 * * *"
[targets.disk]
connector = "local"
root = "{folder}/disk"
sharing = "off"
audience = "the partners"
[api]
listen = "127.0.0.1:{self.port}"
""")
        subprocess.run([*self.base, "init", "--owner", "ana@harbour.example", "--name", "Harbour"], check=True, capture_output=True)
        for client in ["Acme Ltd", "Birch LLP", "Cedar Inc"]:
            self.must("clients", "add", client)
        self.must("groups", "add", "north", "acme-ltd")
        self.must("roles", "define", "desk", "--may", "read-all,selections,guests,clients", "--group", "north")
        self.must("roles", "define", "operator", "--may", "run,people")
        for who, office, _ in ROLES[:-1]:
            self.must("people", "add", f"{who}@harbour.example", "--first", who, "--last", "Reed", "--office", office, "--mode", "selected")
        self.must("select", "emma", "acme-ltd")
        self.must("select", "ana", "acme-ltd", "birch-llp")
        self.tokens = {who: self.token(who) for who, *_ in ROLES}

    def must(self, *args):
        done = subprocess.run([*self.base, *args], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            sys.exit(f"{' '.join(args)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def token(self, who):
        as_them = [] if who != "ana" else ["--as", "ana@harbour.example"]
        return json.loads(self.must(*as_them, "api", "token", "add", f"fuzz-{who}", "--person", who, "--json"))["token"]

    def start(self):
        self.log = open(f"{self.folder}/log", "w")
        self.daemon = subprocess.Popen([*self.base, "run"], stderr=self.log, stdout=subprocess.DEVNULL)
        for _ in range(600):
            if "daemon.ready" in open(f"{self.folder}/log").read():
                return
            time.sleep(0.1)
        sys.exit(open(f"{self.folder}/log").read())


def operations(document):
    """Patterns of the description's addresses, those with fewer values first: /access/check is no client "check"."""
    for path, methods in sorted(document["paths"].items(), key=lambda p: p[0].count("{")):
        pattern = re.compile("^/api/v1" + re.sub(r"\{[^}]+\}", "[^/]+", path) + "$")
        for method, operation in methods.items():
            yield method.upper(), pattern, operation


def fuzz(house, who, denied, document):
    out = tempfile.mkdtemp(prefix=f"fuzz-{who}-", dir=house.folder)
    schema = f"{house.folder}/openapi.json"
    with open(schema, "w") as f:
        json.dump(document, f)
    done = subprocess.run(
        [FUZZER, "run", schema, "--url", f"http://127.0.0.1:{house.port}/api/v1", "--checks", CHECKS, "--max-examples", EXAMPLES,
         "--seed", SEED, "--phases", "examples,coverage,fuzzing", "--continue-on-failure", "--header",
         f"Authorization: Bearer {house.tokens[who]}", "--report", "har", "--report-dir", out, "--no-color", "--request-timeout", "60"],
        capture_output=True, text=True, cwd=out, env={**os.environ, "COLUMNS": "160"})
    har = [os.path.join(out, f) for f in os.listdir(out) if f.endswith((".har", ".json"))]
    entries = json.load(open(har[0]))["log"]["entries"] if har else []
    table, statuses, wrong = list(operations(document)), collections.Counter(), []
    for entry in entries:
        method, path = entry["request"]["method"], urllib.parse.urlparse(entry["request"]["url"]).path
        status = entry["response"]["status"]
        statuses[status] += 1
        operation = next((o for m, p, o in table if m == method and p.match(path)), None)
        if operation and status < 300 and operation["x-permission"] in denied:
            wrong.append(f"{who} did {method} {path}, which needs {operation['x-permission']}")
        body = entry["response"]["content"].get("text") or ""
        if entry["response"]["content"].get("encoding") == "base64":
            body = base64.b64decode(body).decode("utf8", "replace")
        if who in ("vera", "op") and status < 300 and re.search(r"cedar|birch", body.lower()) and "openapi" not in path:
            sent = json.dumps(entry["request"]).lower()
            if not re.search(r"cedar|birch", sent):
                wrong.append(f"{who} reads of a client by {method} {path}: {body[:300]}")
    print(f"{who}: {len(entries)} requests, by status {dict(sorted(statuses.items()))}, exit {done.returncode}", flush=True)
    if done.returncode != 0:
        wrong.append(done.stdout[-6000:] + done.stderr[-2000:])
    return wrong


def main():
    house = House(tempfile.mkdtemp(prefix="ledgerward-fuzz-"))
    document = json.loads(house.must("api", "openapi"))
    house.start()
    wanted = os.environ.get("ROLES", "").split() or [who for who, *_ in ROLES]
    wrong = []
    try:
        for who, _, denied in ROLES:
            if who in wanted:
                wrong += fuzz(house, who, denied, document)
    finally:
        house.daemon.terminate()
        house.daemon.wait()
    log = open(f"{house.folder}/log").read()
    if "panicked" in log or "a defect" in log:
        wrong.append(log[-3000:])
    for line in wrong:
        print(line)
    if wrong:
        sys.exit(f"{len(wrong)} things did not hold; see {house.folder}")
    print("all good")


main()
