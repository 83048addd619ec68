//! What a restatement changed, in a sentence that a person can check against two files.

use std::collections::BTreeMap;

use ledgerward_contract::{Cell, Decimal, Register, ReportTable, RowKind, StatementData};

use super::money;

/// How many changes are spelled out; the rest are counted.
const SPELLED: usize = 5;

/// `3 lines changed: Sales 1,000.00 → 1,200.00; …`. Lines are matched by the account's id where there is one, else by
/// section and label; a register's lines by their id.
pub fn summary(old: &StatementData, new: &StatementData) -> String {
    let (old, new) = match (old, new) {
        (StatementData::Document(old), StatementData::Document(new)) => {
            let (a, b) = (old.bytes.len(), new.bytes.len());
            return if old.bytes == new.bytes {
                "nothing changed".to_owned()
            } else {
                format!("the document was replaced ({a} → {b} bytes)")
            };
        }
        (StatementData::Table(old), StatementData::Table(new)) => (table(old), table(new)),
        (StatementData::Register(old), StatementData::Register(new)) => (register(old), register(new)),
        _ => return "the source now gives another kind of data".to_owned(),
    };
    sentence(&old, &new)
}

/// What identifies a line, then how often it was there before (two lines may be alike).
type Key = (String, usize);

#[derive(PartialEq, Eq)]
struct Entry {
    name: String,
    /// Everything the line says, amounts without trailing zeros.
    values: Vec<(String, String)>,
    /// Not a line of its own: named after the lines, and only if no line changed.
    total: bool,
}

fn sentence(old: &BTreeMap<Key, Entry>, new: &BTreeMap<Key, Entry>) -> String {
    let mut groups: [(&str, Vec<String>); 4] =
        [("changed", Vec::new()), ("added", Vec::new()), ("gone", Vec::new()), ("changed", Vec::new())];
    let [changed, added, gone, totals] = &mut groups;
    for (key, now) in new {
        match old.get(key) {
            None if now.total => totals.1.push(now.name.clone()),
            None => added.1.push(spell_one(now)),
            Some(before) if before.values == now.values => {}
            Some(before) if now.total => totals.1.push(spell(before, now)),
            Some(before) => changed.1.push(spell(before, now)),
        }
    }
    gone.1.extend(old.iter().filter(|(key, was)| !was.total && !new.contains_key(*key)).map(|(_, was)| spell_one(was)));
    let parts: Vec<String> = groups
        .iter()
        .zip(["line", "line", "line", "total"])
        .filter(|((_, list), _)| !list.is_empty())
        .map(|((verb, list), noun)| {
            let plural = if list.len() == 1 { "" } else { "s" };
            let mut text = format!("{} {noun}{plural} {verb}", list.len());
            // Totals follow from the lines; they are spelled out only where no line explains them.
            let explained = noun == "total" && groups.iter().take(3).any(|(_, lines)| !lines.is_empty());
            if !explained {
                let named: Vec<&str> = list.iter().take(SPELLED).map(String::as_str).collect();
                text.push_str(": ");
                text.push_str(&named.join("; "));
                if list.len() > SPELLED {
                    text.push_str(&format!(" and {} more", list.len() - SPELLED));
                }
            }
            text
        })
        .collect();
    if parts.is_empty() { "only headings or notes changed".to_owned() } else { parts.join(". ") }
}

fn spell(before: &Entry, now: &Entry) -> String {
    let was: BTreeMap<&str, &str> = before.values.iter().map(|(c, v)| (c.as_str(), v.as_str())).collect();
    let differing: Vec<&(String, String)> =
        now.values.iter().filter(|(c, v)| was.get(c.as_str()) != Some(&v.as_str())).collect();
    let blank = |value: &str| if value.is_empty() { "nothing".to_owned() } else { value.to_owned() };
    let steps: Vec<String> = differing
        .iter()
        .map(|(column, value)| {
            let step = format!("{} → {}", blank(was.get(column.as_str()).unwrap_or(&"")), blank(value));
            // A column is named where the line has several figures.
            let figures = now.values.iter().filter(|(c, _)| c != "name").count();
            if column == "name" || (figures > 1 && !column.is_empty()) { format!("{column} {step}") } else { step }
        })
        .collect();
    format!("{} {}", now.name, steps.join(", "))
}

fn spell_one(entry: &Entry) -> String {
    match entry.values.iter().find(|(column, value)| column != "name" && !value.is_empty()) {
        Some((_, value)) => format!("{} {value}", entry.name),
        None => entry.name.clone(),
    }
}

fn shown(amount: Decimal) -> String {
    money::grouped(amount)
}

fn insert(into: &mut BTreeMap<Key, Entry>, key: &str, entry: Entry) {
    let again = (0..).find(|n| !into.contains_key(&(key.to_owned(), *n))).unwrap_or(0);
    into.insert((key.to_owned(), again), entry);
}

fn table(table: &ReportTable) -> BTreeMap<Key, Entry> {
    let mut entries = BTreeMap::new();
    let mut section = String::new();
    for row in &table.rows {
        let label = row.cells.iter().find_map(|c| match c {
            Cell::Text(text) => Some(text.as_str()),
            _ => None,
        });
        let name = label.unwrap_or("(no name)").to_owned();
        if row.kind == RowKind::Heading {
            section.clone_from(&name);
            continue;
        }
        let total = row.kind != RowKind::Line;
        let key = match &row.account {
            Some(account) if !total => format!("account {account}"),
            _ => format!("{section}\n{name}\n{total}"),
        };
        let mut label_seen = false;
        let values = row
            .cells
            .iter()
            .enumerate()
            .filter_map(|(n, cell)| {
                let column = table.columns.get(n).map_or(String::new(), |c| c.label.clone());
                match cell {
                    Cell::Money(amount) => Some((column, shown(*amount))),
                    Cell::Text(_) if !label_seen => {
                        label_seen = true;
                        // With an id, a changed label is a renamed account and no other line.
                        row.account.as_ref().map(|_| ("name".to_owned(), name.clone()))
                    }
                    Cell::Text(text) => Some((column, text.clone())),
                    // Kept, so that an amount that goes away is a change of its column.
                    Cell::Empty => (n > 0).then(|| (column, String::new())),
                }
            })
            .collect();
        insert(&mut entries, &key, Entry { name, values, total });
    }
    entries
}

fn register(register: &Register) -> BTreeMap<Key, Entry> {
    let mut entries = BTreeMap::new();
    for line in &register.lines {
        let who = [&line.payee, &line.description, &line.reference, &line.kind].into_iter().find(|t| !t.is_empty());
        let name = format!("{} {}", line.date, who.map_or("", String::as_str));
        let flag = |f: Option<bool>| f.map_or("unknown", |yes| if yes { "yes" } else { "no" }).to_owned();
        let values = [
            ("amount", shown(line.amount)),
            ("date", line.date.to_string()),
            ("kind", line.kind.clone()),
            ("payee", line.payee.clone()),
            ("reference", line.reference.clone()),
            ("description", line.description.clone()),
            ("balance", line.balance.map_or(String::new(), shown)),
            ("reconciled", flag(line.reconciled)),
            ("documents", flag(Some(line.has_documents))),
        ];
        let values = values.map(|(column, value)| (column.to_owned(), value)).to_vec();
        let key = if line.id.is_empty() { format!("{name} {}", line.amount.normalize()) } else { line.id.clone() };
        insert(&mut entries, &key, Entry { name, values, total: false });
    }
    for (name, balance) in [("Opening balance", register.opening), ("Closing balance", register.closing)] {
        let values = vec![(String::new(), balance.map_or("unknown".to_owned(), shown))];
        insert(&mut entries, &format!("\n{name}"), Entry { name: name.to_owned(), values, total: true });
    }
    entries
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
