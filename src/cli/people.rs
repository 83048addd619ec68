//! `people`: who works here, their addresses, modes and offices.

use ledgerward_contract::{Email, SourceKind, SourceRef};
use serde_json::{Value, json};

use super::{
    act::{self, act_and_tell},
    args::{PeopleAct, PersonArg},
    cycle::refused,
    outcome::{Exit, Failure, Report},
    veil::Veil,
};
use crate::{
    app::App,
    domain::{
        change::{self, ChangeOp, office_slug},
        firm::{Firm, Mode, Person, PersonId, Pin, TargetName},
        office::Permission,
    },
    render::table::lay_out,
};

pub async fn run(app: &App, act: Option<PeopleAct>) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    let find_for = |typed: &PersonArg, it| act::person_for(app, &firm, &typed.0, &[it]).map(|p| p.id);
    let find = |typed: &PersonArg| find_for(typed, Permission::People);
    let op = match act {
        None => return Ok(list(app, &firm, false)),
        Some(PeopleAct::List { all }) => return Ok(list(app, &firm, all)),
        Some(PeopleAct::Add { email, first, last, office, mode }) => {
            return add(
                app,
                &firm,
                ChangeOp::AddPerson { id: PersonId(uuid::Uuid::now_v7()), first, last, email, office, mode },
            )
            .await;
        }
        Some(PeopleAct::Edit { person, first, last, email }) => {
            ChangeOp::EditPerson { person: find(&person)?, first, last, email }
        }
        Some(PeopleAct::Disable { person }) => ChangeOp::SetEnabled { person: find(&person)?, enabled: false },
        Some(PeopleAct::Enable { person }) => ChangeOp::SetEnabled { person: find(&person)?, enabled: true },
        Some(PeopleAct::Mode { person, mode }) => {
            return set_mode(app, find_for(&person, Permission::Modes)?, mode).await;
        }
        Some(PeopleAct::Office { person, office, mode }) => {
            ChangeOp::SetOffice { person: find_for(&person, Permission::Roles)?, office, mode }
        }
        Some(PeopleAct::Alias { person, connection, email, remove }) => {
            let (person, connection) = (find(&person)?, act::connection(app, &connection)?);
            if remove {
                ChangeOp::RemoveAlias { person, connection, email }
            } else {
                ChangeOp::AddAlias { person, connection, email }
            }
        }
        Some(PeopleAct::Address { person, target, email, remove: _ }) => {
            let (person, target) = (find(&person)?, act::target(app, &target)?);
            return set_address(app, &firm, person, target, email).await;
        }
        Some(PeopleAct::AcceptDomain { person }) => ChangeOp::AcceptDomain { person: find(&person)? },
        Some(PeopleAct::Lift { person }) => ChangeOp::LiftPerson { person: find(&person)? },
        Some(PeopleAct::HandOver { person }) => ChangeOp::HandOver { to: find_for(&person, Permission::HandOver)? },
        Some(PeopleAct::ConfirmPin { person, connection, ledger, user }) => {
            // Which ledgers there are is told to nobody who may not do this.
            let own = act::asking(app, &firm);
            own.map_or(Ok(()), |p| change::require(&firm, p, Permission::People)).map_err(refused)?;
            let person = find(&person)?;
            let source =
                SourceRef { connection: act::connection(app, &connection)?, kind: SourceKind::Ledger, id: ledger };
            known_source(&firm, &source, own)?;
            ChangeOp::ConfirmPin { person, pin: Pin { source, user: user.as_str().into() } }
        }
    };
    let disabled = matches!(op, ChangeOp::SetEnabled { enabled: false, .. });
    // A leaver is closed and disabled, and one of the two keeps them out.
    let still_out = match &op {
        ChangeOp::LiftPerson { person } => firm.people.get(person).filter(|p| !p.enabled),
        _ => None,
    };
    let acted = act::act(app, vec![op], "people").await?;
    let waits = !acted.staged.is_empty();
    let mut report = act::tell(acted);
    if disabled && !waits {
        report = report.note("It is done in the folders by the next sync. To close them within the minute: ledgerward revoke PERSON --now");
    }
    if let Some(person) = still_out {
        report = report.note(format!(
            "{0} is disabled and has nothing until somebody enables them: ledgerward people enable {0}",
            person.email
        ));
    }
    Ok(report)
}

async fn add(app: &App, firm: &Firm, op: ChangeOp) -> Result<Report, Failure> {
    let ChangeOp::AddPerson { email, mode, .. } = &op else {
        return Err(Failure::new(Exit::Failed, "this adds nobody"));
    };
    let (email, mode) = (email.clone(), *mode);
    let mut report = act_and_tell(app, vec![op], "people add").await?;
    if !firm.domains.contains(email.domain()) {
        report = report.note(format!(
            "{} is not one of the firm's domains, so everything for this person is held until somebody says that it is right: ledgerward people accept-domain {email}",
            email.domain()
        ));
    }
    if mode.needs_selection() {
        report =
            report.note(format!("Nothing is selected yet, which gives nothing: ledgerward select {email} CLIENT…"));
    }
    Ok(report)
}

async fn set_address(
    app: &App,
    firm: &Firm,
    person: PersonId,
    target: TargetName,
    email: Option<Email>,
) -> Result<Report, Failure> {
    let accepted = firm.people.get(&person).is_some_and(|p| p.domain_accepted);
    let foreign = email.clone().filter(|e| !accepted && !firm.domains.contains(e.domain()));
    let op = ChangeOp::SetTargetAddress { person, target: target.clone(), email };
    let report = act_and_tell(app, vec![op], "people").await?;
    Ok(match foreign {
        Some(email) => report.note(format!(
            "{} is not one of the firm's domains, so everything for this person on {target} is held until somebody says that it is right: ledgerward people accept-domain {}",
            email.domain(),
            firm.people.get(&person).map_or_else(|| person.0.to_string(), |p| p.email.to_string()),
        )),
        None => report,
    })
}

async fn set_mode(app: &App, person: PersonId, mode: Mode) -> Result<Report, Failure> {
    let report = act_and_tell(app, vec![ChangeOp::SetMode { person, mode }], "people mode").await?;
    Ok(match mode {
        Mode::All => report.note("Mode all gives every client of today and of later, whatever their ledgers say."),
        Mode::Selected => report.note("Mode selected gives the selected clients, whatever their ledgers say."),
        Mode::Ledger | Mode::LedgerSelected => report,
    })
}

/// A pin on a mistyped ledger would sit there for ever and do nothing.
fn known_source(firm: &Firm, source: &SourceRef, own: Option<PersonId>) -> Result<(), Failure> {
    // Somebody else's private books are not there, whatever they are bound to.
    let known = || firm.clients.values().filter(|c| c.private_to.is_none() || c.private_to == own);
    if known().any(|c| c.sources.contains(source)) {
        return Ok(());
    }
    let ids: Vec<String> =
        known().flat_map(|c| &c.sources).filter(|s| s.connection == source.connection).map(|s| s.id.clone()).collect();
    let failure = Failure::new(Exit::Failed, format!("no client is bound to {} {}", source.connection, source.id))
        .next("Write the ledger's id as `ledgerward findings` shows it.");
    Err(act::suggest(failure, &source.id, &ids))
}

/// Employees and viewers see themselves; how many others there are is no secret.
fn list(app: &App, firm: &Firm, all: bool) -> Report {
    let (own, veil) = (act::asking(app, firm), Veil::of(app, firm));
    let everybody = act::sees_all(app, firm) || own.is_some_and(|id| act::sees_people(app, firm, id));
    let mut people: Vec<&Person> = firm.people.values().filter(|p| everybody || Some(p.id) == own).collect();
    let others = firm.people.len() - people.len();
    let hidden = people.iter().filter(|p| !p.enabled).count();
    if !all {
        people.retain(|p| p.enabled);
    }
    people.sort_by(|a, b| (&a.last, &a.first, &a.email).cmp(&(&b.last, &b.first, &b.email)));
    let rows = people.iter().map(|p| {
        [
            p.email.to_string(),
            p.full_name(),
            office_slug(&p.office),
            p.mode.slug().to_owned(),
            selected(firm, &veil, p).to_string(),
            state(firm, p),
        ]
    });
    let text = lay_out(["address", "name", "office", "mode", "selected", "state"], rows, &[4]);
    let values: Vec<Value> = people.iter().map(|p| person_json(firm, &veil, p)).collect();
    let json = json!({"schema": "ledgerward/people/1", "people": values, "others": others});
    let mut report = Report::new(Exit::Done, json, text);
    if others > 0 {
        report = report.note(format!("{others} more whom you do not see."));
    }
    if hidden > 0 && !all {
        report = report.note(format!("{hidden} disabled not shown: --all"));
    }
    report
}

fn selected(firm: &Firm, veil: &Veil, person: &Person) -> usize {
    // Ids sort by person first.
    let nil = ledgerward_contract::ClientId(uuid::Uuid::nil());
    let own = firm.selections.range((person.id, nil)..).take_while(|((p, _), _)| *p == person.id);
    // With whom somebody shares their own books is not even a number.
    own.filter(|((_, client), _)| !veil.hides(*client)).count()
}

fn state(firm: &Firm, person: &Person) -> String {
    let foreign = !person.domain_accepted && !firm.domains.contains(person.email.domain());
    match (&person.closed, person.enabled) {
        (Some(closed), _) => format!("closed by {}: {}", closed.by, closed.reason),
        (None, false) => "disabled".to_owned(),
        (None, true) if foreign => "domain not accepted".to_owned(),
        (None, true) => String::new(),
    }
}

fn person_json(firm: &Firm, veil: &Veil, person: &Person) -> Value {
    let Person { id, first, last, email, aliases, target_addresses, mode, office, enabled, closed, domain_accepted } =
        person;
    let pending = firm.selections.iter().filter(|((p, _), s)| p == id && s.when_granted).count();
    let emails = |set: &std::collections::BTreeSet<Email>| set.iter().map(Email::to_string).collect::<Vec<_>>();
    json!({
        "id": id,
        "email": email,
        "first": first,
        "last": last,
        "office": office_slug(office),
        "mode": mode.slug(),
        "enabled": enabled,
        "closed": closed,
        "domain_accepted": domain_accepted,
        "in_firm_domains": firm.domains.contains(email.domain()),
        "aliases": aliases.iter().map(|(c, set)| (c.to_string(), emails(set))).collect::<std::collections::BTreeMap<_, _>>(),
        "addresses": target_addresses.iter().map(|(t, e)| (t.to_string(), e.to_string())).collect::<std::collections::BTreeMap<_, _>>(),
        "selected": selected(firm, veil, person),
        "when_granted": pending,
    })
}
