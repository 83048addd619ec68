//! Harbour Books: the imaginary vendor of the example program, as a transport.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use ledgerward_contract::{Build, Connector, Endpoints, Factory, Request, Response, Result, Transport};
use ledgerward_process::FACTORY;
use serde_json::{Value, json};

pub const API: &str = "https://api.harbour-books.example";

pub struct Vendor {
    pub members: Mutex<BTreeMap<String, Vec<Value>>>,
    pub page: Mutex<usize>,
}

impl Vendor {
    pub fn new() -> Arc<Self> {
        let members = BTreeMap::from([("71".to_owned(), vec![]), ("72".to_owned(), vec![])]);
        Arc::new(Self { members: Mutex::new(members), page: Mutex::new(100) })
    }

    fn answer(&self, path: &str, page: usize) -> Option<Value> {
        let members = self.members.lock().unwrap();
        let size = *self.page.lock().unwrap();
        let cut = |all: Vec<Value>| {
            let next = (all.len() > page * size).then_some(page + 1);
            (all.into_iter().skip((page - 1) * size).take(size).collect::<Vec<_>>(), next)
        };
        match path.split('/').skip(1).collect::<Vec<_>>().as_slice() {
            ["companies"] => {
                let all = members.keys().map(|id| json!({"id": id.parse::<u64>().unwrap(), "title": format!("Books {id}")}));
                let (rows, next) = cut(all.collect());
                Some(json!({"companies": rows, "next_page": next}))
            }
            ["companies", id] => members.get(*id).map(|_| {
                json!({"company": {"id": id, "title": format!("Books {id}"), "currency": "NZD", "year_end": "03-31"}})
            }),
            ["companies", id, "members"] => {
                let (rows, next) = cut(members.get(*id)?.clone());
                Some(json!({"company": id.parse::<u64>().unwrap(), "members": rows, "next_page": next}))
            }
            _ => None,
        }
    }
}

#[async_trait]
impl Transport for Vendor {
    async fn send(&self, request: Request) -> Result<Response> {
        assert!(request.url.as_str().starts_with(API), "{}", request.url);
        assert_eq!(request.method, http::Method::GET);
        let page = request.url.query_pairs().find(|(k, _)| k == "page").map_or(1, |(_, v)| v.parse().unwrap());
        let (status, body) = match self.answer(request.url.path(), page) {
            Some(body) => (200, body),
            None => (599, json!({"unknown": true})),
        };
        Ok(Response { status, headers: HeaderMap::new(), body: Bytes::from(body.to_string()) })
    }
}

pub fn connector(program: &PathBuf, provides: &str, silence: u64) -> Box<dyn Connector> {
    built(json!({"program": program, "provides": [provides], "silence_seconds": silence}))
}

pub fn built(settings: Value) -> Box<dyn Connector> {
    let hosts = BTreeMap::from([("api".to_owned(), API.parse().unwrap())]);
    let endpoints = Endpoints::resolve(FACTORY.manifest(), &hosts).unwrap();
    FACTORY.build(Build { settings, endpoints }).unwrap()
}

pub fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/harbour.py")
}
