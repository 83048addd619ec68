//! Several calls in one request.

use bytes::Bytes;
use http::Method;
use ledgerward_kit::fake::{FakeRequest, FakeResponse};

use super::{
    Answer, DriveFake, refusal,
    state::{Refuse, refuse},
    upload,
};

impl DriveFake {
    /// Up to a hundred calls in one, answered in order.
    pub(super) fn batch(&mut self, r: &FakeRequest) -> Answer {
        let Some(parts) = upload::parts(r) else { return refuse(400, "badRequest", "Failed to parse batch request.") };
        if parts.len() > 100 {
            return refuse(400, "badRequest", "The batch request has more than 100 calls.");
        }
        let mut out = String::new();
        for (headers, body) in parts {
            let inner = inner_request(&body, r);
            let answer = match inner {
                Some(i) if !i.path.starts_with("/upload") && !i.path.starts_with("/batch") => {
                    self.route(&i).unwrap_or_else(|e| refusal(&e))
                }
                _ => {
                    refusal(&Refuse { status: 400, reason: "badRequest".into(), message: "Bad inner request.".into() })
                }
            };
            let id = headers.get("content-id").map(|i| i.trim_matches(['<', '>'])).unwrap_or_default();
            out.push_str(&format!(
                "--batch_fake\r\nContent-Type: application/http\r\nContent-ID: <response-{id}>\r\n\r\nHTTP/1.1 {} X\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{}\r\n",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            ));
        }
        out.push_str("--batch_fake--\r\n");
        Ok(FakeResponse::new(200).header("content-type", "multipart/mixed; boundary=batch_fake").body(out))
    }
}

fn inner_request(text: &[u8], outer: &FakeRequest) -> Option<FakeRequest> {
    let text = std::str::from_utf8(text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n")).unwrap_or((text, ""));
    let mut lines = head.lines();
    let mut first = lines.next()?.split_whitespace();
    let method = Method::from_bytes(first.next()?.as_bytes()).ok()?;
    let url = url::Url::parse("http://inner.invalid").ok()?.join(first.next()?).ok()?;
    let mut headers = outer.headers.clone();
    for line in lines {
        let (k, v) = line.split_once(':')?;
        headers.insert(
            http::HeaderName::from_bytes(k.trim().to_ascii_lowercase().as_bytes()).ok()?,
            http::HeaderValue::from_str(v.trim()).ok()?,
        );
    }
    Some(FakeRequest {
        method,
        path: url.path().to_owned(),
        query: url.query_pairs().into_owned().collect(),
        headers,
        body: Bytes::from(body.trim().to_owned()),
    })
}
