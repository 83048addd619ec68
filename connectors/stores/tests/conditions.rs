//! Stores that know no conditional writes, and say so; and stores that are at another write.

#![expect(clippy::unwrap_used, reason = "helpers of tests; the lint sees only the tests themselves")]

mod common;

use std::sync::Arc;

use common::{Bucket, OnlyNew, connector};
use ledgerward_contract::{
    Audience, ClientId, Connector, Created, ErrorKind, Expect, Fenced, FolderId, FolderKey, Journalled, Permit, Result,
    StorageTarget, Stored, Timestamp, WriteAuthority, WriteCx, suite::target::file,
};
use ledgerward_stores::S3;
use serde_json::json;
use url::Url;

struct Place {
    connector: Box<dyn Connector>,
    bucket: Arc<Bucket>,
}

impl Place {
    fn new(only_new: OnlyNew) -> Self {
        let at = Url::parse("http://127.0.0.1:9/").unwrap();
        let settings = json!({ "bucket": "b", "access_key_id": "k" });
        let connector = connector(&S3, Some(("s3", &at)), settings, &[("secret_access_key", "word")]);
        Self { connector, bucket: Bucket::new(only_new) }
    }

    fn t(&self) -> &dyn StorageTarget {
        self.connector.target().unwrap()
    }

    /// Of a cycle of its own: nothing is remembered from another.
    fn write(&self, cycle: i64) -> WriteCx {
        let now = Timestamp::from_second(1_790_000_000 + cycle).unwrap();
        Permit::issue(&WriteAuthority::for_tests(), Journalled::committed(1)).open(self.bucket.clone(), now)
    }

    async fn create(&self, cycle: i64) -> Result<Created> {
        self.t().create(&self.write(cycle), &key(1), "Acme Ltd", None).await
    }

    async fn put(&self, cycle: i64, bytes: &'static [u8], expect: Expect) -> Result<Stored> {
        let fence = Fenced::managed_elsewhere(FolderId::from("Acme Ltd"), &Audience::new("the tests").unwrap());
        self.t().put(&self.write(cycle), &fence, &file(&["2026", "a.pdf"], bytes), expect).await
    }
}

fn key(n: u128) -> FolderKey {
    FolderKey { client: ClientId(uuid::Uuid::from_u128(n)), account: None }
}

#[tokio::test]
async fn a_store_that_knows_no_conditions_can_have_folders_and_files() {
    let p = Place::new(OnlyNew::Unknown);
    assert_eq!(p.create(0).await.unwrap(), Created::Created("Acme Ltd".into()));
    assert_eq!(p.create(1).await.unwrap(), Created::Exists { id: "Acme Ltd".into(), ours: true });
    p.put(2, b"%PDF one", Expect::Absent).await.unwrap();
    let e = p.put(3, b"%PDF two", Expect::Absent).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Conflict, "a look takes the place of the condition: {e:?}");
}

#[tokio::test]
async fn a_marker_of_others_is_not_written_over_where_no_condition_keeps_it() {
    let p = Place::new(OnlyNew::Unknown);
    *p.bucket.rival.lock().unwrap() =
        Some(br#"{"schema":"ledgerward/folder/1","folder":"00000000-0000-0000-0000-000000000002"}"#);
    assert_eq!(p.create(0).await.unwrap(), Created::Exists { id: "Acme Ltd".into(), ours: false });
}

#[tokio::test]
async fn a_store_that_is_at_another_write_of_the_name_is_asked_again_later() {
    let p = Place::new(OnlyNew::Busy);
    let e = p.create(0).await.unwrap_err();
    assert!(e.kind == ErrorKind::Unavailable && e.next.is_some(), "nobody's folder is there: {e:?}");
    p.bucket.by_hand("Old folder/by-hand.txt", b"x");
    let e = p.t().mark(&p.write(1), &"Old folder".into(), &key(1)).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unavailable, "{e:?}");

    *p.bucket.only_new.lock().unwrap() = OnlyNew::Kept;
    assert_eq!(p.create(2).await.unwrap(), Created::Created("Acme Ltd".into()));
    p.put(3, b"%PDF first", Expect::Absent).await.unwrap();
    *p.bucket.only_new.lock().unwrap() = OnlyNew::Busy;
    let fence = Fenced::managed_elsewhere(FolderId::from("Acme Ltd"), &Audience::new("the tests").unwrap());
    let other = file(&["2026", "b.pdf"], b"%PDF b");
    let e = p.t().put(&p.write(4), &fence, &other, Expect::Absent).await.unwrap_err();
    assert!(e.kind == ErrorKind::Unavailable && e.message.contains("busy"), "no file is in the way: {e:?}");
    let e = p.put(5, b"%PDF two", Expect::Absent).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Conflict, "here one is: {e:?}");
    *p.bucket.only_new.lock().unwrap() = OnlyNew::Kept;
    assert!(p.t().put(&p.write(6), &fence, &other, Expect::Absent).await.unwrap().written);
}
