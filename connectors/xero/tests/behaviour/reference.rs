//! Held to Xero's own word: its published examples, and its OpenAPI files. Both are found through `LEDGERWARD_REFERENCE`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use ledgerward_contract::{
    AccountId, Basis, Body, Cell, Factory, LedgerId, Request, RowKind, Standing, StatementKind, StatementRequest,
    Transport,
};
use ledgerward_kit::testing::{month, october};
use ledgerward_xero::{
    FACTORY,
    api::{Api, CONNECTIONS, uuid},
    map,
};
use serde_json::{Value, json};

use crate::common::{ACME, VENDOR, sample};

fn reference() -> Option<PathBuf> {
    let root = std::env::var_os("LEDGERWARD_REFERENCE").map(PathBuf::from);
    if root.is_none() {
        println!("skipped: LEDGERWARD_REFERENCE is not set");
    }
    root
}

/// A published example, as the bytes of an answer.
fn example(root: &std::path::Path, name: &str) -> Vec<u8> {
    let text = fs::read(root.join("recordings/xero").join(name)).unwrap();
    let file: Value = serde_json::from_slice(&text).unwrap();
    file["response"]["example"].to_string().into_bytes()
}

#[test]
fn every_published_example_that_concerns_us_decodes() {
    let Some(root) = reference() else { return };
    let ledger = LedgerId::from(ACME);
    let mut left = Vec::new();
    let mut seen = 0;
    for entry in fs::read_dir(root.join("recordings/xero")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let body = example(&root, &name);
        seen += 1;
        match name.trim_end_matches(".json") {
            "getConnections-200" => {
                let rows = map::connections(&body, &BTreeSet::new()).unwrap();
                assert!(rows[0].is_ledger && rows[0].name == "Demo Company (NZ)");
            }
            "getUsers-200" | "getUser-200" => {
                let facts = map::users(&ledger, &body).unwrap();
                assert!(facts.iter().all(|f| f.standing == Standing::Active && f.role == "FINANCIALADVISER"));
                assert!(facts.iter().any(|f| f.name == "API Team" || f.name == "Test Xero"), "{facts:?}");
            }
            "getOrganisations-200" => {
                let p = map::organisation(&ledger, &body, false).unwrap();
                assert_eq!((p.year_end, p.locked_to), (Some((3, 31)), Some("2018-12-31".parse().unwrap())));
                assert!(map::organisation(&ledger, &body, true).is_err(), "another organisation's answer");
            }
            "getAccounts-200" => {
                let list = map::bank_accounts("accounts.list", &body).unwrap();
                assert_eq!((list.len(), list[0].name.as_str()), (1, "Business Savings Account"));
            }
            // An expense account is no bank account.
            "getAccount-200" => assert_eq!(map::bank_accounts("account.get", &body).unwrap(), []),
            "getBankTransactions-200" => {
                let page = map::transactions(&body, 1, &month("2016-10-01", "2016-10-31"), None).unwrap();
                let amounts: Vec<_> = page.items.iter().map(|t| t.line.amount.to_string()).collect();
                assert_eq!(
                    (amounts, page.more, page.total),
                    (vec!["10".into(), "-9".into(), "-8".into()], false, Some(3))
                );
                assert!(map::transactions(&body, 1, &month("2016-11-01", "2016-11-30"), None).is_err());
            }
            "getBankTransactionAttachments-200" => {
                let id = uuid("test.x", "db54aab0-ad40-4ced-bcff-0940ba20db2c").unwrap();
                let items = map::attachments(id, &AccountId::from("a"), &body).unwrap();
                assert_eq!((items.len(), items[0].size), (2, Some(2_878_711)));
            }
            "getFiles-200" => {
                let page = map::files(&body, 1, &month("2021-02-10", "2021-02-10")).unwrap();
                assert_eq!((page.items.len(), page.listed, page.total), (1, 2, 100));
            }
            "getBankStatementAccounting-200" => {
                let account = AccountId::from("1234eee9-47f0-4179-bd46-9adb4f21cc7f");
                let r = map::bank_statement(&account, None, &month("2021-01-01", "2021-01-31"), &body).unwrap();
                assert_eq!((r.opening, r.closing), (Some(10.into()), Some(200.into())));
                assert_eq!((r.lines.len(), r.lines[0].amount), (1, (-100).into()));
            }
            "getReportBalanceSheet-200"
            | "getReportBankSummary-200"
            | "getReportTrialBalance-200"
            | "getReportExecutiveSummary-200" => {
                let table = map::report(&body).unwrap();
                assert!(table.organisation.is_some() && table.rows.len() >= 2);
                assert!(table.rows.iter().all(|r| r.cells.len() == table.columns.len()));
                if table.title == "Balance Sheet" {
                    let total = table.rows.iter().find(|r| r.cells[0] == Cell::Text("Net Assets".into())).unwrap();
                    assert_eq!(
                        (total.kind, &total.cells[1]),
                        (RowKind::Total, &Cell::Money("185448.30".parse().unwrap()))
                    );
                    let earned =
                        |r: &&ledgerward_contract::Row| r.cells[0] == Cell::Text("Current Year Earnings".into());
                    assert_eq!(table.rows.iter().find(earned).unwrap().account, None);
                }
            }
            other => left.push(other.to_owned()),
        }
    }
    left.sort();
    println!("{seen} examples, of which these do not concern us: {}", left.join(", "));
    assert!(seen - left.len() >= 14, "{left:?}");
}

fn yaml(root: &std::path::Path, name: &str) -> Value {
    let text = fs::read_to_string(root.join("specs").join(name)).unwrap();
    serde_norway::from_str(&text).unwrap()
}

/// `$ref` followed.
fn resolve<'a>(spec: &'a Value, value: &'a Value) -> &'a Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(to) => spec.pointer(to.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

/// Whether a text is a value of the schema's type and format.
fn valid(schema: &Value, text: &str) -> bool {
    let listed = schema.get("enum").and_then(Value::as_array).is_none_or(|e| e.iter().any(|v| v == text));
    listed
        && match (schema["type"].as_str(), schema["format"].as_str()) {
            (Some("integer"), _) => text.parse::<i64>().is_ok(),
            (Some("boolean"), _) => matches!(text, "true" | "false"),
            (_, Some("uuid")) => uuid("test.x", text).is_ok(),
            (_, Some("date")) => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
            _ => !text.is_empty(),
        }
}

/// The operation of the specification that a request is, with every parameter checked against it.
fn check(spec: &Value, base: &str, request: &Request) -> String {
    let path = request.url.path().strip_prefix(base).unwrap();
    let parts: Vec<_> = path.split('/').collect();
    let is_variable = |t: &str| t.starts_with('{');
    let fits = |template: &str| {
        let t: Vec<_> = template.split('/').collect();
        t.len() == parts.len() && t.iter().zip(&parts).all(|(t, p)| is_variable(t) || t == p)
    };
    let paths = spec["paths"].as_object().unwrap();
    // Fewest variables first, and ids before file names, as a router prefers.
    let mut found: Vec<_> = paths.keys().filter(|p| fits(p)).collect();
    found.sort_by_key(|p| (p.matches('{').count(), p.contains("{FileName}")));
    let template = *found.first().unwrap_or_else(|| panic!("{path} is not in the specification"));
    let item = &paths[template];
    let operation = &item[request.method.as_str().to_lowercase()];
    assert!(operation.is_object(), "{} {template}", request.method);
    let of = |v: &Value| v["parameters"].as_array().cloned().unwrap_or_default();
    let parameters: Vec<Value> = [of(item), of(operation)].concat().iter().map(|p| resolve(spec, p).clone()).collect();
    let known: BTreeMap<&str, &Value> =
        parameters.iter().filter(|p| p["in"] == "query").map(|p| (p["name"].as_str().unwrap(), &p["schema"])).collect();
    for (key, value) in request.url.query_pairs() {
        let schema = known.get(&*key).unwrap_or_else(|| panic!("{template} has no parameter {key}"));
        assert!(valid(schema, &value), "{template}: {key}={value}");
    }
    for p in parameters.iter().filter(|p| p["required"] == json!(true)) {
        let name = p["name"].as_str().unwrap();
        match p["in"].as_str().unwrap() {
            "header" => assert!(request.headers.contains_key(name), "{template} needs the header {name}"),
            "query" => assert!(request.url.query_pairs().any(|(k, _)| k == name), "{template} needs {name}"),
            _ => {
                let at = template.split('/').position(|t| t == format!("{{{name}}}")).unwrap();
                assert!(valid(&p["schema"], parts[at]), "{template}: {name} = {}", parts[at]);
            }
        }
    }
    assert!(matches!(request.body, Body::Empty));
    operation["operationId"].as_str().unwrap().to_owned()
}

/// One of every request to the Accounting and Identity APIs.
fn requests() -> Vec<Request> {
    let api = Api { endpoints: VENDOR.endpoints() };
    let (ledger, account) = (LedgerId::from(ACME), AccountId::from("a3d1c0de-0000-4000-8000-000000000101"));
    let id = uuid("test.x", account.as_str()).unwrap();
    let october = month("2026-10-01", "2026-10-31");
    let mut all = vec![
        api.users(&ledger).unwrap(),
        api.organisation(&ledger).unwrap(),
        api.bank_accounts(&ledger).unwrap(),
        api.account(&ledger, &account).unwrap(),
        api.bank_transactions(&ledger, &october, Some(&account), 1).unwrap(),
        api.attachments(&ledger, id).unwrap(),
        api.attachment(&ledger, id, id, "application/pdf").unwrap(),
        api.attachment(&ledger, id, id, "not a mime type\r\n").unwrap(),
    ];
    for kind in StatementKind::ALL.into_iter().take(4) {
        for basis in [Basis::Accrual, Basis::Cash] {
            let what = StatementRequest { kind, basis, period: october, account: None };
            all.push(api.report(&ledger, &what).unwrap());
        }
    }
    all
}

#[test]
fn every_request_is_valid_by_the_specification() {
    let Some(root) = reference() else { return };
    let spec = yaml(&root, "xero_accounting.yaml");
    let operations: BTreeSet<_> = requests().iter().map(|r| check(&spec, "/api.xro/2.0", r)).collect();
    let expected = [
        "getAccount",
        "getAccounts",
        "getBankTransactionAttachmentById",
        "getBankTransactionAttachments",
        "getBankTransactions",
        "getOrganisations",
        "getReportBalanceSheet",
        "getReportBankSummary",
        "getReportProfitAndLoss",
        "getReportTrialBalance",
        "getUsers",
    ];
    assert_eq!(operations, expected.map(str::to_owned).into());
    let identity = yaml(&root, "xero-identity.yaml");
    let api = Api { endpoints: VENDOR.endpoints() };
    assert_eq!(check(&identity, "", &api.connections(CONNECTIONS[0]).unwrap()), "getConnections");
}

/// Fields that real answers have and the specification's schemas lack; each was seen in a published example or recording.
const BEYOND_SCHEMA: &[&str] = &["Id", "Status", "ProviderName", "DateTimeUTC", "DateString", "Fields"];

/// Every field of `value` is a property of the schema.
fn known(spec: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = resolve(spec, schema);
    match value {
        Value::Array(items) => items.iter().for_each(|v| known(spec, &schema["items"], v, at)),
        Value::Object(map) => {
            for (key, value) in map {
                let at = format!("{at}.{key}");
                match schema["properties"].get(key) {
                    Some(property) => known(spec, property, value, &at),
                    None => assert!(BEYOND_SCHEMA.contains(&key.as_str()), "{at} is not in the specification"),
                }
            }
        }
        Value::String(text) => {
            let schema_enum = schema.get("enum").and_then(Value::as_array);
            // The specification's own answers have "" where a bank account type does not apply.
            assert!(
                schema_enum.is_none_or(|e| e.iter().any(|v| v == text)),
                "{at}: {text} is no value of the enumeration"
            );
            assert!(schema["format"] != "uuid" || uuid("test.x", text).is_ok(), "{at}");
            assert_ne!(schema["type"], "number", "{at}: text for a number");
        }
        Value::Number(_) => assert!(matches!(schema["type"].as_str(), Some("number" | "integer")), "{at}"),
        Value::Bool(_) => assert_eq!(schema["type"], "boolean", "{at}"),
        Value::Null => {}
    }
}

#[tokio::test(start_paused = true)]
async fn every_answer_of_the_fake_has_fields_of_the_specification_only() {
    let Some(root) = reference() else { return };
    let spec = yaml(&root, "xero_accounting.yaml");
    let w = sample(json!({}));
    for kind in [StatementKind::ProfitAndLoss, StatementKind::BalanceSheet, StatementKind::TrialBalance] {
        w.fetched(ACME, &october(kind)).await.unwrap();
    }
    w.fetched(ACME, &october(StatementKind::BankSummary)).await.unwrap();
    w.listed(ACME, &october(StatementKind::Attachments)).await.unwrap();
    let source = w.connector.statements().unwrap();
    let accounts = source.accounts(&w.read(), &ACME.into(), Default::default()).await.unwrap().items;
    let api = Api { endpoints: VENDOR.endpoints() };
    let ledger = LedgerId::from(ACME);
    let mut all = vec![
        api.users(&ledger).unwrap(),
        api.organisation(&ledger).unwrap(),
        api.bank_accounts(&ledger).unwrap(),
        api.account(&ledger, &accounts[0].id).unwrap(),
        api.bank_transactions(&ledger, &month("2026-10-01", "2026-10-31"), None, 1).unwrap(),
        api.attachments(&ledger, uuid("test.x", "7a000000-0000-4000-8000-000000000001").unwrap()).unwrap(),
    ];
    for kind in StatementKind::ALL.into_iter().take(4) {
        all.push(api.report(&ledger, &october(kind)).unwrap());
    }
    for request in all {
        let (path, op) = (request.url.path().to_owned(), request.op);
        let answer = w.wire.send(request).await.unwrap();
        assert_eq!(answer.status, 200, "{path}");
        let schema = match op {
            "users.list" => "Users",
            "organisation.get" => "Organisations",
            "accounts.list" | "account.get" => "Accounts",
            "bank_transactions.list" => "BankTransactions",
            "attachments.list" => "Attachments",
            _ => "ReportWithRows",
        };
        let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
        known(&spec, &schema, &serde_json::from_slice(&answer.body).unwrap(), &path);
    }
    let identity = yaml(&root, "xero-identity.yaml");
    let answer = w.wire.send(api.connections(CONNECTIONS[0]).unwrap()).await.unwrap();
    let schema = json!({"items": {"$ref": "#/components/schemas/Connection"}});
    known(&identity, &schema, &serde_json::from_slice(&answer.body).unwrap(), "/Connections");
}

#[test]
fn the_role_table_knows_every_role_that_the_specification_names() {
    let Some(root) = reference() else { return };
    let spec = yaml(&root, "xero_accounting.yaml");
    let named = spec["components"]["schemas"]["User"]["properties"]["OrganisationRole"]["enum"].as_array().unwrap();
    for role in named.iter().filter_map(Value::as_str).filter(|r| !matches!(*r, "REMOVED" | "UNKNOWN")) {
        assert!(FACTORY.manifest().roles.iter().any(|(r, _)| *r == role), "{role} is not in the table");
    }
}
