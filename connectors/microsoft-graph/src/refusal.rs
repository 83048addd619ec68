//! What a refusal of Graph means, in words. Of the codes in the body the most specific one decides.

use ledgerward_contract::{Error, ErrorKind, Response, Result, Retry};
use ledgerward_kit::answer;
use serde_json::Value;

use ErrorKind::{Config, Conflict, Forbidden, NotFound, RateLimited, Unauthenticated, Unavailable, Unsupported};

/// One refusal: codes, kind, words, next step.
struct Refusal(&'static [&'static str], ErrorKind, &'static str, &'static str);

const SHARING_NEXT: &str = "A SharePoint administrator can allow it (Policies > Sharing; allowed domains; the site's or OneDrive's own setting); or make the person a guest of the tenant first; otherwise unselect the client for this person.";

/// In order: the first row of which a code is in the body is taken.
const TABLE: &[Refusal] = &[
    Refusal(
        &["nameAlreadyExists"],
        Conflict,
        "something of this name lies there already",
        "Rename or remove it, or let the next run read the folder again.",
    ),
    Refusal(
        &["resourceModified", "entityTagDoesNotMatch"],
        Conflict,
        "it was changed by somebody else",
        "The next run reads it again.",
    ),
    Refusal(
        &["invalidRange"],
        Conflict,
        "this part of the upload is there already, or does not follow the one before it",
        "It begins again by itself.",
    ),
    Refusal(
        &["resyncRequired", "resyncChangesApplyDifferences", "resyncChangesUploadDifferences"],
        Conflict,
        "Graph has forgotten this place in the changes",
        "Everything is read again by itself.",
    ),
    Refusal(
        &["quotaLimitReached"],
        Forbidden,
        "the drive's storage is full",
        "Free some space or buy more; access is still kept right meanwhile.",
    ),
    Refusal(
        &["noResolvedUsers"],
        Unsupported,
        "Microsoft knows nobody under this address in the firm's tenant",
        "Correct the person's address, or make them a guest of the tenant first.",
    ),
    Refusal(
        &["resourceLocked", "lockMismatch"],
        Unavailable,
        "somebody has the file open",
        "It is tried again; close the file in Office if this lasts.",
    ),
    Refusal(
        &["virusSuspicious", "malwareDetected"],
        Forbidden,
        "Microsoft takes the file for malware",
        "Look at the file by hand.",
    ),
    Refusal(
        &["pathIsTooLong", "pathTooDeep"],
        Unsupported,
        "the whole path is longer than SharePoint takes (400 characters)",
        "Give the client or the file a shorter name.",
    ),
    Refusal(
        &["nameContainsInvalidCharacters"],
        Unsupported,
        "SharePoint does not take this name",
        "Give the client or the file another name.",
    ),
    Refusal(
        &["resourceNotFound", "mysiteNotFound"],
        Config,
        "there is no such drive, or this account has no OneDrive",
        "Open OneDrive once as that account, and check `user`, `group`, `site` and its licence.",
    ),
    Refusal(
        &["itemNotFound"],
        NotFound,
        "Graph has nothing under this id that we may see",
        "If it was moved to another drive, adopt it there; if it is in the recycle bin, restore it.",
    ),
    Refusal(
        &["notAllowed", "accessDenied", "accessRestricted", "Authorization_RequestDenied"],
        Forbidden,
        "Microsoft does not let the account ledgerward acts as do this, or the tenant's rules for sharing forbid it",
        SHARING_NEXT,
    ),
    Refusal(
        &["notSupported"],
        Unsupported,
        "this kind of drive cannot do this",
        "Use a OneDrive for work or a SharePoint library.",
    ),
    Refusal(
        &["invalidRequest", "BadRequest"],
        Unsupported,
        "Microsoft does not take this value",
        "Check the person's address, the tenant's rules for sharing, and how many sharing lists the library has (`doctor` counts them).",
    ),
];

/// All codes of a refusal, the most specific first. `innererror` and `innerError` both occur.
pub fn codes(response: &Response) -> Vec<String> {
    if response.ok() {
        return Vec::new();
    }
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let mut found = Vec::new();
    let mut at = body.get("error");
    while let Some(error) = at {
        found.extend(error.get("code").and_then(Value::as_str).map(str::to_owned));
        at = error.get("innererror").or_else(|| error.get("innerError"));
    }
    found.reverse();
    found
}

/// Whether this refusal has the code.
pub fn is(response: &Response, code: &str) -> bool {
    codes(response).iter().any(|c| c == code)
}

/// Whether the name is taken where something was to be made.
pub fn name_taken(response: &Response) -> bool {
    response.status == 409 && is(response, "nameAlreadyExists")
}

/// For the retry layer: limits that Graph states by something else than 429. `None` leaves it to the status.
pub fn retry_hint(response: &Response) -> Option<Retry> {
    // 423: a file is open in Office. 509: too much was transferred.
    matches!(response.status, 423 | 509)
        .then(|| answer::retry_after(&response.headers, None).map_or(Retry::Backoff, Retry::After))
}

/// `Ok` for 2xx, unless a web page came. The only judgement of an answer in this connector.
pub fn classify(op: &'static str, response: &Response) -> Result<()> {
    if response.ok() && !answer::is_html(response) {
        return Ok(());
    }
    let mut error = answer::classify_common(op, response);
    let codes = codes(response);
    // 401 and 429 speak for themselves; from 500 on a code says nothing that the status does not, but for a full drive.
    let decides =
        (400..500).contains(&response.status) && ![401, 429].contains(&response.status) || response.status == 507;
    let fits = |r: &&Refusal| codes.iter().any(|c| r.0.contains(&c.as_str()));
    if let (true, Some(Refusal(_, kind, says, next))) = (decides, TABLE.iter().find(fits)) {
        error.kind = *kind;
        error.retry = if *kind == Unavailable { Retry::Backoff } else { Retry::No };
        error = Error { message: (*says).to_owned(), ..error }.next(*next);
    } else if response.status == 423 || response.status == 509 {
        error.kind = if response.status == 509 { RateLimited } else { Unavailable };
    } else if response.status == 507 {
        error.kind = Forbidden;
        error.retry = Retry::No;
    }
    if error.kind == Unauthenticated {
        error.retry = Retry::No;
    }
    if let Some(word) = codes.first().and_then(|c| answer::safe_word(c)) {
        error = error.with("code", word);
    }
    if let Some(retry) = retry_hint(response) {
        error.retry = retry;
    }
    Err(error)
}
