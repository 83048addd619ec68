//! From a request to a command line: every value is checked against the table, and nothing that the table does not name
//! gets through.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::{Act, Input, Kind, Place, Route, problem::Problem};
use crate::cli::outcome::quoted;

/// One line of text is at most so long.
pub const TEXT_MAX: usize = 500;
/// A list has at most so many.
pub const LIST_MAX: usize = 1_000;

/// A whole file as text has at most so many bytes.
pub const DOCUMENT_MAX: usize = 32 << 20;

/// The checked values of a request.
pub type Values = BTreeMap<&'static str, Value>;

/// What an address is.
#[derive(Debug)]
pub struct Found<'r> {
    pub route: &'r Route,
    /// The path's values, in order.
    path: Vec<String>,
}

/// A value in which no object has a key twice: another reader could take the first of them, and this one the last.
#[derive(Debug)]
pub struct Once(pub Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OnceVisitor).map(Self)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Once(value)) = seq.next_element()? {
            all.push(value);
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if all.contains_key(&key) {
                return Err(A::Error::custom(format!("the key \"{}\" is there twice", quoted(&key))));
            }
            let Once(value) = map.next_value()?;
            all.insert(key, value);
        }
        Ok(all.into())
    }
}

/// The route of a method and a path below `/api/v1`.
///
/// Errors: 404; 405 with the methods there are; 400 where the path is no text.
pub fn find<'r>(routes: &'r [Route], method: &Method, path: &str) -> Result<Found<'r>, Problem> {
    // A HEAD is a GET whose body nobody sends.
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let mut allow: Vec<&str> = Vec::new();
    // Where two addresses fit, the one with fewer values was meant: `/access/check` is no client "check".
    let mut best: Option<(usize, &Route)> = None;
    for route in routes {
        let Some(values) = fits(route.path, &parts) else { continue };
        if route.method != *method {
            allow.push(route.method.as_str());
        } else if best.is_none_or(|(least, _)| values < least) {
            best = Some((values, route));
        }
    }
    let Some((_, route)) = best else {
        if allow.is_empty() {
            return Err(Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address")
                .next("See: GET /api/v1/openapi.json"));
        }
        if allow.contains(&"GET") {
            allow.push("HEAD");
        }
        allow.sort_unstable();
        let allow = allow.join(", ");
        let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("this address has {allow}"));
        return Err(Problem { allow: Some(allow), ..problem });
    };
    let names = route.path.split('/').skip(1).zip(&parts).filter(|(name, _)| name.starts_with('{'));
    let path = names
        .map(|(name, text)| {
            let name = name.trim_matches(['{', '}']);
            decoded(text, false).ok_or_else(|| Problem::input(Place::Path, name, "it is not percent-encoded UTF-8"))
        })
        .collect::<Result<_, _>>()?;
    Ok(Found { route, path })
}

/// How many values a path has, where it fits.
fn fits(pattern: &str, parts: &[&str]) -> Option<usize> {
    let mut values = 0;
    let mut names = pattern.split('/').skip(1);
    for part in parts {
        let name = names.next()?;
        if name.starts_with('{') {
            values += 1;
        } else if name != *part {
            return None;
        }
    }
    names.next().is_none().then_some(values)
}

/// Strict: half an escape or a byte that is no UTF-8 is nobody's name.
fn decoded(text: &str, plus: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |b: Option<u8>| char::from(b?).to_digit(16);
                u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?
            }
            b'+' if plus => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

impl Found<'_> {
    /// Checks all values: the path's, the query's and the body's.
    ///
    /// Errors: 400 with the value that is wrong.
    pub fn values(&self, query: Option<&str>, body: Option<Map<String, Value>>) -> Result<Values, Problem> {
        let mut values = Values::new();
        let of = |place| self.route.inputs.iter().filter(move |i| i.place == place);
        for (input, text) in of(Place::Path).zip(&self.path) {
            values.insert(input.name, typed(input, text)?);
        }
        for pair in query.unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
            let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name, true).unwrap_or_default();
            let Some(input) = of(Place::Query).find(|i| i.name == name) else {
                let names: Vec<&str> = of(Place::Query).map(|i| i.name).collect();
                return Err(unknown(Place::Query, &name, &names));
            };
            let Some(text) = decoded(text, true) else {
                return Err(Problem::input(Place::Query, input.name, "it is not percent-encoded UTF-8"));
            };
            if values.insert(input.name, typed(input, &text)?).is_some() {
                return Err(Problem::input(Place::Query, input.name, "it is there twice"));
            }
        }
        for (name, value) in body.unwrap_or_default() {
            let Some(input) = of(Place::Body).find(|i| i.name == name) else {
                let names: Vec<&str> = of(Place::Body).map(|i| i.name).collect();
                return Err(unknown(Place::Body, &name, &names));
            };
            checked(input, &value)?;
            values.insert(input.name, value);
        }
        match self.route.inputs.iter().find(|i| i.required && !values.contains_key(i.name)) {
            Some(input) => Err(Problem::input(input.place, input.name, "it is missing")),
            None => Ok(values),
        }
    }
}

fn unknown(place: Place, name: &str, names: &[&str]) -> Problem {
    let problem = Problem::input(place, name, format!("there is no \"{}\" in the {} here", quoted(name), place.word()));
    problem.next(if names.is_empty() { "There is none.".to_owned() } else { format!("There is: {}", names.join(", ")) })
}

/// A value of an address: a text, read as what it must be.
fn typed(input: &Input, text: &str) -> Result<Value, Problem> {
    let value = match input.kind {
        Kind::Flag => match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => return Err(Problem::input(input.place, input.name, "write true or false")),
        },
        Kind::Count(..) => match text.parse::<u32>() {
            Ok(n) if text.bytes().all(|b| b.is_ascii_digit()) => Value::from(n),
            _ => return Err(Problem::input(input.place, input.name, "it is no whole number")),
        },
        _ => Value::String(text.to_owned()),
    };
    checked(input, &value)?;
    Ok(value)
}

fn checked(input: &Input, value: &Value) -> Result<(), Problem> {
    fault(input.kind, value).map_or(Ok(()), |why| Err(Problem::input(input.place, input.name, why)))
}

/// Why a value is not of its kind. The words of [`super::openapi::schema`] say the same to a program.
pub fn fault(kind: Kind, value: &Value) -> Option<String> {
    let one_of = |choices: &[&str]| format!("use one of: {}", choices.join(", "));
    match (kind, value) {
        (Kind::Flag, Value::Bool(_)) => None,
        (Kind::Flag, _) => Some("it must be true or false".to_owned()),
        (Kind::Count(from, to), value) => {
            let fits = value.as_u64().is_some_and(|n| (u64::from(from)..=u64::from(to)).contains(&n));
            (!fits).then(|| format!("it must be a whole number from {from} to {to}"))
        }
        (Kind::Texts | Kind::Clients | Kind::People | Kind::Changes | Kind::Pairs, Value::Array(all)) => {
            if all.is_empty() || all.len() > LIST_MAX {
                return Some(format!("it must have 1 to {LIST_MAX} of them"));
            }
            let each = match kind {
                Kind::Pairs => return all.iter().find_map(pair_fault),
                Kind::Changes => Kind::Change,
                _ => Kind::Text,
            };
            all.iter().find_map(|v| fault(each, v))
        }
        (Kind::Texts | Kind::Clients | Kind::People | Kind::Changes | Kind::Pairs, _) => {
            Some("it must be a list".to_owned())
        }
        (Kind::Document, Value::String(text)) if text.len() > DOCUMENT_MAX => {
            Some("it is larger than 32 MiB".to_owned())
        }
        (Kind::Document, Value::String(_)) => None,
        (kind, Value::String(text)) => text_fault(kind, text, one_of),
        _ => Some("it must be a text".to_owned()),
    }
}

fn text_fault(kind: Kind, text: &str, one_of: impl Fn(&[&str]) -> String) -> Option<String> {
    if text.trim().is_empty() {
        return Some("it is empty".to_owned());
    }
    if text.chars().count() > TEXT_MAX {
        return Some(format!("it has more than {TEXT_MAX} characters"));
    }
    if text.chars().any(char::is_control) {
        return Some("it has a line break or another control character in it".to_owned());
    }
    match kind {
        Kind::Email => ledgerward_contract::Email::parse(text).err().map(|e| e.to_string()),
        Kind::Day => crate::cli::args::day(text).err(),
        // In an address a bare + is a blank.
        Kind::DayOrInstant => crate::cli::args::at(text).err().map(|why| format!("{why} (in an address: %2B12:00)")),
        Kind::One(choices) => (!choices.contains(&text)).then(|| one_of(choices)),
        Kind::Digest => {
            let fits = (8..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
            (!fits).then(|| "a digest is eight or more hex digits".to_owned())
        }
        Kind::Change => {
            let digits = text.strip_prefix("C-").unwrap_or_default();
            let fits = (1..=18).contains(&digits.len())
                && digits.bytes().all(|b| b.is_ascii_digit())
                && !digits.starts_with('0');
            (!fits).then(|| "write it as C-7".to_owned())
        }
        _ => None,
    }
}

fn pair_fault(pair: &Value) -> Option<String> {
    let Some(pair) = pair.as_object() else { return Some("each must be an object".to_owned()) };
    if let Some(name) = pair.keys().find(|k| !["person", "client", "target"].contains(&k.as_str())) {
        return Some(format!("there is no \"{}\" in a pair", quoted(name)));
    }
    let missing = ["person", "client"].into_iter().find(|k| !pair.contains_key(*k));
    missing
        .map(|k| format!("a pair has no \"{k}\""))
        .or_else(|| pair.iter().find_map(|(k, v)| fault(Kind::Text, v).map(|why| format!("{k}: {why}"))))
}

/// The command line of a route with these values, without the program's name. Values never become options: an option's
/// value is joined to it, and all others stand behind `--`.
pub fn words(route: &Route, values: &Values) -> Vec<String> {
    let Act::Command(pattern) = route.act else { return vec![] };
    let mut words = Vec::new();
    for word in pattern.split_whitespace() {
        if let Some((option, name)) = word.split_once('?') {
            if values.get(name) == Some(&Value::Bool(true)) {
                words.push(option.to_owned());
            }
        } else if let Some((before, name)) = word.split_once('{') {
            let name = name.trim_end_matches('}');
            words.extend(values.get(name).map(texts).unwrap_or_default().iter().map(|v| format!("{before}{v}")));
        } else {
            words.push(word.to_owned());
        }
    }
    words
}

/// The text of a file that was sent along.
pub fn document(route: &Route, values: &Values) -> Option<String> {
    let input = route.inputs.iter().find(|i| i.kind == Kind::Document)?;
    values.get(input.name)?.as_str().map(str::to_owned)
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::routes;

    fn words_of(method: Method, path: &str, query: Option<&str>, body: Value) -> Result<Vec<String>, Problem> {
        let routes = routes::table();
        let found = find(&routes, &method, path)?;
        let body = body.as_object().cloned();
        Ok(words(found.route, &found.values(query, body)?))
    }

    #[test]
    fn a_value_is_never_an_option() {
        let got = words_of(Method::POST, "/clients", None, serde_json::json!({"name": "--all"})).unwrap();
        assert_eq!(got, ["clients", "add", "--", "--all"]);
        let got = words_of(Method::GET, "/access", Some("person=--as%3Dx"), Value::Null).unwrap();
        assert_eq!(got, ["access", "--person=--as=x"]);
    }

    #[test]
    fn what_the_table_does_not_name_is_refused_with_its_place() {
        for (query, at) in [
            ("persn=x", "persn"),
            ("at=2026-13-01", "at"),
            ("at=%ff", "at"),
            ("at=", "at"),
            ("at=2026-06-30T14:05:00+12:00", "at"),
        ] {
            let problem = words_of(Method::GET, "/access", Some(query), Value::Null).unwrap_err();
            assert_eq!(
                (problem.status, problem.at),
                (StatusCode::BAD_REQUEST, Some(Box::new((Place::Query, at.to_owned()))))
            );
        }
        let problem = words_of(Method::POST, "/clients", None, serde_json::json!({"name": "x", "id": 1})).unwrap_err();
        assert_eq!(problem.at, Some(Box::new((Place::Body, "id".to_owned()))));
        let problem = words_of(Method::PATCH, "/clients", None, Value::Null).unwrap_err();
        assert_eq!(problem.allow.as_deref(), Some("GET, HEAD, POST"));
        assert_eq!(words_of(Method::GET, "/no", None, Value::Null).unwrap_err().status, StatusCode::NOT_FOUND);
    }
}
