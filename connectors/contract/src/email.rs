//! E-mail addresses as identities (`decisions` 1; faults I01–I04, I08).

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// An address that was parsed once.
///
/// Two addresses are equal if they are the same ASCII letters in any case, with the domain as A-labels (UTS-46,
/// non-transitional). Nothing is stripped: no plus tag, no dots. Nothing is Unicode-folded: a local part outside ASCII is
/// refused, and whoever holds it waits for a person. `as_given` is what is sent to a vendor.
#[derive(Clone)]
pub struct Email {
    /// The key, and behind it the address as given where the two differ. Shared: a plan names the same person in every folder.
    text: Arc<str>,
    key_len: u16,
}

/// Why a text is no address. The text itself is in the message only as far as it is harmless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    #[error("the address is empty")]
    Empty,
    #[error("the address is longer than 254 characters")]
    TooLong,
    #[error("the address needs exactly one @ with a name before it and a domain after it")]
    Shape,
    #[error("the part before the @ has letters outside ASCII; add the person's plain address, or an alias, by hand")]
    NonAsciiLocal,
    #[error("the part before the @ has a character that no address of a firm uses")]
    BadLocal,
    #[error("the domain is not a valid internet domain")]
    BadDomain,
}

impl Email {
    /// Takes one bare address, surrounding blanks allowed. Display-name forms (`Ann <ann@…>`), lists, line breaks and
    /// anything over 254 characters are refused.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let given = text.trim_matches([' ', '\t']);
        if given.is_empty() {
            return Err(EmailError::Empty);
        }
        if given.len() > 254 {
            return Err(EmailError::TooLong);
        }
        let (local, domain) = given.split_once('@').ok_or(EmailError::Shape)?;
        if local.is_empty() || domain.is_empty() || domain.contains('@') {
            return Err(EmailError::Shape);
        }
        if !local.is_ascii() {
            return Err(EmailError::NonAsciiLocal);
        }
        // RFC 5321 dot-string: quoted local parts exist on paper only and are how two addresses hide in one field.
        let ok = local.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b));
        if !ok || local.len() > 64 || local.starts_with('.') || local.ends_with('.') || local.contains("..") {
            return Err(EmailError::BadLocal);
        }
        let a_label = idna::domain_to_ascii_strict(domain).map_err(|_| EmailError::BadDomain)?;
        if !a_label.contains('.')
            || a_label.starts_with('.')
            || a_label.ends_with('.')
            || a_label.parse::<std::net::IpAddr>().is_ok()
        {
            return Err(EmailError::BadDomain);
        }
        let mut text = format!("{}@{}", local.to_ascii_lowercase(), a_label.to_ascii_lowercase());
        // A-labels of 254 characters are far from this limit.
        let key_len = u16::try_from(text.len()).map_err(|_| EmailError::TooLong)?;
        if text != given {
            text.push_str(given);
        }
        Ok(Self { text: text.into(), key_len })
    }

    /// The comparison form: lower-case ASCII with an A-label domain. This is what is stored as a key.
    pub fn key(&self) -> &str {
        self.text.get(..usize::from(self.key_len)).unwrap_or(&self.text)
    }

    /// As the source or the firm wrote it.
    pub fn as_given(&self) -> &str {
        self.text.get(usize::from(self.key_len)..).filter(|given| !given.is_empty()).unwrap_or(&self.text)
    }

    /// The domain as A-labels, lower case.
    pub fn domain(&self) -> &str {
        self.key().split_once('@').map_or("", |(_, d)| d)
    }
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Email {}
impl PartialOrd for Email {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Email {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key())
    }
}
impl Hash for Email {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}
impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}
impl std::str::FromStr for Email {
    type Err = EmailError;
    fn from_str(s: &str) -> Result<Self, EmailError> {
        Self::parse(s)
    }
}
impl serde::Serialize for Email {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_given())
    }
}
impl<'de> serde::Deserialize<'de> for Email {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn i01_same_person_in_two_cases_is_one_key_and_sent_as_given() {
        let (a, b) = (Email::parse("Bob@X.com").unwrap(), Email::parse(" bob@x.com ").unwrap());
        assert_eq!(a, b);
        assert_eq!(a.as_given(), "Bob@X.com");
    }

    #[test]
    fn i02_plus_and_dots_are_other_identities() {
        let all = ["bob@gmail.com", "bob+ledger@gmail.com", "b.ob@gmail.com"].map(|t| Email::parse(t).unwrap());
        assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2]);
    }

    #[test]
    fn i03_idn_domain_becomes_a_labels_and_homoglyphs_stay_apart() {
        assert_eq!(Email::parse("a@bücher.example").unwrap().key(), "a@xn--bcher-kva.example");
        assert_eq!(Email::parse("a@BÜCHER.example").unwrap(), Email::parse("a@xn--bcher-kva.example").unwrap());
        assert_ne!(Email::parse("a@gmaıl.com").unwrap(), Email::parse("a@gmail.com").unwrap());
    }

    #[test]
    fn i04_unicode_case_collisions_never_match_ascii() {
        for trick in ["mıke@x.com", "MİKE@x.com", "ſam@x.com", "\u{212a}im@x.com"] {
            assert_eq!(Email::parse(trick), Err(EmailError::NonAsciiLocal), "{trick}");
        }
    }

    #[test]
    fn i08_junk_is_refused() {
        for junk in [
            "",
            " ",
            "n/a",
            "a@b",
            "a@b@c.com",
            "Ann <ann@x.com>",
            "a@x.com,b@x.com",
            "a@x.com\r\nBcc: b@x.com",
            "a@x.com b@x.com",
            "@x.com",
            "a@",
            ".a@x.com",
            "a@127.0.0.1",
        ] {
            assert!(Email::parse(junk).is_err(), "{junk:?}");
        }
        assert_eq!(Email::parse(&format!("{}@x.com", "a".repeat(400))), Err(EmailError::TooLong));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_its_key_is_a_fixed_point(text in ".{0,300}") {
            if let Ok(e) = Email::parse(&text) {
                prop_assert!(e.key().is_ascii());
                let again = Email::parse(e.key()).unwrap();
                prop_assert_eq!(again.key(), e.key());
            }
        }
    }
}
