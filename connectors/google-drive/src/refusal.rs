//! What a refusal of Google means, in words. The reason decides, not the status: 403 is a rate limit as often as a rule.

use std::time::Duration;

use ledgerward_contract::{Error, ErrorKind, Response, Result, Retry};
use ledgerward_kit::answer;
use serde::Deserialize;

/// How long nobody new is let in after `sharingRateLimitExceeded`. Google names no figure; minutes to a day were seen
/// (unverified).
const SHARING_PAUSE: Duration = Duration::from_secs(900);
/// The words for it, from Google and while it lasts.
pub const SHARING_PAUSED: (&str, &str) = (
    "Google has paused all sharing by this account",
    "Nothing to do: people are added again after a pause of minutes up to a day; reading, files and taking away go on.",
);

/// One refusal: reason, a part of the message where the reason alone does not tell, kind, words, next step.
struct Refusal {
    reason: &'static str,
    part: &'static str,
    kind: ErrorKind,
    says: &'static str,
    next: &'static str,
}

const fn row(
    reason: &'static str,
    part: &'static str,
    kind: ErrorKind,
    says: &'static str,
    next: &'static str,
) -> Refusal {
    Refusal { reason, part, kind, says, next }
}

const NO_ACCOUNT: &str = "this address has no Google account, and Google shares with it only by sending it a mail";
const NO_ACCOUNT_NEXT: &str = "Ask the person to make a Google account for this address, or set another address of theirs for this target; ledgerward sends no invitations by mail.";
const EXTERNAL: &str = "the Google Workspace of this account does not allow sharing with that address";
const EXTERNAL_NEXT: &str = "A Workspace administrator can allow the person's domain under Apps > Google Workspace > Drive > Sharing settings; otherwise unselect the client for this person.";
const ADMIN_DRIVE_NEXT: &str =
    "A manager of the shared drive can change this under the drive's settings, or unselect the client for this person.";

use ErrorKind::{Config, Conflict, Forbidden, NotFound, RateLimited, Unauthenticated};

/// In order: the first row whose reason and part fit is taken.
const TABLE: &[Refusal] = &[
    row(
        "invalidSharingRequest",
        "ACL change not allowed",
        Forbidden,
        "the sharing rules of the domain forbid this change",
        EXTERNAL_NEXT,
    ),
    row("invalidSharingRequest", "", Forbidden, NO_ACCOUNT, NO_ACCOUNT_NEXT),
    row("cannotInviteNonGoogleUser", "", Forbidden, NO_ACCOUNT, NO_ACCOUNT_NEXT),
    row(
        "teamDriveDomainUsersOnlyRestriction",
        "",
        Forbidden,
        "this shared drive admits only people of its own domain",
        ADMIN_DRIVE_NEXT,
    ),
    row(
        "teamDriveTeamMembersOnlyRestriction",
        "",
        Forbidden,
        "this shared drive lets only its own members into its files",
        "Add the person as a member of the shared drive, or turn off \"only members can access\" in its settings.",
    ),
    row("shareOutNotPermitted", "", Forbidden, EXTERNAL, EXTERNAL_NEXT),
    row("shareOutNotPermittedToUser", "", Forbidden, EXTERNAL, EXTERNAL_NEXT),
    row(
        "shareInNotPermitted",
        "",
        Forbidden,
        "the other person's Google Workspace does not let them receive shared files from outside",
        "Their administrator can allow it, or use another address of theirs for this target.",
    ),
    row(
        "publishOutNotPermitted",
        "",
        Forbidden,
        "the Google Workspace of this account does not allow anything visible to the outside",
        EXTERNAL_NEXT,
    ),
    row("cannotShareTeamDriveWithNonGoogleAccounts", "", Forbidden, NO_ACCOUNT, NO_ACCOUNT_NEXT),
    row(
        "teamDrivesFolderSharingNotSupported",
        "",
        Forbidden,
        "folders of this shared drive cannot be shared one by one",
        "A manager of the shared drive can allow sharing of folders in its settings; or put the client folders into a My Drive folder.",
    ),
    row(
        "fileOrganizerOnFoldersInSharedDriveOnly",
        "",
        Forbidden,
        "the role content manager exists only in shared drives",
        "Give reader or writer.",
    ),
    row(
        "targetUserRoleLimitedByLicenseRestriction",
        "",
        Forbidden,
        "the person's Google licence does not allow this role",
        "Give them the role reader, or change their licence.",
    ),
    row(
        "insufficientFilePermissions",
        "",
        Forbidden,
        "the account ledgerward acts as may not do this to the folder",
        "Make that account the folder's owner, or a manager of the shared drive.",
    ),
    row(
        "appNotAuthorizedToFile",
        "",
        Forbidden,
        "ledgerward's sign-in reaches only files it made itself, and this is not one of them",
        "Set `root` and sign in again (scope \"drive\"), or leave `root` out and let ledgerward make its own folder.",
    ),
    row(
        "cannotModifyInheritedTeamDrivePermission",
        "",
        Forbidden,
        "this access comes from the shared drive or a folder above and cannot be taken away here",
        "Remove the person there, or limit the folder's access.",
    ),
    row(
        "cannotModifyInheritedPermission",
        "",
        Forbidden,
        "this access comes from a folder above and cannot be taken away here",
        "Remove the person there, or limit the folder's access.",
    ),
    row(
        "domainPolicy",
        "",
        Forbidden,
        "the domain's administrators have turned off Drive for apps",
        "A Workspace administrator can allow the app under Security > API controls.",
    ),
    row(
        "insufficientPermissions",
        "",
        Forbidden,
        "the sign-in was given too few scopes",
        "Sign in again and tick every box on Google's page.",
    ),
    row(
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        "",
        Forbidden,
        "the sign-in was given too few scopes",
        "Sign in again and tick every box on Google's page.",
    ),
    row(
        "storageQuotaExceeded",
        "",
        Forbidden,
        "the account's Google storage is full (a bare service account has none at all)",
        "Free some space, buy more, use a shared drive, or let the service account act as a person (`impersonate`).",
    ),
    row(
        "teamDriveFileLimitExceeded",
        "",
        Forbidden,
        "the shared drive holds as many items as Google allows, trash included",
        "Empty its trash, or move old clients to another shared drive.",
    ),
    row(
        "numChildrenInNonRootLimitExceeded",
        "",
        Forbidden,
        "the folder holds as many items as Google allows",
        "Use another root folder for further clients.",
    ),
    row(
        "teamDrivesFolderMoveInNotSupported",
        "",
        Forbidden,
        "Google does not move folders from My Drive into a shared drive",
        "Make a new folder in the shared drive.",
    ),
    row(
        "dailyLimitExceeded",
        "",
        Forbidden,
        "the app's daily limit at Google is used up",
        "Wait until midnight Pacific time, or raise the limit in the Google Cloud console.",
    ),
    row(
        "accessNotConfigured",
        "",
        Config,
        "the Drive API is not switched on for this app",
        "Switch on the Google Drive API in the Google Cloud console.",
    ),
    row("rateLimitExceeded", "", RateLimited, "Google asks us to slow down", "Nothing to do: it is tried again."),
    row(
        "userRateLimitExceeded",
        "",
        RateLimited,
        "Google asks us to slow down",
        "Nothing to do; if it lasts for hours, the daily upload limit of 750 GB is used up.",
    ),
    row("sharingRateLimitExceeded", "", RateLimited, SHARING_PAUSED.0, SHARING_PAUSED.1),
    row("authError", "", Unauthenticated, "Google does not accept the sign-in any more", "Sign in again."),
    row("fileIdInUse", "", Conflict, "something with this id exists already", "Read it again."),
    row(
        "notFound",
        "",
        NotFound,
        "Google Drive has nothing under this id that we may see",
        "If it was moved or its owner changed, share it again with ledgerward's account.",
    ),
];

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    error: Inner,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Inner {
    message: String,
    errors: Vec<One>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct One {
    reason: String,
    message: String,
}

/// The vendor's reason and message. The message serves decisions here and is never shown: it may hold addresses.
fn reason(response: &Response) -> (String, String) {
    let body: Body = serde_json::from_slice(&response.body).unwrap_or_default();
    let Inner { message, errors } = body.error;
    match errors.into_iter().next() {
        Some(one) => (one.reason, format!("{message} {}", one.message)),
        None => (String::new(), message),
    }
}

/// Google's word for a grant that was made although its mail could not be sent: the grant stands.
pub fn shared_but_no_mail(response: &Response) -> bool {
    let (reason, message) = reason(response);
    response.status == 400 && reason == "invalidSharingRequest" && message.contains("successfully shared")
}

/// How long nobody new can be let in, if that is what Google refuses. No pause for anything else: taking away goes on.
pub fn sharing_pause(response: &Response) -> Option<Duration> {
    let refused = matches!(response.status, 403 | 429) && reason(response).0 == "sharingRateLimitExceeded";
    refused.then(|| answer::retry_after(&response.headers, None).unwrap_or_default().max(SHARING_PAUSE))
}

/// For the retry layer: the pause that this vendor's own words ask for. `None` leaves it to the status.
pub fn retry_hint(response: &Response) -> Option<Retry> {
    let (reason, _) = reason(response);
    let told = answer::retry_after(&response.headers, None);
    match (response.status, reason.as_str()) {
        (403, "rateLimitExceeded" | "userRateLimitExceeded") | (429, _) => {
            Some(told.map_or(Retry::Backoff, Retry::After))
        }
        (403, _) => Some(Retry::No),
        _ => None,
    }
}

/// `Ok` for a whole answer. The only judgement of an answer in this connector.
pub fn classify(op: &'static str, response: &Response) -> Result<()> {
    if answer::whole(response) {
        return Ok(());
    }
    let (reason, message) = reason(response);
    let mut error = answer::classify_common(op, response);
    match TABLE.iter().find(|r| r.reason == reason && message.contains(r.part)) {
        Some(r) => {
            error.kind = r.kind;
            error.retry = if r.kind == RateLimited { Retry::Backoff } else { Retry::No };
            error = Error { message: r.says.to_owned(), ..error }.next(r.next);
        }
        // A session or a page token that Google forgot is gone, as anything else under an id that is.
        None if response.status == 410 => error.kind = NotFound,
        None if response.status == 413 => {
            let says = "the file is larger than Google, or a proxy on the way, takes";
            error = Error { kind: ErrorKind::Unsupported, message: says.to_owned(), ..error }
                .next("Leave this statement out, or have it in shorter periods.");
        }
        // The rest speak for themselves.
        None if !matches!(response.status, 401 | 429) => error = answer::unknown(error, &reason),
        None => {}
    }
    if let Some(word) = answer::safe_word(&reason) {
        error = error.with("reason", word);
    }
    if let Some(retry) = sharing_pause(response).map(Retry::After).or_else(|| retry_hint(response)) {
        error.retry = retry;
    }
    Err(error)
}
