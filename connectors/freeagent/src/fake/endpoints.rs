//! What the practice and a client's company answer.

use jiff::civil::Date;
use ledgerward_kit::fake::{FakeRequest, FakeResponse};
use serde_json::{Value, json};

use super::{
    Answer, Fake, answers, books, only,
    world::{BankAccount, Client, Manager, Transaction, User},
};

const BANKING: u8 = 6;
const ACCOUNTING: u8 = 7;

impl Fake {
    pub(super) fn of_practice(&self, me: &Manager, path: &[&str], request: &FakeRequest) -> Answer {
        if !self.app.practice_api {
            return Err(answers::refused(403, "This app is not enabled for the Accountancy Practice API"));
        }
        let manager =
            |m: &Manager| json!({"url": self.url("account_managers", m.id), "name": m.name, "email": m.email});
        let one = |m: Option<&Manager>| match m {
            Some(m) => Ok(FakeResponse::json(200, &json!({"account_manager": manager(m)}))),
            None => Err(answers::not_found()),
        };
        match path {
            ["practice"] => {
                only(request, &[])?;
                let practice = json!({"name": self.practice, "subdomain": "practice"});
                Ok(FakeResponse::json(200, &json!({"practice": practice})))
            }
            ["account_managers", "me"] => {
                only(request, &[])?;
                one(Some(me))
            }
            ["account_managers"] => {
                only(request, &["page", "per_page"])?;
                self.listed(request, "account_managers", self.managers.iter().map(manager).collect())
            }
            ["account_managers", id] => {
                only(request, &[])?;
                one(self.managers.iter().find(|m| m.id.to_string() == *id))
            }
            ["clients"] => self.clients(me, request),
            _ => Err(FakeResponse::unknown(request)),
        }
    }

    fn clients(&self, me: &Manager, request: &FakeRequest) -> Answer {
        only(request, &["view", "sort", "page", "per_page", "minimal_data", "from_date", "to_date", "updated_since"])?;
        let view = request.query("view").unwrap_or("all");
        if !["all", "active", "inactive", "closed", "practice", "linked", "demo"].contains(&view) {
            return Err(answers::error(400, "Unknown view"));
        }
        let minimal = request.query("minimal_data") == Some("true");
        let row = |c: &Client| {
            let mut row = json!({"id": c.id, "name": c.name, "subdomain": c.subdomain});
            if let (Some(map), false) = (row.as_object_mut(), minimal) {
                let manager = c.account_manager.map(|m| self.url("account_managers", m));
                map.insert("account_manager".to_owned(), json!(manager));
                map.insert("status".to_owned(), json!(c.status));
                map.insert("currency".to_owned(), json!(c.currency));
            }
            row
        };
        // The trap: a junior's list is short, and nothing in it says so, not even the count.
        let seen = self.clients.iter().filter(|c| me.sees(c) && (view == "all" || c.status == view));
        self.listed(request, "clients", seen.map(row).collect())
    }

    /// A page of a list, with its `Link` and `X-Total-Count`.
    fn listed(&self, request: &FakeRequest, root: &str, all: Vec<Value>) -> Answer {
        let number = |key: &str, default: usize| match request.query(key).map(str::parse::<usize>) {
            None => Ok(default),
            Some(Ok(n)) if n > 0 => Ok(n),
            Some(_) => Err(answers::error(400, "Invalid paging")),
        };
        let asked = number("per_page", 25)?;
        let most = if request.query("minimal_data") == Some("true") { 500 } else { self.app.page_max };
        let (page, size) = (number("page", 1)?, asked.min(most));
        let last = all.len().div_ceil(size).max(1);
        let address = |n: usize| {
            let path = request.path.strip_prefix("/v2").unwrap_or(&request.path);
            let kept = request.query.iter().filter(|(k, _)| k != "page" && k != "per_page");
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("page", &n.to_string()).append_pair("per_page", &size.to_string());
            query.extend_pairs(kept);
            format!("<{}{path}?{}>", self.base, query.finish())
        };
        let mut links = Vec::new();
        if page > 1 {
            links.push(format!("{}; rel=\"prev\", {}; rel=\"first\"", address(page - 1), address(1)));
        }
        if page < last {
            links.push(format!("{}; rel=\"next\", {}; rel=\"last\"", address(page + 1), address(last)));
        }
        let total = all.len();
        let items: Vec<_> = all.into_iter().skip((page - 1) * size).take(size).collect();
        let answer = FakeResponse::json(200, &json!({root: items})).header("x-total-count", total.to_string());
        Ok(if links.is_empty() { answer } else { answer.header("link", links.join(", ")) })
    }
}

fn day(request: &FakeRequest, key: &str) -> Result<Option<Date>, FakeResponse> {
    let read = |t: &str| t.parse::<Date>().map_err(|_| answers::error(400, "Invalid date"));
    request.query(key).map(read).transpose()
}

fn at_least(client: &Client, level: u8) -> Result<(), FakeResponse> {
    if client.our_level >= level { Ok(()) } else { Err(answers::error(403, "Access denied")) }
}

/// One client's company.
pub fn answer(fake: &Fake, client: &Client, path: &[&str], request: &FakeRequest) -> Answer {
    match path {
        ["company"] => {
            only(request, &[])?;
            Ok(FakeResponse::json(200, &json!({"company": company(fake, client)})))
        }
        ["users"] => {
            at_least(client, ACCOUNTING)?;
            only(request, &["page", "per_page", "view"])?;
            fake.listed(request, "users", client.users.iter().map(|u| user(fake, u)).collect())
        }
        ["bank_accounts"] => {
            at_least(client, BANKING)?;
            only(request, &["page", "per_page", "view"])?;
            fake.listed(
                request,
                "bank_accounts",
                client.bank_accounts.iter().map(|a| account(fake, client, a)).collect(),
            )
        }
        ["bank_accounts", id] => {
            at_least(client, BANKING)?;
            only(request, &[])?;
            let found = client.bank_accounts.iter().find(|a| a.id.to_string() == *id).ok_or_else(answers::not_found)?;
            Ok(FakeResponse::json(200, &json!({"bank_account": account(fake, client, found)})))
        }
        ["bank_transactions"] => transactions(fake, client, request),
        ["accounting", report @ ..] => {
            at_least(client, ACCOUNTING)?;
            accounting(fake, client, report, request)
        }
        // Of the practice alone.
        ["clients" | "account_managers" | "practice", ..] => Err(answers::not_found()),
        _ => Err(FakeResponse::unknown(request)),
    }
}

fn accounting(fake: &Fake, client: &Client, path: &[&str], request: &FakeRequest) -> Answer {
    let ok = |body: Value| Ok(FakeResponse::json(200, &body));
    match path {
        ["profit_and_loss", "summary"] => {
            only(request, &["from_date", "to_date"])?;
            let (Some(from), Some(to)) = (day(request, "from_date")?, day(request, "to_date")?) else {
                return Err(FakeResponse::unknown(request));
            };
            let days = from.until(to).map(|s| s.get_days()).unwrap_or(-1);
            if !(0..=365).contains(&days) {
                return Err(answers::refused(422, "Date range must be within 12 months"));
            }
            ok(books::profit_and_loss(client, from, to))
        }
        ["balance_sheet"] if fake.app.documented_paths => balance_sheet(client, request),
        ["balance_sheet", "summary"] if !fake.app.documented_paths => balance_sheet(client, request),
        ["balance_sheet", ..] => Err(answers::not_found()),
        ["trial_balance", "summary"] => {
            only(request, &["from_date", "to_date"])?;
            let to = day(request, "to_date")?.ok_or_else(|| FakeResponse::unknown(request))?;
            let from = day(request, "from_date")?.unwrap_or_else(|| books::year_start(client, to));
            ok(books::trial_balance(fake, client, from, to))
        }
        _ => Err(FakeResponse::unknown(request)),
    }
}

fn balance_sheet(client: &Client, request: &FakeRequest) -> Answer {
    only(request, &["as_at_date"])?;
    let at = day(request, "as_at_date")?.ok_or_else(|| FakeResponse::unknown(request))?;
    Ok(FakeResponse::json(200, &books::balance_sheet(client, at)))
}

fn company(fake: &Fake, client: &Client) -> Value {
    let end = client.started.checked_add(jiff::Span::new().years(1)).and_then(|d| d.yesterday());
    json!({"url": format!("{}/company", fake.base), "id": client.id, "name": client.name,
        "subdomain": client.subdomain, "type": "UkLimitedCompany", "currency": client.currency,
        "mileage_units": "miles", "company_start_date": client.started, "freeagent_start_date": client.started,
        "first_accounting_year_end": end.ok(), "country": "United Kingdom",
        "sales_tax_registration_status": "Registered"})
}

/// With the numbers that nobody may keep.
fn user(fake: &Fake, user: &User) -> Value {
    json!({"url": fake.url("users", user.id), "first_name": user.first, "last_name": user.last, "email": user.email,
        "role": user.role, "permission_level": user.level, "ni_number": "QQ123456C",
        "unique_tax_reference": "0123456789", "opening_mileage": 0,
        "created_at": "2024-02-01T09:00:00.000Z", "updated_at": "2026-05-05T09:00:00.000Z"})
}

fn account(fake: &Fake, client: &Client, a: &BankAccount) -> Value {
    json!({"url": fake.url("bank_accounts", a.id), "type": a.r#type, "name": a.name, "status": a.status,
        "is_personal": false, "currency": client.currency, "account_number": a.number,
        "opening_balance": a.opening.to_string(), "created_at": "2024-02-01T09:00:00.000Z",
        "updated_at": "2026-05-05T09:00:00.000Z"})
}

fn transactions(fake: &Fake, client: &Client, request: &FakeRequest) -> Answer {
    at_least(client, BANKING)?;
    only(request, &["bank_account", "from_date", "to_date", "updated_since", "view", "page", "per_page"])?;
    let Some(wanted) = request.query("bank_account") else {
        return Err(answers::refused(400, "bank_account is required"));
    };
    let account = client.bank_accounts.iter().find(|a| fake.url("bank_accounts", a.id) == wanted);
    let account = account.ok_or_else(answers::not_found)?;
    let (from, to) = (day(request, "from_date")?, day(request, "to_date")?);
    let view = request.query("view").unwrap_or("all");
    let shown = |t: &&Transaction| {
        let kind = match view {
            "manual" => t.manual,
            "imported" => !t.manual,
            "explained" => t.category.is_some(),
            "unexplained" => t.category.is_none(),
            _ => true,
        };
        t.account == account.id && kind && from.is_none_or(|d| t.date >= d) && to.is_none_or(|d| t.date <= d)
    };
    if !["all", "manual", "imported", "explained", "unexplained"].contains(&view) {
        return Err(FakeResponse::unknown(request));
    }
    let row = |t: &Transaction| {
        let unexplained = if t.category.is_some() { "0.0".to_owned() } else { t.amount.to_string() };
        let explanation = t.category.as_ref().map(|c| {
            let paper = t.attachment.then(|| json!({"url": fake.url("attachments", t.id), "file_name": "receipt.pdf"}));
            json!({"url": fake.url("bank_transaction_explanations", t.id), "gross_value": t.amount.to_string(),
                "category": format!("{}/categories/{c}", fake.base), "attachment": paper})
        });
        json!({"url": fake.url("bank_transactions", t.id), "amount": t.amount.to_string(), "bank_account": wanted,
            "dated_on": t.date, "description": t.description, "full_description": t.description,
            "uploaded_at": "2026-11-01T06:00:00.000Z", "unexplained_amount": unexplained, "is_manual": t.manual,
            "transaction_id": format!("F{}", t.id), "matching_transactions_count": 0,
            "created_at": "2026-11-01T06:00:00.000Z", "updated_at": "2026-11-01T06:00:00.000Z",
            "bank_transaction_explanations": explanation.into_iter().collect::<Vec<_>>()})
    };
    // The newest first, as on the vendor's own pages.
    let rows = client.transactions.iter().rev().filter(shown).map(row).collect();
    fake.listed(request, "bank_transactions", rows)
}
