//! What the vendor of a check answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use ledgerward_contract::{Error, LedgerId, Request, Response, Result, Transport};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::outcome::{Exit, Failure};

/// Each field is tried with so many of the values that it has.
const VALUES_TRIED: usize = 4;

/// In so many rows of an answer each field is given another value.
const ROWS_TRIED: usize = 3;
/// What no vendor says.
const MADE_UP: &str = "connector-check";

/// Recorded answers, by method and path with query.
pub struct Answers {
    recorded: BTreeMap<String, Recorded>,
    swapped: Mutex<Option<Swapped>>,
    altered: Mutex<Option<Altered>>,
    asked: Mutex<BTreeSet<String>>,
}

/// A recorded answer with one field less, or with null for it.
#[derive(Clone)]
pub struct Altered {
    key: String,
    /// What was done to it.
    pub words: String,
    body: Value,
}

/// A fault of the vendor: what is asked about one ledger is answered about another.
struct Swapped {
    /// The other ledger's request for each of this one's, in the order they are made.
    keys: BTreeMap<String, String>,
    ledger: LedgerId,
    other: LedgerId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    #[serde(default = "two_hundred")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// JSON as it is; a text is sent as that text.
    body: Value,
}

fn two_hundred() -> u16 {
    200
}

/// How a request is named among the answers.
pub fn key(request: &Request) -> String {
    let query = request.url.query().map(|q| format!("?{q}")).unwrap_or_default();
    format!("{} {}{query}", request.method, request.url.path())
}

impl Answers {
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let shown = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|e| Failure::new(Exit::Usage, format!("{shown} cannot be read")).cause(&e))?;
        let recorded = serde_json::from_str(&text).map_err(|e| {
            Failure::new(Exit::Usage, format!("{shown}, line {}: {e}", e.line()))
                .next("Write an object: {\"GET /companies?page=1\": {\"body\": {…}}, …}")
        })?;
        Ok(Self { recorded, swapped: Mutex::default(), altered: Mutex::default(), asked: Mutex::default() })
    }

    /// Answers that no request was for.
    pub fn never_asked(&self) -> Vec<&str> {
        let asked = held(&self.asked);
        self.recorded.keys().filter(|key| !asked.contains(*key)).map(String::as_str).collect()
    }

    /// From now on one answer is another; `None`: as recorded.
    pub fn alter(&self, to: Option<Altered>) {
        *held(&self.altered) = to;
    }

    /// Each answer to these requests without each of its fields in turn, and with null for it. What the vendor itself leaves
    /// out, or has null for, in another answer of the kind is left alone: it is a true answer (a last page without `next`).
    pub fn alterations(&self, asked: &[Request]) -> Vec<Altered> {
        let (mut all, mut tried) = (Vec::new(), BTreeMap::<(String, String), BTreeSet<String>>::new());
        let keys: BTreeSet<String> = asked.iter().map(key).collect();
        for (key, recorded) in keys.iter().filter_map(|key| self.recorded.get_key_value(key)) {
            let usual = self.usual(key);
            for field in fields(&recorded.body) {
                let short = field.value.is_array() || field.value.is_object();
                // Of a list one is as good as another, and each answer's own counts.
                let (of, value) =
                    if short { (key.clone(), String::new()) } else { (kind(key), field.value.to_string()) };
                let values = tried.entry((of, field.place.clone())).or_default();
                if values.len() == VALUES_TRIED || !values.insert(value) {
                    continue;
                }
                let (left_out, null) = (usual.left_out(&field.place), usual.null(&field.place));
                for (ordinary, to) in [(left_out, None), (left_out || null, Some(Value::Null))] {
                    if !ordinary {
                        let how = if to.is_none() { "without" } else { "with null for" };
                        let words = format!("{key} {how} {}", field.pointer());
                        all.push(Altered { key: key.clone(), words, body: field.changed(&recorded.body, to) });
                    }
                }
            }
        }
        all
    }

    /// The answers to these requests with another value in one field: first one that the vendor has there in another row, then
    /// one that nobody has.
    pub fn other_values(&self, asked: &[Request]) -> Vec<Altered> {
        let mut had: BTreeMap<(String, String), Vec<&Value>> = BTreeMap::new();
        for (key, recorded) in self.recorded.iter().filter(|(_, r)| r.status == 200) {
            for field in fields(&recorded.body).into_iter().filter(|f| is_scalar(f.value)) {
                let values = had.entry((kind(key), field.place.clone())).or_default();
                if values.len() <= VALUES_TRIED && !values.contains(&field.value) {
                    values.push(field.value);
                }
            }
        }
        let (mut all, mut rows) = (Vec::new(), BTreeMap::<(String, String), usize>::new());
        let keys: BTreeSet<String> = asked.iter().map(key).collect();
        for (key, recorded) in keys.iter().filter_map(|key| self.recorded.get_key_value(key)) {
            for field in fields(&recorded.body).into_iter().filter(|f| is_scalar(f.value)) {
                let place = (kind(key), field.place.clone());
                let row = rows.entry(place.clone()).or_default();
                *row += 1;
                if *row > ROWS_TRIED {
                    continue;
                }
                let others = had.get(&place).into_iter().flatten().filter(|v| **v != field.value);
                let others = others.map(|v| (0, (*v).clone())).chain(made_up(field.value).map(|v| (1, v)));
                all.extend(others.map(|(made, value)| {
                    let words = format!("{key} with another {}", field.pointer());
                    let body = field.changed(&recorded.body, Some(value));
                    ((made, *row), Altered { key: key.clone(), words, body })
                }));
            }
        }
        all.sort_by_key(|(order, _)| *order);
        all.into_iter().map(|(_, altered)| altered).collect()
    }

    /// The answer to a request without the last row of its longest list. `None` where that leaves nothing to tell a short page
    /// from an empty one.
    pub fn shortened(&self, request: &Request) -> Option<Altered> {
        let key = key(request);
        let recorded = self.recorded.get(&key).filter(|r| r.status == 200)?;
        let mut body = recorded.body.clone();
        let rows = longest(&mut body).filter(|rows| rows.len() > 1)?;
        rows.pop();
        Some(Altered { words: format!("{key} with a row less"), key, body })
    }

    /// What the recorded answers of a kind have.
    fn usual(&self, of: &str) -> Usual {
        let mut usual = Usual::default();
        let alike = self.recorded.iter().filter(|(key, r)| kind(key) == kind(of) && r.status == 200);
        for (_, recorded) in alike {
            usual.count("$", &recorded.body);
        }
        usual
    }

    /// From now on the requests of a ledger are answered with what was recorded of the other.
    pub fn swap(&self, (ledger, asked): (&LedgerId, &[Request]), (other, instead): (&LedgerId, &[Request])) {
        let keys = asked.iter().map(key).zip(instead.iter().map(key)).collect();
        *held(&self.swapped) = Some(Swapped { keys, ledger: ledger.clone(), other: other.clone() });
    }

    pub fn swap_back(&self) {
        *held(&self.swapped) = None;
    }

    /// Whether one of these answers names the ledger: its id is a value in the body.
    pub fn name(&self, asked: &[Request], ledger: &LedgerId) -> bool {
        asked.iter().any(|r| self.recorded.get(&key(r)).is_some_and(|r| holds(&r.body, ledger.as_str())))
    }

    /// What is answered to a request.
    fn answered(&self, key: String) -> String {
        match &*held(&self.swapped) {
            None => key,
            Some(s) => match s.keys.get(&key) {
                Some(instead) => instead.clone(),
                // A page that the other ledger has and this one has not.
                None if !self.recorded.contains_key(&key) => key.replace(s.ledger.as_str(), s.other.as_str()),
                None => key,
            },
        }
    }
}

fn held<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Requests of one kind differ in their query and in what has digits: ids.
fn kind(key: &str) -> String {
    let path = key.split('?').next().unwrap_or(key);
    let word = |part: &str| if part.contains(|c: char| c.is_ascii_digit()) { "*".to_owned() } else { part.to_owned() };
    path.split('/').map(word).collect::<Vec<_>>().join("/")
}

/// A field of a recorded answer.
struct Field<'v> {
    /// The keys and positions that lead to the object that has it.
    way: Vec<String>,
    name: &'v str,
    /// The same without positions: `$.members[].level`.
    place: String,
    value: &'v Value,
}

impl Field<'_> {
    fn pointer(&self) -> String {
        self.way.iter().fold("$".to_owned(), |path, part| match part.parse::<usize>() {
            Ok(n) => format!("{path}[{n}]"),
            Err(_) => format!("{path}.{part}"),
        }) + "."
            + self.name
    }

    /// The answer with another value for the field, or without it.
    fn changed(&self, body: &Value, to: Option<Value>) -> Value {
        let mut body = body.clone();
        let object = self.way.iter().try_fold(&mut body, |at, part| match at {
            Value::Array(list) => list.get_mut(part.parse::<usize>().ok()?),
            Value::Object(fields) => fields.get_mut(part),
            _ => None,
        });
        if let Some(fields) = object.and_then(Value::as_object_mut) {
            match to {
                None => drop(fields.remove(self.name)),
                Some(value) => drop(fields.insert(self.name.to_owned(), value)),
            }
        }
        body
    }
}

/// Every field, at every depth.
fn fields(body: &Value) -> Vec<Field<'_>> {
    fn walk<'v>(value: &'v Value, way: &[String], place: &str, out: &mut Vec<Field<'v>>) {
        let below = |part: String| [way, &[part]].concat();
        match value {
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(n, v)| walk(v, &below(n.to_string()), &format!("{place}[]"), out));
            }
            Value::Object(map) => {
                for (name, value) in map {
                    let place = format!("{place}.{name}");
                    out.push(Field { way: way.to_vec(), name, place: place.clone(), value });
                    walk(value, &below(name.clone()), &place, out);
                }
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk(body, &[], "$", &mut out);
    out
}

fn is_scalar(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

fn made_up(value: &Value) -> Option<Value> {
    match value {
        Value::String(_) => Some(MADE_UP.into()),
        Value::Bool(yes) => Some((!yes).into()),
        Value::Number(n) => Some(n.as_i64()?.checked_add(1)?.into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The list of objects that has most of them.
fn longest(value: &mut Value) -> Option<&mut Vec<Value>> {
    match value {
        Value::Array(rows) if rows.iter().all(Value::is_object) => Some(rows),
        Value::Object(map) => map.values_mut().filter_map(longest).max_by_key(|rows| rows.len()),
        _ => None,
    }
}

/// A field of the objects at a place.
#[derive(Default)]
struct Named {
    object: String,
    times: usize,
    null: bool,
}

/// How often there is an object at each place, and how often it has each field, and with null.
#[derive(Default)]
struct Usual {
    objects: BTreeMap<String, usize>,
    fields: BTreeMap<String, Named>,
}

impl Usual {
    fn count(&mut self, place: &str, value: &Value) {
        match value {
            Value::Array(list) => list.iter().for_each(|v| self.count(&format!("{place}[]"), v)),
            Value::Object(map) => {
                *self.objects.entry(place.to_owned()).or_default() += 1;
                self.count_fields(place, map);
            }
            _ => {}
        }
    }

    fn count_fields(&mut self, object: &str, map: &Map<String, Value>) {
        for (name, value) in map {
            let place = format!("{object}.{name}");
            let field = self.fields.entry(place.clone()).or_default();
            // A name may have a dot in it (`@odata.nextLink`).
            object.clone_into(&mut field.object);
            field.times += 1;
            field.null |= value.is_null();
            self.count(&place, value);
        }
    }

    /// Whether some object at the place lacks the field.
    fn left_out(&self, place: &str) -> bool {
        self.fields.get(place).is_none_or(|field| self.objects.get(&field.object) != Some(&field.times))
    }

    fn null(&self, place: &str) -> bool {
        self.fields.get(place).is_some_and(|field| field.null)
    }
}

fn holds(value: &Value, id: &str) -> bool {
    match value {
        Value::String(text) => text == id,
        Value::Number(n) => n.to_string() == id,
        Value::Array(list) => list.iter().any(|v| holds(v, id)),
        Value::Object(fields) => fields.values().any(|v| holds(v, id)),
        Value::Null | Value::Bool(_) => false,
    }
}

#[async_trait]
impl Transport for Answers {
    async fn send(&self, request: Request) -> Result<Response> {
        held(&self.asked).insert(key(&request));
        let key = self.answered(key(&request));
        let Some(recorded) = self.recorded.get(&key) else {
            return Err(Error::contract(request.op, "the program asked for something that is not among the answers")
                .with("request", key)
                .next("Record what the vendor answers to it, or correct the program."));
        };
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        for (name, value) in &recorded.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
        let altered = held(&self.altered).clone().filter(|a| a.key == key).map(|a| a.body);
        let body = match altered.as_ref().unwrap_or(&recorded.body) {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Ok(Response { status: recorded.status, headers, body: Bytes::from(body) })
    }
}
