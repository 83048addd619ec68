//! Rules of the house that no compiler checks. Each names what it found, so that the way to put it right is plain.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails like the test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

fn sources(below: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(below);
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_none_or(|n| n != "target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "nothing found below {below}: the rule would hold for nothing");
    found.sort();
    found
}

/// The part of a file before its tests, without comment lines.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split("#[cfg(test)]")
        .next()
        .unwrap_or_default()
        .lines()
        .enumerate()
        .map(|(n, l)| (n + 1, l))
        .filter(|(_, l)| !l.trim_start().starts_with("//"))
}

fn offenders(below: &str, forbidden: &[&str]) -> Vec<String> {
    let mut bad = Vec::new();
    for (path, text) in sources(below) {
        for (n, line) in code(&text) {
            for word in forbidden {
                if line.contains(word) {
                    bad.push(format!("{}:{n}: {word}", path.display()));
                }
            }
        }
    }
    bad
}

#[test]
fn the_core_is_pure() {
    let forbidden = [
        "async ",
        ".await",
        "HashMap",
        "HashSet",
        "std::fs",
        "std::net",
        "std::env",
        "std::io",
        "SystemTime",
        "Instant::now",
        "Timestamp::now",
        "Zoned::now",
        "tokio",
        "reqwest",
        "rusqlite",
        "rand::",
        "println!",
        "tracing::",
        "crate::store",
        "crate::engine",
        "crate::config",
        "now_v7",
        "new_v4",
    ];
    let bad = offenders("src/domain", &forbidden);
    assert!(bad.is_empty(), "src/domain does no IO, reads no clock and keeps no unordered map:\n{}", bad.join("\n"));
}

#[test]
fn renderers_are_pure() {
    let bad =
        offenders("src/statement", &["async ", ".await", "std::net", "Timestamp::now", "tokio", "reqwest", "rusqlite"]);
    assert!(bad.is_empty(), "src/statement renders values and nothing else:\n{}", bad.join("\n"));
}

#[test]
fn one_place_may_write_to_targets() {
    let mut issue = Vec::new();
    let mut take = Vec::new();
    for (path, text) in sources("src") {
        for (n, line) in code(&text) {
            if line.contains("Permit::issue") {
                issue.push(format!("{}:{n}", path.display()));
            }
            if line.contains("WriteAuthority::take") {
                take.push(format!("{}:{n}", path.display()));
            }
        }
    }
    assert_eq!(issue.len(), 1, "Permit::issue is called in exactly one place: {issue:?}");
    assert_eq!(take.len(), 1, "WriteAuthority::take is called in exactly one place: {take:?}");
    assert!(
        issue[0].contains("src/apply/mod.rs") && take[0].contains("src/apply/mod.rs"),
        "both in src/apply/mod.rs: {issue:?} {take:?}"
    );
}

#[test]
fn connectors_look_alike() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors");
    for entry in fs::read_dir(root).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        if !folder.is_dir() || ["contract", "kit"].contains(&name.as_str()) {
            continue;
        }
        for file in ["README.md", "Cargo.toml", "src/lib.rs", "src/api.rs", "src/map.rs"] {
            assert!(folder.join(file).is_file(), "connectors/{name} lacks {file}: every connector has the same files");
        }
    }
}

#[test]
fn connectors_keep_no_clock_no_sleep_and_no_page_loop() {
    for (path, text) in sources("connectors") {
        let shown = path.display().to_string();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        if shown.contains("/contract/")
            || shown.contains("/kit/")
            || shown.contains("/tests/")
            || shown.contains("/benches/")
            || shown.contains("fake")
        {
            continue;
        }
        for (n, line) in code(&text) {
            for word in ["sleep(", "time::timeout", "Timestamp::now", "SystemTime::now", "reqwest::"] {
                assert!(!line.contains(word), "{shown}:{n}: {word} ({file}): time, waiting and HTTP are the kit's");
            }
        }
    }
}

#[test]
fn nothing_is_left_open() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Put together here, so that this file does not find itself.
    let open = ["to", "do!("].concat();
    let words = [
        open,
        ["unimple", "mented!("].concat(),
        ["FIX", "ME"].concat(),
        ["#[ig", "nore"].concat(),
        ["#[al", "low("].concat(),
    ];
    for below in ["src", "connectors", "tests"] {
        for (path, text) in sources(below) {
            for (n, line) in text.lines().enumerate() {
                for word in &words {
                    assert!(
                        !line.contains(word.as_str()),
                        "{}:{}: {word}",
                        path.strip_prefix(root).unwrap().display(),
                        n + 1
                    );
                }
            }
        }
    }
}

#[test]
fn x11_no_second_tls_and_no_dependency_from_elsewhere_comes_in() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
    let names: Vec<&str> =
        lock.lines().filter_map(|l| l.strip_prefix("name = ")).map(|n| n.trim_matches('"')).collect();
    assert!(names.len() > 50, "the lock is not read: {names:?}");
    for forbidden in ["openssl", "openssl-sys", "native-tls", "aws-lc-sys", "libgit2-sys"] {
        assert!(!names.contains(&forbidden), "{forbidden} came in");
    }
    let sources: Vec<&str> = lock.lines().filter(|l| l.starts_with("source = ")).collect();
    let strange: Vec<_> = sources.iter().filter(|l| l.contains("git+")).collect();
    assert!(strange.is_empty(), "only a registry's locked versions: {strange:?}");
    assert_eq!(sources.len(), lock.matches("\nchecksum = ").count(), "a dependency without a checksum");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    for entry in fs::read_dir(root.join("connectors")).unwrap() {
        let Ok(text) = fs::read_to_string(entry.unwrap().path().join("Cargo.toml")) else { continue };
        assert!(text.contains("[lints]\nworkspace = true"), "{text}");
    }
}
