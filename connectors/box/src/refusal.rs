//! What a refusal of Box means, in words. The code in the body decides, not the status.

use ledgerward_contract::{Error, ErrorKind, Response, Result, Retry};
use ledgerward_kit::answer;
use serde::Deserialize;
use serde_json::Value;

use ErrorKind::{Config, Conflict, Forbidden, NotFound, Unavailable, Unsupported};

/// One refusal: code, a part of the message where the code alone does not tell, kind, words, next step.
struct Refusal(&'static str, &'static str, ErrorKind, &'static str, &'static str);

const POLICY_NEXT: &str = "A Box administrator can allow the person's domain (Enterprise Settings > Content & Sharing, allowed domains; or Box Shield); otherwise unselect the client for this person.";
/// What to do where something of another has the name.
pub const TAKEN_NEXT: &str = "Rename or move the other one; the next run tries again.";
const BUSY_NEXT: &str = "Nothing to do: it is tried again.";
const NAME_NEXT: &str = "Give the client or the file a name without / \\ < > : | ? * and without blanks at its ends.";

/// In order: the first row whose code and part fit is taken.
const TABLE: &[Refusal] = &[
    Refusal(
        "user_already_collaborator",
        "",
        Conflict,
        "the person is on the folder already",
        "It is read again in the next run.",
    ),
    Refusal(
        "",
        "cannot invite self",
        Forbidden,
        "this address is the account that ledgerward acts as, or the folder's owner, who needs no invitation",
        "Leave the address out of the plan for this target.",
    ),
    Refusal(
        "collaborations_not_available_on_root_folder",
        "",
        Config,
        "an account's top folder cannot be shared",
        "Set `root` to a folder, or leave it out.",
    ),
    Refusal(
        "terms_of_service_required",
        "",
        Forbidden,
        "Box wants terms of service accepted before this person or this account may share",
        "Accept the enterprise's terms in the Box web app, or ask the person to, and run again.",
    ),
    Refusal(
        "forbidden_by_policy",
        "",
        Forbidden,
        "a rule of the Box enterprise (allowed domains, information barrier, Shield) forbids this",
        POLICY_NEXT,
    ),
    Refusal(
        "access_denied_insufficient_permissions",
        "",
        Forbidden,
        "Box does not let the account ledgerward acts as do this to the folder, or its enterprise does not allow sharing with that address",
        "Make that account the folder's owner or co-owner; if it is, ask the Box administrator about sharing outside the enterprise.",
    ),
    Refusal(
        "insufficient_scope",
        "",
        Config,
        "the Box app lacks the scope for this",
        "Tick \"Read and write all files and folders\" for the app in the developer console, have it authorised again, and sign in again.",
    ),
    Refusal(
        "access_denied_item_locked",
        "",
        Forbidden,
        "the file is locked by somebody",
        "Unlock the file in Box, and run again.",
    ),
    Refusal(
        "access_from_location_blocked",
        "",
        Forbidden,
        "the Box enterprise does not allow access from this machine's network",
        "Ask the Box administrator to allow this machine's address.",
    ),
    Refusal(
        "storage_limit_exceeded",
        "",
        Forbidden,
        "the account's Box storage is full",
        "Free some space or buy more; access is still kept right meanwhile.",
    ),
    Refusal(
        "file_size_limit_exceeded",
        "",
        Forbidden,
        "the file is larger than the Box plan allows",
        "Set `file_bytes_max` to the plan's limit, or use a larger plan.",
    ),
    Refusal(
        "user_email_confirmation_required",
        "",
        Forbidden,
        "Box wants the account's e-mail address confirmed first",
        "Open the confirmation mail from Box, and run again.",
    ),
    Refusal(
        "cannot_make_collaborated_subfolder_private",
        "",
        Forbidden,
        "Box does not take this change inside a folder that is shared above",
        "Remove the collaborators of the folder above.",
    ),
    Refusal("item_name_invalid", "", Unsupported, "Box does not take this name", NAME_NEXT),
    Refusal(
        "item_name_too_long",
        "",
        Unsupported,
        "the name is longer than Box takes (255 characters)",
        "Give the client or the file a shorter name.",
    ),
    Refusal("item_name_in_use", "", Conflict, "something of this name lies there already", TAKEN_NEXT),
    Refusal(
        "bad_digest",
        "",
        Unavailable,
        "the bytes were damaged on their way to Box",
        "It is sent again in the next run.",
    ),
    Refusal("folder_not_empty", "", Conflict, "the folder is not empty", "It is read again in the next run."),
    Refusal(
        "operation_blocked_temporary",
        "",
        Unavailable,
        "Box is still working on an earlier change of this folder",
        BUSY_NEXT,
    ),
    Refusal("name_temporarily_reserved", "", Unavailable, "Box is still making something of this name", BUSY_NEXT),
    Refusal("session_expired", "", NotFound, "Box has forgotten this upload", "It begins again by itself."),
    Refusal("upload_failed", "", NotFound, "Box gave this upload up", "It begins again by itself."),
    Refusal("parts_mismatch", "", Unavailable, "Box has not put the parts of the upload together yet", BUSY_NEXT),
    Refusal("trashed", "", NotFound, "it is in the trash", "Restore it in Box, or delete it for good."),
    Refusal(
        "not_found",
        "",
        NotFound,
        "Box has nothing under this id that we may see",
        "If it was moved or its owner changed, share it again with ledgerward's account.",
    ),
    Refusal("precondition_failed", "", Conflict, "it was changed by somebody else", "The next run reads it again."),
    Refusal(
        "bad_request",
        "",
        Unsupported,
        "Box does not take this address or value",
        "Check the address of the person and the settings of this target.",
    ),
];

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    code: String,
    message: String,
    context_info: Option<Context>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Context {
    conflicts: Value,
}

/// What lies where something was to be made.
#[derive(Clone, Debug, Deserialize)]
pub struct InTheWay {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
}

fn body(response: &Response) -> Body {
    serde_json::from_slice(&response.body).unwrap_or_default()
}

/// Box's own code for a refusal; empty where it gives none.
pub fn code(response: &Response) -> String {
    if response.ok() { String::new() } else { body(response).code }
}

/// The thing in the way of a 409. An array for folders and a single object for files; both are taken.
pub fn in_the_way(response: &Response) -> Option<InTheWay> {
    let found = body(response);
    if response.status != 409 || found.code != "item_name_in_use" {
        return None;
    }
    let one = match found.context_info?.conflicts {
        Value::Array(list) => list.into_iter().next()?,
        one => one,
    };
    serde_json::from_value(one).ok()
}

/// For the retry layer: refusals that Box itself calls passing. `None` leaves it to the status.
pub fn retry_hint(response: &Response) -> Option<Retry> {
    let passing = ["operation_blocked_temporary", "name_temporarily_reserved"].contains(&code(response).as_str());
    (response.status == 409 && passing)
        .then(|| answer::retry_after(&response.headers, None).map_or(Retry::Backoff, Retry::After))
}

/// `Ok` for a whole answer. The only judgement of an answer in this connector.
pub fn classify(op: &'static str, response: &Response) -> Result<()> {
    if answer::whole(response) {
        return Ok(());
    }
    let mut error = answer::classify_common(op, response);
    let Body { code, message, .. } = body(response);
    let message = message.to_ascii_lowercase();
    // Below 400 and from 500 on a code says nothing that the status does not; 401 and 429 speak for themselves.
    let decides = (400..500).contains(&response.status) && ![401, 429].contains(&response.status);
    let fits = |r: &&Refusal| {
        if r.0.is_empty() { message.contains(r.1) } else { r.0 == code && message.contains(r.1) }
    };
    if let (true, Some(Refusal(_, _, kind, says, next))) = (decides, TABLE.iter().find(fits)) {
        error.kind = *kind;
        error.retry = if *kind == Unavailable { Retry::Backoff } else { Retry::No };
        error = Error { message: (*says).to_owned(), ..error }.next(*next);
    } else if decides {
        error = answer::unknown(error, &code);
    }
    if let Some(word) = answer::safe_word(&code) {
        error = error.with("code", word);
    }
    if let Some(retry) = retry_hint(response) {
        error.retry = retry;
    }
    Err(error)
}
