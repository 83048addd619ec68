//! Reading an answer: what all vendors share about statuses, waiting times and JSON.
//!
//! A connector's `classify` begins with [`classify_common`] and refines it with the vendor's own error codes. Nothing
//! here ever puts a body, a header value of free text or an address into an error (reliability X06, X07).

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderMap, header};
use ledgerward_contract::{Error, ErrorKind, LedgerId, Response, Result, Retry, Timestamp};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;
use url::Url;

/// The longest `Retry-After` that is believed as it stands. No vendor's window is longer than a day, so a longer wait is
/// a fault of the vendor: it is obeyed for [`WAIT_DISBELIEVED`], then we ask again (P10).
pub const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long an unbelievable `Retry-After` is obeyed.
pub const WAIT_DISBELIEVED: Duration = Duration::from_secs(3600);

/// What to do about a refusal that nobody here has met.
const REPORT: &str = "Report it, in these words, to the connector's authors; the next run tries again.";

/// What to do about a 403 of which only the service's own word is known.
const FORBIDDEN: &str = "Look that word up with the service, or ask its administrator; if it is about rights, check the granted scopes and the role of the account that signed in.";

/// Headers in which vendors name a request, so that their support can find it.
const REQUEST_IDS: &[&str] = &[
    "x-request-id",
    "request-id",
    "xero-correlation-id",
    "x-dropbox-request-id",
    "box-request-id",
    "intuit_tid",
    "intuit-tid",
    "x-goog-request-id",
    "x-guploader-uploadid",
    "x-amz-request-id",
    "cf-ray",
];

/// Reads a successful answer as JSON.
///
/// Errors: the status is not 2xx, or not the vendor's whole answer ([`whole`]): as [`classify_common`]. The body is empty or is not
/// what `T` says: `Contract`, with the place in the document (`$.Users[3].Role`) and never a value out of it.
pub fn decode<T: DeserializeOwned>(op: &'static str, response: &Response) -> Result<T> {
    if !whole(response) {
        return Err(classify_common(op, response));
    }
    from_json(op, &response.body).map_err(|e| told_by(e, response))
}

/// Reads JSON without looking at a status: for error bodies, and for parts of a multipart answer.
///
/// Errors: `Contract`, naming the place and the field, never a value. Nesting is limited to 128 levels by serde_json (P22).
pub fn from_json<T: DeserializeOwned>(op: &'static str, body: &[u8]) -> Result<T> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::contract(op, "the answer is empty where data was expected"));
    }
    serde_json::from_slice(body).map_err(|e| {
        let what = match e.classify() {
            serde_json::error::Category::Data => {
                field(&e.to_string()).unwrap_or_else(|| "has an unexpected kind of value".to_owned())
            }
            serde_json::error::Category::Eof => "ends too early".to_owned(),
            _ => "is not valid JSON".to_owned(),
        };
        // The text of a serde_json error quotes values; only line and column may travel on, so it is not kept as source.
        Error::contract(op, format!("the answer {what} at {}", place(body, e.line(), e.column())))
            .with("line", e.line().to_string())
            .with("column", e.column().to_string())
    })
}

/// A field that must be there and may be null, for `deserialize_with`: serde alone takes an absent `Option` for null (P14).
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(d: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(d)
}

/// A text that says something: vendors send empty ones, and blanks, for "none".
pub fn filled(text: Option<String>) -> Option<String> {
    text.filter(|t| !t.trim().is_empty())
}

/// Whatever is refused while the answer about a ledger is read, is refused about that ledger.
pub fn about<'l, T>(ledger: impl Into<Option<&'l LedgerId>>, read: Result<T>) -> Result<T> {
    let Some(ledger) = ledger.into() else { return read };
    read.map_err(|e| if e.get("ledger").is_some() { e } else { e.with("ledger", ledger.as_str()) })
}

/// The part of a serde message that names a field of ours and nothing of theirs.
fn field(message: &str) -> Option<String> {
    ["missing field `", "duplicate field `"].iter().find_map(|start| {
        let name = message.strip_prefix(start)?.split('`').next()?;
        let what = start.trim_end_matches(" `");
        Some(format!("has a {what} \"{name}\""))
    })
}

/// The path to a line and column of a JSON text, such as `$.Users[3].Role`. Keys that are no plain names (somebody's
/// e-mail as a key) are shown as `?`.
fn place(body: &[u8], line: usize, column: usize) -> String {
    enum Frame {
        Object(String),
        Array(usize),
    }
    let start: usize = body.split(|b| *b == b'\n').take(line.saturating_sub(1)).map(|l| l.len() + 1).sum();
    let stop = start + column.saturating_sub(1);
    let mut stack: Vec<Frame> = Vec::new();
    let (mut i, mut key_next) = (0, false);
    while i < stop {
        match body.get(i) {
            Some(b'{') => {
                stack.push(Frame::Object(String::new()));
                key_next = true;
            }
            Some(b'[') => {
                stack.push(Frame::Array(0));
                key_next = false;
            }
            Some(b'}' | b']') => {
                stack.pop();
                key_next = false;
            }
            Some(b',') => match stack.last_mut() {
                Some(Frame::Array(n)) => *n += 1,
                _ => key_next = true,
            },
            Some(b'"') => {
                let from = i + 1;
                i = from;
                while let Some(b) = body.get(i).filter(|b| **b != b'"') {
                    i += if *b == b'\\' { 2 } else { 1 };
                }
                if key_next && let Some(Frame::Object(key)) = stack.last_mut() {
                    let raw = body.get(from..i.min(body.len())).unwrap_or_default();
                    *key = safe_word(&String::from_utf8_lossy(raw)).unwrap_or_else(|| "?".to_owned());
                    key_next = false;
                }
            }
            Some(_) => {}
            None => break,
        }
        i += 1;
    }
    stack.iter().fold("$".to_owned(), |path, frame| match frame {
        Frame::Object(key) if key.is_empty() => path,
        Frame::Object(key) => format!("{path}.{key}"),
        Frame::Array(n) => format!("{path}[{n}]"),
    })
}

/// A vendor's code or id if it is safe to show: at most 128 of `A-Z a-z 0-9 . _ : -`. Anything else could be a client's
/// name, a secret or a terminal's control characters (X06–X08).
pub fn safe_word(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-');
    ((1..=128).contains(&text.len()) && text.chars().all(plain)).then(|| text.to_owned())
}

/// The vendor's name for this request, from whichever header it uses.
pub fn request_id(headers: &HeaderMap) -> Option<String> {
    REQUEST_IDS.iter().find_map(|name| safe_word(headers.get(*name)?.to_str().ok()?))
}

/// Whether a web page came: a login, a captive portal, a maintenance notice (P05).
pub fn is_html(response: &Response) -> bool {
    let declared = response.header("content-type").unwrap_or_default().trim_start().to_ascii_lowercase();
    if declared.starts_with("text/html") || declared.starts_with("application/xhtml") {
        return true;
    }
    let body = response.body.trim_ascii_start();
    let begins = |s: &str| body.get(..s.len()).is_some_and(|b| b.eq_ignore_ascii_case(s.as_bytes()));
    begins("<!doctype html") || begins("<html")
}

/// Whether a vendor's own and whole answer came: 2xx, no web page, not changed by something in between (203) and not a part
/// (206). No request of ours asks for a part, and a part of a list would be a short list (P04).
pub fn whole(response: &Response) -> bool {
    response.ok() && !matches!(response.status, 203 | 206) && !is_html(response)
}

/// Whether JSON says of itself that something went wrong, in the outermost object and in the words of any vendor. Beside an
/// error a list may be short, whatever the status says (P05).
pub fn says_error(body: &[u8]) -> bool {
    const WORDS: [&str; 3] = ["error", "errors", "fault"];
    let said = |value: &RawValue| {
        // With spaces within, as some print it.
        let text: String = value.get().chars().filter(|c| !c.is_whitespace()).take(6).collect();
        !matches!(text.as_str(), "null" | "false" | "\"\"" | "[]" | "{}")
    };
    serde_json::from_slice::<BTreeMap<String, &RawValue>>(body)
        .is_ok_and(|fields| fields.iter().any(|(k, v)| WORDS.iter().any(|w| k.eq_ignore_ascii_case(w)) && said(v)))
}

/// How long the vendor asks us to wait: RFC 9110 10.2.3, seconds or an HTTP date.
///
/// A date is compared with the answer's own `Date`, so that a wrong clock on either side does no harm; `now` serves where
/// there is none. `None`: no such header, or one that makes no sense (negative, words). Past dates are zero. At most
/// [`WAIT_MAX`]; a longer one gives [`WAIT_DISBELIEVED`].
pub fn retry_after(headers: &HeaderMap, now: Option<Timestamp>) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<f64>() {
        Ok(seconds) if seconds >= 0.0 => Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX),
        Ok(_) => return None,
        Err(_) => {
            let until = http_date(text)?;
            let server = headers.get(header::DATE).and_then(|v| http_date(v.to_str().ok()?));
            Duration::try_from(until.duration_since(server.or(now)?)).unwrap_or(Duration::ZERO)
        }
    };
    Some(if wait > WAIT_MAX { WAIT_DISBELIEVED } else { wait })
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

/// What a status means at every vendor. A connector looks at the body as well and changes kind, message and context.
///
/// Also for a 2xx that carries a web page: that is `Unavailable`, never data (P05). The error carries `status`, and
/// `request_id` where the vendor gives one.
pub fn classify_common(op: &'static str, response: &Response) -> Error {
    use ErrorKind as K;
    let status = response.status;
    let (kind, message, next) = match status {
        200..=299 if is_html(response) => (
            K::Unavailable,
            "a web page came instead of data, as in maintenance or behind a network's login page".to_owned(),
            "If this lasts, open the service in a browser from this machine and see what it shows.",
        ),
        203 | 206 => (
            K::Contract,
            format!("the answer is changed on the way, or only a part of it came (HTTP {status})"),
            "Look at what lies between this machine and the service, such as a proxy; nothing of the answer is used.",
        ),
        200..=299 => (K::Contract, "the answer is not one that this connector knows".to_owned(), ""),
        300..=399 => return told_by(redirect(op, response), response),
        401 => (
            K::Unauthenticated,
            "the service does not accept our sign-in".to_owned(),
            "If it says so again after a new access token, sign in once more.",
        ),
        403 => (
            K::Forbidden,
            "the service knows us but does not let us do this".to_owned(),
            "Check the granted scopes and the role of the account that signed in.",
        ),
        404 => (K::NotFound, "the service has nothing under this id, or hides it from us".to_owned(), ""),
        409 => (K::Conflict, format!("the service refused the request and does not say why (HTTP {status})"), REPORT),
        412 => (
            K::Conflict,
            "something else changed it in the meantime".to_owned(),
            "Nothing to do: the next run reads it again.",
        ),
        423 => (
            K::Conflict,
            "somebody has it locked".to_owned(),
            "Unlock it, or wait until the lock is gone; the next run tries again.",
        ),
        410 => (
            K::Contract,
            "the service has retired this address".to_owned(),
            "Look for a newer version of ledgerward; nothing was read or changed.",
        ),
        429 => (K::RateLimited, "the service asks us to slow down".to_owned(), ""),
        // 501 too: a gateway says it on a bad day, and that a service cannot do something is for its connector to know.
        408 | 425 | 500..=598 => (
            K::Unavailable,
            format!("the service is not available (HTTP {status})"),
            "It is tried again by itself; see the service's own status page.",
        ),
        _ => (K::Contract, format!("the service refused the request (HTTP {status})"), REPORT),
    };
    let mut error = Error::new(kind, op, message);
    if !next.is_empty() {
        error = error.next(next);
    }
    if matches!(kind, K::RateLimited | K::Unavailable)
        && let Some(wait) = retry_after(&response.headers, None)
    {
        error = error.retry(Retry::After(wait));
    }
    told_by(error, response)
}

/// Of a refusal by a code that a connector does not know, where the status alone says little: the code is named, if it is
/// safe to show, and no reason is made up.
pub fn unknown(error: Error, code: &str) -> Error {
    match safe_word(code) {
        Some(code) if error.kind == ErrorKind::Forbidden => {
            let message = format!("the service knows us but does not let us do this, and gives as its reason: {code}");
            Error { message, ..error }.next(FORBIDDEN)
        }
        Some(code) if matches!(error.kind, ErrorKind::Conflict | ErrorKind::Contract) => {
            let message = format!("the service refused it for a reason that we do not know: {code}");
            Error { message, ..error }.next(REPORT)
        }
        _ => error,
    }
}

/// A redirect is never followed: it would carry tenant ids and bodies to another host (X03). Names the host only.
fn redirect(op: &'static str, response: &Response) -> Error {
    let host = response.header("location").and_then(|l| Url::parse(l).ok()?.host_str().map(str::to_owned));
    let error = Error::contract(op, "the service answered with a redirect, which is not followed");
    match host {
        Some(host) => error.with("to_host", host),
        None => error,
    }
}

fn told_by(error: Error, response: &Response) -> Error {
    let error = error.with("status", response.status.to_string());
    match request_id(&response.headers) {
        Some(id) => error.with("request_id", id),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        let headers = headers
            .iter()
            .map(|(k, v)| (HeaderName::from_bytes(k.as_bytes()).unwrap(), HeaderValue::from_str(v).unwrap()))
            .collect();
        Response { status, headers, body: Bytes::from(body.to_owned()) }
    }

    #[derive(Deserialize, Debug)]
    #[expect(dead_code, reason = "only decoded")]
    struct Users {
        users: Vec<User>,
    }
    #[derive(Deserialize, Debug)]
    #[expect(dead_code, reason = "only decoded")]
    struct User {
        name: String,
        level: u8,
    }

    fn message(body: &str) -> String {
        let e = decode::<Users>("users.list", &response(200, &[], body)).unwrap_err();
        assert_eq!(e.kind, ErrorKind::Contract);
        assert!(e.source.is_none());
        format!("{e:?}")
    }

    #[test]
    fn x07_an_unreadable_answer_names_the_place_and_no_value() {
        let text = message(r#"{"users":[{"name":"a","level":1},{"name":"b","level":"CANARY"}]}"#);
        assert!(text.contains("$.users[1].level") && !text.contains("CANARY"), "{text}");
        let text = message("{\"users\":[\n {\"name\":\"CANARY, } ] \\\" \"}\n]}");
        assert!(text.contains("missing field \"level\" at $.users[0]") && !text.contains("CANARY"), "{text}");
        let text = message(r#"{"CANARY@firm.example": {"x": 1}, "users": "CANARY"}"#);
        assert!(text.contains("$.users ") && !text.contains("CANARY"), "{text}");
        let text = message(r#"{"users":[{"name":"a","level":CANARY}]}"#);
        assert!(text.contains("not valid JSON") && !text.contains("CANARY"), "{text}");
    }

    #[test]
    fn p04_cut_and_empty_json_is_never_data() {
        let whole = r#"{"users":[{"name":"a","level":1}]}"#;
        for cut in 0..whole.len() {
            message(&whole[..cut]);
        }
        assert!(message("  \n").contains("empty"));
    }

    #[test]
    fn p22_deep_json_is_refused() {
        let deep = "[".repeat(100_000);
        let e = from_json::<serde_json::Value>("x.y", deep.as_bytes()).unwrap_err();
        assert_eq!(e.kind, ErrorKind::Contract);
    }

    #[test]
    fn p05_a_web_page_is_not_data() {
        for r in [
            response(200, &[("content-type", "text/html; charset=utf-8")], "{}"),
            response(200, &[("content-type", "application/json")], " \n<!DOCTYPE html><p>CANARY"),
            response(200, &[], "<HTML>"),
        ] {
            let e = decode::<serde_json::Value>("users.list", &r).unwrap_err();
            assert_eq!((e.kind, e.retry), (ErrorKind::Unavailable, Retry::Backoff));
            assert!(!format!("{e:?}").contains("CANARY"));
        }
    }

    #[test]
    fn p04_a_part_or_a_changed_answer_is_not_data() {
        let read = |status| decode::<serde_json::Value>("users.list", &response(status, &[], r#"{"users":[]}"#));
        for status in [203, 206] {
            let e = read(status).unwrap_err();
            assert_eq!((e.kind, e.retry, e.get("status").is_some()), (ErrorKind::Contract, Retry::No, true));
        }
        assert!(read(200).is_ok() && read(201).is_ok());
    }

    #[test]
    fn p05_an_error_beside_a_list_is_found() {
        for body in
            [r#"{"value":[],"error":{"code":"x"}}"#, r#"{"Errors":[{}]}"#, r#"{"fault": 1}"#, r#"{"Error":"x"}"#]
        {
            assert!(says_error(body.as_bytes()), "{body}");
        }
        for body in [r#"{"value":[{"error":1}],"error":null}"#, r#"{"errors":[],"Error":""}"#, "[1]", "{", ""] {
            assert!(!says_error(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn statuses_have_one_meaning() {
        use ErrorKind as K;
        let kind = |s| classify_common("x.y", &response(s, &[], "")).kind;
        for (status, want) in [
            (400, K::Contract),
            (401, K::Unauthenticated),
            (403, K::Forbidden),
            (404, K::NotFound),
            (409, K::Conflict),
            (410, K::Contract),
            (412, K::Conflict),
            (429, K::RateLimited),
            (500, K::Unavailable),
            (501, K::Unavailable),
            (503, K::Unavailable),
            (302, K::Contract),
            (599, K::Contract),
        ] {
            assert_eq!(kind(status), want, "{status}");
        }
        let e = classify_common("x.y", &response(503, &[("retry-after", "7"), ("x-request-id", "a-1")], "CANARY"));
        assert_eq!(e.retry, Retry::After(Duration::from_secs(7)));
        assert_eq!((e.get("status"), e.get("request_id")), (Some("503"), Some("a-1")));
        let e = classify_common("x.y", &response(403, &[("x-request-id", "a\tb")], ""));
        assert_eq!(e.get("request_id"), None);
    }

    #[test]
    fn a_refusal_that_nobody_knows_is_told_as_one() {
        for (status, says) in [(400, "HTTP 400"), (409, "does not say why"), (412, "in the meantime"), (423, "locked")]
        {
            let e = classify_common("x.y", &response(status, &[], ""));
            assert!(e.message.contains(says) && e.next.is_some(), "{e:?}");
        }
        let told = |status, code: &str| unknown(classify_common("x.y", &response(status, &[], "")), code);
        let e = told(409, "brand_new.tag");
        assert!(e.message.ends_with("a reason that we do not know: brand_new.tag"), "{e:?}");
        assert_eq!((e.kind, e.next.unwrap().starts_with("Report it")), (ErrorKind::Conflict, true));
        assert!(!format!("{:?}", told(409, "CANARY@client.example")).contains("CANARY"));
        assert!(told(409, "").message.contains("does not say why"));
        let e = told(403, "brand_new");
        assert!(e.message.contains("does not let us") && e.message.ends_with("brand_new"), "{e:?}");
        assert!(!e.next.unwrap().starts_with("Check the granted scopes"), "that is one guess of several");
    }

    #[test]
    fn x03_a_redirect_names_the_host_only() {
        let e = classify_common("x.y", &response(307, &[("location", "https://evil.example/p?token=CANARY")], ""));
        assert_eq!(e.get("to_host"), Some("evil.example"));
        assert!(!format!("{e:?}").contains("CANARY"));
    }

    #[test]
    fn p10_retry_after_in_all_its_forms() {
        let date = ("date", "Sat, 21 Nov 2026 10:00:00 GMT");
        let wait = |v: &str| retry_after(&response(429, &[date, ("retry-after", v)], "").headers, None);
        let secs = |n| Some(Duration::from_secs(n));
        assert_eq!(wait("30"), secs(30));
        assert_eq!(wait("0"), secs(0));
        assert_eq!(wait("1.2"), secs(2));
        assert_eq!(wait("Sat, 21 Nov 2026 10:01:00 GMT"), secs(60));
        assert_eq!(wait("Sat, 21 Nov 2026 09:00:00 GMT"), secs(0));
        assert_eq!(wait("-5"), None);
        assert_eq!(wait("soon"), None);
        assert_eq!(wait(""), None);
        assert_eq!(wait("NaN"), None);
        assert_eq!(wait("86400"), Some(WAIT_MAX));
        assert_eq!(wait("864000"), Some(WAIT_DISBELIEVED));
        assert_eq!(wait("1e300"), Some(WAIT_DISBELIEVED));
        assert_eq!(retry_after(&HeaderMap::new(), None), None);
        let now = "2026-11-21T10:00:00Z".parse().unwrap();
        let h = response(429, &[("retry-after", "Sat, 21 Nov 2026 10:00:05 GMT")], "").headers;
        assert_eq!((retry_after(&h, Some(now)), retry_after(&h, None)), (secs(5), None));
    }

    proptest! {
        #[test]
        fn p10_no_retry_after_can_hurt(v in "[ -~]{0,40}") {
            let wait = retry_after(&response(429, &[("retry-after", &v)], "").headers, None);
            prop_assert!(wait.is_none_or(|w| w <= WAIT_MAX));
        }

        #[test]
        fn any_bytes_give_an_error_or_a_value(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = from_json::<Users>("x.y", &body);
        }
    }
}
