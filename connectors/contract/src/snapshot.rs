//! Complete listings (invariant I10). A listing is complete or it is an error; there is no third value.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;

use crate::{Error, Result, Timestamp};

/// Where a listing goes on. Opaque to everybody but the connector that made it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cursor {
    #[default]
    Start,
    At(String),
}

impl Cursor {
    /// The connector's own text, `None` on the first page.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Start => None,
            Self::At(text) => Some(text),
        }
    }

    /// For a listing without pages. Errors: `Contract` where a second one is asked for.
    pub fn one_page(&self, op: &'static str) -> Result<()> {
        match self {
            Self::Start => Ok(()),
            Self::At(_) => Err(Error::contract(op, "this listing has one page and was asked for another")),
        }
    }
}

/// One page of a listing. `next` is required: a connector that forgets it does not compile.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// `None` only where the vendor said, or documents, that this is the last page.
    pub next: Option<Cursor>,
    /// How many items the vendor says there are in all, where it says so. A different count is an error.
    pub total: Option<u64>,
}

impl<T> Page<T> {
    /// The only page of a listing that has no paging.
    pub fn only(items: Vec<T>) -> Self {
        Self { items, next: None, total: None }
    }
}

/// Something that a listing lists, with the id it has there.
pub trait Listed {
    type Key: Ord;
    fn key(&self) -> Self::Key;
}

/// Pages that only repeat what was there, in a row. One may be honest: things of one name and one list look the same (two
/// folders of Google Drive). A page without anything is no repetition: of a tree, or a list that is filtered, there may be
/// thousands.
const REPEATED_MAX: u32 = 10;

/// A complete listing, sorted by id, as it was between `at` and the last page.
///
/// Private fields: only [`Snapshot::gather`] makes one, after the last page.
#[derive(Clone, Debug)]
pub struct Snapshot<T> {
    items: Vec<T>,
    at: Timestamp,
    pages: u32,
}

impl<T: Listed + PartialEq> Snapshot<T> {
    /// Reads page after page until the vendor says that there is no more.
    ///
    /// Errors: whatever `fetch` gives, and `Contract` when a cursor comes twice, page after page repeats what was there
    /// (P12), the count differs from the vendor's, the same id comes twice with different content (the list moved under us,
    /// P13), or `pages_max` is passed. An id that comes twice with the same content is one item.
    pub async fn gather<'a>(
        op: &'static str,
        at: Timestamp,
        pages_max: u32,
        mut fetch: impl FnMut(Cursor) -> BoxFuture<'a, Result<Page<T>>>,
    ) -> Result<Self> {
        let (mut items, mut seen, mut cursor, mut pages) = (BTreeMap::new(), BTreeSet::new(), Cursor::Start, 0_u32);
        let (mut total, mut repeated): (Option<u64>, u32) = (None, 0);
        loop {
            if pages == pages_max {
                return Err(Error::contract(op, format!("the listing did not end after {pages_max} pages")));
            }
            let page = fetch(cursor.clone()).await?;
            pages += 1;
            let (known, empty) = (items.len(), page.items.is_empty());
            for item in page.items {
                match items.entry(item.key()) {
                    std::collections::btree_map::Entry::Vacant(slot) => {
                        slot.insert(item);
                    }
                    std::collections::btree_map::Entry::Occupied(slot) if *slot.get() == item => {}
                    std::collections::btree_map::Entry::Occupied(_) => {
                        return Err(Error::contract(
                            op,
                            "the listing changed while it was read: one id came twice with different content",
                        ));
                    }
                }
            }
            match (total, page.total) {
                (Some(a), Some(b)) if a != b => {
                    return Err(Error::contract(op, "the vendor's count changed while the list was read"));
                }
                (None, Some(b)) => total = Some(b),
                _ => {}
            }
            match page.next {
                None => break,
                Some(next) => {
                    if next == Cursor::Start || !seen.insert(next.clone()) {
                        return Err(Error::contract(op, "the vendor gave the same page cursor twice"));
                    }
                    cursor = next;
                }
            }
            match (items.len() > known, empty) {
                (true, _) => repeated = 0,
                (false, true) => {}
                (false, false) => repeated += 1,
            }
            if repeated == REPEATED_MAX {
                return Err(Error::contract(op, "the vendor gives the same items page after page, and no end"));
            }
        }
        if let Some(total) = total
            && total != items.len() as u64
        {
            return Err(Error::contract(op, format!("the vendor counts {total} items but listed {}", items.len())));
        }
        Ok(Self { items: items.into_values().collect(), at, pages })
    }
}

impl<T> Snapshot<T> {
    /// The items, sorted by id, each id once.
    pub fn items(&self) -> &[T] {
        &self.items
    }

    /// When the reading began.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    pub fn pages(&self) -> u32 {
        self.pages
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[derive(Clone, Debug, PartialEq)]
    struct Item(u32, &'static str);
    impl Listed for Item {
        type Key = u32;
        fn key(&self) -> u32 {
            self.0
        }
    }
    fn page(items: Vec<Item>, next: Option<&str>, total: Option<u64>) -> Page<Item> {
        Page { items, next: next.map(|n| Cursor::At(n.into())), total }
    }
    async fn gather(pages: Vec<Result<Page<Item>>>) -> Result<Snapshot<Item>> {
        let mut pages = pages.into_iter();
        Snapshot::gather("items.list", Timestamp::UNIX_EPOCH, 10, move |_| {
            let p = pages.next().unwrap_or_else(|| Ok(page(vec![], Some("more"), None)));
            Box::pin(async move { p })
        })
        .await
    }

    #[tokio::test]
    async fn all_pages_make_one_sorted_list() {
        let s =
            gather(vec![Ok(page(vec![Item(2, "b")], Some("x"), Some(2))), Ok(page(vec![Item(1, "a")], None, Some(2)))])
                .await
                .unwrap();
        assert_eq!(s.items(), [Item(1, "a"), Item(2, "b")]);
    }

    #[tokio::test]
    async fn p03_a_failed_second_page_is_no_list() {
        let fail = Error::new(ErrorKind::Unavailable, "items.list", "500");
        assert!(gather(vec![Ok(page(vec![Item(1, "a")], Some("x"), None)), Err(fail)]).await.is_err());
    }

    #[tokio::test]
    async fn p12_a_loop_of_cursors_or_pages_without_end_is_an_error() {
        let twice = gather(vec![Ok(page(vec![], Some("x"), None)), Ok(page(vec![], Some("x"), None))]).await;
        assert_eq!(twice.unwrap_err().kind, ErrorKind::Contract);
        let mut n = 0;
        let endless = Snapshot::<Item>::gather("items.list", Timestamp::UNIX_EPOCH, 10, move |_| {
            n += 1;
            let p = page(vec![], Some(&n.to_string()), None);
            Box::pin(async move { Ok(p) })
        });
        assert_eq!(endless.await.unwrap_err().kind, ErrorKind::Contract);
    }

    #[tokio::test]
    async fn p12_pages_that_repeat_are_no_progress_and_empty_ones_are_no_repetition() {
        let list = async |next: fn(u32) -> Vec<Item>, last: u32| {
            let mut n = 0;
            let all = Snapshot::<Item>::gather("items.list", Timestamp::UNIX_EPOCH, 1_000, |_| {
                n += 1;
                let more = (n < last).then(|| n.to_string());
                let p = page(next(n), more.as_deref(), None);
                Box::pin(async move { Ok(p) })
            })
            .await;
            (all, n)
        };
        let (same, asked) = list(|_| vec![Item(1, "a"), Item(2, "b")], 900).await;
        assert_eq!((same.unwrap_err().kind, asked), (ErrorKind::Contract, REPEATED_MAX + 1), "new cursors, old items");
        let (mixed, _) = list(|n| if n % 2 == 0 { vec![] } else { vec![Item(1, "a")] }, 900).await;
        assert!(mixed.is_err(), "empty pages between do not make it progress");
        let (filtered, _) = list(|n| if n == 900 { vec![Item(1, "a")] } else { vec![] }, 900).await;
        assert_eq!(filtered.unwrap().items(), [Item(1, "a")]);
        let (overlapping, _) = list(|n| vec![Item(n / 2, "a")], 900).await;
        assert_eq!(overlapping.unwrap().items().len(), 451, "a list that moves goes on");
    }

    #[tokio::test]
    async fn p13_doubled_items_collapse_and_conflicting_ones_discard_the_list() {
        let same =
            gather(vec![Ok(page(vec![Item(1, "a")], Some("x"), None)), Ok(page(vec![Item(1, "a")], None, None))])
                .await
                .unwrap();
        assert_eq!(same.items().len(), 1);
        assert!(
            gather(vec![Ok(page(vec![Item(1, "a")], Some("x"), None)), Ok(page(vec![Item(1, "b")], None, None))])
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn a_count_that_differs_is_an_error() {
        assert!(gather(vec![Ok(page(vec![Item(1, "a")], None, Some(2)))]).await.is_err());
    }
}
