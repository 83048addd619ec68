//! `connector check`: the worked example passes, and each careless habit of a program is told.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails like the test")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

fn check(program: &Path) -> (i32, serde_json::Value) {
    check_with(program, Path::new("fixtures/process/harbour.json"))
}

fn check_with(program: &Path, answers: &Path) -> (i32, serde_json::Value) {
    let out = Command::new(env!("CARGO_BIN_EXE_ledgerward"))
        .args(["--json", "connector", "check"])
        .arg(program)
        .arg("--answers")
        .arg(answers)
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
    let checks = json["checks"].as_array().unwrap();
    assert!(checks.len() >= 12 && checks.iter().all(|c| c["warning"].is_null()), "{json:#}");
}

/// P09: another ledger's list in answer to a request.
#[test]
fn a_program_that_takes_another_ledgers_list_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("program.py");
    let text = example();
    let from = "str(data[\"company\"]) != company";
    assert!(text.contains(from), "the example changed");
    fs::write(&path, text.replace(from, "False")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let told = |json: &serde_json::Value, how: &str| {
        let all = json["checks"].as_array().unwrap().iter();
        all.filter_map(|c| c[how].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let (code, json) = check(&path);
    let wrong = told(&json, "wrong");
    assert_eq!((code, wrong.len()), (1, 2), "{json:#}");
    for word in ["users of 72", "request for 71", "Compare the ledger that the answer names"] {
        assert!(wrong[0].contains(word), "{word}: {wrong:?}");
    }
    // A vendor whose answers name no ledger: nothing that the program could have compared.
    let answers = fs::read_to_string("fixtures/process/harbour.json").unwrap();
    let silent = dir.path().join("answers.json");
    fs::write(&silent, answers.replace("\"company\": 71, ", "").replace("\"company\": 72, ", "")).unwrap();
    let (code, json) = check_with(&path, &silent);
    let warnings = told(&json, "warning");
    assert_eq!((code, told(&json, "wrong").len(), warnings.len()), (0, 0, 2), "{json:#}");
    assert!(warnings[0].contains("users of 72") && warnings[0].contains("request for 71"), "{warnings:?}");
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
        ("a missing next page is the last one", "data[\"next_page\"]", "data.get(\"next_page\")"),
        ("every page is the last one", "None if following is None else str(following)", "None"),
        ("no id is an id called None", "key(m[\"id\"])", "str(m[\"id\"])"),
        ("a missing role is a role", "m[\"level\"]", "m.get(\"level\") or \"reader\""),
        (
            "a missing state is active",
            "states.get(m[\"state\"], m[\"state\"])",
            "states.get(m.get(\"state\"), \"active\")",
        ),
        (
            "no list is an empty one",
            "    if not isinstance(data[key], list):\n        raise TypeError(f\"{key} is no list\")  # An object would pass for a list of nobody.\n    return {\"items\": [row(r) for r in data[key]]",
            "    return {\"items\": [row(r) for r in data.get(key) or []]",
        ),
        (
            "what comes after the end is not looked at",
            "json.loads(json.loads(sys.stdin.readline())[\"answer\"][\"body\"])",
            "json.JSONDecoder().raw_decode(json.loads(sys.stdin.readline())[\"answer\"][\"body\"])[0]",
        ),
    ] {
        let text = example();
        assert!(text.contains(from), "the example changed: {from}");
        let path = dir.path().join("program.py");
        fs::write(&path, text.replace(from, to)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let (code, json) = check(&path);
        assert_eq!((code, &json["ok"]), (1, &false.into()), "{habit}: {json:#}");
        let text = json.to_string();
        assert!(!text.contains("AccessFact") && !text.contains("connector check"), "{habit}: {text}");
    }
}

/// Each habit is told in words that name the field.
#[test]
fn a_field_that_is_left_out_is_told_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("program.py");
    fs::write(&path, example().replace("m[\"level\"]", "m.get(\"level\") or \"reader\"")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let (_, json) = check(&path);
    let text = json.to_string();
    assert!(text.contains("without $.members[0].level: 903 has the role reader all at once"), "{json:#}");
    let lazy = example().replace("None if following is None else str(following)", "None");
    fs::write(&path, lazy).unwrap();
    let (_, json) = check(&path);
    assert!(json.to_string().contains("recorded answers were never asked for"), "{json:#}");
}

/// The checks of a report that say something is wrong, or may be.
fn said<'j>(json: &'j serde_json::Value, how: &str) -> Vec<&'j str> {
    json["checks"].as_array().unwrap().iter().filter_map(|c| c[how].as_str()).collect()
}

fn program(dir: &Path, text: &str) -> std::path::PathBuf {
    let path = dir.join("program.py");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn changed(from: &str, to: &str) -> String {
    let text = example();
    assert!(text.contains(from), "the example changed: {from}");
    text.replace(from, to)
}

/// Whoever is suspended would stay in for good.
#[test]
fn a_program_that_does_not_look_at_role_or_standing_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (role, standing) = ("\"role\": m[\"level\"]", "states.get(m[\"state\"], m[\"state\"])");
    for (text, what) in [
        (changed(standing, "\"active\""), "standing is another"),
        (changed(role, "\"role\": \"reader\""), "role is another"),
        (changed(role, "\"role\": \"reader\"").replace(standing, "\"active\""), "role and standing are another"),
    ] {
        let (code, json) = check(&program(dir.path(), &text));
        let warnings = said(&json, "warning");
        assert!(code == 0 && warnings.len() == 1 && warnings[0].contains(what), "{what}: {json:#}");
    }
}

/// Pages are as long as the vendor likes.
#[test]
fn a_program_that_ends_at_a_short_page_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let full = "{\"companies\": 1, \"members\": 2}[key]";
    let text = changed(
        "None if following is None else str(following)",
        &format!("str(int(cursor or 1) + 1) if len(data[key]) == {full} and following else None"),
    );
    let (code, json) = check(&program(dir.path(), &text));
    let wrong = said(&json, "wrong");
    assert_eq!((code, wrong.len()), (1, 1), "{json:#}");
    for word in
        ["GET /companies/71/members?page=1 with a row less", "GET /companies/71/members?page=2 is not asked for"]
    {
        assert!(wrong[0].contains(word), "{word}: {wrong:?}");
    }
}

#[test]
fn a_crash_is_told_with_the_programs_last_words() {
    let dir = tempfile::tempdir().unwrap();
    let (code, json) =
        check(&program(dir.path(), &changed("following = data[\"next_page\"]", "following = data[\"nxt\"]")));
    let wrong = said(&json, "wrong");
    assert_eq!(code, 1);
    assert!(wrong[0].contains("It wrote to stderr: Traceback") && wrong[0].contains("KeyError: 'nxt'"), "{json:#}");
}

#[test]
fn a_field_of_another_kind_is_told_by_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let (_, json) = check(&program(dir.path(), &changed("{\"id\": key(c[\"id\"])", "{\"id\": c[\"id\"]")));
    assert!(said(&json, "wrong")[0].contains("field $.items[0].id, wrong it has to be a string"), "{json:#}");
    let (_, json) = check(&program(
        dir.path(),
        &changed("{\"http\": {\"path\": path}}", "{\"protocol\": 2, \"http\": {\"path\": path}}"),
    ));
    assert!(said(&json, "wrong")[0].contains("only the host does, which speaks 1"), "{json:#}");
}

/// What the vendor itself leaves out at the end of a list is no fault; neither is UTF-16 that a shell could read.
#[test]
fn a_vendor_that_ends_a_list_without_a_word_is_understood() {
    let dir = tempfile::tempdir().unwrap();
    let (path, answers) = (dir.path().join("program.py"), dir.path().join("answers.json"));
    fs::write(&path, example().replace("data[\"next_page\"]", "data.get(\"next_page\")")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let silent = fs::read_to_string("fixtures/process/harbour.json").unwrap().replace(", \"next_page\": null", "");
    fs::write(&answers, silent).unwrap();
    let (code, json) = check_with(&path, &answers);
    assert_eq!(code, 0, "{json:#}");
}
