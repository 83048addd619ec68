//! What a refusal of Dropbox means, in words. The tags decide, never `error_summary`: that one ends in random dots.

use std::time::Duration;

use ledgerward_contract::{Error, ErrorKind, Response, Result, Retry};
use ledgerward_kit::answer;
use serde_json::Value;

/// How long no invitation is sent after the daily limit, which Dropbox does not publish (unverified).
pub const ADDING_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// One refusal: consecutive tags, kind, words, next step.
type Row = (&'static str, ErrorKind, &'static str, &'static str);

use ErrorKind::{
    Config, Conflict, Contract, Forbidden, NotFound, RateLimited, Unauthenticated, Unavailable, Unsupported,
};

const FULL_ACCESS: &str = "In Dropbox's app console make an app with the access type \"Full Dropbox\", put its key into the configuration, and sign in again.";
const PRIVATE_ROOT: &str =
    "Set `root` to a private folder of the account that is shared with nobody; or, on a team, set `team_space = true`.";
const ADMIN: &str =
    "A team administrator can change this under Settings > Sharing; otherwise unselect the client for this person.";
const ADDRESS: &str = "Correct the person's address, or set another address of theirs for this target.";
const OWNER: &str = "Sign in with the account that owns the client folders.";
const BY_ITSELF: &str = "Nothing to do: it is tried again.";
/// What to do where something of another has the name.
pub const TAKEN_NEXT: &str = "Rename or move the other one; the next run tries again.";
const READ_AGAIN: &str = "It is read again in the next run.";

/// In order: the first row whose tags follow each other in the answer's is taken.
const TABLE: &[Row] = &[
    // Sign-in (401) and rights (403, 422).
    ("expired_access_token", Unauthenticated, "the access token has run out", BY_ITSELF),
    ("invalid_access_token", Unauthenticated, "Dropbox does not accept the sign-in any more", "Sign in again."),
    (
        "missing_scope",
        Forbidden,
        "the sign-in lacks a permission",
        "Tick the permission named here for the app in Dropbox's app console, then sign in again.",
    ),
    ("user_suspended", Unauthenticated, "the account is suspended", "Ask the team's administrator."),
    ("invalid_select_user", Config, "the team has no such member", "Correct `select_user`."),
    ("invalid_select_admin", Config, "the team has no such administrator", "Leave `select_user` to a member."),
    ("route_access_denied", Config, "this kind of app may not do that", FULL_ACCESS),
    ("invalid_account_type", Forbidden, "this kind of account cannot do that", "Use an account of a paid plan."),
    (
        "team_access_denied",
        Forbidden,
        "the team does not let this app in",
        "Ask the team's administrator to allow the app.",
    ),
    ("invalid_root", Config, "the team space was changed in the meantime", BY_ITSELF),
    // Pace.
    ("too_many_write_operations", RateLimited, "Dropbox is busy with other changes in this folder", BY_ITSELF),
    ("too_many_requests", RateLimited, "Dropbox asks us to slow down", BY_ITSELF),
    (
        "rate_limit",
        RateLimited,
        "the day's invitations of this account are used up",
        "Nothing to do: the daemon adds people again after 24 hours, and each new command tries once. Spread a large first run over some days.",
    ),
    ("internal_error", Unavailable, "Dropbox had an error of its own", BY_ITSELF),
    // Making a folder shared.
    (
        "inside_shared_folder",
        Config,
        "the root folder lies in a shared folder, and shared folders cannot be nested",
        PRIVATE_ROOT,
    ),
    (
        "contains_shared_folder",
        Conflict,
        "something in the folder is shared already, and shared folders cannot be nested",
        "End the sharing of the folders in it.",
    ),
    (
        "contains_app_folder",
        Conflict,
        "the folder has an app's folder in it and cannot be shared",
        "Move the app's folder out of it.",
    ),
    (
        "contains_team_folder",
        Conflict,
        "the folder has a team folder in it and cannot be shared",
        "Choose another root.",
    ),
    ("is_app_folder", Config, "the app reaches only its own folder, which cannot be shared", FULL_ACCESS),
    ("inside_app_folder", Config, "the root folder lies in an app's folder, which cannot be shared", FULL_ACCESS),
    ("is_vault", Config, "the root folder is the vault, which cannot be shared", PRIVATE_ROOT),
    ("is_vault_locked", Config, "the vault is locked and cannot be shared", PRIVATE_ROOT),
    ("is_family", Config, "the family folder cannot hold client folders", PRIVATE_ROOT),
    ("is_public_folder", Config, "the public folder cannot hold client folders", PRIVATE_ROOT),
    (
        "inside_public_folder",
        Config,
        "the root folder lies in the public folder, which is open to everybody",
        PRIVATE_ROOT,
    ),
    ("is_osx_package", Conflict, "macOS takes this folder for one file", "Use a name without an ending such as .app."),
    ("inside_osx_package", Config, "the root folder lies in what macOS takes for one file", PRIVATE_ROOT),
    ("is_file", Conflict, "there is a file where the folder should be", "Rename or move the file."),
    ("invalid_path", Config, "Dropbox does not take this path", PRIVATE_ROOT),
    (
        "team_policy_disallows_member_policy",
        Forbidden,
        "the team's rules do not let folders be shared like this",
        ADMIN,
    ),
    ("disallowed_shared_link_policy", Forbidden, "the team's rules do not let links be limited like this", ADMIN),
    (
        "email_unverified",
        Config,
        "the account's e-mail address is not verified",
        "Open Dropbox with that account and verify the address.",
    ),
    // Adding people.
    ("invalid_email", Forbidden, "Dropbox does not take this address", ADDRESS),
    (
        "unverified_dropbox_id",
        Forbidden,
        "the person's Dropbox account has no verified address",
        "Ask them to verify it at Dropbox.",
    ),
    ("invalid_dropbox_id", NotFound, "Dropbox does not know this member", READ_AGAIN),
    ("group_not_on_team", Forbidden, "the group belongs to another team", "Use people, not groups."),
    ("group_deleted", Forbidden, "the group was deleted", "Use people, not groups."),
    ("invalid_group", Forbidden, "the group is not valid", "Use people, not groups."),
    ("automatic_group", Forbidden, "the group is one that Dropbox makes by itself", "Use people, not groups."),
    ("cant_share_outside_team", Forbidden, "the team's rules do not let folders be shared with people outside", ADMIN),
    (
        "too_many_members",
        Forbidden,
        "the folder has as many members as Dropbox allows",
        "Remove people, or share with fewer.",
    ),
    (
        "too_many_pending_invites",
        Forbidden,
        "too many invitations to this folder are not accepted yet",
        "Ask people to accept theirs, or remove them.",
    ),
    ("too_many_invitees", Forbidden, "too many people in one request", READ_AGAIN),
    (
        "insufficient_plan",
        Unsupported,
        "this Dropbox plan has no members who may only read; nobody is made an editor instead",
        "Move the account to a paid plan, or give these people the role writer.",
    ),
    ("banned_member", Forbidden, "Dropbox has banned this account from sharing", "Ask Dropbox's support."),
    // Changing and removing people.
    (
        "no_explicit_access",
        Forbidden,
        "this access comes from a folder above and cannot be changed here",
        "Change it on that folder.",
    ),
    ("folder_owner", Forbidden, "this is the folder's owner, whose access is never changed", OWNER),
    (
        "group_access",
        Forbidden,
        "the person gets in through a group",
        "Take the group off the folder, or the person out of the group.",
    ),
    ("too_many_files", Forbidden, "the folder has too many files for this", "Ask Dropbox's support."),
    ("not_unmountable", Forbidden, "the folder cannot be taken out of the account", OWNER),
    ("member_error/not_a_member", NotFound, "the person is no member of the folder any more", READ_AGAIN),
    // The folder itself.
    (
        "invalid_id",
        NotFound,
        "Dropbox has no shared folder under this id",
        "If somebody ended its sharing or deleted it, choose the client's folder anew.",
    ),
    (
        "not_a_member",
        Forbidden,
        "the account is no member of this folder any more",
        "Share the folder with the account again.",
    ),
    (
        "invalid_member",
        Forbidden,
        "Dropbox does not take the account for a member of this folder",
        "Share the folder with the account again.",
    ),
    (
        "unmounted",
        Forbidden,
        "the account took the folder out of its Dropbox",
        "Add it again under Sharing in Dropbox.",
    ),
    (
        "team_folder",
        Forbidden,
        "this is a team folder, which only team administrators can change",
        "Use a folder inside of it.",
    ),
    // Files.
    ("insufficient_space", Forbidden, "the account's Dropbox is full", "Free some space, or buy more."),
    ("insufficient_quota", Forbidden, "the account's Dropbox is full", "Free some space, or buy more."),
    ("no_write_permission", Forbidden, "the account may not write there", "Make it the folder's owner, or an editor."),
    (
        "disallowed_name",
        Unsupported,
        "Dropbox does not take this name",
        "Rename the client, or the file in the template.",
    ),
    (
        "malformed_path",
        Unsupported,
        "Dropbox does not take this path",
        "Rename the client, or the file in the template.",
    ),
    ("operation_suppressed", Forbidden, "Dropbox suppresses this change", "Look into the account in a browser."),
    ("access_restricted", Forbidden, "the team's rules keep this account out", "Ask the team's administrator."),
    (
        "payload_too_large",
        Unsupported,
        "the file is larger than Dropbox takes",
        "Leave this statement out, or have it in shorter periods.",
    ),
    (
        "too_large",
        Unsupported,
        "the file is larger than Dropbox takes",
        "Leave this statement out, or have it in shorter periods.",
    ),
    (
        "encryption_not_supported",
        Unsupported,
        "the folder is encrypted end to end, and apps cannot write there",
        "Use a folder without that encryption.",
    ),
    ("restricted_content", Forbidden, "Dropbox blocks this file", "Look at it in a browser."),
    ("locked", Conflict, "somebody has the file locked", "It is written when the lock is gone."),
    (
        "content_hash_mismatch",
        Unavailable,
        "the bytes were damaged on the way, and Dropbox did not store them",
        BY_ITSELF,
    ),
    ("cant_move_shared_folder", Forbidden, "the shared folder cannot be moved there", READ_AGAIN),
    ("cant_nest_shared_folder", Config, "shared folders cannot be nested", PRIVATE_ROOT),
    ("cant_transfer_ownership", Forbidden, "the move would give the folder to another owner", READ_AGAIN),
    ("conflict", Conflict, "there is something of this name already", TAKEN_NEXT),
    ("reset", Unavailable, "Dropbox lost its place in the listing", READ_AGAIN),
    ("not_found", NotFound, "Dropbox has nothing there that the account may see", READ_AGAIN),
    ("not_folder", Conflict, "there is a file where a folder should be", "Rename or move the file."),
    ("not_file", Conflict, "there is a folder where a file should be", "Rename or move the folder."),
    ("no_permission", Forbidden, "the account may not do this to the folder", OWNER),
    ("unsupported_content_type", Contract, "Dropbox cannot give this content", READ_AGAIN),
];

/// The answer's tags from the outside in, joined by slashes: `path/conflict/folder`. Empty where there are none.
pub fn tags(response: &Response) -> String {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    chain(body.get("error").unwrap_or(&Value::Null))
}

/// The tags of one error union.
pub fn chain(error: &Value) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut at = error;
    for _ in 0..8 {
        let tag = at.as_str().or_else(|| at.get(".tag").and_then(Value::as_str));
        let Some(tag) = tag.filter(|t| plain(t)) else {
            // 429 has its union under "reason" and no tag beside it.
            match at.get("reason") {
                Some(reason) => at = reason,
                None => break,
            }
            continue;
        };
        words.push(tag);
        // A struct in a union lies beside the tag, and its own union may be called "reason".
        match at.get(tag).or_else(|| at.get("reason")) {
            Some(inner) => at = inner,
            None => break,
        }
    }
    words.join("/")
}

fn plain(tag: &str) -> bool {
    (1..=60).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn row(chain: &str) -> Option<&'static Row> {
    let within = format!("/{chain}/");
    TABLE.iter().find(|(tags, ..)| within.contains(&format!("/{tags}/")))
}

/// For the retry layer: what this vendor's own words say beside 429.
pub fn retry_hint(response: &Response) -> Option<Retry> {
    match response.status {
        429 => Some(named_pause(response).map_or(Retry::Backoff, Retry::After)),
        409 => {
            let tags = tags(response);
            let transient = |t: &str| matches!(t, "too_many_write_operations" | "internal_error");
            tags.split('/').any(transient).then_some(Retry::Backoff)
        }
        _ => None,
    }
}

/// The pause of a 429: the header, or the number in the body, which is sometimes no JSON at all.
fn named_pause(response: &Response) -> Option<Duration> {
    answer::retry_after(&response.headers, None).or_else(|| {
        let body: Value = serde_json::from_slice(&response.body).ok()?;
        let seconds = body.get("error")?.get("retry_after")?.as_u64()?;
        Some(Duration::from_secs(seconds).min(answer::WAIT_MAX))
    })
}

/// The error of a union that came in a good answer: a job that failed.
pub fn of_union(op: &'static str, error: &Value) -> Error {
    let chain = chain(error);
    dressed(Error::new(Conflict, op, "Dropbox did not do it"), &chain)
}

fn dressed(mut error: Error, chain: &str) -> Error {
    let reason = chain.replace('/', ".");
    if let Some((_, kind, says, next)) = row(chain) {
        error.kind = *kind;
        error.retry = if matches!(kind, RateLimited | Unavailable) { Retry::Backoff } else { Retry::No };
        error = Error { message: (*says).to_owned(), ..error }.next(*next);
    } else {
        error = answer::unknown(error, &reason);
    }
    match answer::safe_word(&reason) {
        Some(word) => error.with("reason", word),
        None => error,
    }
}

/// `Ok` for a whole answer. The only judgement of an answer in this connector.
pub fn classify(op: &'static str, response: &Response) -> Result<()> {
    if answer::whole(response) {
        return Ok(());
    }
    let chain = if response.ok() { String::new() } else { tags(response) };
    let mut error = dressed(answer::classify_common(op, response), &chain);
    match (response.status, chain.as_str()) {
        (400, "") => error = plain_refusal(error, response),
        // A new day's invitations: not a pause for everything else.
        (409, "rate_limit") => error.retry = Retry::After(ADDING_PAUSE),
        (401, _) if chain == "missing_scope" => {
            let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
            let scope = body.get("error").and_then(|e| e.get("required_scope")).and_then(Value::as_str);
            if let Some(scope) = scope.and_then(answer::safe_word) {
                error = error.with("permission", scope);
            }
        }
        _ => {}
    }
    if response.status == 429 {
        error.kind = RateLimited;
    }
    if let Some(retry) = retry_hint(response) {
        error.retry = retry;
    }
    Err(error)
}

/// 400 comes as plain text. It can quote names and addresses, so it is never shown as it stands: what it is about is told
/// in our words, and of its own only the name of the function.
fn plain_refusal(error: Error, response: &Response) -> Error {
    let text = String::from_utf8_lossy(&response.body);
    let between = |start: &str, end: char| text.split_once(start)?.1.split_once(end).map(|(word, _)| word);
    let scope = between("required scope '", '\'').and_then(answer::safe_word);
    let (kind, says, next) = if let Some(scope) = scope {
        return dressed(error, "missing_scope").with("permission", scope);
    } else if text.contains("Select-User") || text.contains("Select-Admin") {
        (
            Config,
            "the sign-in is a team's, and no member is chosen",
            "Set `select_user` to the member ledgerward acts as, or sign in as a person.",
        )
    } else if text.contains("app folder")
        || text.contains("App Folder")
        || text.contains("not permitted to access this endpoint")
    {
        (Config, "the app reaches only its own folder, which cannot be shared", FULL_ACCESS)
    } else if text.contains("did not match pattern") {
        (
            Unsupported,
            "Dropbox does not take an address or a name as it is written",
            "Correct the person's address, or the name of the client or the file.",
        )
    } else {
        let route = |name: &&str| name.split('/').all(plain);
        let what = between("API function \"", '"').filter(route).map_or_else(String::new, |name| format!(" to {name}"));
        return Error { message: format!("Dropbox cannot read our request{what} (HTTP 400)"), ..error };
    };
    Error { kind, message: says.to_owned(), ..error }.next(next)
}
