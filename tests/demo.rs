//! The demo is the program's own proof: it checks every claim it prints. Here it runs as its user runs it.

use std::process::Command;

#[test]
fn the_demo_holds_and_its_folder_goes_on_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let firm = dir.path().join("firm");
    let demo = Command::new(env!("CARGO_BIN_EXE_ledgerward")).arg("demo").arg("--dir").arg(&firm).output().unwrap();
    let err = String::from_utf8_lossy(&demo.stderr);
    assert!(demo.status.success(), "{}{err}", String::from_utf8_lossy(&demo.stdout));
    assert!(err.matches('✓').count() > 15, "the demo checks what it claims:\n{err}");

    let again = Command::new(env!("CARGO_BIN_EXE_ledgerward"))
        .arg("--config")
        .arg(firm.join("config.toml"))
        .arg("--state")
        .arg(firm.join("state"))
        .args(["sync", "--yes", "--json"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&again.stdout).into_owned();
    let value: serde_json::Value = serde_json::from_str(&told).unwrap_or_else(|e| {
        panic!("{e}: {told}{}", String::from_utf8_lossy(&again.stderr));
    });
    assert_eq!(value["lanes"].as_array().map(Vec::len), Some(0), "a second sync changes nothing: {told}");
    assert_eq!(value["delivery"]["files"].as_array().map(Vec::len), Some(0), "and delivers nothing: {told}");
}
