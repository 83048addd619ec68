#!/bin/sh
# Starts WsgiDAV, moto and OpenSSH's sshd on loopback, each where it is installed, and runs tests/servers.rs, or the
# command given, with their addresses in the environment. All ends with the script.
#   pip install wsgidav cheroot 'moto[server]'; apt-get install openssh-server
set -eu
dir=$(mktemp -d)
pids=
stop() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap stop EXIT INT TERM

if python3 -c 'import wsgidav, cheroot' 2>/dev/null; then
    mkdir "$dir/dav"
    python3 -m wsgidav.server.server_cli --host 127.0.0.1 --port 28080 --root "$dir/dav" --auth anonymous -q \
        >"$dir/dav.log" 2>&1 &
    pids="$pids $!"
    export LEDGERWARD_TEST_WEBDAV=http://127.0.0.1:28080/
else
    echo "skipped: WebDAV: wsgidav is not installed"
fi

if python3 -c 'import moto.server' 2>/dev/null; then
    python3 -c 'import sys; from moto.server import main; main(sys.argv[1:])' -H 127.0.0.1 -p 28090 >"$dir/s3.log" 2>&1 &
    pids="$pids $!"
    export LEDGERWARD_TEST_S3=http://127.0.0.1:28090/clients
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        sleep 1
        curl -sf -o /dev/null -X PUT -H 'x-amz-acl: public-read-write' "$LEDGERWARD_TEST_S3" && break
    done
else
    echo "skipped: S3: moto is not installed"
fi

sshd=$(command -v sshd || echo /usr/sbin/sshd)
if [ -x "$sshd" ] && command -v ssh >/dev/null; then
    mkdir "$dir/sftp" "$dir/bin"
    ssh-keygen -q -t ed25519 -N '' -f "$dir/host"
    ssh-keygen -q -t ed25519 -N '' -f "$dir/user"
    cat >"$dir/sshd.conf" <<END
Port 28022
ListenAddress 127.0.0.1
HostKey $dir/host
AuthorizedKeysFile $dir/user.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
MaxStartups 100:30:200
Subsystem sftp internal-sftp
END
    [ "$(id -u)" != 0 ] || mkdir -p /run/sshd
    "$sshd" -D -f "$dir/sshd.conf" -E "$dir/sshd.log" &
    pids="$pids $!"
    # Nobody's own list of known servers is touched.
    echo "[127.0.0.1]:28022 $(cut -d' ' -f1,2 "$dir/host.pub")" >"$dir/known"
    printf '#!/bin/sh\nexec %s -o UserKnownHostsFile=%s "$@"\n' "$(command -v ssh)" "$dir/known" >"$dir/bin/ssh"
    chmod +x "$dir/bin/ssh"
    export PATH="$dir/bin:$PATH" LEDGERWARD_SFTP_KEY="$dir/user"
    export LEDGERWARD_TEST_SFTP="ssh://$(id -un)@127.0.0.1:28022$dir/sftp"
else
    echo "skipped: SFTP: sshd is not installed"
fi

sleep 2
if [ $# -gt 0 ]; then "$@"; else cargo test -p ledgerward-stores --test servers -- --nocapture; fi
