//! Reading TOML with every problem at once, each at its place. Shared by the configuration and the firm file.

use std::{cell::RefCell, collections::BTreeSet, fmt::Write as _, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// One thing that is wrong with a file, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// `targets.drive.sharing`; empty for the file itself.
    pub path: String,
    pub message: String,
    pub help: String,
    /// How many characters of the line are meant; at least 1.
    width: usize,
    /// The key is wrong, so its value is not printed: it may be a secret under a misspelt name.
    key_only: bool,
}

impl ConfigProblem {
    /// A problem at a byte range of `text`.
    pub fn at(
        text: &str,
        span: Range<usize>,
        path: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let start = floor(text, span.start);
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let end = floor(text, span.end.max(start));
        let meant = text.get(start..end).unwrap_or_default();
        let width = meant.lines().next().unwrap_or_default().chars().count().max(1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            path: path.into(),
            message: message.into(),
            help: help.into(),
            width,
            key_only: false,
        }
    }

    /// `file:line:column`, the sentence, the line itself with a caret below, and the help.
    pub fn render(&self, file: &str, text: &str) -> String {
        let Self { line, column, path, message, help, width, key_only } = self;
        let mut out = format!("{file}:{line}:{column}: ");
        if !path.is_empty() {
            let _ = write!(out, "{path}: ");
        }
        out.push_str(message);
        if let Some(source) = text.lines().nth(line - 1) {
            // Tabs become one blank each, so that the caret stands below what it means; nothing else may move the terminal.
            let source: String =
                shown(source, path, *key_only).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            // Below what is shown and no longer than it: the length of a secret is nobody's business either.
            let length = source.chars().count();
            let start = (column - 1).min(length);
            let caret = format!("{}{}", " ".repeat(start), "^".repeat((*width).min(length - start).max(1)));
            let pad = " ".repeat(line.to_string().len());
            let _ = write!(out, "\n {pad} |\n {line} | {source}\n {pad} | {caret}");
        }
        if !help.is_empty() {
            let _ = write!(out, "\n help: {help}");
        }
        out
    }
}

/// Keys, of a configuration and of a firm file, whose values are no secrets. Only these values are ever printed.
const HARMLESS: &str = "\
    version firm name domains timezone letterhead schedule access statements connections targets connector \
    scopes roles impersonate redirect_port allow_private_network root sharing audience always_allowed \
    first_plan kinds formats periods after_days basis template fonts paper accent policy unlisted confirm_after authority \
    additive_only four_eyes guards floor percent leavers pairs_removed client_loses overall pairs_added \
    person_gains churn touched operators metrics metrics_listen api listen log format level person client group \
    office selection email first last mode enabled domain_accepted aliases addresses slug sources accounts \
    year_end since connection kind id ledger account when_granted";

fn is_harmless(key: &str) -> bool {
    HARMLESS.split(' ').any(|word| word == key)
}

/// Keys that hold secrets: their names may be printed.
const SECRET: &[&str] = &["client_secret", "service_account", "key", "file", "credential"];

const NOT_SHOWN: &str = "(not shown)";

/// The part of a line that may be printed: this goes to logs, and anything that follows an `=` may be a secret that
/// somebody wrote into the file after all. So a value is printed only where the file could be read as far as to say what it
/// is the value of (`path`), and where that, and everything else on the line, is known to be harmless. No comment is printed.
fn shown(line: &str, path: &str, key_only: bool) -> String {
    let whole = DeTable::parse(line).ok();
    let entries: Vec<_> = whole.iter().flat_map(|t| t.get_ref().iter()).collect();
    // A section's name, an empty line. In quotes it may be part of a list, too.
    let header = line.trim_start().starts_with('[') && (!path.is_empty() || !line.contains(['"', '\'']));
    if whole.is_some() && (entries.is_empty() || header) {
        return line.split('#').next().unwrap_or_default().trim_end().to_owned();
    }
    if !key_only && !path.is_empty() && harmless_path(path) {
        let end = match entries.as_slice() {
            [(key, value)] if named_by(path, key.get_ref()) && plain(value) => Some(value.span().end),
            [(key, value)] if harmless(key.get_ref(), value) => Some(value.span().end),
            [] if path.ends_with(']') => items_end(line),
            _ => None,
        };
        if let Some(part) = end.and_then(|end| line.get(..end)).filter(|part| !part.contains("://")) {
            return part.to_owned();
        }
    }
    let name = line.split_once('=').map_or("", |(name, _)| name);
    let last = name.rsplit('.').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
    let is_key = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.\"' \t".contains(c));
    if is_key && (!path.is_empty() || is_harmless(last) || SECRET.contains(&last)) {
        format!("{name}= {NOT_SHOWN}")
    } else {
        NOT_SHOWN.to_owned()
    }
}

/// A value of no key that could hold a secret. Connections and targets have names of their own, so have roles and users.
fn harmless_path(path: &str) -> bool {
    let mut before = "";
    path.split('.').all(|part| {
        let part = part.split('[').next().unwrap_or_default();
        let free = matches!(before, "connections" | "targets" | "roles" | "operators" | "aliases" | "addresses");
        before = part;
        free || is_harmless(part)
    })
}

/// A role, a user: keys that the firm names, in tables that hold no secrets.
fn named_by(path: &str, key: &str) -> bool {
    let mut parts = path.rsplit('.');
    parts.next() == Some(key) && parts.next().is_some_and(|table| matches!(table, "roles" | "operators"))
}

fn harmless(key: &str, value: &Spanned<DeValue<'_>>) -> bool {
    is_harmless(key)
        && match value.get_ref() {
            DeValue::Table(table) => table.iter().all(|(key, value)| harmless(key.get_ref(), value)),
            _ => plain(value),
        }
}

fn plain(value: &Spanned<DeValue<'_>>) -> bool {
    match value.get_ref() {
        DeValue::Table(_) => false,
        DeValue::Array(items) => items.iter().all(plain),
        _ => true,
    }
}

/// Where the items of a list end on a line that holds nothing else.
fn items_end(line: &str) -> Option<usize> {
    const BEFORE: &str = "x = [";
    let list = format!("{BEFORE}{line}\n]");
    let table = DeTable::parse(&list).ok()?;
    let items = table.get_ref().get("x")?.get_ref().as_array()?;
    let last = items.iter().last()?.span().end;
    items.iter().all(plain).then(|| last.saturating_sub(BEFORE.len()))
}

/// All problems with a blank line between, and their count at the end.
pub fn render_all(problems: &[ConfigProblem], file: &str, text: &str) -> String {
    let mut out: Vec<String> = problems.iter().map(|p| p.render(file, text)).collect();
    out.push(match problems.len() {
        1 => format!("{file} is refused: 1 problem."),
        n => format!("{file} is refused: {n} problems."),
    });
    out.join("\n\n")
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

/// Collects problems while a document is read.
pub struct Reader<'t> {
    pub text: &'t str,
    problems: RefCell<Vec<ConfigProblem>>,
}

impl<'t> Reader<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, problems: RefCell::new(Vec::new()) }
    }

    /// Parses as far as it goes; what is no TOML is a problem each.
    pub fn document(&self) -> Spanned<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let help = "See https://toml.io for how values are written: texts in double quotes, lists in [ ].";
            self.problem(error.span().unwrap_or(0..0), "", error.message().to_owned(), help);
        }
        table
    }

    pub fn problem(
        &self,
        span: Range<usize>,
        path: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.problems.borrow_mut().push(ConfigProblem::at(self.text, span, path, message, help));
    }

    pub fn failed(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// In the order of the file.
    pub fn into_problems(self) -> Vec<ConfigProblem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by(|a, b| (a.line, a.column, &a.path).cmp(&(b.line, b.column, &b.path)));
        problems.dedup();
        problems
    }
}

/// A value with its place and the way to it.
#[derive(Clone)]
pub struct Value<'a, 't> {
    reader: &'a Reader<'t>,
    value: &'a DeValue<'t>,
    pub span: Range<usize>,
    pub path: String,
}

impl<'a, 't> Value<'a, 't> {
    pub fn problem(&self, message: impl Into<String>, help: impl Into<String>) {
        self.reader.problem(self.span.clone(), self.path.clone(), message, help);
    }

    fn wrong_type(&self, wanted: &str) {
        self.problem(format!("this must be {wanted}, not {}", article(self.value.type_str())), String::new());
    }

    /// A text without outer blanks and control characters, not empty.
    pub fn text(&self) -> Option<String> {
        let Some(text) = self.value.as_str() else {
            self.wrong_type("a text in double quotes");
            return None;
        };
        if text.trim().is_empty() {
            self.problem("this is empty", "Write a value, or leave the line out.");
            return None;
        }
        if text.trim() != text || text.chars().any(char::is_control) {
            self.problem("this has a blank at its edge, a line break or a control character", "Write it without.");
            return None;
        }
        Some(text.to_owned())
    }

    /// A text that `parse` understands.
    pub fn parse<T, E: std::fmt::Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>, help: &str) -> Option<T> {
        let text = self.text()?;
        parse(&text).map_err(|e| self.problem(e.to_string(), help)).ok()
    }

    /// One of some words.
    pub fn one_of<T: Clone>(&self, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone());
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(w, _)| *w).collect();
            self.problem(format!("\"{text}\" is not known here"), choose(&text, &words));
        }
        found
    }

    pub fn boolean(&self) -> Option<bool> {
        let value = self.value.as_bool();
        if value.is_none() {
            self.wrong_type("true or false");
        }
        value
    }

    pub fn integer(&self, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let Some(integer) = self.value.as_integer() else {
            self.wrong_type("a whole number");
            return None;
        };
        let value = i64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|v| range.contains(v));
        if value.is_none() {
            self.problem(format!("this must be from {} to {}", range.start(), range.end()), String::new());
        }
        value
    }

    pub fn list(&self) -> Option<Vec<Self>> {
        let Some(array) = self.value.as_array() else {
            self.wrong_type("a list in [ ]");
            return None;
        };
        let item = |(i, v): (usize, &'a Spanned<DeValue<'t>>)| Self {
            reader: self.reader,
            value: v.get_ref(),
            span: v.span(),
            path: format!("{}[{i}]", self.path),
        };
        Some(array.iter().enumerate().map(item).collect())
    }

    /// A list of different values, each read by `read`. An item said twice is a problem. `None` also where an item cannot be
    /// read: what is left of such a list says nothing.
    pub fn set<T: Ord>(&self, read: impl Fn(&Self) -> Option<T>) -> Option<BTreeSet<T>> {
        let mut set = BTreeSet::new();
        let mut whole = true;
        for item in self.list()? {
            let Some(value) = read(&item) else {
                whole = false;
                continue;
            };
            if !set.insert(value) {
                item.problem("this is in the list twice", "Leave one out.");
            }
        }
        whole.then_some(set)
    }

    pub fn is_text(&self) -> bool {
        self.value.is_str()
    }

    pub fn table(&self) -> Option<Table<'a, 't>> {
        let Some(table) = self.value.as_table() else {
            self.wrong_type("a table");
            return None;
        };
        Some(Table::new(self.reader, table, self.span.clone(), self.path.clone()))
    }

    /// The value as JSON, for keys that only a connector understands. Dates and odd numbers are refused.
    pub fn json(&self) -> Option<serde_json::Value> {
        Some(match self.value {
            DeValue::String(s) => serde_json::Value::from(s.as_ref()),
            DeValue::Boolean(b) => serde_json::Value::from(*b),
            DeValue::Integer(_) => serde_json::Value::from(self.integer(i64::MIN..=i64::MAX)?),
            DeValue::Array(_) => self.list()?.iter().map(Self::json).collect::<Option<Vec<_>>>()?.into(),
            DeValue::Table(_) => {
                let table = self.table()?;
                let mut map = serde_json::Map::new();
                for (key, value) in table.rest() {
                    map.insert(key, value.json()?);
                }
                map.into()
            }
            DeValue::Float(_) | DeValue::Datetime(_) => {
                self.wrong_type("a text, a whole number, true, false, a list or a table");
                return None;
            }
        })
    }
}

/// A table whose keys are asked for one by one; what was not asked for is unknown.
pub struct Table<'a, 't> {
    reader: &'a Reader<'t>,
    table: &'a DeTable<'t>,
    pub span: Range<usize>,
    pub path: String,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a, 't> Table<'a, 't> {
    pub fn new(reader: &'a Reader<'t>, table: &'a DeTable<'t>, span: Range<usize>, path: String) -> Self {
        Self { reader, table, span, path, asked: RefCell::new(BTreeSet::new()) }
    }

    pub fn problem(&self, message: impl Into<String>, help: impl Into<String>) {
        self.reader.problem(self.span.clone(), self.path.clone(), message, help);
    }

    fn path_to(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub fn get(&self, key: &str) -> Option<Value<'a, 't>> {
        self.asked.borrow_mut().insert(key.to_owned());
        let value = self.table.get(key)?;
        Some(Value { reader: self.reader, value: value.get_ref(), span: value.span(), path: self.path_to(key) })
    }

    /// As [`Table::get`], and a problem where the key is missing.
    pub fn need(&self, key: &str, help: &str) -> Option<Value<'a, 't>> {
        let value = self.get(key);
        if value.is_none() {
            self.reader.problem(self.span.clone(), self.path_to(key), format!("\"{key}\" is missing"), help);
        }
        value
    }

    /// Every entry that was not asked for yet; they count as asked for then. In the order of the keys.
    pub fn rest(&self) -> Vec<(String, Value<'a, 't>)> {
        let keys: Vec<String> = self.table.iter().map(|(k, _)| k.get_ref().to_string()).collect();
        let fresh: Vec<String> = keys.into_iter().filter(|k| !self.asked.borrow().contains(k)).collect();
        fresh.into_iter().filter_map(|k| self.get(&k).map(|v| (k, v))).collect()
    }

    /// Refuses every key that nobody asked for, with the nearest known one.
    pub fn finish(self, also_known: &[&str]) {
        let asked = self.asked.borrow();
        let mut known: Vec<&str> = asked.iter().map(String::as_str).collect();
        known.extend_from_slice(also_known);
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let message = format!("the key \"{name}\" is not known here");
                let help = choose(name, &known);
                let mut problem = ConfigProblem::at(self.reader.text, key.span(), self.path_to(name), message, help);
                problem.key_only = true;
                self.reader.problems.borrow_mut().push(problem);
            }
        }
    }
}

fn article(kind: &str) -> String {
    let an = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if an { "an" } else { "a" })
}

/// "Did you mean …?" where one choice is near, else all of them.
pub fn choose(word: &str, choices: &[&str]) -> String {
    let near = choices.iter().map(|c| (distance(word, c), *c)).min();
    match near {
        Some((d, best)) if d <= tolerated(word) => format!("Did you mean \"{best}\"?"),
        _ if choices.is_empty() => "Leave it out.".to_owned(),
        _ => format!("Use one of: {}.", choices.join(", ")),
    }
}

/// Two letters exchanged are two replacements.
fn tolerated(word: &str) -> usize {
    match word.chars().count() {
        0..4 => 1,
        n => (n / 3).max(2),
    }
}

/// How many letters to insert, delete or replace (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (cb, window) in b.iter().zip(row.windows(2)) {
            let (Some(diagonal), Some(above), Some(left)) = (window.first(), window.last(), next.last()) else {
                continue;
            };
            let replaced = diagonal + usize::from(ca != *cb);
            next.push(replaced.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
