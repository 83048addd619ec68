//! `connector check`: the worked example passes, and each careless habit of a program is told.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails like the test")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

fn check(program: &Path) -> (i32, serde_json::Value) {
    let out = Command::new(env!("CARGO_BIN_EXE_ledgerward"))
        .args(["--json", "connector", "check"])
        .arg(program)
        .args(["--answers", "fixtures/process/harbour.json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let json = serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {out:?}"));
    (out.status.code().unwrap(), json)
}

fn example() -> String {
    fs::read_to_string("connectors/process/examples/harbour.py").unwrap()
}

#[test]
fn the_worked_example_keeps_to_the_protocol() {
    let (code, json) = check(Path::new("connectors/process/examples/harbour.py"));
    assert_eq!((code, &json["ok"]), (0, &true.into()), "{json:#}");
    assert!(json["checks"].as_array().unwrap().len() >= 12);
}

/// Each habit is one that would one day have taken everybody's access away.
#[test]
fn a_careless_program_is_told_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    for (habit, from, to) in [
        (
            "a missing list is an empty one",
            "    data = get(",
            "    data = {\"companies\": [], \"members\": [], \"next_page\": None} | get(",
        ),
        (
            "errors are swallowed",
            "    return json.loads(json.loads(sys.stdin.readline())[\"answer\"][\"body\"])",
            "    try:\n        return json.loads(json.loads(sys.stdin.readline())[\"answer\"][\"body\"])\n    except Exception:\n        return {\"companies\": [], \"members\": [], \"next_page\": None, \"company\": {\"title\": \"?\", \"currency\": None, \"year_end\": None}}",
        ),
        ("a page without next", "\"next\": None if following is None else str(following)", "\"more\": False"),
        ("a standing of its own", "states.get(m[\"state\"], m[\"state\"])", "m[\"state\"]"),
    ] {
        let text = example();
        assert!(text.contains(from), "the example changed: {from}");
        let path = dir.path().join("program.py");
        fs::write(&path, text.replace(from, to)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let (code, json) = check(&path);
        assert_eq!((code, &json["ok"]), (1, &false.into()), "{habit}: {json:#}");
    }
}
