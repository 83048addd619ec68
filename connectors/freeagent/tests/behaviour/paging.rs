//! What a page says about the next one.

use http::{HeaderMap, HeaderValue};
use ledgerward_contract::{ErrorKind, Response, Result};
use ledgerward_freeagent::api::paging;

const ASKED: &str = "https://api.freeagent.com/v2/users?page=2&per_page=100";

fn says(link: Option<&str>, total: Option<&str>, items: usize) -> Result<(Option<u32>, Option<u64>)> {
    let mut headers = HeaderMap::new();
    for (name, value) in [("link", link), ("x-total-count", total)] {
        if let Some(value) = value {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
    }
    let answer = Response { status: 200, headers, body: Default::default() };
    paging("users.list", &ASKED.parse().unwrap(), &answer, items)
}

#[test]
fn the_next_page_is_found_however_it_is_quoted() {
    for rel in ["rel=\"next\"", "rel='next'", "rel=next", "title=\"a\"; rel=\"next\""] {
        let link = format!(
            "<https://api.freeagent.com/v2/users?page=1&per_page=100>; rel=\"prev\", \
             <https://api.freeagent.com/v2/users?page=3&per_page=100>; {rel}, \
             <https://api.freeagent.com/v2/users?page=9&per_page=100>; rel=\"last\""
        );
        assert_eq!(says(Some(&link), Some("801"), 100).unwrap(), (Some(3), Some(801)), "{rel}");
    }
    assert_eq!(says(Some("</v2/users?page=3>; rel=next"), None, 100).unwrap(), (Some(3), None));
}

#[test]
fn without_a_next_page_the_list_ends_where_it_can() {
    let last = "<https://api.freeagent.com/v2/users?page=1>; rel='prev'";
    assert_eq!(says(Some(last), Some("142"), 42).unwrap(), (None, Some(142)));
    assert_eq!(says(None, None, 42).unwrap(), (None, None));
    assert_eq!(says(None, Some("200"), 100).unwrap(), (None, Some(200)));
    assert_eq!(says(None, None, 100).unwrap_err().kind, ErrorKind::Contract);
}

#[test]
fn p12_a_next_page_that_is_elsewhere_or_not_next_is_refused() {
    for address in [
        "https://evil.example/v2/users?page=3",
        "http://api.freeagent.com/v2/users?page=3",
        "https://api.freeagent.com:8443/v2/users?page=3",
        "https://api.freeagent.com/v2/clients?page=3",
        "https://api.freeagent.com/v2/users?page=2",
        "https://api.freeagent.com/v2/users?page=4",
        "https://api.freeagent.com/v2/users?page=1",
        "https://api.freeagent.com/v2/users?page=x",
        "https://api.freeagent.com/v2/users",
        "https://[",
    ] {
        let e = says(Some(&format!("<{address}>; rel=\"next\"")), None, 100).unwrap_err();
        assert_eq!(e.kind, ErrorKind::Contract, "{address}");
        assert!(!format!("{e:?}").contains("evil"), "{e:?}");
    }
    assert_eq!(says(None, Some("many"), 1).unwrap_err().kind, ErrorKind::Contract);
}
