//! From what a person typed to whom or what is meant.

use super::{Client, Firm, Person, PersonId, Refusal, RefusalKind, refuse};

/// By address or alias, the part before the @, the full name, or at least eight digits of the id. More than one match is
/// refused with all of them; a guess would change the wrong person's access.
pub fn find_person<'a>(firm: &'a Firm, typed: &str) -> Result<&'a Person, Refusal> {
    let typed = typed.trim();
    let lower = typed.to_lowercase();
    let people = || firm.people.values();
    if let Ok(email) = ledgerward_contract::Email::parse(typed) {
        let known = |p: &&Person| p.email == email || p.aliases.values().any(|set| set.contains(&email));
        return people().find(known).ok_or_else(|| nobody(typed, "person", "people"));
    }
    let local = |p: &&Person| p.email.key().split_once('@').is_some_and(|(l, _)| l == lower);
    let full = |p: &&Person| p.full_name().to_lowercase() == lower;
    let id = |p: &&Person| id_prefix(p.id.0, &lower);
    let found: Vec<&Person> = people().filter(|p| local(p) || full(p) || id(p)).collect();
    only(found, typed, ("person", "people"), |p| p.email.to_string())
}

/// By slug, exact name in any case, or at least eight digits of the id. A private client is found only by its own person
/// and by those it is shared with for as long as its person keeps it; for everybody else it is not there.
pub fn find_client<'a>(firm: &'a Firm, typed: &str, asking: Option<PersonId>) -> Result<&'a Client, Refusal> {
    let shared = |c: &Client| firm.shared(c) && asking.is_some_and(|p| firm.selections.contains_key(&(p, c.id)));
    find_client_of(firm, typed, |c| c.private_to.is_none() || c.private_to == asking || shared(c))
}

/// [`find_client`] among those that the asker may know of: what the others are called is in no answer, "could be" included.
pub fn find_client_of<'a>(firm: &'a Firm, typed: &str, knows: impl Fn(&Client) -> bool) -> Result<&'a Client, Refusal> {
    let lower = typed.trim().to_lowercase();
    let seen = || firm.clients.values().filter(|c| knows(c));
    if let Some(client) = seen().find(|c| c.slug == lower) {
        return Ok(client);
    }
    let found: Vec<&Client> = seen().filter(|c| c.name.to_lowercase() == lower || id_prefix(c.id.0, &lower)).collect();
    only(found, typed, ("client", "clients"), |c| c.slug.clone())
}

fn id_prefix(id: uuid::Uuid, typed: &str) -> bool {
    let digits = typed.replace('-', "");
    digits.len() >= 8 && id.simple().to_string().starts_with(&digits)
}

fn nobody(typed: &str, one: &str, many: &str) -> Refusal {
    Refusal {
        message: format!("there is no {one} \"{typed}\""),
        next: format!("See: ledgerward {many} list --all"),
        kind: RefusalKind::Missing,
    }
}

fn only<'a, T>(
    found: Vec<&'a T>,
    typed: &str,
    (one, many): (&str, &str),
    show: impl Fn(&T) -> String,
) -> Result<&'a T, Refusal> {
    match found.as_slice() {
        [single] => Ok(single),
        [] => Err(nobody(typed, one, many)),
        several => {
            let names: Vec<String> = several.iter().map(|t| show(t)).collect();
            refuse(format!("\"{typed}\" could be {}", names.join(" or ")), "Write one of these in full.")
        }
    }
}
