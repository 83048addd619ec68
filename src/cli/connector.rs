//! `connector check`: a program of the firm's own, tried against recorded answers and against every way they can be bad, and
//! against the true ones with a field less.
//!
//! The wire between the program's host and the answers is the conformance suite's, so a program meets the same faults here
//! as our own connectors do in their tests.

mod answers;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use ledgerward_contract::{
    AccessFact, Aside, Assignment, Build, ClientRow, Connector, Cursor, Endpoints, Error, ErrorKind, LedgerId,
    LedgerProfile, LedgerRow, ReadCx, Request, Result, Retry, Scope, Snapshot, Standing, Timestamp, Transport,
    faults::{BAD_ANSWERS, CANARY, EMPTY_ANSWERS, Fault, When, Wire},
};
use serde::Serialize;
use serde_json::{Value, json};

use self::answers::Answers;
use super::{
    args::{ConnectorAct, ProvidesArg},
    console::Console,
    outcome::{Exit, Failure, Report},
};
use crate::{registry, render::table::table};

const PAGES_MAX: u32 = 1_000;
/// Ledgers whose users are read: the faults meet each of their requests.
const LEDGERS_TRIED: usize = 3;
/// Answers with a field less, or with null for it, for one list: of a large recording not every one.
const ALTERED_MAX: usize = 200;
/// What an error tells to do that is being done.
const CHECK: &str = "Run: ledgerward connector check PROGRAM";
/// Where the vendor of a check is. Nobody is asked there.
const API: &str = "https://vendor.example";

pub async fn run(console: &mut dyn Console, act: ConnectorAct) -> Result<Report, Failure> {
    let ConnectorAct::Check { program, answers, provides, options } = act;
    let vendor = Arc::new(Answers::read(&answers)?);
    let options: Value = match &options {
        None => json!({}),
        Some(text) => serde_json::from_str(text)
            .map_err(|e| Failure::new(Exit::Usage, "--options is no JSON object").cause(&e))?,
    };
    let program = std::path::absolute(&program).map_err(|e| Failure::new(Exit::Usage, "no such program").cause(&e))?;
    let connector = build(&program, &provides, options)?;
    let wire = Wire::new(Arc::clone(&vendor) as Arc<dyn Transport>);
    let bench = Bench { connector, vendor, wire, checks: Vec::new(), notes: Vec::new() };
    Ok(bench.all(console, &provides).await.report(&program))
}

fn build(program: &Path, provides: &[ProvidesArg], options: Value) -> Result<Box<dyn Connector>, Failure> {
    let entry = registry::entry("process").ok_or_else(|| {
        Failure::new(Exit::Usage, "this build has no connectors in other languages")
            .next("Build with: --features process")
    })?;
    let provides: Vec<_> = provides
        .iter()
        .map(|p| match p {
            ProvidesArg::Ledgers => "ledgers",
            ProvidesArg::Clients => "clients",
        })
        .collect();
    let settings = json!({"program": program, "provides": provides, "options": options, "silence_seconds": 10});
    let hosts = url::Url::parse(API).map(|url| BTreeMap::from([("api".to_owned(), url)])).unwrap_or_default();
    let endpoints = Endpoints::resolve(entry.factory.manifest(), &hosts)?;
    Ok(entry.factory.build(Build { settings, endpoints })?)
}

struct Check {
    name: String,
    /// What was wrong, if anything was.
    wrong: Option<String>,
    /// What may be wrong, and cannot be told from the recorded answers.
    warning: Option<String>,
}

struct Bench {
    connector: Box<dyn Connector>,
    vendor: Arc<Answers>,
    wire: Arc<Wire>,
    checks: Vec<Check>,
    notes: Vec<String>,
}

impl Bench {
    fn cx(&self) -> ReadCx {
        ReadCx::new(Arc::clone(&self.wire) as Arc<dyn Transport>, Timestamp::UNIX_EPOCH)
    }

    fn say(&mut self, name: impl Into<String>, outcome: Result<(), String>) -> bool {
        let wrong = outcome.err();
        let good = wrong.is_none();
        self.checks.push(Check { name: name.into(), wrong, warning: None });
        good
    }

    async fn ledgers(&self) -> Result<Snapshot<LedgerRow>> {
        let api = self.connector.ledgers().ok_or_else(nothing)?;
        Snapshot::gather("ledgers.list", Timestamp::UNIX_EPOCH, PAGES_MAX, |at: Cursor| {
            let cx = self.cx();
            Box::pin(async move { api.ledgers(&cx, at).await })
        })
        .await
    }

    async fn access(&self, ledger: &LedgerId) -> Result<Snapshot<AccessFact>> {
        let api = self.connector.ledgers().ok_or_else(nothing)?;
        Snapshot::gather("users.list", Timestamp::UNIX_EPOCH, PAGES_MAX, |at: Cursor| {
            let cx = self.cx();
            Box::pin(async move { api.access(&cx, Scope::One(ledger), at).await })
        })
        .await
    }

    async fn clients(&self) -> Result<Snapshot<ClientRow>> {
        let api = self.connector.directory().ok_or_else(nothing)?;
        Snapshot::gather("clients.list", Timestamp::UNIX_EPOCH, PAGES_MAX, |at: Cursor| {
            let cx = self.cx();
            Box::pin(async move { api.clients(&cx, at).await })
        })
        .await
    }

    async fn profile(&self, ledger: &LedgerId) -> Result<LedgerProfile> {
        self.connector.ledgers().ok_or_else(nothing)?.profile(&self.cx(), ledger).await
    }

    async fn all(mut self, console: &mut dyn Console, provides: &[ProvidesArg]) -> Self {
        if provides.contains(&ProvidesArg::Ledgers) {
            console.note("Trying ledgers, users and profiles …");
            self.try_ledgers().await;
        }
        if provides.contains(&ProvidesArg::Clients) {
            console.note("Trying clients …");
            self.try_clients().await;
        }
        let left: Vec<String> = self.vendor.never_asked().into_iter().map(str::to_owned).collect();
        let asked = match (left.first(), left.len()) {
            (None, _) => Ok(()),
            (Some(first), n) => Err(format!(
                "{n} recorded answers were never asked for, {first} first of all. A program that does not ask for them does not \
                 know what they say; take out what it has no use for"
            )),
        };
        self.say("every recorded answer is asked for", asked);
        self
    }

    async fn try_ledgers(&mut self) {
        let list = self.ledgers().await;
        let found = list.as_ref().map_err(told).and_then(|l| {
            if l.is_empty() {
                Err("the recorded answers give no ledger, so nothing was tried".to_owned())
            } else {
                Ok(())
            }
        });
        if !self.say("ledgers are listed", found) {
            return;
        }
        let mut ids: Vec<LedgerId> = list.map(|l| l.items().iter().map(|r| r.id.clone()).collect()).unwrap_or_default();
        let rest = ids.split_off(ids.len().min(LEDGERS_TRIED));
        let again = self.bad("ledgers", async |b| items(b.ledgers().await)).await;
        self.say("ledgers: no bad answer makes a list", again);
        let less = self.altered("ledgers", async |b| items(b.ledgers().await), same_ledgers).await;
        self.say("ledgers: no answer with a field less makes another list", less);
        let all = self.pages("ledgers", async |b| items(b.ledgers().await)).await;
        self.say("ledgers: a shorter page is not taken for the last one", all);
        self.try_swapped(&ids).await;
        for ledger in rest {
            let read = self.access(&ledger).await.map_err(|e| told(&e)).and_then(|l| users(l.items()));
            self.say(format!("users of {ledger} are listed"), read);
            let read = self.profile(&ledger).await.map(|_| ()).map_err(|e| told(&e));
            self.say(format!("the profile of {ledger} is read"), read);
        }
        for ledger in ids {
            let first = self.access(&ledger).await;
            let people = first.as_ref().map_err(told).and_then(|l| users(l.items()));
            if !self.say(format!("users of {ledger} are listed"), people) {
                continue;
            }
            if let Ok(list) = &first {
                let mut roles: Vec<_> = list.items().iter().map(|f| f.role.clone()).collect();
                roles.sort();
                roles.dedup();
                if roles.is_empty() {
                    roles.push("none".to_owned());
                }
                self.notes.push(format!(
                    "{ledger}: {} users, {} pages, roles: {}",
                    list.items().len(),
                    list.pages(),
                    roles.join(", ")
                ));
            }
            let second = self.access(&ledger).await;
            let same = match (&first, &second) {
                (Ok(a), Ok(b)) if a.items() == b.items() => Ok(()),
                _ => Err("the same answers gave another list the second time".to_owned()),
            };
            self.say(format!("users of {ledger}: nothing is remembered between calls"), same);
            let bad = self.bad("users", async |b| items(b.access(&ledger).await)).await;
            self.say(format!("users of {ledger}: no bad answer makes a list"), bad);
            let less = self.altered("users", async |b| items(b.access(&ledger).await), same_users).await;
            self.say(format!("users of {ledger}: no answer with a field less makes another list"), less);
            let all = self.pages("users", async |b| items(b.access(&ledger).await)).await;
            self.say(format!("users of {ledger}: a shorter page is not taken for the last one"), all);
            let given = |list: &[AccessFact]| list.iter().map(user).collect::<Vec<_>>();
            let deaf = self.deaf(async |b| items(b.access(&ledger).await), given).await;
            self.warn(format!("users of {ledger}: role and standing are the vendor's"), deaf);
            let profile = async |b: &Self| b.profile(&ledger).await;
            let read = profile(self).await;
            let named = read
                .as_ref()
                .map_err(told)
                .and_then(|p| if p.name.is_empty() { Err("it has no name".to_owned()) } else { Ok(()) });
            if self.say(format!("the profile of {ledger} is read"), named) {
                let bad = self.bad("profile", profile).await;
                self.say(format!("the profile of {ledger}: no bad answer makes one"), bad);
            }
        }
    }

    /// The users of a ledger, and the requests that they took.
    async fn asked(&self, ledger: &LedgerId) -> Option<(Vec<AccessFact>, Vec<Request>)> {
        self.wire.heal();
        let list = self.access(ledger).await.ok()?;
        Some((list.items().to_vec(), self.wire.log()))
    }

    /// Another ledger's list in answer to a request (P09): a program that takes it for this ledger's would give that
    /// one's people this client's folder.
    async fn try_swapped(&mut self, ids: &[LedgerId]) {
        let people = |l: &[AccessFact]| l.iter().map(|f| (f.user.clone(), f.role.clone())).collect::<Vec<_>>();
        let mut known = Vec::new();
        for id in ids {
            known.extend(self.asked(id).await.map(|(list, log)| (id, people(&list), log)));
        }
        let mut tried = false;
        for (ledger, own, asked) in &known {
            // Of two lists that are the same nothing can be told.
            let Some((other, others, instead)) = known.iter().find(|(id, list, _)| id != ledger && list != own) else {
                continue;
            };
            tried = true;
            self.vendor.swap((ledger, asked), (other, instead));
            let got = self.access(ledger).await.map(|l| people(l.items()));
            self.vendor.swap_back();
            let name = format!("users of {ledger}: the list of {other} is not taken for theirs");
            let believed = got.is_ok_and(|list| list != *own || list == *others);
            if !believed {
                self.say(name, Ok(()));
            } else if self.vendor.name(instead, other) {
                let text = format!(
                    "the users of {other} came in answer to the request for {ledger} and were given as \
                    those of {ledger}. Compare the ledger that the answer names with the one that was asked for"
                );
                self.say(name, Err(text));
            } else {
                let warning = format!(
                    "the users of {other} in answer to the request for {ledger} are given as those of \
                    {ledger}. The recorded answers name no ledger; where another call of this vendor does, ask it as well \
                    and compare the ledger that the answer names"
                );
                self.checks.push(Check { name, wrong: None, warning: Some(warning) });
            }
        }
        if !tried {
            self.notes.push(
                "Record the users of two ledgers that differ: then one's list is tried as the other's.".to_owned(),
            );
        }
    }

    async fn try_clients(&mut self) {
        let first = self.clients().await;
        let found = first.as_ref().map_err(told).and_then(|l| {
            if l.items().iter().any(|c| !c.people.is_empty()) {
                Ok(())
            } else {
                Err("the recorded answers give no client with somebody responsible for it".to_owned())
            }
        });
        if !self.say("clients are listed with their people", found) {
            return;
        }
        let second = self.clients().await;
        let same = match (&first, &second) {
            (Ok(a), Ok(b)) if a.items() == b.items() => Ok(()),
            _ => Err("the same answers gave another list the second time".to_owned()),
        };
        self.say("clients: nothing is remembered between calls", same);
        let bad = self.bad("clients", async |b| items(b.clients().await)).await;
        self.say("clients: no bad answer makes a list", bad);
        let less = self.altered("clients", async |b| items(b.clients().await), same_clients).await;
        self.say("clients: no answer with a field less makes another list", less);
        let all = self.pages("clients", async |b| items(b.clients().await)).await;
        self.say("clients: a shorter page is not taken for the last one", all);
        let given = |list: &[ClientRow]| list.iter().flat_map(responsible).collect::<Vec<_>>();
        let deaf = self.deaf(async |b| items(b.clients().await), given).await;
        self.warn("clients: what makes somebody responsible, and their standing, are the vendor's", deaf);
    }

    /// Each fault in place of each single answer. The first that does not become an error of its kind is told.
    async fn bad<T: Serialize>(&self, what: &str, call: impl AsyncFn(&Self) -> Result<T>) -> Result<(), String> {
        self.wire.heal();
        call(self).await.map_err(|e| told(&e))?;
        let count = self.wire.count();
        if count == 0 {
            return Err(format!("{what}: the program asked its vendor nothing"));
        }
        let statuses = [400, 403, 404, 410, 503].map(Fault::Status);
        for nth in 0..count {
            for fault in BAD_ANSWERS.into_iter().chain(EMPTY_ANSWERS).chain(statuses) {
                self.wire.fail(When::Nth(nth), fault);
                let outcome = call(self).await;
                self.wire.heal();
                judge(fault, outcome)
                    .map_err(|wrong| format!("request {} of {what}, {}: {wrong}", nth + 1, words(fault)))?;
            }
        }
        for nth in 1..count {
            self.wire.fail(When::From(nth), Fault::FirstAgain);
            let outcome = call(self).await;
            self.wire.heal();
            if outcome.is_ok() {
                return Err(format!("{what}: the first page again, for ever, became a list"));
            }
        }
        Ok(())
    }

    /// The true answers, one field less in one of them: an error, or a list by which nobody loses or gains anything (P14). The
    /// first that is neither is told. `differs`: in what another list does either.
    async fn altered<T>(
        &mut self,
        what: &str,
        call: impl AsyncFn(&Self) -> Result<Vec<T>>,
        differs: impl Fn(&[T], &[T]) -> Option<String>,
    ) -> Result<(), String> {
        self.wire.heal();
        let whole = call(self).await.map_err(|e| told(&e))?;
        let mut all = self.vendor.alterations(&self.wire.log());
        if all.len() > ALTERED_MAX {
            let text = format!("{what}: of {} ways to leave a field out, {ALTERED_MAX} were tried.", all.len());
            self.notes.push(text);
            // From everywhere in the recording, not from its beginning alone.
            let step = all.len().div_ceil(ALTERED_MAX);
            all = all.into_iter().step_by(step).collect();
        }
        for one in all {
            let words = one.words.clone();
            self.vendor.alter(Some(one));
            let got = call(self).await;
            self.vendor.alter(None);
            if let Some(how) = got.ok().and_then(|list| differs(&whole, &list)) {
                return Err(format!("{words}: {how}. End with an error where a field is not there, or is null"));
            }
        }
        Ok(())
    }

    /// The true answers with a row less on a page that is not the last: the next page has to be asked for all the same. How long
    /// a page is says nothing, for a vendor may change that, and leave out rows that nobody may see.
    async fn pages<T>(&self, what: &str, call: impl AsyncFn(&Self) -> Result<Vec<T>>) -> Result<(), String> {
        self.wire.heal();
        call(self).await.map_err(|e| told(&e))?;
        let asked = self.wire.log();
        for (nth, request) in asked.iter().enumerate() {
            // The same address with another query is another page of the list; every other one is about something else.
            let next = asked.iter().skip(nth + 1).find(|r| r.url.path() == request.url.path() && r.url != request.url);
            let (Some(next), Some(short)) = (next.map(answers::key), self.vendor.shortened(request)) else { continue };
            let words = short.words.clone();
            self.vendor.alter(Some(short));
            self.wire.heal();
            let got = call(self).await;
            self.vendor.alter(None);
            if got.is_ok() && !self.wire.log().iter().any(|r| answers::key(r) == next) {
                return Err(format!(
                    "{words}: {next} is not asked for any more, and {what} end there. Go by what the vendor says about the \
                     next page; where it says nothing, ask until a page is empty"
                ));
            }
        }
        Ok(())
    }

    /// What the program says of people whatever its vendor says of them: no other value in any field moves it.
    async fn deaf<T>(
        &self,
        call: impl AsyncFn(&Self) -> Result<Vec<T>>,
        given: impl Fn(&[T]) -> Vec<Given>,
    ) -> Option<String> {
        self.wire.heal();
        let before = given(&call(self).await.ok()?);
        if before.is_empty() {
            return None;
        }
        let (mut role, mut standing) = (false, false);
        for one in self.vendor.other_values(&self.wire.log()).into_iter().take(ALTERED_MAX) {
            self.vendor.alter(Some(one));
            let got = call(self).await;
            self.vendor.alter(None);
            for new in got.map(|list| given(&list)).unwrap_or_default() {
                let old: Vec<&Given> = before.iter().filter(|p| p.0 == new.0).collect();
                role |= !old.is_empty() && old.iter().all(|p| p.2 != new.2);
                standing |= !old.is_empty() && old.iter().all(|p| p.3 != new.3);
            }
            if role && standing {
                return None;
            }
        }
        let (what, who) = match (role, standing) {
            (false, false) => ("role and standing are", "is given another role or suspended"),
            (false, true) => ("role is", "is given another role"),
            _ => ("standing is", "is suspended or removed"),
        };
        Some(format!(
            "nobody's {what} another, whichever field of the recorded answers has another value: whoever {who} at the vendor would \
             keep what they have. Read it from the vendor's field; where a program refuses words that it does not know, record \
             two users who differ in it. Where the vendor has no such field, leave it so"
        ))
    }

    fn warn(&mut self, name: impl Into<String>, warning: Option<String>) {
        self.checks.push(Check { name: name.into(), wrong: None, warning });
    }

    fn report(self, program: &Path) -> Report {
        let failed = self.checks.iter().filter(|c| c.wrong.is_some()).count();
        let rows = self.checks.iter().map(|c| {
            [
                match (&c.wrong, &c.warning) {
                    (Some(_), _) => "FAILED",
                    (None, Some(_)) => "WARNING",
                    (None, None) => "ok",
                }
                .to_owned(),
                c.name.clone(),
                c.wrong.as_ref().or(c.warning.as_ref()).cloned().unwrap_or_default(),
            ]
        });
        let mut text = table(["", "scenario", "what was wrong"], rows);
        for note in &self.notes {
            text.push_str(note);
            text.push('\n');
        }
        text.push_str(&match failed {
            0 => format!("{} keeps to the protocol: {} scenarios.\n", program.display(), self.checks.len()),
            n => format!("{n} of {} scenarios failed. Do not use this program yet.\n", self.checks.len()),
        });
        let checks: Vec<_> = self
            .checks
            .iter()
            .map(|c| json!({"scenario": c.name, "ok": c.wrong.is_none(), "wrong": c.wrong, "warning": c.warning}))
            .collect();
        let json =
            json!({"schema": "ledgerward/connector-check/1", "ok": failed == 0, "checks": checks, "notes": self.notes});
        Report::new(if failed == 0 { Exit::Done } else { Exit::Failed }, json, text)
    }
}

fn nothing() -> Error {
    Error::new(ErrorKind::Unsupported, "program.ask", "the program does not provide this")
}

/// An error as one line, with what to do.
fn told(e: &Error) -> String {
    let mut text = match e.next.as_deref().map(|next| next.replace(CHECK, "")) {
        Some(next) if !next.trim().is_empty() => format!("{e}. {}", next.trim()),
        _ => e.to_string(),
    };
    if let Some(Aside(lines)) = e.source.as_ref().and_then(|s| s.downcast_ref()) {
        text.push_str(". It wrote to stderr: ");
        text.push_str(&lines.iter().map(|l| l.trim()).collect::<Vec<_>>().join(" / "));
    }
    text
}

fn items<T: Clone>(list: Result<Snapshot<T>>) -> Result<Vec<T>> {
    list.map(|list| list.items().to_vec())
}

/// What is listed on one side alone.
fn only<K: Ord + std::fmt::Display>(before: BTreeSet<K>, after: &BTreeSet<K>) -> Option<String> {
    let gone = before.difference(after).next().map(|id| format!("{id} is not in the list any more"));
    gone.or_else(|| after.difference(&before).next().map(|id| format!("{id} came into the list")))
}

fn same_ledgers(before: &[LedgerRow], after: &[LedgerRow]) -> Option<String> {
    only(before.iter().map(|l| &l.id).collect(), &after.iter().map(|l| &l.id).collect())
}

/// Of two lists of users, in what the second gives or takes something.
fn same_users(before: &[AccessFact], after: &[AccessFact]) -> Option<String> {
    same_people(&before.iter().map(user).collect::<Vec<_>>(), &after.iter().map(user).collect::<Vec<_>>())
}

fn user(f: &AccessFact) -> Given {
    (f.user.to_string(), f.email.clone(), f.role.clone(), f.standing.clone())
}

/// Who is responsible for a client: of each client another.
fn responsible(row: &ClientRow) -> Vec<Given> {
    let one = |p: &Assignment| (format!("{}/{}", row.id, p.user), p.email.clone(), p.role.clone(), p.standing.clone());
    row.people.iter().map(one).collect()
}

/// A person as a program gives them: id, address, role, standing.
type Given = (String, Option<String>, String, Standing);

fn same_people(before: &[Given], after: &[Given]) -> Option<String> {
    let ids = |list: &[Given]| list.iter().map(|p| p.0.clone()).collect::<BTreeSet<_>>();
    // A role of nobody's gives nothing until the firm says so; one that somebody has may give a folder.
    let roles: BTreeSet<&str> = before.iter().map(|p| p.2.as_str()).chain(["reader", "writer", "none"]).collect();
    let changed = |new: &Given| {
        let mut old = before.iter().filter(|p| p.0 == new.0).peekable();
        let (id, email, role, standing) = new;
        if old.peek().is_none() || old.clone().any(|p| p == new) {
            return None;
        }
        let role_is_new = old.clone().all(|p| p.2 != *role) && roles.contains(role.as_str());
        let standing_is_new = old.clone().all(|p| p.3 != *standing) && !matches!(standing, Standing::Unknown(_));
        let address_is_new = old.all(|p| p.1 != *email) && email.is_some();
        match (role_is_new, standing_is_new, address_is_new) {
            (true, ..) => Some(format!("{id} has the role {role} all at once")),
            (_, true, _) => Some(format!("{id} is {} all at once", format!("{standing:?}").to_lowercase())),
            (.., true) => Some(format!("{id} has another address all at once")),
            _ => None,
        }
    };
    only(ids(before), &ids(after)).or_else(|| after.iter().find_map(changed))
}

fn same_clients(before: &[ClientRow], after: &[ClientRow]) -> Option<String> {
    let people = |row: &ClientRow| -> Vec<Given> {
        row.people.iter().map(|p| (p.user.to_string(), p.email.clone(), p.role.clone(), p.standing.clone())).collect()
    };
    let ids = only(before.iter().map(|c| &c.id).collect(), &after.iter().map(|c| &c.id).collect());
    ids.or_else(|| {
        let pairs = before.iter().filter_map(|old| Some((old, after.iter().find(|new| new.id == old.id)?)));
        pairs.into_iter().find_map(|(old, new)| {
            same_people(&people(old), &people(new)).map(|how| format!("of client {}, {how}", old.id))
        })
    })
}

fn users(list: &[AccessFact]) -> Result<(), String> {
    for fact in list {
        if let Standing::Unknown(word) = &fact.standing {
            return Err(format!(
                "user {} has the standing \"{word}\", which is none of active, pending, disabled, removed",
                fact.user
            ));
        }
    }
    Ok(())
}

fn words(fault: Fault) -> String {
    match fault {
        Fault::Status(status) => format!("answered {status}"),
        Fault::RateLimited => "answered 429".to_owned(),
        Fault::EmptyObject => "answered {}".to_owned(),
        Fault::Html => "answered with a login page".to_owned(),
        Fault::Cut => "cut in the middle".to_owned(),
        Fault::NotSent => "never sent".to_owned(),
        Fault::Lost => "answer lost".to_owned(),
        Fault::FirstAgain => "the first answer again".to_owned(),
        Fault::Nothing => "answered 200 with nothing".to_owned(),
        Fault::EmptyArray => "answered [] where it is no true answer".to_owned(),
        Fault::Null => "answered null".to_owned(),
        Fault::ErrorInside => "answered 200 with an error inside".to_owned(),
        Fault::ErrorBeside => "answered with an error beside the true answer".to_owned(),
        Fault::Part => "answered 206".to_owned(),
        Fault::Junk => "answered with something after its end".to_owned(),
        Fault::Xml => "answered with XML of no known shape".to_owned(),
        Fault::Utf16 => "answered in UTF-16".to_owned(),
        Fault::BareRateLimit => "answered 429 without a word".to_owned(),
        Fault::NullLists => "null in place of each list".to_owned(),
        Fault::ObjectLists => "an object in place of each list".to_owned(),
        Fault::TextNumbers => "a text in place of each number".to_owned(),
    }
}

fn judge<T: Serialize>(fault: Fault, outcome: Result<T>) -> Result<(), String> {
    let e = match outcome {
        Ok(value) => {
            let value = serde_json::to_string(&value).unwrap_or_default();
            return Err(format!("must be an error, and gave {value}").chars().take(300).collect());
        }
        Err(e) => e,
    };
    if format!("{e} {e:?}").contains(CANARY) {
        return Err("the error shows what the vendor sent".to_owned());
    }
    let sound = match fault {
        Fault::Status(401) => e.kind == ErrorKind::Unauthenticated,
        Fault::Status(403) => e.kind == ErrorKind::Forbidden,
        Fault::RateLimited | Fault::BareRateLimit => e.kind == ErrorKind::RateLimited,
        Fault::Status(500..) | Fault::NotSent | Fault::Lost => e.kind == ErrorKind::Unavailable,
        Fault::Status(_) => e.kind != ErrorKind::Unauthenticated && e.retry == Retry::No,
        _ => matches!(e.kind, ErrorKind::Contract | ErrorKind::Unavailable),
    };
    if sound { Ok(()) } else { Err(format!("became {:?}: {e}", e.kind)) }
}
