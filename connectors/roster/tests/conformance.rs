//! The contract's own scenarios, over real files.

#![expect(clippy::unwrap_used, reason = "helpers of tests; the lint sees only the tests themselves")]

use std::{fs, sync::Arc};

use async_trait::async_trait;
use ledgerward_contract::{
    Build, ClientDirectory, Connector, Endpoints, Factory as _, Timestamp, Transport,
    suite::{NoTransport, directory::DirectoryHarness},
};
use ledgerward_roster::FACTORY;
use serde_json::json;

struct File {
    connector: Box<dyn Connector>,
    dir: tempfile::TempDir,
}

impl File {
    fn write(&self, first: &str) {
        let text =
            format!("Client,Email\nAcme Ltd,{first}\nBirch LLP,ann@harbour.example\nBirch LLP,ben@harbour.example\n");
        let path = self.dir.path().join("list.csv");
        fs::write(&path, text).unwrap();
        let then = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
        fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
    }
}

#[async_trait]
impl DirectoryHarness for File {
    async fn fresh() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = json!({"file": dir.path().join("list.csv")});
        let connector = FACTORY.build(Build { settings, endpoints: Endpoints::default() }).unwrap();
        let file = Self { connector, dir };
        file.write("ana@harbour.example");
        file
    }
    fn directory(&self) -> &dyn ClientDirectory {
        self.connector.directory().unwrap()
    }
    fn vendor(&self) -> Arc<dyn Transport> {
        Arc::new(NoTransport)
    }
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
    async fn let_go(&self) -> String {
        self.write("nobody");
        "acme ltd".to_owned()
    }
}

ledgerward_contract::directory_suite!(File);
