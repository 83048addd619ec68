//! Requests to Zoho Books, and what an answer means: its status and the `code` in its body, which says more.
//!
//! Source: the Books API v3 at zoho.com/books/api/v3 (introduction, organizations, users, errors).

use std::time::Duration;

use http::header::ACCEPT;
use ledgerward_contract::{Endpoints, Error, ErrorKind, LedgerId, Request, Response, Result, Retry};
use ledgerward_kit::{classify_common, is_html, says_error};
use serde::Deserialize;
use serde_json::Value;

/// The most that Zoho gives at once.
const PER_PAGE: u32 = 200;
const ROOT: &str = "/books/v3";

/// How long to wait where Zoho names no time, which it never does: the minute that it counts by.
const MINUTE: Duration = Duration::from_secs(60);
/// A day's calls are used up. When the day ends is not said: look again in an hour.
const DAY: Duration = Duration::from_secs(3600);
/// Too many at once.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Builds requests against the hosts of the configuration. Nothing an answer says ever becomes a host.
#[derive(Clone, Debug)]
pub struct Api {
    pub endpoints: Endpoints,
}

impl Api {
    /// Every organisation of this sign-in's data centre. The only call that is of no organisation.
    pub fn organisations(&self) -> Result<Request> {
        let url = self.endpoints.url("api", &format!("{ROOT}/organizations"))?;
        Request::get("organisations.list", url).header(ACCEPT, "application/json")
    }

    fn get(&self, op: &'static str, ledger: &LedgerId, path: &str, query: &[(&str, String)]) -> Result<Request> {
        let mut url = self.endpoints.url("api", &format!("{ROOT}/{path}"))?;
        url.query_pairs_mut().append_pair("organization_id", id(op, ledger)?).extend_pairs(query);
        Request::get(op, url).tenant(ledger.as_str()).header(ACCEPT, "application/json")
    }

    pub fn organisation(&self, ledger: &LedgerId) -> Result<Request> {
        const OP: &str = "organisation.get";
        self.get(OP, ledger, &format!("organizations/{}", id(OP, ledger)?), &[])
    }

    /// One page, from 1, of everybody. `filter` asks for those who were invited, switched off or deleted as well.
    pub fn users(&self, ledger: &LedgerId, filter: &str, page: u32) -> Result<Request> {
        let mut query = vec![("page", page.to_string()), ("per_page", PER_PAGE.to_string())];
        if !filter.is_empty() {
            query.push(("filter_by", filter.to_owned()));
        }
        self.get("users.list", ledger, "users", &query)
    }
}

/// An id goes into an address only as the digits that Zoho's ids are.
fn id<'a>(op: &'static str, ledger: &'a LedgerId) -> Result<&'a str> {
    let text = ledger.as_str();
    if (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(text);
    }
    Err(Error::contract(op, "an organisation's id is not a number, as Zoho's are"))
}

#[derive(Deserialize)]
struct Said {
    code: Option<Value>,
}

/// The `code` of a body, where it is a number or the text of one.
fn code(body: &[u8]) -> Option<i64> {
    match serde_json::from_slice::<Said>(body).ok()?.code? {
        Value::Number(n) => n.as_i64(),
        Value::String(s) => s.parse().ok(),
        _ => None,
    }
}

/// What a code says about limits: the word for it and how long to wait (codes unverified).
fn limit(code: i64) -> Option<(&'static str, Duration)> {
    match code {
        43 | 44 => Some(("minute", MINUTE)),
        45 => Some(("day", DAY)),
        1070 => Some(("concurrent", AT_ONCE)),
        _ => None,
    }
}

/// For the retry layer: a refusal that means "slow down" and is no 429.
pub fn retry_hint(response: &Response) -> Option<Retry> {
    code(&response.body).and_then(limit).map(|(_, wait)| Retry::After(wait))
}

/// Lets through only a 200 whose `code` is 0.
///
/// Errors: `RateLimited` with a wait for the limits' codes, whatever the status; `Forbidden` with the ledger for an
/// organisation that our user may not read; `Unauthenticated` for a token that is refused; `Contract` for a 200 with any
/// other code or none; the rest as [`classify_common`].
pub fn classify(op: &'static str, ledger: Option<&LedgerId>, response: Response) -> Result<Response> {
    let code = code(&response.body);
    let web_page = is_html(&response);
    if response.status == 200 && !web_page && code == Some(0) && !says_error(&response.body) {
        return Ok(response);
    }
    let mut error = classify_common(op, &response);
    let found = code.filter(|_| !web_page).and_then(limit);
    match (response.status, code) {
        _ if found.is_some() => {
            let (name, wait) = found.unwrap_or(("", MINUTE));
            error.kind = ErrorKind::RateLimited;
            "Zoho asks us to slow down".clone_into(&mut error.message);
            error.next = None;
            if !matches!(error.retry, Retry::After(_)) {
                error.retry = Retry::After(wait);
            }
            error = error.with("limit", name);
        }
        (429, _) if error.retry == Retry::Backoff => error.retry = Retry::After(MINUTE),
        // A dead token has this code too, but then the call without an organisation is refused as well.
        (401 | 403 | 200, Some(57)) if ledger.is_some() => {
            error.kind = ErrorKind::Forbidden;
            "our user may not read the users of this organisation".clone_into(&mut error.message);
            error.next = Some(
                "Sign in as an admin of the organisation, with the scope ZohoBooks.settings.READ. Nothing follows about its users."
                    .to_owned(),
            );
        }
        (200, Some(_)) if !web_page => "Zoho refused the request in a 200".clone_into(&mut error.message),
        (200, None) if !web_page => {
            "Zoho's answer does not say that it succeeded (code is not 0)".clone_into(&mut error.message);
        }
        _ => {}
    }
    if let Some(code) = code {
        error = error.with("code", code.to_string());
    }
    Err(match ledger {
        Some(ledger) => error.with("ledger", ledger.as_str()),
        None => error,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn kind(status: u16, body: &str, ledger: bool) -> (ErrorKind, Retry) {
        let response = Response { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) };
        let ledger = ledger.then(|| LedgerId::from("1"));
        let e = classify("test.read", ledger.as_ref(), response).unwrap_err();
        assert!(!format!("{e:?}").contains("CANARY"), "{e:?}");
        (e.kind, e.retry)
    }

    #[test]
    fn p10_limits_are_limits_whatever_the_status() {
        for status in [200, 400, 403, 429] {
            for (code, wait) in [("44", MINUTE), ("\"44\"", MINUTE), ("45", DAY), ("1070", AT_ONCE)] {
                let body = format!("{{\"code\":{code},\"message\":\"CANARY\"}}");
                assert_eq!(kind(status, &body, true), (ErrorKind::RateLimited, Retry::After(wait)), "{status} {code}");
            }
        }
        assert_eq!(kind(429, "", true), (ErrorKind::RateLimited, Retry::After(MINUTE)));
    }

    #[test]
    fn a_200_is_a_success_only_with_code_0() {
        let answers = [r#"{"code":1,"message":"CANARY"}"#, "{}", "[]", "", r#"{"code":null}"#, r#"{"code":0.5}"#];
        for body in answers {
            assert_eq!(kind(200, body, true).0, ErrorKind::Contract, "{body}");
        }
        assert_eq!(kind(200, "<html>{\"code\":0}", true).0, ErrorKind::Unavailable);
        assert_eq!(kind(401, r#"{"code":57}"#, true).0, ErrorKind::Forbidden);
        assert_eq!(kind(401, r#"{"code":57}"#, false).0, ErrorKind::Unauthenticated);
        assert_eq!(kind(401, r#"{"code":14}"#, true).0, ErrorKind::Unauthenticated);
    }

    #[test]
    fn only_digits_stand_in_an_address() {
        for bad in ["", "1&x=2", "../1", "a", "1 "] {
            assert!(id("test.read", &bad.into()).is_err(), "{bad}");
        }
        assert!(id("test.read", &"10234695".into()).is_ok());
    }
}
