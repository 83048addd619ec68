use proptest::prelude::*;

use super::*;

#[test]
fn a_wrong_template_says_where_and_why() {
    for (text, at, word) in [
        ("{year}/{perod}", 8, "unknown"),
        ("{period} {kind}.{ext}", 22, "[ {ledger}]"),
        ("{period}[ {ledger}][ {account}][ {n}].{ext}", 44, "{kind}"),
        ("{period} {kind}[ {ledger}][ {account}][ (v{n})]", 48, "{ext}"),
        ("{period} {kind} {ledger}", 17, "not every file"),
        ("{period", 1, "never closed"),
        ("a]", 2, "never opened"),
        ("a[b", 2, "never closed"),
        ("a[b]", 4, "depend on"),
        ("[ {n}[", 6, "inside brackets"),
        ("[/{n}]", 2, "no /"),
        ("{kind}: {period}", 7, "refuse :"),
        ("{kind} {kind}", 8, "second time"),
        ("[{ledger}{account}]", 10, "run together"),
        ("{name}{period}", 15, "no meaning"),
    ] {
        let error = Template::statements(text).unwrap_err();
        let place_matters = !error.what.contains("no meaning");
        assert!(error.what.contains(word), "{text}: {error}");
        assert!(!place_matters || error.at == at, "{text}: {error}");
    }
    for bad in
        ["../{period}", "/{period}", "a//{period}", "CON/{period}", "a./{period}", ".hidden/{period}", "a /{period}"]
    {
        let text = format!("{bad} {{kind}}[ {{ledger}}][ {{account}}][ {{n}}].{{ext}}");
        let error = Template::statements(&text).unwrap_err();
        assert!(error.what.contains("no safe name"), "{text}: {error}");
    }
    // With one ledger the account would go with it, and two accounts have one name.
    for (text, at, word) in [
        ("{period}/{kind}[ {ledger} {account}][ (v{n})].{ext}", 27, "[ {ledger}][ {account}]"),
        ("{period}/{kind}[ {ledger}][ {account} (v{n})].{ext}", 41, "its own brackets"),
        ("{period}[ {kind} {account}][ {ledger}][ {n}].{ext}", 11, "outside of brackets"),
        ("{period} {kind}[ {ledger}][ {account}]/{year}/[v{n}].{ext}", 47, "“.ext” would be no safe name"),
        ("{period} {kind}/[{ledger}][ {account}][ {n}].{ext}", 17, "“ account 2.ext” would be no safe name"),
        ("{ext}/{period} {kind}[ {ledger}][ {account}][ {n}]", 1, "end in .{ext}"),
    ] {
        let error = Template::statements(text).unwrap_err();
        assert!(error.at == at && error.what.contains(word), "{text}: {error}");
    }
    assert!(Template::statements(Template::DEFAULT).is_ok());
    assert!(Template::statements("[{year} {ledger} ]{period} {kind}[ {account}][ (v{n})].{ext}").is_ok());
    assert!(Template::documents(Template::DEFAULT_DOCUMENTS).is_ok());
}

#[test]
fn both_bases_need_a_place_in_the_name() {
    let without = Template::statements("{period} {kind}[ {ledger}][ {account}][ (v{n})].{ext}").unwrap();
    let both = BTreeSet::from([Basis::Accrual, Basis::Cash]);
    assert!(check_bases(&without, &both).is_err());
    assert!(check_bases(&without, &BTreeSet::from([Basis::Cash])).is_ok());
    assert!(check_bases(&Template::statements(Template::DEFAULT).unwrap(), &both).is_ok());
}

proptest! {
    #[test]
    fn any_template_is_parsed_or_refused(text in "[a-z{}\\[\\]/ .]{0,30}") {
        let _ = Template::statements(&text);
    }
}
