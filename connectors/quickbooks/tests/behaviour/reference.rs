//! The vendor's recorded traffic: every answer is read, or refused clearly. None panics, none is taken for an empty list.

use ledgerward_contract::{
    AccountId, Basis, ErrorKind, LedgerId, Period, PeriodLength, Response, StatementKind, StatementRequest,
};
use ledgerward_quickbooks::{
    api::{self, Wanted},
    map,
};
use serde_json::Value;

struct Recording {
    name: String,
    response: Response,
}

fn recordings() -> Vec<Recording> {
    let Some(root) = std::env::var_os("LEDGERWARD_REFERENCE") else {
        println!("skipped: LEDGERWARD_REFERENCE is not set");
        return Vec::new();
    };
    let folder = std::path::Path::new(&root).join("recordings/quickbooks");
    let mut all = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let recorded: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let answer = &recorded["response"];
        let mut headers = http::HeaderMap::new();
        for (name, values) in answer["headers"].as_object().unwrap() {
            let name: http::HeaderName = name.to_ascii_lowercase().parse().unwrap();
            headers.insert(name, values[0].as_str().unwrap().parse().unwrap());
        }
        let body = answer["body"].as_str().unwrap().to_owned().into();
        let status = u16::try_from(answer["status"].as_u64().unwrap()).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        all.push(Recording { name, response: Response { status, headers, body } });
    }
    assert_eq!(all.len(), 25, "the recordings have changed: look whether they say something new");
    all
}

fn asked() -> StatementRequest {
    let period = Period {
        start: "2015-01-01".parse().unwrap(),
        end: "2015-07-31".parse().unwrap(),
        length: PeriodLength::Month,
    };
    StatementRequest { kind: StatementKind::ProfitAndLoss, basis: Basis::Accrual, period, account: None }
}

#[test]
fn refusals_are_classified_by_their_faults() {
    for r in recordings() {
        let refused = api::classify("recorded.read", Wanted::Json, r.response.clone()).err();
        let expected = match r.name.as_str() {
            "error-401" => Some((ErrorKind::Unauthenticated, Some("3200"))),
            "error-400-2" => Some((ErrorKind::Contract, Some("4001"))),
            "error-400_json" => Some((ErrorKind::Contract, Some("2010"))),
            _ => None,
        };
        assert_eq!(refused.as_ref().map(|e| (e.kind, e.get("code"))), expected, "{}: {refused:?}", r.name);
        if let Some(e) = refused {
            assert!(e.get("request_id").is_some(), "{}: {e:?}", r.name);
            let text = format!("{e:?}");
            assert!(!text.contains("AB11") && !text.contains("Custmoer") && !text.contains("BadJson"), "{text}");
        }
    }
}

#[test]
fn p14_every_recording_is_read_by_every_reader_or_refused() {
    let (ledger, account) = (LedgerId::from("1"), AccountId::from("35"));
    for r in recordings() {
        let body = &r.response.body[..];
        let empty = r.name == "all-alt_select-5";
        // As the entity it is not: refused, but for the one answer that says that there is nothing.
        let accounts = map::query::<map::Account>("accounts.list", body, "Account", 1, 1000);
        let attachables = map::query::<map::Attachable>("attachables.list", body, "Attachable", 1, 1000);
        for (list, error) in [
            (accounts.as_ref().ok().map(|p| p.rows.len()), accounts.as_ref().err()),
            (attachables.as_ref().ok().map(|p| p.rows.len()), attachables.as_ref().err()),
        ] {
            match error {
                None => assert!(empty && list == Some(0), "{}: read as {list:?} rows", r.name),
                Some(e) => assert_eq!(e.kind, ErrorKind::Contract, "{}: {e:?}", r.name),
            }
        }
        let results = [
            map::company(body).map(|_| ()),
            map::account(&account, body).map(|_| ()),
            map::days("Bill", &[], body).map(|_| ()),
            map::report(&asked(), body).map(|_| ()),
            map::address(&ledger, "5000000000000503624", body).map(|_| ()),
        ];
        for (i, result) in results.into_iter().enumerate() {
            let fits = match (i, r.name.as_str()) {
                (2, _) => empty,
                (3, name) => name == "reports-profit_and_loss",
                _ => false,
            };
            assert_eq!(result.is_ok(), fits, "{} by reader {i}: {result:?}", r.name);
            if let Err(e) = result {
                assert!(matches!(e.kind, ErrorKind::Contract | ErrorKind::NotFound), "{}: {e:?}", r.name);
            }
        }
    }
}

#[test]
fn recorded_rows_come_page_by_page() {
    #[derive(serde::Deserialize)]
    struct Row {
        #[serde(rename = "Id")]
        id: String,
    }
    for r in recordings() {
        let of = |entity: &str, from, max| map::query::<Row>("recorded.list", &r.response.body, entity, from, max);
        match r.name.as_str() {
            "all-vendors_by_5-6" | "all-vendors_by_5-7" | "all-vendors_by_5-5" | "all-vendors_by_5-4"
            | "all-vendors_by_5-3" | "all-vendors_by_5-2" => {
                let page = [1, 6, 11, 16, 21, 26].map(|from| of("Vendor", from, 5)).into_iter().find_map(Result::ok);
                let page = page.unwrap_or_else(|| panic!("{}: no page fits", r.name));
                assert_eq!(page.more, page.rows.len() == 5, "{}", r.name);
                assert!(page.rows.iter().all(|row| !row.id.is_empty()));
            }
            "all-customers-2" => assert!(!of("Customer", 1, 1000).unwrap().rows.is_empty()),
            // A count is no list.
            "all-customers" | "all-alt_select" | "all-vendors_by_5" => assert!(of("Customer", 1, 1000).is_err()),
            _ => {}
        }
    }
}

#[test]
fn a_recorded_document_has_an_address_and_a_deleted_one_has_none() {
    for r in recordings() {
        let company = LedgerId::from("-COMPANY_ID-");
        let address = map::address(&company, "5000000000000503624", &r.response.body);
        match r.name.as_str() {
            "attachment-read_attachment" => assert!(address.unwrap().starts_with("https://intuit-qbo-prod-23.s3.")),
            "attachment-delete_attachment" => assert_eq!(address.unwrap_err().kind, ErrorKind::NotFound),
            _ => assert_eq!(address.unwrap_err().kind, ErrorKind::Contract),
        }
    }
}
