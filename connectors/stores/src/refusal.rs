//! What a store's refusal means, in words: nobody signs in to one, and its keys stand in the configuration.

use ledgerward_contract::{Error, ErrorKind, Retry};

use crate::api::Kind;

/// The kit's error of an answer, in the words of this kind of store. What is not known here stays as it is.
pub(crate) fn told(kind: Kind, e: Error) -> Error {
    use ErrorKind::{Config, Forbidden, NotFound, Unauthenticated, Unsupported};
    let keys = match kind {
        Kind::S3 => "`access_key_id` and `secret_access_key`",
        Kind::Azure => "`account` and `account_key` (or `sas`)",
        Kind::WebDav | Kind::Sftp => "`username` and `password` (or `token`)",
    };
    let (place, rights) = match kind {
        Kind::S3 => ("`bucket`, `root` and the endpoint", "let the key list, read and write the bucket below `root`"),
        Kind::Azure => ("`container`, `root` and the endpoint", "let the key list, read and write the container"),
        Kind::WebDav | Kind::Sftp => ("`root` and the endpoint", "let the account read and write the folder of `root`"),
    };
    let not_accepted =
        |kind| (kind, "the store does not accept our name and key", format!("Correct {keys} in the configuration."));
    let (kind, says, next) = match (e.get("status"), e.get("code")) {
        (Some("401"), _) => not_accepted(Unauthenticated),
        (Some("403"), Some("SignatureDoesNotMatch" | "InvalidAccessKeyId" | "AuthenticationFailed")) => {
            not_accepted(Config)
        }
        (Some("403"), Some("RequestTimeTooSkewed")) => {
            (Config, "the clock of this machine and the store's differ", "Set this machine's clock.".to_owned())
        }
        (Some("403"), _) => {
            (Forbidden, "the store knows us and does not let us do this", format!("On the store, {rights}."))
        }
        (Some("404"), _) => {
            (NotFound, "the store has nothing at this address", format!("Check {place} in the configuration."))
        }
        (Some("413"), _) => (
            Unsupported,
            "the file is larger than the store, or a proxy before it, takes",
            "Raise that limit there (nginx: client_max_body_size), or deliver shorter periods.".to_owned(),
        ),
        (Some("501"), _) => (
            Unsupported,
            "the store says that it cannot do this",
            "Ask whoever runs the store which parts of its protocol it has.".to_owned(),
        ),
        (Some("507"), _) => (Forbidden, "the store is full", "Make room there, or raise its quota.".to_owned()),
        _ => return e,
    };
    Error { kind, message: says.to_owned(), ..e }.next(next).retry(Retry::No)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server does not know is found out by asking it, and 501 is a true answer to that.
    #[test]
    fn a_server_may_say_openly_that_it_does_not_know_something() {
        let e = Error::new(ErrorKind::Unavailable, "file.put", "the service is not available (HTTP 501)");
        let e = told(Kind::WebDav, e.with("status", "501"));
        assert_eq!((e.kind, e.retry), (ErrorKind::Unsupported, Retry::No));
    }
}
