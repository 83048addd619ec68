//! `private`: somebody's own books, which are in nobody else's access (`product` 4).

use ledgerward_contract::ClientId;
use serde_json::json;

use super::{
    act::{self, act_and_tell},
    args::{ClientArg, PersonArg, PrivateAct},
    clients::state_slug,
    outcome::{Exit, Failure, Report},
};
use crate::{
    app::App,
    domain::{
        change::{self, Books, ChangeOp},
        firm::{Client, Firm, Person},
        office::Permission,
    },
    render::table::table,
};

pub async fn run(app: &App, act: Option<PrivateAct>) -> Result<Report, Failure> {
    let firm = app.firm().await?;
    let own = own(app, &firm)?;
    let find = |typed: &ClientArg| mine(app, &firm, own, typed);
    let with = |typed: &PersonArg| act::person_for(app, &firm, &typed.0, &[Permission::Private]).map(|p| p.id);
    let mut why = None;
    let op = match act {
        None | Some(PrivateAct::List) => return Ok(list(&firm, own)),
        Some(PrivateAct::Add { name }) => ChangeOp::AddPrivate { id: ClientId(uuid::Uuid::now_v7()), name },
        Some(PrivateAct::Convert { client, reason }) => {
            why = Some(reason);
            ChangeOp::ConvertPrivate { client: find(&client)?.id }
        }
        Some(PrivateAct::Share { client, target, people, reason }) => {
            why = Some(reason);
            let people = people.iter().map(with).collect::<Result<_, _>>()?;
            ChangeOp::SharePrivate { client: find(&client)?.id, target: act::target(app, &target)?, people }
        }
    };
    let reason = match &why {
        None => "private",
        Some(given) => given.as_deref().unwrap_or("no reason given"),
    };
    let report = act_and_tell(app, vec![op], reason).await?;
    Ok(if why == Some(None) { report.note("Recorded without a reason. Next time: --reason TEXT") } else { report })
}

/// Private books belong to a person, so nobody may act for "the machine" here, root included.
fn own<'f>(app: &App, firm: &'f Firm) -> Result<&'f Person, Failure> {
    app.acting_person(firm).ok_or_else(|| match &app.person {
        None => Failure::new(Exit::Failed, "a private client belongs to a person").next("Say who acts: --as EMAIL"),
        Some(email) => {
            Failure::new(Exit::Failed, format!("{email} is no person of the firm")).next("See: ledgerward people list")
        }
    })
}

fn mine<'f>(app: &App, firm: &'f Firm, own: &Person, typed: &ClientArg) -> Result<&'f Client, Failure> {
    let found = act::client(app, firm, &typed.0)?;
    if found.private_to == Some(own.id) {
        return Ok(found);
    }
    Err(Failure::new(Exit::Failed, format!("{} is no private client of yours", found.slug))
        .next("See your own: ledgerward private list"))
}

fn list(firm: &Firm, own: &Person) -> Report {
    let mine = change::books_of(firm, own.id);
    let shared = |b: &Books<'_>| b.with.iter().map(|p| p.email.to_string()).collect::<Vec<_>>();
    let rows = mine.iter().map(|b| {
        let c = b.client;
        let targets = c.targets.iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        [c.slug.clone(), c.name.clone(), state_slug(c.state).to_owned(), targets, shared(b).join(", ")]
    });
    let text = table(["client", "name", "state", "targets", "shared with"], rows);
    let values: Vec<_> = mine
        .iter()
        .map(|b| (b.client, shared(b)))
        .map(|(c, with)| json!({"id": c.id, "slug": c.slug, "name": c.name, "state": state_slug(c.state), "targets": c.targets, "shared_with": with}))
        .collect();
    let report = Report::new(Exit::Done, json!({"schema": "ledgerward/private/1", "clients": values}), text);
    if mine.is_empty() {
        report.note("You have no private client. To add one: ledgerward private add NAME")
    } else if !firm.keeps_private(own.id) {
        report.note("Your role keeps no private books any more, so their shares give nobody anything.")
    } else {
        report
    }
}
