//! Which folder of a tree that was there before belongs to which client: proposals with reasons, for a person to confirm.
//! A name proves nothing, so nothing here is done by itself.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{ClientId, FolderId, SeenFolder};
use serde::Serialize;

use super::names::plain;

/// What is known of a client that has no folder on the target.
#[derive(Clone, Debug)]
pub struct Wanting {
    pub id: ClientId,
    pub slug: String,
    pub name: String,
    /// Ids under which its sources know it: what firms put before a folder's name.
    pub numbers: BTreeSet<String>,
}

/// Why a folder may be a client's, the best reason first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It carries this client's marker already.
    Marker,
    SameName,
    /// The same words, whatever the letter case, marks, signs and company forms are.
    SameWords,
    /// The same words beside a number.
    WordsAndNumber,
    /// A number that one of the client's sources has for it.
    Number,
    Slug,
    /// All words of the one are in the other.
    Contains,
}

impl Why {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Marker => "carries the client's marker",
            Self::SameName => "the same name",
            Self::SameWords => "the same words",
            Self::WordsAndNumber => "the same words beside a number",
            Self::Number => "the number that a source has for the client",
            Self::Slug => "the client's short name",
            Self::Contains => "the words of one are in the other",
        }
    }
}

/// One pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    pub client: ClientId,
    pub folder: FolderId,
    pub name: String,
    pub why: Why,
    /// No other folder fits this client as well, no other client fits this folder as well, and the reason is more than that
    /// one name is in the other. Where the words alone do not make it so: the folder is not one of a year, and no other
    /// that belongs to nobody else has the client's name in its own.
    pub certain: bool,
}

/// All pairs with the best reason of their client, in the clients' order. Folders that carry somebody else's marker are
/// nobody's.
pub fn candidates(clients: &[Wanting], folders: &[SeenFolder]) -> Vec<Candidate> {
    let markers: BTreeSet<String> = clients.iter().map(|c| c.id.to_string()).collect();
    let free: Vec<&SeenFolder> =
        folders.iter().filter(|f| f.marker.as_ref().is_none_or(|m| markers.contains(m))).collect();
    let mut by: BTreeMap<(Why, String), Vec<usize>> = BTreeMap::new();
    for (at, folder) in free.iter().enumerate() {
        for key in folder_keys(folder) {
            by.entry(key).or_default().push(at);
        }
    }
    let mut pairs: Vec<(usize, usize, Why)> = Vec::new();
    for (c, client) in clients.iter().enumerate() {
        let mut found: BTreeMap<usize, Why> = BTreeMap::new();
        for key in client_keys(client) {
            for at in by.get(&key).into_iter().flatten() {
                found.entry(*at).and_modify(|w| *w = (*w).min(key.0)).or_insert(key.0);
            }
        }
        pairs.extend(found.into_iter().map(|(at, why)| (c, at, why)));
    }
    contained(clients, &free, &mut pairs);
    let mut best_client: BTreeMap<usize, Why> = BTreeMap::new();
    let mut best_folder: BTreeMap<usize, Why> = BTreeMap::new();
    for (c, f, why) in &pairs {
        best_client.entry(*c).and_modify(|w| *w = (*w).min(*why)).or_insert(*why);
        best_folder.entry(*f).and_modify(|w| *w = (*w).min(*why)).or_insert(*why);
    }
    // A folder that fits another client better is no proposal for this one.
    pairs.retain(|(c, f, why)| best_client.get(c) == Some(why) && best_folder.get(f) == Some(why));
    let many = |of: &dyn Fn(&(usize, usize, Why)) -> bool| pairs.iter().filter(|p| of(p)).count() > 1;
    let rivals: Vec<BTreeSet<String>> = free.iter().map(|folder| telling(&folder.name)).collect();
    let rivalled = |c: usize, f: usize| {
        let mine = clients.get(c).map(|client| telling(&client.name)).filter(|mine| !mine.is_empty());
        let others = |at: usize| pairs.iter().any(|p| p.1 == at && p.0 != c);
        mine.is_some_and(|mine| {
            let rival = |(at, words): (usize, &BTreeSet<String>)| at != f && mine.is_subset(words) && !others(at);
            rivals.iter().enumerate().any(rival)
        })
    };
    let doubted = |c: usize, f: usize| free.get(f).is_some_and(|folder| of_a_year(&folder.name)) || rivalled(c, f);
    let certain: Vec<bool> = pairs
        .iter()
        .map(|(c, f, why)| {
            let alone = !many(&|p| p.0 == *c) && !many(&|p| p.1 == *f);
            *why < Why::Contains && alone && (*why <= Why::SameWords || !doubted(*c, *f))
        })
        .collect();
    let made = pairs.iter().zip(certain).filter_map(|((c, f, why), certain)| {
        let (client, folder) = (clients.get(*c)?, free.get(*f)?);
        Some(Candidate { client: client.id, folder: folder.id.clone(), name: folder.name.clone(), why: *why, certain })
    });
    made.collect()
}

fn folder_keys(folder: &SeenFolder) -> Vec<(Why, String)> {
    let mut keys = vec![(Why::SameName, folder.name.clone())];
    if let Some(marker) = &folder.marker {
        keys.push((Why::Marker, marker.clone()));
    }
    let words = words(&folder.name);
    keys.push((Why::SameWords, words.join(" ")));
    let (numbers, rest): (Vec<String>, Vec<String>) = words.iter().cloned().partition(|w| is_number(w));
    if !numbers.is_empty() && !rest.is_empty() {
        keys.push((Why::WordsAndNumber, rest.join(" ")));
    }
    keys.extend(numbers.into_iter().map(|n| (Why::Number, n)));
    keys.push((Why::Slug, plain(&folder.name).trim().to_owned()));
    keys.retain(|(_, text)| !text.is_empty());
    keys
}

fn client_keys(client: &Wanting) -> Vec<(Why, String)> {
    let words = words(&client.name).join(" ");
    let mut keys = vec![
        (Why::Marker, client.id.to_string()),
        (Why::SameName, client.name.clone()),
        (Why::SameWords, words.clone()),
        (Why::WordsAndNumber, words),
        (Why::Slug, client.slug.clone()),
    ];
    keys.extend(client.numbers.iter().map(|n| (Why::Number, plain(n))));
    keys.retain(|(_, text)| !text.is_empty());
    keys
}

fn is_number(word: &str) -> bool {
    word.len() >= 2 && word.chars().all(|c| c.is_ascii_digit())
}

/// Whether the name ends in what is a year rather than a client's number.
fn of_a_year(name: &str) -> bool {
    let last = words(name).pop().and_then(|w| w.parse::<u32>().ok());
    last.is_some_and(|n| (1990..=2099).contains(&n))
}

/// The words that tell a client from another, without the forms that companies have.
fn telling(name: &str) -> BTreeSet<String> {
    let forms = ["ltd", "inc", "co", "corp", "pty", "llp", "llc", "plc", "and", "trust", "group"];
    words(name).into_iter().filter(|w| !forms.contains(&w.as_str()) && !is_number(w)).collect()
}

/// Small letters without marks, and no signs; company forms in one spelling each.
fn words(name: &str) -> Vec<String> {
    let text = plain(name).replace('&', " and ").replace(['\'', '’', '.'], "");
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty() && *w != "the");
    words
        .map(|w| match w {
            "limited" => "ltd",
            "incorporated" => "inc",
            "company" => "co",
            "corporation" => "corp",
            "proprietary" => "pty",
            other => other,
        })
        .map(str::to_owned)
        .collect()
}

/// Pairs of those that have none yet, by their words. One word that says nothing ("ltd") makes no pair.
fn contained(clients: &[Wanting], folders: &[&SeenFolder], pairs: &mut Vec<(usize, usize, Why)>) {
    let (with, of): (BTreeSet<usize>, BTreeSet<usize>) = pairs.iter().map(|(c, f, _)| (*c, *f)).unzip();
    let left = folders.iter().enumerate().filter(|(f, _)| !of.contains(f));
    let left: Vec<(usize, BTreeSet<String>)> = left.map(|(f, folder)| (f, telling(&folder.name))).collect();
    for (c, client) in clients.iter().enumerate().filter(|(c, _)| !with.contains(c)) {
        let mine = telling(&client.name);
        let fits = |other: &BTreeSet<String>| {
            let common = mine.intersection(other).map(|w| w.chars().count()).sum::<usize>();
            common >= 4 && (mine.is_subset(other) || other.is_subset(&mine))
        };
        pairs.extend(left.iter().filter(|(_, other)| fits(other)).map(|(f, _)| (c, *f, Why::Contains)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u128, name: &str, slug: &str, numbers: &[&str]) -> Wanting {
        let numbers = numbers.iter().map(|n| (*n).to_owned()).collect();
        Wanting { id: ClientId(uuid::Uuid::from_u128(n)), slug: slug.to_owned(), name: name.to_owned(), numbers }
    }

    fn folder(name: &str) -> SeenFolder {
        SeenFolder { id: FolderId(format!("f-{name}")), name: name.to_owned(), marker: None }
    }

    fn told(clients: &[Wanting], folders: &[SeenFolder]) -> Vec<(u128, String, Why, bool)> {
        let all = candidates(clients, folders).into_iter();
        all.map(|c| (c.client.0.as_u128(), c.name, c.why, c.certain)).collect()
    }

    #[test]
    fn each_reason_makes_its_pair() {
        let clients = [
            client(1, "Acme Ltd", "acme-ltd", &[]),
            client(2, "Birch & Söhne Limited", "birch", &[]),
            client(3, "Cedar Bakery", "cedar-bakery", &["4711"]),
            client(4, "Dune Surf Co", "dune", &[]),
            client(5, "Elm Dental", "elm-dental", &[]),
            client(6, "Fjord Freight", "fjord-freight", &[]),
        ];
        let folders = [
            folder("Acme Ltd"),
            folder("BIRCH and Sohne Ltd."),
            folder("4711 the bakers"),
            folder("1042 - Dune Surf Company"),
            folder("elm-dental"),
            folder("Fjord Freight (old books)"),
            folder("Templates"),
        ];
        let name = |n: usize| folders[n].name.clone();
        let want = vec![
            (1, name(0), Why::SameName, true),
            (2, name(1), Why::SameWords, true),
            (3, name(2), Why::Number, true),
            (4, name(3), Why::WordsAndNumber, true),
            (5, name(4), Why::SameWords, true),
            (6, name(5), Why::Contains, false),
        ];
        assert_eq!(told(&clients, &folders), want);
    }

    #[test]
    fn what_fits_twice_is_told_and_never_certain() {
        let clients = [client(1, "Acme Ltd", "acme-ltd", &[]), client(2, "ACME Limited", "acme-limited", &[])];
        let both = told(&clients, &[folder("acme ltd")]);
        assert_eq!(both.len(), 2, "{both:?}");
        assert!(both.iter().all(|c| !c.3), "{both:?}");
        let twice = told(&clients[..1], &[folder("acme ltd"), folder("ACME LTD")]);
        assert_eq!(twice.len(), 2);
        assert!(twice.iter().all(|c| !c.3), "{twice:?}");
        // The exact name goes to its client, and the other one gets nothing that fits somebody else better.
        let exact = told(&clients, &[folder("Acme Ltd")]);
        assert_eq!(exact, vec![(1, "Acme Ltd".to_owned(), Why::SameName, true)]);
    }

    #[test]
    fn a_year_is_no_clients_number_and_another_folder_of_the_name_is_a_rival() {
        let cedar = client(1, "Cedar Bakery", "cedar-bakery", &["2031", "4711"]);
        let certain = |clients: &[Wanting], names: &[&str]| {
            let folders: Vec<_> = names.iter().map(|n| folder(n)).collect();
            told(clients, &folders).into_iter().find(|c| c.0 == 1 && c.1 == names[0]).unwrap().3
        };
        let one = std::slice::from_ref(&cedar);
        for (names, want) in [
            (&["Cedar Bakery 2024"][..], false),
            (&["Cedar Bakery 1990"], false),
            (&["Cedar Bakery 2100"], true),
            (&["2024 Cedar Bakery"], true),
            (&["The bakers 2031"], false),
            (&["1042 Cedar Bakery", "Templates"], true),
            (&["1042 Cedar Bakery", "Cedar Bakery (old)"], false),
            (&["4711 the bakers", "Cedar Bakery (old)"], false),
            // What has the very words needs no number, and a folder that is another client's is no rival.
            (&["Cedar Bakery", "Cedar Bakery (old)", "Cedar Bakery 2024"], true),
        ] {
            assert_eq!(certain(one, names), want, "{names:?}");
        }
        let both = [cedar, client(2, "Cedar Bakery Holdings", "cedar-bakery-holdings", &[])];
        assert!(certain(&both, &["1042 Cedar Bakery", "Cedar Bakery Holdings"]));
        // A client that is named after a year is called so.
        let year = [client(1, "Class of 1999", "class-of-1999", &[])];
        assert!(certain(&year, &["CLASS OF 1999"]));
    }

    #[test]
    fn a_folder_with_somebody_elses_marker_is_no_candidate() {
        let clients = [client(1, "Acme Ltd", "acme-ltd", &[])];
        let mut taken = folder("Acme Ltd");
        taken.marker = Some(ClientId(uuid::Uuid::from_u128(9)).to_string());
        assert_eq!(told(&clients, &[taken.clone()]), vec![]);
        taken.marker = Some(clients[0].id.to_string());
        assert_eq!(told(&clients, &[taken])[0].2, Why::Marker);
    }
}
