//! The table of routes. Serving, checking and the description all read it.

use http::Method;

use super::{
    Act::{self, Command},
    Input,
    Kind::{self, *},
    May::{self, Manage, Publish},
    Place, Route,
};

mod people;

const MODES: Kind = One(&["all", "selected", "ledger", "ledger+selected"]);
const CLOCKS: Kind = One(&["ledger", "known", "applied"]);
const SOURCE_KINDS: Kind = One(&["ledger", "practice-client", "roster"]);
const STATEMENT_KINDS: Kind = One(&[
    "profit-and-loss",
    "balance-sheet",
    "trial-balance",
    "bank-summary",
    "bank-register",
    "bank-statement",
    "files",
    "attachments",
]);

const PERSON: &str = "an address, the part of it before the @, a full name, or eight or more digits of the id";
const CLIENT: &str = "a slug, the exact name, or eight or more digits of the id";
const SHOWN: &str = "of what `changes/{change}` or `changes/staged` showed: nothing else is published";
const REASON: &str = "kept in the audit trail";
const CONNECTION: &str = "a connection's name in the configuration";
const FIRM_FILE: &str = "the text of a firm file, as /firm gives it";
const TARGET: &str = "a target's name in the configuration";

const fn input(place: Place, name: &'static str, kind: Kind, required: bool, about: &'static str) -> Input {
    Input { name, place, kind, required, about }
}

const fn path(name: &'static str, kind: Kind, about: &'static str) -> Input {
    input(Place::Path, name, kind, true, about)
}

const fn query(name: &'static str, kind: Kind, about: &'static str) -> Input {
    input(Place::Query, name, kind, false, about)
}

const fn body(name: &'static str, kind: Kind, about: &'static str) -> Input {
    input(Place::Body, name, kind, false, about)
}

const fn must(mut input: Input) -> Input {
    input.required = true;
    input
}

const fn person() -> Input {
    path("person", Kind::Person, PERSON)
}

const fn client() -> Input {
    path("client", Kind::Client, CLIENT)
}

/// A route's method, path, id, summary and permission; then what it takes, does and answers.
type Line = (Method, &'static str, &'static str, &'static str, May, Vec<Input>, Act, &'static [&'static str]);

/// All routes, in the order of the description.
pub fn table() -> Vec<Route> {
    let (groups, guests, bulk, proof) = (people::groups(), people::guests(), people::bulk(), people::proof());
    let lines = [
        about_all(),
        persons(),
        groups,
        clients(),
        selections(),
        bulk,
        guests,
        holders(),
        changes(),
        access(),
        cycles(),
        proof,
        trail(),
    ];
    let route = |(method, path, id, summary, may, inputs, act, answers): Line| Route {
        method,
        path,
        id,
        summary,
        may,
        inputs,
        act,
        answers,
    };
    lines.into_iter().flatten().map(route).collect()
}

#[rustfmt::skip]
fn about_all() -> Vec<Line> {
    vec![
        (Method::GET, "/openapi.json", "description", "This description", May::Person, vec![], Act::Description, &["openapi"]),
        (Method::GET, "/status", "status", "How things stand; own counts for those who do not see the firm as a whole", May::Person, vec![], Command("status"), &["status/1", "own-status/1"]),
        (Method::GET, "/connectors", "connectors", "The connectors this program has, and what each can do", May::Person,
            vec![], Act::Connectors, &["connectors/1"]),
        (Method::GET, "/doctor", "doctor", "The configuration and the state, checked without asking a provider", Manage,
            vec![], Command("doctor --offline"), &["doctor/1"]),
        (Method::POST, "/doctor", "doctorNow", "The same, and each connection and target asked", Manage, vec![], Command("doctor"), &["doctor/1"]),
        (Method::GET, "/firm", "firm", "People, clients, groups, roles and selections as one file", Manage, vec![], Command("firm export"), &["firm/1"]),
        (Method::POST, "/firm/apply", "firmApply", "Make the firm what the file says; what is absent stays", Manage,
            vec![must(body("file", Document, FIRM_FILE)), body("prune", Flag, "also disable, archive and unselect what the file leaves out"),
                 body("dry_run", Flag, "only say what would change")],
            Command("firm apply --prune?prune --dry-run?dry_run --yes -"), &["firm-apply/1"]),
        (Method::POST, "/firm/what-if", "firmWhatIf", "Who would gain or lose what by the file; changes nothing and asks no provider", Manage,
            vec![must(body("file", Document, FIRM_FILE)), body("prune", Flag, "also disable, archive and unselect what the file leaves out")],
            Command("what-if --prune?prune -"), &["what-if/1"]),
        (Method::GET, "/roles", "roles", "Which ledger roles give what", May::Person,
            vec![query("connection", Text, CONNECTION)], Command("roles table -- {connection}"), &["roles/1"]),
        (Method::GET, "/tokens", "tokens", "Tokens of this API: one's own, and everybody's for owners", May::Person, vec![],
            Command("api token list"), &["tokens/1"]),
        (Method::POST, "/tokens", "tokenAdd", "Make a token. It is shown in this answer and never again", May::Person,
            vec![must(body("name", Text, "what it is for")), must(body("person", Kind::Person, PERSON)),
                 body("expires", Day, "the last day it is good for")],
            Command("api token add --person={person} --expires={expires} -- {name}"), &["token/1"]),
        (Method::DELETE, "/tokens/{name}", "tokenRevoke", "End a token", May::Person,
            vec![path("name", Text, "as it is listed")], Command("api token revoke -- {name}"), &["token-revoked/1"]),
    ]
}

#[rustfmt::skip]
fn persons() -> Vec<Line> {
    const CHANGE: &[&str] = &["change/1"];
    let office = || body("office", Text, "owner, admin, employee, viewer or custom:NAME");
    let act = |name, id, summary, command| -> Line { (Method::POST, name, id, summary, Manage, vec![person()], Command(command), CHANGE) };
    vec![
        (Method::GET, "/people", "people", "Who works here; oneself only for those who do not manage the firm", May::Person,
            vec![query("all", Flag, "disabled people too")], Command("people list --all?all"), &["people/1"]),
        (Method::POST, "/people", "personAdd", "Add a person, with nothing selected", Manage,
            vec![must(body("email", Email, "")), must(body("first", Text, "")), must(body("last", Text, "")), office(), body("mode", MODES, "")],
            Command("people add --first={first} --last={last} --office={office} --mode={mode} -- {email}"), CHANGE),
        (Method::PATCH, "/people/{person}", "personEdit", "Change a name or the address", May::Person,
            vec![person(), body("first", Text, ""), body("last", Text, ""), body("email", Email, "")],
            Command("people edit --first={first} --last={last} --email={email} -- {person}"), CHANGE),
        act("/people/{person}/disable", "personDisable", "Nothing any more, at once, everywhere", "people disable -- {person}"),
        act("/people/{person}/enable", "personEnable", "Undo a disable", "people enable -- {person}"),
        act("/people/{person}/lift", "personLift", "Open a person whom a revoke closed", "people lift -- {person}"),
        act("/people/{person}/accept-domain", "personAcceptDomain", "Accept that an address is outside the firm's domains", "people accept-domain -- {person}"),
        (Method::POST, "/people/{person}/hand-over", "personHandOver", "Make another enabled owner the primary owner", Publish,
            vec![person()], Command("people hand-over -- {person}"), CHANGE),
        (Method::PUT, "/people/{person}/mode", "personMode", "Set what decides a person's access", Manage,
            vec![person(), must(body("mode", MODES, ""))], Command("people mode -- {person} {mode}"), CHANGE),
        (Method::PUT, "/people/{person}/office", "personOffice", "Set what a person may do in ledgerward; asks for the mode again", Manage,
            vec![person(), must(office()), must(body("mode", MODES, ""))], Command("people office --mode={mode} -- {person} {office}"), CHANGE),
        (Method::PUT, "/people/{person}/aliases/{connection}/{email}", "aliasAdd", "Another address under which a connection knows a person", Manage,
            vec![person(), path("connection", Text, CONNECTION), path("email", Email, "")],
            Command("people alias -- {person} {connection} {email}"), CHANGE),
        (Method::DELETE, "/people/{person}/aliases/{connection}/{email}", "aliasRemove", "Take such an address away", Manage,
            vec![person(), path("connection", Text, CONNECTION), path("email", Email, "")],
            Command("people alias --remove -- {person} {connection} {email}"), CHANGE),
        (Method::PUT, "/people/{person}/addresses/{target}", "addressSet", "The address a person uses on a target, where it differs", Manage,
            vec![person(), path("target", Text, TARGET), must(body("email", Email, ""))],
            Command("people address -- {person} {target} {email}"), CHANGE),
        (Method::DELETE, "/people/{person}/addresses/{target}", "addressRemove", "The person's own address again", Manage,
            vec![person(), path("target", Text, TARGET)], Command("people address --remove -- {person} {target}"), CHANGE),
        (Method::POST, "/people/{person}/pins", "personPin", "Say that a provider's user is this person", Manage,
            vec![person(), must(body("connection", Text, CONNECTION)), must(body("ledger", Text, "the provider's id of the ledger")),
                 must(body("user", Text, "the provider's id of the user, as findings show it"))],
            Command("people confirm-pin -- {person} {connection} {ledger} {user}"), CHANGE),
        (Method::POST, "/people/{person}/revoke", "personRevoke", "Take a person's access away at once, past every guard and freeze", Manage,
            vec![person(), body("reason", Text, REASON)], Command("revoke --now --reason={reason} -- {person}"), &["revoke/1"]),
    ]
}

#[rustfmt::skip]
fn clients() -> Vec<Line> {
    const CHANGE: &[&str] = &["change/1"];
    let act = |name, id, summary, command| -> Line { (Method::POST, name, id, summary, Manage, vec![client()], Command(command), CHANGE) };
    let source = |place: Place| input(place, "kind", SOURCE_KINDS, false, "ledger unless said otherwise");
    vec![
        (Method::GET, "/clients", "clients", "The clients one may see", May::Person,
            vec![query("all", Flag, "archived and closed ones too")], Command("clients list --all?all"), &["clients/1"]),
        (Method::POST, "/clients", "clientAdd", "Add a client, bound to nothing", May::Person,
            vec![must(body("name", Text, ""))], Command("clients add -- {name}"), CHANGE),
        (Method::POST, "/clients/accept", "clientsAccept", "Make proposed clients real, and say who gains what", Manage,
            vec![body("clients", Clients, CLIENT), body("all", Flag, "every proposed one")],
            Command("clients accept --all?all -- {clients}"), &["accept/1"]),
        act("/clients/{client}/archive", "clientArchive", "Stop deliveries; the folder's sharing list stays", "clients archive -- {client}"),
        act("/clients/{client}/reopen", "clientReopen", "Deliver again to an archived or closed client", "clients reopen -- {client}"),
        // Of their own private books everybody may give less, whatever their role: the core decides about these four.
        (Method::POST, "/clients/{client}/close", "clientClose", "Archive, and let out everybody we let in", May::Person,
            vec![client()], Command("clients close -- {client}"), CHANGE),
        (Method::POST, "/clients/{client}/new-folder", "clientNewFolder", "The next sync makes a new folder where the client's is gone for good", Publish,
            vec![client(), must(body("target", Text, TARGET)), must(body("reason", Text, REASON))],
            Command("clients new-folder --reason={reason} -- {client} {target}"), &["new-folder/1"]),
        (Method::POST, "/clients/{client}/rename-folder", "clientRenameFolder", "What becomes of the folders' names after a rename", Manage,
            vec![client()], Command("clients rename-folder -- {client}"), &["rename-folder/1"]),
        (Method::POST, "/clients/{client}/move", "clientMove", "Move a client from one target to another; without yes, say what that means", Publish,
            vec![client(), must(body("from", Text, TARGET)), must(body("to", Text, TARGET)), body("reason", Text, REASON), body("yes", Flag, "do it")],
            Command("clients move --from={from} --to={to} --reason={reason} --yes?yes -- {client}"), &["move/1"]),
        (Method::PUT, "/clients/{client}/name", "clientRename", "Rename a client, and its folder where folders have ids", May::Person,
            vec![client(), must(body("name", Text, ""))], Command("clients rename -- {client} {name}"), CHANGE),
        (Method::PUT, "/clients/{client}/sources/{connection}/{id}", "clientBind", "Say that a source is this client's", Manage,
            vec![client(), path("connection", Text, CONNECTION), path("id", Text, "the provider's id of the ledger or practice client"), source(Place::Query)],
            Command("clients bind --kind={kind} -- {client} {connection} {id}"), CHANGE),
        (Method::DELETE, "/clients/{client}/sources/{connection}/{id}", "clientUnbind", "Take a source away from a client", May::Person,
            vec![client(), path("connection", Text, CONNECTION), path("id", Text, "as it is listed"), source(Place::Query)],
            Command("clients unbind --kind={kind} -- {client} {connection} {id}"), CHANGE),
        (Method::POST, "/clients/{client}/sources/{connection}/{id}/confirm-unlisted", "clientConfirmUnlisted", "Say that a ledger that listed its users no longer can", Manage,
            vec![client(), path("connection", Text, CONNECTION), path("id", Text, "the provider's id of the ledger"), must(body("reason", Text, REASON))],
            Command("clients confirm-unlisted --reason={reason} -- {client} {connection} {id}"), CHANGE),
        (Method::PUT, "/clients/{client}/authority", "clientAuthority", "Which sources decide", Manage,
            vec![client(), must(body("authority", Text, "all, any, or CONNECTION:ID"))], Command("clients authority -- {client} {authority}"), CHANGE),
        (Method::PUT, "/clients/{client}/unlisted", "clientUnlisted", "What counts where the ledger lists nobody", Manage,
            vec![client(), must(body("unlisted", One(&["manual", "deny", "roster", "default"]), ""))],
            Command("clients unlisted -- {client} {unlisted}"), CHANGE),
        (Method::PUT, "/clients/{client}/targets", "clientTargets", "On which targets the client has a folder", Manage,
            vec![client(), body("targets", Texts, TARGET), body("all", Flag, "every one")],
            Command("clients targets --all?all -- {client} {targets}"), CHANGE),
        (Method::PUT, "/clients/{client}/accounts", "clientAccounts", "Which bank accounts are pushed", Manage,
            vec![client(), body("accounts", Texts, "CONNECTION:LEDGER:ACCOUNT, or ACCOUNT where the client has one ledger"), body("all", Flag, "every one")],
            Command("clients accounts --all?all -- {client} {accounts}"), CHANGE),
        (Method::PUT, "/clients/{client}/since", "clientSince", "From which day on statements are made", Manage,
            vec![client(), must(body("date", Text, "YYYY-MM-DD, beginning, or default"))], Command("clients since -- {client} {date}"), CHANGE),
        (Method::PUT, "/clients/{client}/year-end", "clientYearEnd", "The last day of the financial year", Manage,
            vec![client(), must(body("day", Text, "MM-DD, or ledger for what the ledger says"))], Command("clients year-end -- {client} {day}"), CHANGE),
    ]
}

#[rustfmt::skip]
fn selections() -> Vec<Line> {
    const DRY: &str = "the same lines, and nothing is changed";
    vec![
        (Method::POST, "/selections", "select", "Choose clients for a person; each is answered by its own line", Manage,
            vec![must(body("person", Kind::Person, PERSON)), must(body("clients", Clients, CLIENT)),
                 body("when_granted", Flag, "keep the wish until the ledger grants it"),
                 body("accounts", Texts, "only these accounts' own papers"), body("dry_run", Flag, DRY)],
            Command("select --when-granted?when_granted --account={accounts} --dry-run?dry_run -- {person} {clients}"), &["select/1"]),
        (Method::POST, "/selections/{person}/all-granted", "selectAllGranted", "Every client that the ledger grants this person now", Manage,
            vec![person(), body("dry_run", Flag, DRY)], Command("select --all-granted --dry-run?dry_run -- {person}"), &["select/1"]),
        (Method::DELETE, "/selections/{person}/{client}", "unselect", "Take a selection away", May::Person,
            vec![person(), client(), query("dry_run", Flag, DRY)],
            Command("select --remove --dry-run?dry_run -- {person} {client}"), &["select/1"]),
        (Method::GET, "/private", "private", "One's own private clients", May::Person, vec![], Command("private list"), &["private/1"]),
        (Method::POST, "/private", "privateAdd", "Add a private client of one's own", May::Person,
            vec![must(body("name", Text, ""))], Command("private add -- {name}"), &["change/1"]),
        (Method::POST, "/private/{client}/convert", "privateConvert", "Make it an ordinary client", May::Person,
            vec![client(), body("reason", Text, REASON)], Command("private convert --reason={reason} -- {client}"), &["change/1"]),
        (Method::POST, "/private/{client}/share", "privateShare", "Give named people its folder on one target", May::Person,
            vec![client(), must(body("target", Text, TARGET)), must(body("with", People, PERSON)), body("reason", Text, REASON)],
            Command("private share --target={target} --with={with} --reason={reason} -- {client}"), &["change/1"]),
    ]
}

#[rustfmt::skip]
fn holders() -> Vec<Line> {
    let which = |reason: Input| vec![
        must(body("client", Kind::Client, CLIENT)), must(body("target", Text, TARGET)),
        must(body("holder", Text, "as the list shows it: an address, group:…, link:…")), reason,
    ];
    vec![
        (Method::GET, "/holders", "holders", "Who is on the folders; asks the targets", Manage,
            vec![query("client", Kind::Client, CLIENT)], Command("holders list --client={client}"), &["holders/1"]),
        (Method::GET, "/adoptions/{target}", "adoptions", "Folders that were there before, and whose they probably are; asks the target", Publish,
            vec![path("target", Text, TARGET)], Command("adopt -- {target}"), &["adopt/1"]),
        (Method::POST, "/adoptions/{target}", "adopt", "Take over a client's folder. Nobody is let in or out", Publish,
            vec![path("target", Text, TARGET), must(body("client", Kind::Client, CLIENT)),
                 must(body("folder", Text, "its name, or its id where two have one name")), must(body("reason", Text, REASON))],
            Command("adopt --reason={reason} -- {target} {client} {folder}"), &["adopt/1"]),
        (Method::POST, "/adoptions/{target}/certain", "adoptCertain", "Take over every folder whose client is certain", Publish,
            vec![path("target", Text, TARGET), must(body("reason", Text, REASON))],
            Command("adopt --all-certain --reason={reason} -- {target}"), &["adopt/1"]),
        (Method::POST, "/holders/accept", "holderAccept", "Leave somebody on the folder; not ours", Publish,
            which(body("reason", Text, REASON)), Command("holders accept --reason={reason} -- {client} {target} {holder}"), &["holder/1"]),
        (Method::POST, "/holders/adopt", "holderAdopt", "Take an entitled person's hand-made access as ours from now on", Manage,
            which(body("reason", Text, REASON)), Command("holders adopt --reason={reason} -- {client} {target} {holder}"), &["holder/1"]),
        (Method::POST, "/holders/remove", "holderRemove", "Take somebody off the folder: one approved step", Publish,
            which(must(body("reason", Text, REASON))), Command("holders remove --reason={reason} -- {client} {target} {holder}"), &["holder/1"]),
        (Method::POST, "/holders/release", "holdersRelease", "Let go of all that was given on a target that is not in the configuration any more. Nobody is taken off", Publish,
            vec![must(body("target", Text, "as it was in the configuration")), must(body("reason", Text, REASON))],
            Command("holders release --reason={reason} -- {target}"), &["release/1"]),
    ]
}

#[rustfmt::skip]
fn changes() -> Vec<Line> {
    let digest = || path("digest", Digest, "eight or more hex digits");
    vec![
        (Method::GET, "/changes", "changes", "The last changes of the firm, and those that wait for an owner", May::Person,
            vec![query("limit", Count(1, 1000), "20 unless said otherwise")], Command("changes list --limit={limit}"), &["changes/1"]),
        (Method::GET, "/changes/{change}", "change", "One that waits for an owner, and the plan of access that would follow", Manage,
            vec![path("change", Change, "C-7, as they are listed")], Command("changes show -- {change}"), &["changes-show/1"]),
        (Method::POST, "/changes/publish", "changesPublish", "Make staged changes real", Publish,
            vec![must(body("changes", Changes, "C-7, as they are listed")), body("digest", Digest, SHOWN)],
            Command("changes publish --digest={digest} -- {changes}"), &["change/1"]),
        (Method::POST, "/changes/staged/publish", "changesPublishAll", "Make every change real that waits and that one can publish", Publish,
            vec![must(body("digest", Digest, SHOWN))], Command("changes publish --all --digest={digest}"), &["change/1"]),
        (Method::POST, "/changes/reject", "changesReject", "Refuse staged changes, or take back one's own", May::Person,
            vec![must(body("changes", Changes, "C-7, as they are listed")), must(body("reason", Text, REASON))],
            Command("changes reject --reason={reason} -- {changes}"), &["rejected/1"]),
        (Method::GET, "/holds", "holds", "What a guard held, and why", Manage, vec![], Command("hold list"), &["holds/1"]),
        (Method::GET, "/holds/{digest}", "hold", "One hold's steps", Manage, vec![digest()], Command("hold show -- {digest}"), &["holds/1"]),
        (Method::POST, "/holds/{digest}/approve", "holdApprove", "Approve one hold", Publish,
            vec![digest(), must(body("reason", Text, REASON)), body("expires", Text, "until when it may be used, e.g. \"8 hours\"; 24 hours at most")],
            Command("approve --reason={reason} --expires={expires} -- {digest}"), &["approval/1"]),
        (Method::GET, "/freeze", "freeze", "Whether everything but revokes is stopped, since when and why", May::Person, vec![], Command("freeze status"), &["freeze/1"]),
        (Method::PUT, "/freeze", "freezeOn", "Stop everything but revokes", Manage,
            vec![must(body("reason", Text, REASON))], Command("freeze on --reason={reason}"), &["freeze/1"]),
        (Method::DELETE, "/freeze", "freezeOff", "Go on", Publish, vec![], Command("freeze off"), &["freeze/1"]),
    ]
}

#[rustfmt::skip]
fn access() -> Vec<Line> {
    let pair = || vec![must(query("person", Kind::Person, PERSON)), must(query("client", Kind::Client, CLIENT))];
    vec![
        (Method::GET, "/access", "access", "Who sees what; one's own for those who do not manage the firm", May::Person,
            vec![query("person", Kind::Person, PERSON), query("client", Kind::Client, CLIENT), query("at", DayOrInstant, "as it was at the end of that day, or at that instant"), query("clock", CLOCKS, "one of the three alone, with a time")],
            Command("access --person={person} --client={client} --at={at} --clock={clock}"), &["access/1", "access-at/1"]),
        (Method::GET, "/access/check", "accessCheck", "May this person open this client: yes, no or held, from memory", May::Person,
            [pair(), vec![query("target", Text, TARGET)]].concat(), Act::Check, &["access-check/1"]),
        (Method::POST, "/access/check", "accessCheckMany", "The same for up to a thousand pairs", May::Person,
            vec![must(body("pairs", Pairs, "each has a person, a client and, if wanted, a target"))], Act::CheckMany, &["access-checks/1"]),
        (Method::GET, "/why", "why", "Why a person sees a client", May::Person, pair(), Command("why -- {person} {client}"), &["why/1"]),
        (Method::GET, "/why-not", "whyNot", "Why a person does not see a client, and what would change it", May::Person,
            pair(), Command("why-not -- {person} {client}"), &["why/1"]),
    ]
}

#[rustfmt::skip]
fn cycles() -> Vec<Line> {
    vec![
        (Method::GET, "/findings", "findings", "What a person must know or do", Manage,
            vec![query("all", Flag, "resolved ones too")], Command("findings --all?all"), &["findings/1"]),
        (Method::GET, "/forecast", "forecast", "Each target's limits, what is used of them and when they fill, from the state; no target is asked", Manage,
            vec![query("target", Text, TARGET)], Command("forecast --offline --target={target}"), &["forecast/1"]),
        (Method::POST, "/forecast", "forecastNow", "The same, with each target asked for its space", Manage,
            vec![body("target", Text, TARGET)], Command("forecast --target={target}"), &["forecast/1"]),
        (Method::GET, "/runs", "runs", "The last runs", Manage,
            vec![query("limit", Count(1, 1000), "20 unless said otherwise")], Command("runs --limit={limit}"), &["runs/1"]),
        (Method::GET, "/plan", "plan", "Every step and why, from what the last pull read; asks the targets, no provider of ledgers", Manage,
            vec![query("client", Kind::Client, CLIENT)], Command("plan --offline --client={client}"), &["plan/1", "own-plan/1"]),
        (Method::POST, "/plan", "planNow", "The same after reading every provider", Manage,
            vec![body("client", Kind::Client, CLIENT)], Command("plan --client={client}"), &["plan/1", "own-plan/1"]),
        (Method::POST, "/pull", "pull", "Read the providers and the folders, and change nothing", Manage,
            vec![body("client", Kind::Client, CLIENT)], Command("pull --client={client}"), &["pull/1", "own-pull/1"]),
        (Method::POST, "/sync", "sync", "Pull, plan, guard and apply, once. It never approves a hold", Manage,
            vec![body("client", Kind::Client, CLIENT), body("wait", Flag, "wait for the second reading of removals")],
            Command("sync --yes --wait?wait --client={client}"), &["sync/1", "own-sync/1"]),
        (Method::POST, "/plans/{digest}/apply", "apply", "Do exactly the plan that was shown", Manage,
            vec![path("digest", Digest, "eight or more hex digits")], Command("apply --yes -- {digest}"), &["sync/1", "own-sync/1"]),
        (Method::GET, "/statements", "statements", "What was delivered, and what is due", May::Person,
            vec![query("client", Kind::Client, CLIENT), query("period", Text, "2026-10, 2026-Q2 or FY2026"), query("kind", STATEMENT_KINDS, "")],
            Command("statements --client={client} --period={period} --kind={kind} list"), &["statements/1"]),
        (Method::POST, "/statements/push", "statementsPush", "Push statements again", Publish,
            vec![body("client", Kind::Client, CLIENT), body("period", Text, "2026-10, 2026-Q2 or FY2026"), body("kind", STATEMENT_KINDS, ""),
                 body("rerender", Flag, "with this version's rendering, though the data is the same")],
            Command("statements --client={client} --period={period} --kind={kind} push --rerender?rerender"), &["statements-push/1"]),
        (Method::POST, "/statements/accept", "statementsAccept", "What was changed by hand in a client's folders is right as it is", Publish,
            vec![must(body("client", Kind::Client, CLIENT)), must(body("reason", Text, REASON))],
            Command("statements --client={client} accept --reason={reason}"), &["statements-accept/1"]),
    ]
}

#[rustfmt::skip]
fn trail() -> Vec<Line> {
    vec![
        (Method::GET, "/audit", "audit", "The tamper-evident log of what was done, oldest first, page by page", Publish,
            vec![query("since", Day, "from that day on"), query("after", Count(0, u32::MAX), "from the row after this one on"),
                 must(query("limit", Count(1, 1000), "so many rows at most"))],
            Command("audit export --since={since} --after={after} --limit={limit}"), &["audit/1"]),
        (Method::GET, "/audit/verify", "auditVerify", "Check the chain from its first line to the stored head", Publish,
            vec![], Command("audit verify"), &["audit-verify/1"]),
    ]
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        api::{input, shape},
        cli::args::Cli,
    };

    fn sample(kind: Kind) -> Value {
        match kind {
            Text => json!("2026-10"),
            Email => json!("bob@harbour.example"),
            Kind::Person => json!("bob"),
            Kind::Client => json!("acme-ltd"),
            Day => json!("2026-10-31"),
            DayOrInstant => json!("2026-10-31T09:30:00+13:00"),
            Flag => json!(true),
            Count(from, _) => json!(from),
            One(choices) => json!(choices[0]),
            Digest => json!("7f3c91aa"),
            Change => json!("C-7"),
            Document => json!("version = 1\n"),
            Texts | Clients | People => json!(["acme-ltd"]),
            Changes => json!(["C-7"]),
            Pairs => json!([{"person": "bob", "client": "acme-ltd"}]),
        }
    }

    /// Every value of a route stands in its command line, and no command line names a value that the route does not have.
    #[test]
    fn every_route_is_a_command_line_of_the_contract() {
        for route in table() {
            let values = |only_required: bool| -> input::Values {
                let wanted = route.inputs.iter().filter(|i| i.required || !only_required);
                let mut all: input::Values = wanted.map(|i| (i.name, sample(i.kind))).collect();
                // Some texts have a form that only the command line knows.
                for (name, text) in [
                    ("office", "admin"),
                    ("authority", "any"),
                    ("date", "beginning"),
                    ("expires", "8 hours"),
                    ("until", "8 hours"),
                ] {
                    all.entry(name).and_modify(|v| {
                        if !(name == "expires" && route.id == "tokenAdd") {
                            *v = json!(text)
                        }
                    });
                }
                if route.id == "clientYearEnd" {
                    all.insert("day", json!("03-31"));
                }
                if route.id == "officeDefine" {
                    all.insert("may", json!(["guests", "selections"]));
                }
                if route.id == "whatIf" {
                    all.retain(|name, _| !["like", "keep", "remove", "all_granted"].contains(name));
                }
                // Either the one or the other.
                if !only_required && all.contains_key("all") && route.path != "/people" && all.len() > 1 {
                    all.remove("all");
                }
                all
            };
            let Command(pattern) = route.act else { continue };
            for input in &route.inputs {
                let file = input.kind == Document && pattern.split(' ').any(|w| w == "-");
                let named = [format!("{{{}}}", input.name), format!("?{}", input.name)];
                let used = file || named.iter().any(|n| pattern.contains(n));
                assert!(used, "{}: {} is not used", route.id, input.name);
            }
            for name in pattern.split(['{', '}']).skip(1).step_by(2) {
                assert!(route.inputs.iter().any(|i| i.name == name), "{}: nobody gives {name}", route.id);
            }
            let words = input::words(&route, &values(false));
            let line = std::iter::once("ledgerward".to_owned()).chain(words.clone());
            if let Err(e) = Cli::try_parse_from(line) {
                panic!("{}: {words:?}: {e}", route.id);
            }
        }
    }

    #[test]
    fn ids_and_addresses_are_there_once_and_answers_are_described() {
        let routes = table();
        for (n, route) in routes.iter().enumerate() {
            for other in &routes[n + 1..] {
                assert_ne!(route.id, other.id);
                assert!((&route.method, route.path) != (&other.method, other.path), "{}", route.id);
            }
            for answer in route.answers {
                assert!(
                    shape::SHAPES.iter().any(|(name, _)| name == answer),
                    "{}: {answer} is not described",
                    route.id
                );
            }
            // What a command asks for it knows itself, permission by permission; nothing would ask for the others.
            assert!(matches!(route.act, Command(_)) || route.may == May::Person, "{}", route.id);
            let paths = route.path.split('/').filter_map(|p| p.strip_prefix('{')?.strip_suffix('}'));
            let inputs = route.inputs.iter().filter(|i| i.place == Place::Path).map(|i| i.name);
            assert!(paths.eq(inputs), "{}: the path's values are not its inputs, in order", route.id);
            assert!(route.method != Method::GET || route.inputs.iter().all(|i| i.place != Place::Body), "{}", route.id);
        }
    }
}
