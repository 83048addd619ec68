//! Stores without sharing lists through the whole program: every statement of the firm at rest goes there too, byte for byte,
//! and a second run writes nothing.

use std::{
    collections::BTreeMap, fs, os::unix::fs::OpenOptionsExt as _, path::Path, process::Command, thread, time::Duration,
};

use sha2::{Digest as _, Sha256};

use crate::{
    common::Firm,
    servers::{self, Server},
};

fn add(firm: &Firm, name: &str, section: &str) {
    let path = firm.path("config.toml");
    let config = fs::read_to_string(&path).unwrap();
    let more = "new_root = true\nsharing = \"off\"\naudience = \"the partners\"\nformats = [\"csv\", \"json\"]";
    fs::write(path, format!("{config}\n[targets.{name}]\n{section}\n{more}\n")).unwrap();
    firm.ask(&["plan"]);
    firm.approve_all();
}

fn secret(path: &Path, word: &str) {
    use std::io::Write as _;
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(path);
    file.unwrap().write_all(word.as_bytes()).unwrap();
}

/// Syncs, and compares what was delivered to the target with what it gives back, and with what the disk got.
fn delivers(firm: &Firm, name: &str, get: impl Fn(&str) -> Option<Vec<u8>>) -> usize {
    let told = firm.sync();
    assert_eq!(told.exit, 0, "{told:?}");
    let (rows, lanes) = firm.state(|db| Ok((db.delivered()?, db.lanes()?)));
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    for (lane, files) in &rows {
        *found.entry(lane.target.0.as_str()).or_default() += files.len();
        let Some(folder) = lanes[lane].folder.as_ref().filter(|_| lane.target.0 == name) else { continue };
        for file in files {
            let path = format!("{folder}/{}", file.delivered.path);
            let bytes = get(&path).unwrap_or_else(|| panic!("{name}: {path} is not there"));
            let sha: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(sha, file.delivered.content_hash, "{name}: {path}");
        }
    }
    assert!(found[name] > 0 && found[name] == found["disk"], "{found:?}");
    found[name]
}

fn again(firm: &Firm, name: &str) {
    let told = firm.sync();
    assert_eq!(told.exit, 0, "{told:?}");
    assert!(told.json()["delivery"]["files"].as_array().is_none_or(Vec::is_empty), "{name}: {told:?}");
}

#[test]
fn a_firm_on_webdav_and_on_s3_is_whole_and_a_second_run_writes_nothing() {
    let firm = Firm::at_rest();
    let (dav, s3) = (Server::dav(), Server::s3());
    dav.make_dir("ours");
    secret(&firm.path("s3-secret"), "word");
    let at = |server: &Server| format!("http://{}", server.address);
    add(&firm, "dav", &format!("connector = \"webdav\"\nroot = \"ours\"\nendpoints = {{ webdav = \"{}\" }}", at(&dav)));
    add(
        &firm,
        "s3",
        &format!(
            "connector = \"s3\"\nroot = \"ours\"\nbucket = \"{}\"\naccess_key_id = \"{}\"\n\
             secret_access_key = {{ file = \"s3-secret\" }}\nendpoints = {{ s3 = \"{}\" }}",
            servers::BUCKET,
            servers::KEY_ID,
            at(&s3)
        ),
    );
    for (name, server, most) in [("dav", &dav, 4), ("s3", &s3, 2)] {
        let files = delivers(&firm, name, |path| server.get(&format!("ours/{path}")));
        assert_eq!(server.made_again(), Vec::<String>::new(), "{name}: the first file of a folder goes alone");
        let asked = server.asked();
        println!("{name}: {files} files, {asked:?}");
        // What is once for a folder and its sub-folders is in it; a look at the marker before each file would not fit.
        let folders = 3;
        assert!(asked.values().sum::<usize>() < files * most + folders * 25, "{name}: {files} files, {asked:?}");
        assert!(!asked.contains_key("DELETE"), "{name}: {asked:?}");
    }
    for (name, server) in [("dav", &dav), ("s3", &s3)] {
        again(&firm, name);
        let asked = server.asked();
        assert!(!asked.is_empty(), "{name}: nothing was looked at");
        assert!(!asked.keys().any(|method| servers::is_write(method)), "{name}: {asked:?}");
    }
    firm.must(&["audit", "verify"]);
}

/// OpenSSH's own server, where it is installed.
#[test]
fn a_firm_on_sftp_is_whole_and_a_second_run_writes_nothing() {
    let sshd = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].into_iter().find(|p| Path::new(p).exists());
    let found = Command::new("sh").args(["-c", "command -v ssh && command -v ssh-keygen"]).output().unwrap();
    let (Some(sshd), true) = (sshd, found.status.success()) else {
        println!("skipped: OpenSSH is not installed");
        return;
    };
    let ssh = String::from_utf8(found.stdout).unwrap().lines().next().unwrap().to_owned();
    let mut firm = Firm::at_rest();
    let dir = firm.path("sftp");
    fs::create_dir_all(dir.join("ours")).unwrap();
    let at = dir.display();
    let must = |command: &mut Command| assert!(command.output().unwrap().status.success(), "{command:?}");
    for name in ["host", "user"] {
        must(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(name)));
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/user.pub\nPidFile none\n\
         StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    );
    fs::write(dir.join("sshd.conf"), config).unwrap();
    let _made = fs::create_dir_all("/run/sshd");
    let server = Command::new(sshd).arg("-D").arg("-f").arg(dir.join("sshd.conf")).spawn();
    let _server = Ended(server.unwrap());
    let host = fs::read_to_string(dir.join("host.pub")).unwrap();
    let host: Vec<&str> = host.split(' ').take(2).collect();
    fs::write(dir.join("known"), format!("[127.0.0.1]:{port} {}\n", host.join(" "))).unwrap();
    // Nobody's own list of known servers is touched.
    fs::create_dir(dir.join("bin")).unwrap();
    let wrapper = format!("#!/bin/sh\nexec {ssh} -o UserKnownHostsFile={at}/known \"$@\"\n");
    fs::write(dir.join("bin/ssh"), wrapper).unwrap();
    must(Command::new("chmod").arg("755").arg(dir.join("bin/ssh")));
    firm.first_on_path(&dir.join("bin"));
    let begun = std::time::Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "sshd does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    add(
        &firm,
        "sftp",
        &format!(
            "connector = \"sftp\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"{}\"\nkey_file = \"{at}/user\"\nroot = \"{at}/ours\"",
            user.trim()
        ),
    );
    delivers(&firm, "sftp", |path| fs::read(dir.join("ours").join(path)).ok());
    let before = tree(&dir.join("ours"));
    again(&firm, "sftp");
    assert_eq!(tree(&dir.join("ours")), before);
    assert!(!before.keys().any(|path| path.contains("ledgerward-tmp")), "{before:?}");
}

/// Every file with when it was written.
fn tree(dir: &Path) -> BTreeMap<String, std::time::SystemTime> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(tree(&entry.path()));
        } else {
            found.insert(entry.path().display().to_string(), entry.metadata().unwrap().modified().unwrap());
        }
    }
    found
}

struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}
