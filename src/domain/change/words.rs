//! Words of the command line and the firm file for values that have no slug of their own.

use super::{Office, Unlisted};

/// As on the command line and in the firm file: `primary-owner`, …, `custom:NAME`.
pub fn office_slug(office: &Office) -> String {
    match office {
        Office::PrimaryOwner => "primary-owner".to_owned(),
        Office::Owner => "owner".to_owned(),
        Office::Admin => "admin".to_owned(),
        Office::Employee => "employee".to_owned(),
        Office::Viewer => "viewer".to_owned(),
        Office::Custom(name) => format!("custom:{name}"),
    }
}

/// The reverse of [`office_slug`].
pub fn parse_office(slug: &str) -> Option<Office> {
    Some(match slug {
        "primary-owner" => Office::PrimaryOwner,
        "owner" => Office::Owner,
        "admin" => Office::Admin,
        "employee" => Office::Employee,
        "viewer" => Office::Viewer,
        _ => Office::Custom(slug.strip_prefix("custom:").filter(|n| !n.trim().is_empty())?.to_owned()),
    })
}

/// As in the configuration and on the command line.
pub const fn unlisted_slug(unlisted: Unlisted) -> &'static str {
    match unlisted {
        Unlisted::Manual => "manual",
        Unlisted::Deny => "deny",
        Unlisted::Roster => "roster",
    }
}

/// The reverse of [`unlisted_slug`].
pub fn parse_unlisted(slug: &str) -> Option<Unlisted> {
    [Unlisted::Manual, Unlisted::Deny, Unlisted::Roster].into_iter().find(|u| unlisted_slug(*u) == slug)
}
