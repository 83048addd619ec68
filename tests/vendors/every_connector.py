#!/usr/bin/env python3
"""A firm with clients on every ledger and folders on every target, in the sandbox. By hand, since it takes some minutes:

    cargo build && python3 tests/vendors/every_connector.py

Signs in everywhere, binds one client to each source, syncs twice. The second sync must write nothing.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
EXE = os.environ.get("LEDGERWARD", os.path.join(ROOT, "target/debug/ledgerward"))
PORT = int(os.environ.get("PORT", "9300"))
TARGETS = ["google-drive", "dropbox", "box", "microsoft-graph"]
CONSENTS = {"quickbooks": 2, "myob": 3}
SECRETS = {"dropbox": ("sandbox-dropbox-app", "sandbox-dropbox-app-word")}
CLIENTS = {"xero": "Acme Ltd", "quickbooks": "Birch LLP", "zoho-books": "Cedar Bakery", "business-central": "Dune Dental",
           "freeagent": "Elm Street Garage", "myob": "Lark Plumbing Pty Ltd"}


def stand_ins(folder):
    """Starts the sandbox, and reads from its words how each provider is configured."""
    sandbox = subprocess.Popen([EXE, "sandbox", "--listen", f"127.0.0.1:{PORT}"], stderr=subprocess.PIPE, text=True)
    found, name = {}, None
    for line in sandbox.stderr:
        if "Stop it" in line:
            break
        if m := re.match(r"  (\S+)\s+http://", line):
            name = m[1]
            found[name] = {}
        if m := re.search(r"endpoints = (\{.*\})", line):
            found[name]["endpoints"] = m[1]
        if m := re.search(r'client_id = "([^"]+)", the secret is: (\S+)', line):
            found[name]["app"] = (m[1], m[2])
    threading.Thread(target=sandbox.stderr.read, daemon=True).start()
    for name, app in SECRETS.items():
        found.get(name, {})["app"] = app
    return sandbox, found


def configure(folder, found):
    def secret(name, text):
        with open(os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
            f.write(text)
        return f'{{ file = "{name}" }}'

    text = ['version = 1', '[firm]', 'name = "Harbour & Co"', 'domains = ["harbour.example"]', 'timezone = "Pacific/Auckland"',
            '[schedule]', 'access = "every 5 minutes"', 'statements = "30 6 * * *"']
    for name, has in found.items():
        target = name in TARGETS
        text += [f'[{"targets" if target else "connections"}.{name}]', f'connector = "{name}"', f'endpoints = {has["endpoints"]}']
        if name == "karbon":
            text.append('api_key = ' + secret("karbon-a", "5a9d0000-0000-4000-8000-00000000c0de"))
            text.append('access_key = ' + secret("karbon-b", "eyJ-sandbox-karbon-access-key"))
        else:
            client, word = has["app"]
            text += [f'client_id = "{client}"', f'client_secret = {secret(name + "-secret", word)}']
        if name == "xero":
            text += ['scopes = "granular-finance"', 'statement_lines = true']
        if target:
            text.append('sharing = "mirror"')
    os.mkdir(f"{folder}/disk")
    text += ['[targets.disk]', 'connector = "local"', f'root = "{folder}/disk"', 'new_root = true', 'sharing = "off"',
             'audience = "the partners"', '[statements]',
             'kinds = ["profit-and-loss", "balance-sheet", "trial-balance", "bank-register", "bank-statement"]',
             'formats = ["csv"]', 'periods = ["month"]', 'after_days = 5', '[policy]', 'confirm_after = "2 seconds"']
    with open(f"{folder}/ledgerward.toml", "w") as f:
        f.write("\n".join(text) + "\n")


def main():
    folder = tempfile.mkdtemp(prefix="ledgerward-every-")
    sandbox, found = stand_ins(folder)
    configure(folder, found)
    base = [EXE, "--config", f"{folder}/ledgerward.toml", "--state", f"{folder}/state", "--as", "ana@harbour.example"]

    def run(*args, ok=(0,)):
        done = subprocess.run([*base, *args], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if ok and done.returncode not in ok:
            sys.exit(f"{' '.join(args)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def connect(name):
        child = subprocess.Popen([*base, "connect", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 stdin=subprocess.DEVNULL, text=True)
        for line in child.stderr:
            if line.startswith("  http"):
                time.sleep(0.3)
                urllib.request.urlopen(line.strip()).read()  # The stand-in's consent page answers at once.
                break
        out, err = child.communicate(timeout=120)
        if child.returncode:
            sys.exit(f"connect {name}: {out}{err}")
        print(out.strip())

    try:
        subprocess.run([EXE, "--config", f"{folder}/unused.toml", "--state", f"{folder}/state", "init", "--owner",
                        "ana@harbour.example", "--name", "Harbour & Co"], check=True, capture_output=True)
        for name in found:
            for _ in range(0 if name == "karbon" else CONSENTS.get(name, 1)):
                connect(name)
        run("pull")
        listed = json.loads(run("clients", "list", "--all", "--json").stdout)["clients"]
        slugs = {}
        for client in listed:
            for source in client["sources"]:
                if CLIENTS.get(source["connection"]) == client["name"]:
                    slugs[source["connection"]] = client["slug"]
        assert set(slugs) == set(CLIENTS), slugs
        run("clients", "accept", *slugs.values())
        with open(f"{ROOT}/fixtures/firm/firm.toml") as f, open(f"{folder}/firm.toml", "w") as out:
            out.write(f.read().split("[[selection]]")[0])
        run("firm", "apply", f"{folder}/firm.toml", "--yes")
        for person in ["bob@harbour.example", "cleo@harbour.example"]:
            for slug in slugs.values():
                run("select", person, slug, "--when-granted")
        run("plan", ok=(2, 3))
        for hold in json.loads(run("hold", "list", "--json").stdout)["holds"]:
            run("approve", hold["digest"], "--reason", "first plan")
        for which in ["first", "second"]:
            print(which, "sync:", run("sync", "--yes").stdout.strip().splitlines()[-1])
        last = run("sync", "--yes").stdout.strip().splitlines()[-1]
        assert last.startswith("0 steps, 0 failed, 0 files"), last
        blind = [line for line in run("status", ok=()).stdout.splitlines() if "our own user" in line]
        assert not blind, blind
        for slug in slugs.values():
            print(run("why", "bob@harbour.example", slug).stdout.splitlines()[0])
        print("All is well:", folder)
    finally:
        sandbox.terminate()


main()
