use super::*;

/// Every sample as every file it can be, for a person to look at: `LEDGERWARD_SAMPLES=dir cargo test samples_`.
#[test]
fn samples_render_in_every_format() {
    let mut restated = samples::profit_and_loss();
    restated.head.version = 2;
    restated.head.change = Some(
        "3 lines changed: Sales 1,000.00 → 1,200.00; Rent 6,400.00 → 6,500.00; Repairs nothing → -120.00".to_owned(),
    );
    let all = [
        ("pl", samples::profit_and_loss()),
        ("pl-restated", restated),
        ("bs", samples::balance_sheet()),
        ("tb", samples::trial_balance()),
        ("summary", samples::bank_summary()),
        ("register", samples::register(90, false)),
        ("bank", samples::register(40, true)),
    ];
    let out = std::env::var_os("LEDGERWARD_SAMPLES").map(std::path::PathBuf::from);
    for (name, statement) in all {
        for format in Format::of(statement.head.kind) {
            let first = render(&statement, format, &Look::default()).unwrap();
            let second = render(&statement, format, &Look::default()).unwrap();
            assert!(first == second, "{name} {format:?} is not the same twice");
            assert_eq!(first.findings, BTreeSet::new(), "{name} {format:?}");
            if let Some(out) = &out {
                std::fs::write(out.join(format!("{name}.{}", first.ext)), &first.bytes).unwrap();
            }
        }
    }
}
