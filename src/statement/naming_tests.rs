use ledgerward_contract::{Period, StatementKind};
use proptest::prelude::*;

use ledgerward_contract::Basis;

use super::*;

fn wanted(kind: StatementKind, ledger: &str, account: Option<&str>, period: &str, version: u32) -> Wanted {
    let period = YearEnd::CALENDAR.parse(period).unwrap();
    Wanted {
        key: StatementKey {
            client: ClientId(uuid::Uuid::from_u128(7)),
            connection: "xero".into(),
            ledger: ledger.into(),
            request: StatementRequest { kind, basis: Basis::Accrual, period, account: account.map(Into::into) },
            item: None,
        },
        year_end: YearEnd::CALENDAR,
        ledger: None,
        account: account.map(ToOwned::to_owned),
        document: None,
        both_bases: false,
        version,
        ext: "pdf".to_owned(),
    }
}

fn one(template: &str, file: &Wanted) -> String {
    path(&Template::statements(template).unwrap(), file, None).unwrap().to_string()
}

#[test]
fn bracketed_parts_come_only_where_needed() {
    let default = Template::DEFAULT;
    let plain = wanted(StatementKind::ProfitAndLoss, "l", None, "2026-10", 1);
    assert_eq!(one(default, &plain), "2026/2026-10 Profit and loss.pdf");
    let all = Wanted {
        ledger: Some("Harbour Cafe Ltd".to_owned()),
        account: Some("Main / EUR".to_owned()),
        both_bases: true,
        version: 3,
        year_end: YearEnd::new(3, 31).unwrap(),
        ..plain
    };
    assert_eq!(one(default, &all), "2027/2026-10 Profit and loss accrual Harbour Cafe Ltd Main ／ EUR (v3).pdf");
    assert_eq!(
        one("{kind}/{period}[ {ledger}][ - {account}][ v{n}].{ext}", &all),
        "Profit and loss/2026-10 Harbour Cafe Ltd - Main ／ EUR v3.pdf"
    );
}

#[test]
fn two_accounts_of_one_name_are_two_files_and_stay_put() {
    let template = Template::statements(Template::DEFAULT).unwrap();
    let (mut a, mut b) = (
        wanted(StatementKind::BankRegister, "l", Some("acc-a"), "2026-10", 1),
        wanted(StatementKind::BankRegister, "l", Some("acc-b"), "2026-10", 1),
    );
    a.account = Some("Cheque".to_owned());
    b.account = Some("CHEQUE".to_owned());
    let first = Names::default().give(&template, &b).unwrap();
    assert_eq!(first.to_string(), "2026/2026-10 Bank register CHEQUE.pdf");
    let second = Names::of([&first]).give(&template, &a).unwrap();
    assert_eq!(second.to_string(), format!("2026/2026-10 Bank register Cheque ~{}.pdf", a.key.id8()));
}

#[test]
fn documents_keep_their_names_and_are_never_paths() {
    let template = Template::documents(Template::DEFAULT_DOCUMENTS).unwrap();
    let mut file = wanted(StatementKind::Files, "l", None, "2026-10", 1);
    for (given, want) in [
        ("Statement Oct.pdf", "2026/2026-10 Files/Statement Oct.pdf"),
        ("../../x.sh", "2026/2026-10 Files/_..／..／x.sh"),
        ("no extension", "2026/2026-10 Files/no extension.bin"),
        ("nul.txt", "2026/2026-10 Files/_nul.txt"),
        ("v1.2 final draft", "2026/2026-10 Files/v1.2 final draft.bin"),
    ] {
        file.document = Some(given.to_owned());
        file.ext = "bin".to_owned();
        assert_eq!(path(&template, &file, None).unwrap().to_string(), want);
    }
}

#[test]
fn a_marker_is_short_and_stable() {
    let file = wanted(StatementKind::BankRegister, &"l".repeat(300), Some("acc|ount%"), "2026-10", 1);
    assert_eq!(
        wanted(StatementKind::BankRegister, "l|x", Some("acc|ount%"), "2026-10", 1).key.text(),
        "00000000-0000-0000-0000-000000000007|xero|l%7Cx|=acc%7Count%25|bank-register|accrual|month|2026-10-01|2026-10-31|-"
    );
    let key = file.key.file_key(12, "xlsx").0;
    assert!(key.len() < 50 && key.ends_with(".v12.xlsx"), "{key}");
}

#[test]
fn a_paper_that_is_the_same_on_each_basis_has_one_key() {
    for kind in StatementKind::ALL {
        let report = !kind.per_account() && !kind.is_document();
        assert_eq!(basis_of(kind, Basis::Cash), if report { Basis::Cash } else { Basis::Accrual });
        let key = wanted(kind, "l", None, "2026-10", 1).key;
        let former = key.former();
        assert_eq!(former.as_ref().map(|f| f.request.basis), (!report).then_some(Basis::Cash), "{kind:?}");
        assert!(former.is_none_or(|f| f.former().is_none() && f.text() != key.text()));
    }
}

#[test]
fn keys_differ_in_every_part() {
    let base = wanted(StatementKind::BankRegister, "l", Some("a"), "2026-10", 1).key;
    let mut all = vec![base.clone()];
    for change in [
        (|k: &mut StatementKey| k.client = ClientId(uuid::Uuid::from_u128(8))) as fn(&mut StatementKey),
        |k| k.connection = "other".into(),
        |k| k.ledger = "m".into(),
        |k| k.request.account = None,
        |k| k.request.account = Some("-".into()),
        |k| k.request.kind = StatementKind::BankStatement,
        |k| k.request.basis = Basis::Cash,
        |k| k.request.period = Period { end: k.request.period.start, ..k.request.period },
        |k| k.request.period.length = PeriodLength::Year,
        |k| k.item = Some(String::new()),
    ] {
        let mut key = base.clone();
        change(&mut key);
        all.push(key);
    }
    let texts: BTreeSet<String> = all.iter().map(StatementKey::text).collect();
    let markers: BTreeSet<FileKey> = all.iter().map(|k| k.file_key(1, "pdf")).collect();
    assert_eq!((texts.len(), markers.len()), (all.len(), all.len()));
}

proptest! {
    #[test]
    fn n09_files_of_any_names_never_share_a_path(
        names in proptest::collection::vec(("[aA Ää/._(v2)~]{0,8}", "[aA Ää/._(v2)~]{0,8}", 1u32..3), 1..20),
        documents in any::<bool>(),
    ) {
        let template = if documents { Template::documents(Template::DEFAULT_DOCUMENTS) } else { Template::statements(Template::DEFAULT) }.unwrap();
        let files: BTreeSet<Wanted> = names.into_iter().enumerate().map(|(n, (ledger, account, version))| {
            let mut file = wanted(StatementKind::BankRegister, &format!("l{n}"), Some("x"), "2026-10", version);
            file.document = documents.then(|| format!("{ledger}{account}.pdf"));
            file.ledger = Some(ledger);
            file.account = Some(account);
            file
        }).collect();
        let mut given = Names::default();
        let paths: Vec<FilePath> = files.iter().filter_map(|file| given.give(&template, file)).collect();
        prop_assert_eq!(paths.len(), files.len());
        let unique: BTreeSet<String> = paths.iter().map(super::unique).collect();
        prop_assert_eq!(unique.len(), paths.len());
    }

    #[test]
    fn n04_any_text_in_a_name_gives_a_path(ledger in any::<String>(), account in any::<String>(), document in any::<String>()) {
        let mut file = wanted(StatementKind::BankRegister, "l", Some("x"), "2026-10", 2);
        file.ledger = Some(ledger);
        file.account = Some(account);
        let made = path(&Template::statements(Template::DEFAULT).unwrap(), &file, None).unwrap();
        prop_assert_eq!(made.names().len(), 2);
        prop_assert!(made.to_string().ends_with(" (v2).pdf"), "{}", made);
        file.document = Some(document);
        let made = path(&Template::documents(Template::DEFAULT_DOCUMENTS).unwrap(), &file, Some("0000beef")).unwrap();
        prop_assert_eq!(made.names().len(), 3);
    }
}
