//! What a refusal of Graph means, in words. Of the codes in the body the most specific one decides.

use std::time::Duration;

use ledgerward_contract::{Error, ErrorKind, Response, Result, Retry};
use ledgerward_kit::answer;
use serde_json::Value;

use ErrorKind::{Config, Conflict, Forbidden, NotFound, RateLimited, Unauthenticated, Unavailable, Unsupported};

/// One refusal: codes, kind, words, next step.
struct Refusal(&'static [&'static str], ErrorKind, &'static str, &'static str);

const SHARING_NEXT: &str = "A SharePoint administrator can allow it (Policies > Sharing; allowed domains; the site's or OneDrive's own setting); or make the person a guest of the tenant first; otherwise unselect the client for this person.";

/// What to do where something of another has the name.
pub const TAKEN_NEXT: &str = "Rename or move the other one; the next run tries again.";

/// Codes that say "you may not" and not what: the operation tells it.
const DENIED: &[&str] = &["notAllowed", "accessDenied", "accessRestricted", "Authorization_RequestDenied"];
/// How long nothing more is transferred after too much was; Microsoft names no time (unverified).
pub const TRANSFER_PAUSE: Duration = Duration::from_secs(3600);

/// Whatever else a 507 says.
const FULL: Refusal = Refusal(
    &["quotaLimitReached", "insufficientStorage"],
    Forbidden,
    "the drive's storage is full",
    "Free some space or buy more; access is still kept right meanwhile.",
);

/// In order: the first row of which a code is in the body is taken.
const TABLE: &[Refusal] = &[
    Refusal(&["nameAlreadyExists"], Conflict, "something of this name lies there already", TAKEN_NEXT),
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
    FULL,
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
        DENIED,
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

/// What it means that this may not be done, where it is not about people.
fn denied(op: &str) -> Option<(&'static str, &'static str)> {
    const WRITES: &[&str] = &["folder.create", "folder.mark", "folder.name", "folder.rename", "folder.delete"];
    let (part, what) = op.split_once('.').unwrap_or((op, ""));
    if part == "permission" || op == "folder.close" {
        None
    } else if WRITES.contains(&op) || part == "upload" || (part == "file" && !matches!(what, "read" | "verify")) {
        Some((
            "the account that ledgerward acts as may not write there",
            "Let it edit there (best as the drive's owner), and see that the library or the site is not read-only or locked.",
        ))
    } else {
        Some((
            "the account that ledgerward acts as may not see this",
            "Sign in as the drive's owner, or make the account an owner of the site; check the permissions that the app was granted.",
        ))
    }
}

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
    // A file is open in Office. Not 509, of too much that was transferred: that is no pause for everything else.
    (response.status == 423).then(|| answer::retry_after(&response.headers, None).map_or(Retry::Backoff, Retry::After))
}

/// `Ok` for a whole answer. The only judgement of an answer in this connector.
pub fn classify(op: &'static str, response: &Response) -> Result<()> {
    if answer::whole(response) {
        return Ok(());
    }
    let mut error = answer::classify_common(op, response);
    let codes = codes(response);
    let fits = |r: &&Refusal| codes.iter().any(|c| r.0.contains(&c.as_str()));
    let row = match response.status {
        // These speak for themselves.
        401 | 429 => None,
        400..=499 | 501 => TABLE.iter().find(fits),
        507 => Some(&FULL),
        // From here on a code says nothing that the status does not.
        _ => None,
    };
    if let Some(Refusal(codes, kind, says, next)) = row {
        let (says, next) = if *codes == DENIED { denied(op) } else { None }.unwrap_or((says, next));
        error.kind = *kind;
        error.retry = if *kind == Unavailable { Retry::Backoff } else { Retry::No };
        error = Error { message: says.to_owned(), ..error }.next(next);
    } else if let (400..500, Some(code)) = (response.status, codes.first()) {
        error = answer::unknown(error, code);
    }
    match (response.status, op) {
        (423, _) => error.kind = Unavailable,
        (509, _) => {
            let wait = answer::retry_after(&response.headers, None).unwrap_or_default().max(TRANSFER_PAUSE);
            let message = "Microsoft takes no more bytes from us for now: too much was transferred".to_owned();
            error = Error { kind: RateLimited, retry: Retry::After(wait), message, ..error }
                .next("Nothing to do: files go on after an hour or more. Spread a large first run over some days.");
        }
        // Not said to be passing: for some people it comes every time.
        (500, "permission.create") => {
            error.retry = Retry::No;
            error = Error { message: "Microsoft failed over this invitation (HTTP 500)".to_owned(), ..error }.next(
                "The next run tries again. If it stays so, as with addresses without a Microsoft account where a tenant \
                 shares in the old way, make the person a guest of the tenant first.",
            );
        }
        _ => {}
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
