//! Organisations in a saved state: books and files that several share are written once, so that 10,000 stay small.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use uuid::Uuid;

use super::{
    books::{Books, Paper},
    world::Org,
};

#[derive(Deserialize, Serialize)]
struct Shelves<B, F, O> {
    books: Vec<B>,
    files: Vec<F>,
    organisations: Vec<Placed<O>>,
}

#[derive(Deserialize, Serialize)]
struct Placed<O> {
    organisation: O,
    /// Where its books and its files stand.
    books: usize,
    files: usize,
}

/// Each thing once, in the order of its first use.
struct Shelf<'a, T> {
    things: Vec<&'a T>,
    places: BTreeMap<*const T, usize>,
}

impl<'a, T> Shelf<'a, T> {
    fn new() -> Self {
        Self { things: Vec::new(), places: BTreeMap::new() }
    }

    fn put(&mut self, thing: &'a Arc<T>) -> usize {
        *self.places.entry(Arc::as_ptr(thing)).or_insert_with(|| {
            self.things.push(thing);
            self.things.len() - 1
        })
    }
}

pub fn serialize<'a, S: Serializer>(orgs: &'a BTreeMap<Uuid, Org>, to: S) -> Result<S::Ok, S::Error> {
    let (mut books, mut files) = (Shelf::new(), Shelf::new());
    let place = |o: &'a Org| Placed { organisation: o, books: books.put(&o.books), files: files.put(&o.files) };
    let organisations = orgs.values().map(place).collect();
    Shelves { books: books.things, files: files.things, organisations }.serialize(to)
}

pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<Uuid, Org>, D::Error> {
    let saved = Shelves::<Books, Vec<Paper>, Org>::deserialize(from)?;
    let books: Vec<_> = saved.books.into_iter().map(Arc::new).collect();
    let files: Vec<_> = saved.files.into_iter().map(Arc::new).collect();
    let take = |placed: Placed<Org>| {
        let mut org = placed.organisation;
        let missing = || D::Error::custom(format!("{} has no books or no files", org.name));
        let (books, files) = books.get(placed.books).zip(files.get(placed.files)).ok_or_else(missing)?;
        (org.books, org.files) = (Arc::clone(books), Arc::clone(files));
        Ok((org.tenant, org))
    };
    saved.organisations.into_iter().map(take).collect()
}
