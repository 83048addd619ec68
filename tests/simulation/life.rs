//! A firm's life from one number: who comes and goes, who shares what by hand, what breaks and when. After every command the
//! invariants are checked; at the end the firm is left in peace and must come to rest, exactly.

use std::{collections::BTreeMap, collections::BTreeSet, time::Duration};

use ledgerward::{
    cli::outcome::{Exit, Report},
    domain::lane::LaneKey,
    store::OwnedRow,
};
use ledgerward_contract::Timestamp;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};

use crate::{
    house::{End, House, Killer, OWNER},
    oracle::{Client, Firm, Mode, Person, State, Verdict},
    outside::{Death, Folders, Line, Outside, Trouble, Witness},
    past::Past,
};

const ROLES: [&str; 6] = ["READONLY", "STANDARD", "FINANCIALADVISER", "INVOICEONLY", "UNKNOWN", "ADMIN"];
const OUTSIDERS: [&str; 2] = ["mallory@elsewhere.example", "friend@elsewhere.example"];
const NAMES: [&str; 12] = [
    "Acme Ltd",
    "Birch LLP",
    "Cedar Bakery",
    "Dunes Surf Shop",
    "Elm & Sons",
    "Fjord Fishing",
    "Grove Dental",
    "Harris Haulage",
    "Iris Flowers",
    "Juniper Gin",
    "Kauri Timber",
    "Lagoon Pools",
];

/// What a course of events came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub cycles: u32,
    pub deaths: u32,
    pub faults: u64,
    pub requests: u64,
    pub on: usize,
    pub off: usize,
    pub files: usize,
    pub held: u32,
    pub instants: usize,
}

pub struct Life {
    random: StdRng,
    pub house: House,
    pub firm: Firm,
    /// Who was put on a folder by hand and not by us: client and address.
    by_hand: BTreeSet<(String, String)>,
    links: BTreeSet<String>,
    hired: usize,
    /// What was told, for whoever looks for the cause of a failure.
    pub diary: Vec<String>,
    past: Past,
    pub tally: Tally,
    seen: (usize, usize),
    /// Pairs that people meddled with, by hand: what the product says of them is its own business.
    meddled: BTreeSet<(String, String)>,
}

fn address(n: usize) -> String {
    format!("p{n:02}@harbour.example")
}

fn seeds(random: &mut StdRng) -> (Value, Value, Vec<Client>, usize) {
    let people = random.random_range(3..=8);
    let clients = random.random_range(3..=12);
    let mut orgs = Vec::new();
    let mut all = Vec::new();
    let sale = json!({"type": "RECEIVE", "bank": "090", "account": "200", "amount": "610.00", "contact": "Takings"});
    for (n, name) in NAMES.iter().enumerate().take(clients) {
        let mut users = vec![json!({"email": OWNER, "first": "Ana", "last": "Ruiz", "role": "FINANCIALADVISER"})];
        for p in 0..people {
            if random.random_range(0..100) < 70 {
                let role = ROLES[random.random_range(0..4)];
                users.push(json!({"email": address(p), "first": "P", "last": "Harbour", "role": role}));
            }
        }
        let tenant = format!("c4d9a7f2-0000-4000-8000-0000000000{n:02}");
        orgs.push(json!({
            "tenant_id": tenant, "name": name, "users": users,
            "recurring": [{"from": "2030-04-01", "to": "2033-03-31", "day": 3, "transaction": sale, "vary": 12}],
        }));
        all.push(Client {
            tenant,
            organisation: (*name).to_owned(),
            id: String::new(),
            slug: String::new(),
            name: (*name).to_owned(),
            state: State::Proposed,
        });
    }
    let xero = json!({
        "app": {"client_id": "test-app", "client_secret": "test-secret", "scopes": "granular"},
        "users": [{"email": OWNER, "first": "Ana", "last": "Ruiz"}], "organisations": orgs,
    });
    let mut accounts =
        vec![json!({"email": "ledgers@harbour.example", "name": "ledgers"}), json!({"email": OWNER, "name": "Ana"})];
    accounts.extend((0..40).map(|n| json!({"email": address(n), "name": format!("P {n}")})));
    accounts.extend(OUTSIDERS.iter().map(|email| json!({"email": email, "name": email})));
    let drive = json!({
        "base": format!("http://{}", crate::outside::ADDRESS), "token_uri": "https://oauth2.googleapis.com/token",
        "clients": [{"id": "test-drive", "secret": "test-drive-word"}], "consent": "ledgers@harbour.example",
        "accounts": accounts, "policies": {"harbour.example": {}},
    });
    (xero, drive, all, people)
}

impl Life {
    pub fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let (xero, drive, clients, people) = seeds(&mut random);
        let outside = Outside::new(&xero, &drive, StdRng::seed_from_u64(random.random()));
        let start: Timestamp = "2031-01-06T18:00:00Z".parse().unwrap();
        let house = House::new(outside, start);
        let owner = Person { mode: Mode::LedgerSelected, disabled: false, closed: false, selected: BTreeSet::new() };
        let firm = Firm { people: BTreeMap::from([(OWNER.to_owned(), owner)]), clients };
        let mut life = Self {
            random,
            house,
            firm,
            by_hand: BTreeSet::new(),
            links: BTreeSet::new(),
            hired: 0,
            diary: Vec::new(),
            past: Past::default(),
            tally: Tally::default(),
            seen: (0, 0),
            meddled: BTreeSet::new(),
        };
        life.first_day(people);
        life
    }

    fn first_day(&mut self, people: usize) {
        for name in ["xero", "drive"] {
            self.house.must(&["connect", name, "--no-browser"]);
        }
        for _ in 0..people {
            self.person();
        }
        self.house.must(&["pull"]);
        let proposed = self.random.random_range(0..2);
        let clients = self.firm.clients.len() - proposed;
        self.know_clients();
        for n in 0..clients {
            self.accept(n);
        }
        for who in self.firm.people.keys().cloned().collect::<Vec<_>>() {
            for n in 0..clients {
                if self.chance(50) {
                    self.select(&who, n);
                }
            }
        }
        self.sync();
        self.approve();
        if self.chance(50) {
            self.note("the index lags an hour");
            self.house.outside.at(Line::Drive, "lag", &json!({"seconds": 3_600})).unwrap();
        }
        self.sync();
        self.sync();
    }

    /// One day: what happens in it, and two cycles.
    pub fn day(&mut self) {
        let events = [0, 0, 1, 1, 1, 2, 3][self.random.random_range(0..7)];
        for _ in 0..events {
            self.event();
        }
        self.house.wait(Duration::from_secs(self.random.random_range(60..20_000)));
        self.sync();
        for _ in 0..self.random.random_range(0..2) {
            self.event();
        }
        self.house.wait(Duration::from_secs(self.random.random_range(310..20_000)));
        self.sync();
        if self.chance(40) {
            self.approve();
        }
        let left = 86_400 - self.house.now().as_second().rem_euclid(86_400);
        self.house.wait(Duration::from_secs(left.unsigned_abs()));
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn note(&mut self, what: impl Into<String>) {
        let line = format!("{}  {}", self.house.now(), what.into());
        if std::env::var_os("LEDGERWARD_TRACE").is_some() {
            println!("{line}");
        }
        self.diary.push(line);
    }

    fn somebody(&mut self) -> Option<String> {
        let all: Vec<String> = self.firm.people.keys().filter(|p| *p != OWNER).cloned().collect();
        all.choose(&mut self.random).cloned()
    }

    fn some_client(&mut self) -> usize {
        self.random.random_range(0..self.firm.clients.len())
    }

    /// A command that people give, and what they are told. It is given again if the process died over it.
    fn give(&mut self, words: &[&str]) -> Option<Report> {
        for _ in 0..5 {
            let end = self.house.ask(words);
            self.house.wait(Duration::from_secs(1));
            match end {
                End::Told(report) => {
                    self.note(format!("{words:?} -> {:?}", report.exit));
                    return Some(report);
                }
                End::Refused(failure) => {
                    self.note(format!("{words:?} -> refused: {}", failure.message));
                    return None;
                }
                End::Died => self.note(format!("{words:?} -> died")),
            }
        }
        None
    }

    fn person(&mut self) {
        let who = address(self.hired);
        let mode = Mode::EACH[self.random.random_range(0..4)];
        self.hired += 1;
        let last = format!("Number {}", self.hired);
        let add = ["people", "add", &who, "--first", "P", "--last", &last, "--mode", mode.word()];
        if self.give(&add).is_some() {
            let person = Person { mode, disabled: false, closed: false, selected: BTreeSet::new() };
            self.past.join(&who, self.house.now());
            self.firm.people.insert(who, person);
        }
    }

    fn select(&mut self, who: &str, n: usize) {
        let slug = self.firm.clients[n].slug.clone();
        let Some(report) = self.give(&["select", who, &slug]) else { return };
        let answer = report.json["clients"][0]["answer"].as_str().unwrap_or_default().to_owned();
        self.note(format!("  {answer}"));
        if ["granted", "already_has_access", "selected"].contains(&answer.as_str()) {
            self.firm.people.get_mut(who).unwrap().selected.insert(n);
        }
    }

    fn know_clients(&mut self) {
        let told = self.house.must(&["clients", "list", "--all"]).json;
        for row in told["clients"].as_array().unwrap() {
            let text = |key: &str| row[key].as_str().unwrap().to_owned();
            if let Some(client) = self.firm.clients.iter_mut().find(|c| c.id.is_empty() && c.name == text("name")) {
                (client.id, client.slug) = (text("id"), text("slug"));
            }
        }
        assert!(self.firm.clients.iter().all(|c| !c.id.is_empty()), "an organisation is no client: {told}");
    }

    fn accept(&mut self, n: usize) {
        let slug = self.firm.clients[n].slug.clone();
        if self.firm.clients[n].state == State::Proposed && self.give(&["clients", "accept", &slug]).is_some() {
            self.firm.clients[n].state = State::Active;
            let since =
                (self.house.now() - jiff::SignedDuration::from_hours(24 * 60)).to_string()[..8].to_owned() + "01";
            self.give(&["clients", "since", &slug, &since]);
        }
    }

    fn event(&mut self) {
        match self.random.random_range(0..115) {
            0..4 => self.hire(),
            4..7 => self.leave(),
            7..27 => self.ledger(),
            27..31 => {
                let verb = if self.chance(50) { "disconnect_tenant" } else { "reconnect_tenant" };
                let n = self.some_client();
                self.xero(verb, json!({}), n);
            }
            31..45 => self.meddle(),
            45..48 => {
                let n = self.some_client();
                let name = format!("{} {}", self.firm.clients[n].organisation, self.random.random_range(2..99));
                let slug = self.firm.clients[n].slug.clone();
                if self.give(&["clients", "rename", &slug, &name]).is_some() {
                    self.firm.clients[n].name = name;
                }
            }
            48..62 => self.choose(),
            62..66 => {
                if let Some(who) = self.somebody() {
                    let mode = Mode::EACH[self.random.random_range(0..4)];
                    if self.give(&["people", "mode", &who, mode.word()]).is_some() {
                        self.firm.people.get_mut(&who).unwrap().mode = mode;
                    }
                }
            }
            66..72 => self.shut(),
            72..75 => self.state(),
            75..88 => self.trouble(),
            88..92 => {
                let line = if self.chance(50) { (Line::Xero, "expire_tokens") } else { (Line::Drive, "expire") };
                self.note(format!("{line:?}"));
                self.house.outside.at(line.0, line.1, &json!({})).unwrap();
            }
            92..95 => {
                let seconds = if self.chance(50) { 3_600 } else { 0 };
                self.note(format!("the index lags {seconds} s"));
                self.house.outside.at(Line::Drive, "lag", &json!({"seconds": seconds})).unwrap();
            }
            95..97 => {
                self.note("everything is put right");
                self.house.outside.witness().troubles.clear();
            }
            100..115 => {
                // A closed month that changes is found within a week, and makes a new file.
                let day = self.house.now().to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month();
                let day = day.saturating_sub(jiff::Span::new().days(self.random.random_range(1..50)));
                let what = json!({"date": day, "type": "SPEND", "bank": "090", "account": "404", "amount": "12.50"});
                let n = self.some_client();
                self.xero("post_transaction", json!({"transaction": what}), n);
            }
            _ => {
                self.note("a new process");
                self.house.stop();
            }
        }
    }

    fn xero(&mut self, verb: &str, mut args: Value, n: usize) {
        args["tenant"] = json!(self.firm.clients[n].tenant);
        let told = self.house.outside.at(Line::Xero, verb, &args);
        self.note(format!("xero {verb} {args} {told:?}"));
    }

    fn user(who: &str, role: &str) -> Value {
        json!({"user": {"email": who, "first": "P", "last": "Harbour", "role": role}})
    }

    fn hire(&mut self) {
        if self.firm.people.len() > 12 {
            return;
        }
        let who = address(self.hired);
        self.person();
        for n in 0..self.firm.clients.len() {
            if self.chance(50) {
                self.xero("add_user", Self::user(&who, "STANDARD"), n);
            }
        }
    }

    fn leave(&mut self) {
        let Some(who) = self.somebody() else { return };
        self.note(format!("{who} leaves"));
        for n in 0..self.firm.clients.len() {
            let verb = if self.chance(70) { "drop_user" } else { "remove_user" };
            self.xero(verb, json!({"user": who}), n);
        }
        if self.chance(50) {
            self.shut_one(&who);
        }
    }

    fn ledger(&mut self) {
        let (Some(who), n) = (self.somebody(), self.some_client()) else { return };
        let role = ROLES[self.random.random_range(0..ROLES.len())];
        match self.random.random_range(0..4) {
            0 => self.xero("drop_user", json!({"user": who}), n),
            1 => self.xero("remove_user", json!({"user": who}), n),
            2 => self.xero("set_role", json!({"user": who, "role": role}), n),
            _ => self.xero("add_user", Self::user(&who, role), n),
        }
    }

    /// Somebody does something at Drive that is none of our doing.
    fn meddle(&mut self) {
        let folders = self.house.outside.look();
        let Some((client, folder)) =
            folders.iter().collect::<Vec<_>>().choose(&mut self.random).map(|(c, f)| ((*c).clone(), (*f).clone()))
        else {
            return;
        };
        let file = json!(folder.name);
        let drive = |life: &mut Self, verb: &str, args: Value| {
            let told = life.house.outside.at(Line::Drive, verb, &args);
            life.note(format!("drive {verb} {args} {told:?}"));
        };
        match self.random.random_range(0..6) {
            0 | 1 => {
                let everybody: Vec<String> =
                    self.firm.people.keys().cloned().chain(OUTSIDERS.map(str::to_owned)).collect();
                let who = everybody.choose(&mut self.random).unwrap().clone();
                if folder.people.contains(&who) {
                    return;
                }
                let role = if self.chance(70) { "reader" } else { "writer" };
                drive(self, "share", json!({"file": file, "type": "user", "email": who, "role": role}));
                let pair = (client, who);
                self.meddled.insert(pair.clone());
                // Drive gives a person the same permission id again: one of ours that was taken off is ours when it is back.
                if !self.ours().contains(&pair) {
                    self.by_hand.insert(pair);
                }
            }
            2 | 3 => {
                let on: Vec<&String> = folder.people.iter().filter(|p| *p != "anyone").collect();
                let Some(who) = on.choose(&mut self.random).map(|p| (*p).clone()) else { return };
                drive(self, "unshare", json!({"file": file, "type": "user", "email": who}));
                self.meddled.insert((client.clone(), who.clone()));
                self.by_hand.remove(&(client, who));
            }
            4 => {
                drive(self, "link_on", json!({"file": file}));
                self.links.insert(client);
            }
            _ => {
                if let Some(client) = self.links.pop_first() {
                    let name = folders[&client].name.clone();
                    drive(self, "link_off", json!({"file": name}));
                }
            }
        }
        self.house.outside.look();
    }

    fn choose(&mut self) {
        let (Some(who), n) = (self.somebody(), self.some_client()) else { return };
        if !self.firm.people[&who].selected.contains(&n) {
            return self.select(&who, n);
        }
        let slug = self.firm.clients[n].slug.clone();
        if self.give(&["select", &who, &slug, "--remove"]).is_some() {
            self.firm.people.get_mut(&who).unwrap().selected.remove(&n);
        }
    }

    fn shut(&mut self) {
        let Some(who) = self.somebody() else { return };
        let person = self.firm.people[&who].clone();
        if person.closed {
            if self.give(&["people", "lift", &who]).is_some() {
                self.firm.people.get_mut(&who).unwrap().closed = false;
            }
        } else if person.disabled {
            if self.give(&["people", "enable", &who]).is_some() {
                self.firm.people.get_mut(&who).unwrap().disabled = false;
            }
        } else {
            self.shut_one(&who);
        }
    }

    fn shut_one(&mut self, who: &str) {
        if self.chance(50) {
            if self.give(&["people", "disable", who]).is_some() {
                self.firm.people.get_mut(who).unwrap().disabled = true;
            }
            return;
        }
        // It is closed first, so that it holds whatever becomes of the command.
        self.firm.people.get_mut(who).unwrap().closed = true;
        if self.chance(30) {
            let death = Death { requests: self.random.random_range(0..4), done: self.chance(50) };
            self.house.outside.witness().death = Some(death);
        }
        self.house.wait(Duration::from_secs(2));
        let begun = self.house.now();
        let told = self.give(&["revoke", who, "--now", "--reason", "told to"]);
        self.house.outside.witness().death = None;
        self.past.blur((begun, self.house.now()));
        self.house.wait(Duration::from_secs(2));
        self.check("after a revoke", false);
        if told.is_some_and(|report| report.exit == Exit::Done) {
            for folder in self.house.outside.witness().folders.values() {
                assert!(!folder.people.contains(who), "{who} is still on {} after revoke --now", folder.name);
            }
        }
    }

    /// What the product holds to be ours, as it says itself.
    fn ours(&mut self) -> BTreeSet<(String, String)> {
        let owned = self.house.state(|db| db.owned());
        let of = |(lane, rows): (&LaneKey, &Vec<OwnedRow>)| {
            let client = lane.folder.client.to_string();
            rows.iter().map(|r| (client.clone(), r.grant.who.to_string())).collect::<Vec<_>>()
        };
        owned.iter().flat_map(of).collect()
    }

    fn state(&mut self) {
        let n = self.some_client();
        let slug = self.firm.clients[n].slug.clone();
        let archive = self.chance(50);
        let (verb, to) = match self.firm.clients[n].state {
            State::Proposed => return self.accept(n),
            State::Active if archive => ("archive", State::Archived),
            State::Active => ("close", State::Closed),
            State::Archived | State::Closed => ("reopen", State::Active),
        };
        if self.give(&["clients", verb, &slug]).is_some() {
            self.firm.clients[n].state = to;
        }
    }

    fn trouble(&mut self) {
        let line = if self.chance(50) { Line::Xero } else { Line::Drive };
        let fault = Witness::any_fault(&mut self.random);
        let percent = [3, 20, 100][self.random.random_range(0..3)];
        let left = self.random.random_range(1..30);
        let trouble = Trouble { line, fault, percent, left };
        self.note(format!("{trouble:?}"));
        self.house.outside.witness().troubles.push(trouble);
    }

    /// One cycle, with or without an end, and what must hold after it.
    fn sync(&mut self) {
        let mut killer = Killer::default();
        match self.random.random_range(0..100) {
            0..15 => {
                let death =
                    Death { requests: self.random.random_range(0..120), done: self.random.random_range(0..2) == 0 };
                self.house.outside.witness().death = Some(death);
            }
            15..22 => killer.polls = Some(self.random.random_range(0..400)),
            _ => {}
        }
        if !self.sync_under(killer) {
            // Whoever starts it again does so at once.
            self.house.wait(Duration::from_secs(20));
            self.sync_under(Killer::default());
        }
        // The daemon's next cycle is five minutes away, and a renewal whose answer was lost cannot wait for our next day.
        for _ in 0..3 {
            if !self.house.outside.witness().token_lost {
                break;
            }
            self.house.wait(Duration::from_secs(300));
            self.sync_under(Killer::default());
        }
    }

    /// False if it died.
    fn sync_under(&mut self, killer: Killer) -> bool {
        self.tally.cycles += 1;
        let (faults, readings) = {
            let witness = self.house.outside.witness();
            (witness.faults, witness.readings.len())
        };
        let begun = self.house.now();
        let end = self.house.ask_under(&["sync", "--yes"], killer);
        self.house.outside.witness().death = None;
        let (told, clean) = match &end {
            End::Told(report) => {
                let steps = report.json["lanes"].as_array().map_or(0, Vec::len);
                let files = report.json["delivery"]["files"].as_array().map_or(0, Vec::len);
                let failed = report.json["delivery"]["failed"].as_array().map_or(0, Vec::len);
                let held = report.json["held"].as_array().map_or(0, Vec::len);
                let troubles = &report.json["troubles"];
                (
                    format!(
                        "{:?}, {steps} lanes, {files} files, {failed} failed, {held} held, {troubles}",
                        report.exit
                    ),
                    true,
                )
            }
            End::Refused(failure) => (format!("failed: {}", failure.render()), false),
            End::Died => ("died".to_owned(), false),
        };
        let clean = clean && self.house.outside.witness().faults == faults;
        self.note(format!("sync ({killer:?}) -> {told}{}", if clean { "" } else { " (with faults)" }));
        let ended = self.house.now();
        if !clean {
            self.house.outside.witness().readings[readings..].iter_mut().for_each(|r| r.unsure = true);
        }
        let died = matches!(end, End::Died);
        self.tally.deaths += u32::from(died);
        self.check("after a cycle", clean);
        self.taken_over();
        self.house.wait(Duration::from_secs(2));
        if clean {
            let folders = self.house.outside.witness().folders.clone();
            self.past.keep((begun, ended), folders);
        } else {
            self.past.blur((begun, ended));
        }
        !died
    }

    /// Whom somebody let in by hand and the product took over as its own: only people who may be there.
    fn taken_over(&mut self) {
        let ours = self.ours();
        let over: Vec<_> = self.by_hand.intersection(&ours).cloned().collect();
        let now = self.house.now();
        for pair in over {
            let client = self.firm.client(&pair.0).unwrap();
            let witness = self.house.outside.witness();
            let may = self.firm.may_be(Verdict::Yes, &witness.readings, &pair.1, client, now);
            assert!(may, "{} was taken over on {} and may not be there", pair.1, self.firm.clients[client].name);
            drop(witness);
            self.by_hand.remove(&pair);
        }
    }

    fn approve(&mut self) {
        let Some(held) = self.give(&["hold"]) else { return };
        for hold in held.json["holds"].as_array().unwrap() {
            self.tally.held += 1;
            let digest = hold["digest"].as_str().unwrap();
            self.note(format!("held: {}", hold["hold"]["message"]));
            self.give(&["approve", digest, "--reason", "looked at"]);
        }
    }

    /// The invariants of `reliability` 4, as far as they can be seen from outside.
    fn check(&mut self, when: &str, clean: bool) {
        let outside = std::sync::Arc::clone(&self.house.outside);
        let mut witness = outside.witness();
        assert!(witness.wrong.is_empty(), "{when}: {:#?}", witness.wrong);
        let readings = &witness.readings;
        let (moved, arrived) = (&witness.moved[self.seen.0..], &witness.arrived[self.seen.1..]);
        for step in moved {
            let (client, pair) = (self.firm.client(&step.client), (step.client.clone(), step.who.clone()));
            let client = client.unwrap_or_else(|| panic!("{when}: a folder of no client: {step:?}"));
            let name = &self.firm.clients[client].name;
            let is = |what| self.firm.may_be(what, readings, &step.who, client, step.at);
            if step.on {
                assert!(is(Verdict::Yes), "{when}, I2: {} was let in to {name} and nothing allows it", step.who);
                self.tally.on += 1;
            } else {
                assert!(is(Verdict::No), "{when}, I3: {} lost {name} and nothing denies it", step.who);
                assert!(
                    !self.by_hand.contains(&pair),
                    "{when}, I4: {} was let in to {name} by somebody else",
                    step.who
                );
                self.tally.off += 1;
            }
            if clean {
                self.past.step(step);
            }
        }
        for file in arrived {
            let client = self.firm.client(&file.client).unwrap();
            for who in &file.people {
                let verdict = self.firm.verdict(readings, who, client, file.at);
                let name = &self.firm.clients[client].name;
                assert!(verdict != Verdict::No, "{when}, I1: a file went to {name} while {who} was there");
            }
            self.tally.files += 1;
        }
        for (id, folder) in &witness.folders {
            let client =
                self.firm.client(id).unwrap_or_else(|| panic!("{when}: {} is no client's folder", folder.name));
            for who in &folder.people {
                let known = self.firm.people.contains_key(who)
                    || self.by_hand.contains(&(id.clone(), who.clone()))
                    || who == "anyone";
                assert!(known, "{when}: {who} is on {} and nobody knows why", self.firm.clients[client].name);
            }
        }
        self.seen = (witness.moved.len(), witness.arrived.len());
        self.tally.faults = witness.faults;
        self.tally.requests = witness.requests;
        witness.writes.clear();
    }

    /// Everything is put right, everything held is approved, and the firm is left alone: it must come to rest, with exactly
    /// the lists that the rules give, and write nothing more.
    pub fn rest(&mut self, what: &str) {
        self.note(format!("rest: {what}"));
        self.house.outside.witness().troubles.clear();
        self.house.outside.at(Line::Drive, "lag", &json!({"seconds": 0})).unwrap();
        for n in 0..self.firm.clients.len() {
            self.xero("reconnect_tenant", json!({}), n);
        }
        let folders = self.house.outside.look();
        for client in std::mem::take(&mut self.links) {
            self.house.outside.at(Line::Drive, "link_off", &json!({"file": folders[&client].name})).unwrap();
        }
        self.house.outside.look();
        for _ in 0..6 {
            self.house.wait(Duration::from_secs(3_700));
            self.sync_under(Killer::default());
            self.approve();
        }
        self.house.wait(Duration::from_secs(3_700));
        self.sync_under(Killer::default());
        self.exact(what);
        self.house.outside.witness().writes.clear();
        self.house.wait(Duration::from_secs(600));
        let report = self.house.must(&["sync", "--yes"]);
        let writes = self.house.outside.witness().writes.clone();
        assert!(writes.is_empty(), "{what}: a cycle at rest wrote: {writes:?}");
        let held = &report.json["held"];
        assert!(held.as_array().unwrap().is_empty(), "{what}: still held: {held}");
        self.check(what, true);
        self.house.must(&["audit", "verify"]);
    }

    fn exact(&mut self, what: &str) {
        let open = self.house.state(|db| db.unsettled());
        assert!(open.is_empty(), "{what}: steps without an end: {open:?}");
        let ours = self.ours();
        let folders: Folders = self.house.outside.look();
        let witness = std::sync::Arc::clone(&self.house.outside);
        let witness = witness.witness();
        let now = self.house.now();
        for (n, client) in self.firm.clients.iter().enumerate() {
            let none = crate::outside::Folder::default();
            let folder = folders.get(&client.id).unwrap_or(&none);
            if !folder.name.is_empty() && client.state == State::Active {
                assert_eq!(folder.name, client.name, "{what}: a folder's name");
            }
            for who in self.firm.people.keys().chain(&folder.people).collect::<BTreeSet<_>>() {
                let pair = (client.id.clone(), who.clone());
                let on = folder.people.contains(who);
                let theirs = self.by_hand.contains(&pair) && !ours.contains(&pair);
                let verdict = self.firm.verdict(&witness.readings, who, n, now);
                // An archived client's list stays as it is (`decisions` 15).
                match if client.state == State::Archived { Verdict::Unknown } else { verdict } {
                    Verdict::Yes => assert!(on, "{what}: {who} should be on {} and is not", client.name),
                    Verdict::No => assert!(!on || theirs, "{what}: {who} is on {} and should not be", client.name),
                    Verdict::Unknown => {}
                }
            }
        }
    }

    /// What the product says of the whole past equals what was (`past`).
    pub fn past(&mut self) {
        self.tally.instants = self.past.check(&mut self.house, &self.firm, &self.meddled);
    }
}
