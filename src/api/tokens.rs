//! Tokens for loopback TCP: each acts as one person of the firm, until its last day, until it is revoked, or until the person
//! is disabled or closed, and then for good.
//!
//! Kept is a hash (SHA-256 of 256 random bits needs no salt and no slowness); the token itself is shown once.

use std::collections::BTreeMap;

use ledgerward_contract::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    domain::firm::{Firm, Person, PersonId},
    store::{Db, Result, StoreError, hex},
};

/// The documents they are kept in.
const KIND: &str = "api_token";
const PREFIX: &str = "lw1_";
/// Random bytes of a token.
const BYTES: usize = 32;

/// What is kept of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub person: PersonId,
    /// SHA-256 of the token, in hex.
    pub hash: String,
    pub made: Timestamp,
    pub by: String,
    /// From this moment on it is good for nothing.
    pub expires: Option<Timestamp>,
}

impl Token {
    pub fn ended(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

/// A new token's own text. Not kept, not logged.
pub fn fresh(random: &[u8; BYTES]) -> String {
    format!("{PREFIX}{}", hex(random))
}

pub fn hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

/// The token that this text is, among those that are good now. Every one is compared, whole, in the same time.
pub fn find<'t>(tokens: &'t BTreeMap<String, Token>, text: &str, now: Timestamp) -> Option<(&'t str, &'t Token)> {
    let hash = hash(text);
    let mut found = None;
    for (name, token) in tokens {
        if same(token.hash.as_bytes(), hash.as_bytes()) {
            found = Some((name.as_str(), token));
        }
    }
    found.filter(|(_, token)| !token.ended(now))
}

/// Whether two texts are the same, in a time that says nothing about where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    let different = a.iter().zip(b).fold(0_u8, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    a.len() == b.len() && different == 0
}

impl Db {
    /// All of them, by name, ended ones too.
    pub fn api_tokens(&self) -> Result<BTreeMap<String, Token>> {
        self.doc_all(KIND)
    }

    /// Errors: `Conflict`, where one of this name is there.
    pub fn api_token_add(&mut self, name: &str, token: &Token) -> Result<()> {
        self.tx(|db| {
            if db.doc_get::<Token>(KIND, name)?.is_some() {
                return Err(StoreError::conflict(format!("there is a token \"{name}\" already"))
                    .next("Choose another name, or end that one: ledgerward api token revoke NAME"));
            }
            db.doc_put(KIND, name, token)?;
            // The hash of a secret is nobody's to keep for ever.
            let told = serde_json::json!({"person": token.person, "expires": token.expires});
            db.audit(token.made, "token.add", name, None::<&()>, Some(&told), None)
        })
    }

    /// Ends the tokens of everybody who is shut by a change, or was before it: a token does not come back with its person.
    pub fn api_tokens_end(&mut self, before: &Firm, after: &Firm, at: Timestamp) -> Result<()> {
        let shut = |id: PersonId| [before, after].into_iter().any(|f| f.people.get(&id).is_none_or(Person::shut));
        let ended: Vec<String> =
            self.api_tokens()?.into_iter().filter(|(_, t)| shut(t.person)).map(|(name, _)| name).collect();
        ended.iter().try_for_each(|name| self.api_token_revoke(name, at).map(drop))
    }

    /// False if there was none.
    pub fn api_token_revoke(&mut self, name: &str, at: Timestamp) -> Result<bool> {
        self.tx(|db| {
            let Some(token) = db.doc_get::<Token>(KIND, name)? else { return Ok(false) };
            let told = serde_json::json!({"person": token.person, "expires": token.expires});
            db.audit(at, "token.revoke", name, Some(&told), None::<&()>, None)?;
            db.doc_delete(KIND, name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_by_its_whole_text_and_until_its_end() {
        let text = fresh(&[7; 32]);
        let end = Timestamp::from_second(100).unwrap();
        let token = Token {
            person: PersonId(uuid::Uuid::from_u128(1)),
            hash: hash(&text),
            made: Timestamp::UNIX_EPOCH,
            by: "ana".to_owned(),
            expires: Some(end),
        };
        let all = BTreeMap::from([("crm".to_owned(), token)]);
        let at = |s| Timestamp::from_second(s).unwrap();
        assert!(find(&all, &text, at(99)).is_some());
        assert!(find(&all, &text, at(100)).is_none());
        assert!(find(&all, &text[..text.len() - 1], at(1)).is_none());
        assert!(find(&all, "", at(1)).is_none());
        assert!(!format!("{all:?}").contains(&text));
    }
}
