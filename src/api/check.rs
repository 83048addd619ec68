//! May this person open this client: yes, no or held, with the reasons. Answered from memory, for other programs.
//!
//! A [`Picture`] is the firm and the facts as they were at one moment, with the tables that a question is looked up in. A
//! question is decided by the same [`Decider`] as every plan, over a firm of that one person and that one client: an answer can
//! not differ from what `why` says, a guest's end is seen to the second, and nothing is computed for pairs that nobody asks
//! about. `daemon::api` takes a new picture when something was written.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use ledgerward_contract::{ClientId, Email, FolderRole, Timestamp};
use serde::Serialize;

use super::tokens::Token;
use crate::{
    app::App,
    cli::{
        access::{ClientWords, PersonWords, none_of_theirs},
        cycle::refused,
        outcome::{Exit, Failure, Fault},
    },
    domain::{
        change,
        explain::because_words,
        facts::Facts,
        firm::{Client, ClientState, Firm, Guest, Person, PersonId, TargetName},
        office::Permission,
        policy::{Answer, Decider},
    },
    memory,
};

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    pub person: &'q str,
    pub client: &'q str,
    pub target: Option<&'q str>,
}

/// Whether the folder as a whole is meant, or only accounts' own folders in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Whole,
    Accounts,
    None,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    pub answer: Answer,
    /// `none` unless the answer is yes.
    pub role: &'static str,
    pub scope: Scope,
    pub reasons: Vec<String>,
    pub person: PersonWords,
    pub client: ClientWords,
    pub target: Option<String>,
}

/// The firm and the facts of one moment.
pub struct Picture {
    /// [`crate::store::Db::writes`] when it was taken.
    pub writes: u64,
    /// When every ledger was last read whole.
    pub read: Option<Timestamp>,
    pub tokens: BTreeMap<String, Token>,
    firm: Firm,
    facts: Facts,
    targets: Vec<TargetName>,
    /// The firm without its people, clients, selections, guests and groups.
    frame: Firm,
    people: HashMap<String, PersonId>,
    /// Without private ones: who may know of them is asked each time.
    clients: HashMap<String, ClientId>,
    guests: HashMap<(PersonId, ClientId), Vec<Guest>>,
    /// Who is on a folder of which client by our doing.
    on: HashSet<(PersonId, ClientId)>,
}

impl Picture {
    /// Takes one. `app`: as the daemon itself.
    pub async fn take(app: &App) -> Result<Self, Failure> {
        // The count first: what is written meanwhile makes this picture old, never fresher than it is.
        let writes = app.store.run(|db| Ok(db.writes())).await?;
        let firm = app.firm().await?;
        let facts = memory::recall_all(app, &firm).await?;
        let (tokens, owned, read) = app
            .store
            .run(|db| {
                let read = [db.last_whole_cycle()?, db.last_complete("pull")?];
                Ok((db.api_tokens()?, db.owned()?, read.into_iter().flatten().filter_map(|r| r.ended).max()))
            })
            .await?;
        let targets = app.folder_targets();
        let all: BTreeSet<&TargetName> = owned.keys().map(|lane| &lane.target).collect();
        let holders: HashMap<(&TargetName, &Email), PersonId> =
            all.into_iter().flat_map(|t| firm.people.values().map(move |p| ((t, p.address_on(t)), p.id))).collect();
        let rows = owned.iter().flat_map(|(lane, rows)| rows.iter().map(move |o| (lane, &o.grant.who)));
        let on =
            rows.filter_map(|(lane, who)| Some((*holders.get(&(&lane.target, who))?, lane.folder.client))).collect();
        Ok(Self { writes, read, tokens, on, ..Self::of(firm, facts, targets) })
    }

    /// Of values, at no count of writes and without tokens.
    pub fn of(firm: Firm, facts: Facts, targets: Vec<TargetName>) -> Self {
        let mut frame = firm.clone();
        frame.people.clear();
        frame.clients.clear();
        frame.selections.clear();
        frame.guests.clear();
        frame.pins.clear();
        // What a role may do is asked of the whole firm; a group of a thousand clients would be copied for each question.
        frame.groups.clear();
        frame.offices.clear();
        let people = firm.people.values().flat_map(|p| [(p.email.key().to_owned(), p.id), (p.id.0.to_string(), p.id)]);
        let open = firm.clients.values().filter(|c| c.private_to.is_none());
        let clients = open.flat_map(|c| [(c.slug.clone(), c.id), (c.id.to_string(), c.id)]);
        let mut guests: HashMap<(PersonId, ClientId), Vec<Guest>> = HashMap::new();
        for guest in &firm.guests {
            guests.entry((guest.person, guest.client)).or_default().push(guest.clone());
        }
        Self {
            writes: 0,
            read: None,
            tokens: BTreeMap::new(),
            people: people.collect(),
            clients: clients.collect(),
            guests,
            on: HashSet::new(),
            firm,
            facts,
            targets,
            frame,
        }
    }

    pub fn person(&self, email: &Email) -> Option<&Person> {
        self.people.get(email.key()).and_then(|id| self.firm.people.get(id))
    }

    pub fn firm(&self) -> &Firm {
        &self.firm
    }

    /// Answers for whoever asks: `asking` is a person of the firm, or `None` for root and the service's own user.
    ///
    /// Errors: nobody and nothing of that name, as far as the asker may know; somebody else's access.
    pub fn check(&self, question: Question<'_>, asking: Option<&Person>, now: Timestamp) -> Result<Checked, Failure> {
        let own = asking.map(|p| p.id);
        let manages = own.is_none_or(|id| change::sees_everything(&self.firm, id));
        let denied = || {
            Failure::new(Exit::Failed, "you may look at your own access only")
                .fault(Fault::Denied)
                .next("Ask an owner or administrator of the firm.")
        };
        let reads_some = || own.is_some_and(|id| change::holds(&self.firm, id, Permission::ReadAll).is_ok());
        let person = match self.people.get(question.person).and_then(|id| self.firm.people.get(id)) {
            Some(person) => person,
            // Whether somebody works here is nobody's to try out.
            None => change::find_person(&self.firm, question.person)
                .map_err(|r| if manages || reads_some() { refused(r) } else { denied() })?,
        };
        let others = own.is_some_and(|id| id != person.id);
        if !manages && others && !reads_some() {
            return Err(denied());
        }
        let found = match self.clients.get(question.client).and_then(|id| self.firm.clients.get(id)) {
            Some(client) => Ok(client),
            None => change::find_client(&self.firm, question.client, own),
        };
        let client = match (found, manages) {
            (Ok(client), _) => client,
            (Err(r), true) => return Err(refused(r)),
            // Names that it could be are not for whoever sees only some clients.
            (Err(_), false) => return Err(none_of_theirs(question.client)),
        };
        let reads = manages || own.is_some_and(|id| change::may_touch(&self.firm, id, Permission::ReadAll, client));
        if others && !reads {
            return Err(none_of_theirs(question.client));
        }
        let target = question.target.map(|name| self.target(name)).transpose()?;
        let checked = self.decide(person, client, target, now);
        let pair = (person.id, client.id);
        let named = || self.firm.selections.contains_key(&pair) || self.guests.contains_key(&pair);
        // Of whom nothing is known nobody has learnt anything of the client, unless they are on its folder.
        let sees = match checked.answer {
            Answer::Yes => true,
            Answer::Held => self.on.contains(&pair),
            Answer::No => false,
        };
        if !reads && !sees && client.private_to.is_none() && !named() {
            // As for a client that is not there: who sees only some does not learn of the others here.
            return Err(none_of_theirs(question.client));
        }
        Ok(checked)
    }

    fn target(&self, name: &str) -> Result<&TargetName, Failure> {
        self.targets.iter().find(|t| t.0 == name).ok_or_else(|| {
            Failure::new(Exit::Failed, format!("the configuration has no target \"{name}\"")).fault(Fault::Missing)
        })
    }

    fn decide(&self, person: &Person, client: &Client, target: Option<&TargetName>, now: Timestamp) -> Checked {
        let pair = (person.id, client.id);
        let mut firm = self.frame.clone();
        firm.people.insert(person.id, person.clone());
        firm.clients.insert(client.id, client.clone());
        if let Some(selection) = self.firm.selections.get(&pair) {
            firm.selections.insert(pair, selection.clone());
        }
        // A share of private books holds only while their own person keeps such.
        if let Some(owner) = client.private_to.and_then(|id| self.firm.people.get(&id)) {
            firm.people.insert(owner.id, owner.clone());
            firm.offices.clone_from(&self.firm.offices);
        }
        firm.guests = self.guests.get(&pair).cloned().unwrap_or_default();
        let facts = self.facts.about(person.id, client, &BTreeMap::new());
        let decider = Decider::new(&firm, &facts, &self.targets, now);
        let mut checked = Checked {
            answer: Answer::No,
            role: "none",
            scope: Scope::None,
            reasons: Vec::new(),
            person: PersonWords {
                name: person.full_name(),
                email: person.email.to_string(),
                id: person.id.0.to_string(),
            },
            client: ClientWords::of(client),
            target: target.map(|t| t.0.clone()),
        };
        let mut folder = false;
        for (lane, _) in decider.lanes().filter(|(l, _)| target.is_none_or(|t| *t == l.lane.target)) {
            folder = true;
            let scope = if lane.lane.folder.account.is_none() { Scope::Whole } else { Scope::Accounts };
            for want in &lane.wants {
                let role = if want.role == FolderRole::Writer { "writer" } else { "reader" };
                let wider = checked.answer == Answer::Yes && (checked.scope == Scope::Whole || scope != Scope::Whole);
                if !wider {
                    (checked.answer, checked.role, checked.scope) = (Answer::Yes, role, scope);
                    checked.reasons = vec![because_words(&decider, want.person, want.because)];
                }
            }
            if let (Answer::No, Some((held, because))) = (checked.answer, lane.held.first()) {
                (checked.answer, checked.scope) = (Answer::Held, scope);
                checked.reasons = vec![because_words(&decider, *held, *because)];
            }
        }
        if checked.answer == Answer::No {
            self.why_not(&decider, person, client, folder, &mut checked);
        }
        checked
    }

    /// No folder wants the person: why, and whether what may be there stays.
    fn why_not(&self, d: &Decider<'_>, person: &Person, client: &Client, folder: bool, checked: &mut Checked) {
        let judged = d.judge(person.id, client.id);
        if judged.answer != Answer::No && client.state == ClientState::Archived {
            checked.answer = Answer::Held;
            checked.reasons = vec!["the client is archived: who is on its folders stays, nobody is added".to_owned()];
        } else if judged.answer != Answer::No && !folder {
            checked.reasons = vec![match &checked.target {
                Some(target) => format!("the client has no folder on {target}"),
                None => "the client has no folder on any target".to_owned(),
            }];
        } else if let Some(ix) = d.ix(person.id) {
            checked.reasons = vec![because_words(d, ix, judged.because)];
        }
    }
}
