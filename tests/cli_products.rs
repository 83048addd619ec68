//! What five products do with people and clients, as a table of cases that a stranger can run: the roles of Ledgy and of
//! AccountsPortal, XBert's four options and greyed clients, Extend's selective visibility, LedgerSync's private account. The
//! real program and its command line; no network. Each case starts from a copy of the same firm.
//!
//! `harbour`: Ana is primary owner, Oli owner, Ada admin, Emma employee, Vic viewer. Four eyes are on, for there are two
//! owners. Of the clients, Acme's ledger grants Emma and Vic; Birch's denies Emma and grants Vic; Cove's lists nobody; Dune's
//! cannot be read now; Elm has no ledger.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail the test")]

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::LazyLock,
};

use ledgerward::{
    domain::{
        change::{self, Actor, By, ChangeOp},
        finding::{Finding, Severity},
        firm::Firm,
    },
    store::{Db, Options},
};
use ledgerward_contract::{ClientId, SourceKind, SourceRef, Timestamp};
use serde_json::{Value, json};

/// Who acts in a case. Ana's acts take effect at once.
const ANA: &str = "ana";

/// One row: what was done before (by Ana, or by `NAME: command`), who asks, what they type, the exit code, and what must or
/// must not (`!`) stand in the answer.
struct Case(&'static str, &'static [&'static str], &'static str, &'static str, i32, &'static [&'static str]);

#[rustfmt::skip]
const LEDGY: &[Case] = &[
    Case("there is exactly one primary owner", &[], ANA, "people", 0, &["primary-owner", "ana@harbour.example"]),
    Case("no office of it is given", &[], ANA, "people office oli primary-owner --mode all", 64, &["hand-over"]),
    Case("nor at the start", &[], ANA, "people add z@harbour.example --first Z --last Z --office primary-owner", 64, &[]),
    Case("it cannot be disabled by another owner", &[], "oli", "people disable ana", 1, &["wider role"]),
    Case("nor by itself", &[], ANA, "people disable ana", 1, &["nobody disables or closes themselves"]),
    Case("nor closed", &[], "oli", "revoke ana --now", 1, &["ana@harbour.example"]),
    Case("nor demoted", &[], "oli", "people office ana admin --mode all", 1, &["wider role"]),
    Case("an owner does not take it", &[], "oli", "people hand-over oli", 1, &["permission \"hand-over\" is missing"]),
    Case("it goes to no admin", &[], ANA, "people hand-over ada", 1, &["not an enabled owner"]),
    Case("nor to a disabled owner", &["people disable oli"], ANA, "people hand-over oli", 1, &["not an enabled owner"]),
    Case("it is handed to an enabled owner", &[], ANA, "people hand-over oli", 0, &["oli@harbour.example is the primary owner"]),
    Case("and the old one is an owner", &["people hand-over oli"], ANA, "people", 0, &["ana@harbour.example   Ana Reed   owner "]),
    Case("who may be disabled then", &["people hand-over oli"], "oli", "people disable ana", 0, &["disabled ana"]),
    Case("an owner publishes", &["ada: people mode emma all"], "oli", "changes publish --all", 0, &["mode of emma"]),
    Case("an owner disables an admin", &[], "oli", "people disable ada", 0, &["disabled ada"]),
    Case("an admin's change is staged", &[], "ada", "people mode emma all", 0, &["Nothing takes effect yet", "C-"]),
    Case("and has no effect", &["ada: people mode emma all"], ANA, "access --person emma", 0, &["!Birch"]),
    Case("and is not theirs to publish", &["ada: people mode emma all"], "ada", "changes publish --all", 1, &["permission \"publish\" is missing"]),
    Case("an owner sees the plan of access first", &["ada: people mode emma all"], "oli", "changes show --all", 0, &["emma@harbour.example gains acme-ltd"]),
    Case("and may reject it", &["ada: people mode emma all"], "oli", "changes reject C-99 --reason no", 1, &["C-99"]),
    Case("an admin gives nobody an owner's role", &[], "ada", "people office emma owner --mode all", 1, &["wider than their own"]),
    Case("nor disables an owner", &[], "ada", "people disable oli", 1, &["wider role"]),
    Case("nobody changes their own role", &[], "ada", "people office ada viewer --mode all", 1, &["nobody changes their own role"]),
    Case("nobody disables themselves", &[], "ada", "people disable ada", 1, &["nobody disables"]),
    Case("a role asks for the mode again", &[], ANA, "people office emma admin", 64, &["--mode"]),
    Case("an employee manages nobody", &[], "emma", "people disable vic", 1, &["permission \"people\" is missing"]),
    Case("and edits their own name", &[], "emma", "people edit emma --first Emily", 0, &["Emily"]),
    Case("not their own address", &[], "emma", "people edit emma --email e@harbour.example", 1, &["cannot change it yourself"]),
    Case("nor a colleague's name", &[], "emma", "people edit vic --first V", 1, &["people", "missing"]),
    Case("a viewer edits nothing", &[], "vic", "people edit vic --first V", 1, &["own-details", "missing"]),
    Case("nor adds a client", &[], "vic", "clients add Fir", 1, &["add-clients", "missing"]),
    Case("an address is one person's", &[], ANA, "people add EMMA@harbour.example --first E --last E", 1, &["already one of Emma"]),
    Case("an address must be one", &[], ANA, "people add emma --first E --last E", 64, &[]),
    Case("a first and last name each", &[], ANA, "people add f@harbour.example --first F", 64, &["--last"]),
];

#[rustfmt::skip]
const ACCOUNTS_PORTAL: &[Case] = &[
    Case("an employee sees their own clients and a number", &[], "emma", "clients", 0, &["5 more that you do not see", "!Birch"]),
    Case("and their own record", &[], "emma", "people", 0, &["emma@", "more whom you do not see", "!vic@"]),
    Case("an employee adds a client", &[], "emma", "clients add 'Fir Farm'", 0, &["fir-farm"]),
    Case("which is theirs", &["emma: clients add 'Fir Farm'"], "emma", "clients", 0, &["fir-farm"]),
    Case("and bound to no folder", &["emma: clients add 'Fir Farm'"], "emma", "access", 0, &["!fir-farm", "!to be granted"]),
    Case("until an admin binds it", &["emma: clients add 'Fir Farm'"], "emma", "clients bind fir-farm xero L9", 1, &["connections", "missing"]),
    Case("an admin can", &["emma: clients add 'Fir Farm'"], "ada", "clients bind fir-farm xero L9", 0, &["Nothing takes effect yet"]),
    Case("not rename another's", &[], "emma", "clients rename acme-ltd X", 1, &["clients", "missing"]),
    Case("nobody tries out names of clients", &[], "emma", "clients rename nowhere X", 1, &["clients", "missing"]),
    Case("a role of the firm's own", &["roles define payroll --may selections", "people office emma custom:payroll --mode selected"], "emma", "select vic acme-ltd", 0, &["Nothing takes effect yet"]),
    Case("may be changed after it was given", &["roles define payroll --may selections", "people office emma custom:payroll --mode selected", "roles define payroll --may guests"], "emma", "select vic acme-ltd", 1, &["selections", "missing"]),
    Case("it is for a group only", &["groups add north acme-ltd", "roles define desk --may selections --group north", "people office emma custom:desk --mode selected"], "emma", "select vic birch-llp", 1, &["there is no client"]),
    Case("and never manages people then", &["groups add north acme-ltd"], ANA, "roles define desk --may people --group north", 1, &["limited to a group"]),
    Case("nobody gives a wider role than their own", &[], "ada", "roles define boss --may publish", 1, &["wider than their own", "!Nothing takes effect"]),
    Case("a role in use does not end", &["roles define payroll --may selections", "people office emma custom:payroll --mode selected"], ANA, "roles remove payroll", 1, &["has the role"]),
    Case("an unknown role is refused", &[], ANA, "people office emma custom:nothing --mode selected", 1, &["no role custom:nothing"]),
    Case("a disabled person does nothing", &["people disable emma"], "emma", "clients", 1, &["disabled or closed"]),
    Case("a disabled person sees nothing", &["people mode vic all", "people disable vic"], ANA, "access --person vic", 0, &["!Acme Ltd"]),
    Case("a viewer reads what they were given", &["people mode vic selected", "select vic elm-co"], "vic", "access", 0, &["Elm Co", "!Acme"]),
    Case("and exports it", &["people mode vic selected", "select vic elm-co"], "vic", "access --format csv", 0, &["Elm Co,elm-co,Vic Reed", "!Birch"]),
    Case("not the firm", &[], "vic", "firm export", 1, &["read-all", "missing"]),
    Case("nor the audit trail", &[], "vic", "audit export", 1, &["read-all", "missing"]),
    Case("nor the firm's totals", &[], "vic", "status", 0, &["You see 0 clients", "!findings"]),
    Case("a viewer of all reads what is staged", &["roles define reader --may read-all", "people office vic custom:reader --mode selected", "ada: people mode emma all"], "vic", "changes show --all", 0, &["emma@harbour.example gains"]),
    Case("and creates nothing", &["roles define reader --may read-all", "people office vic custom:reader --mode selected"], "vic", "groups add north acme-ltd", 1, &["groups", "missing"]),
    Case("bulk: each client has its line", &["select vic elm-co", "people mode vic ledger+selected"], ANA, "select vic acme-ltd elm-co", 0, &["acme-ltd  granted", "elm-co    already has access"]),
    Case("bulk: removing what is not there", &[], ANA, "select vic --remove acme-ltd", 0, &["no matching access"]),
    Case("bulk: like this colleague", &["select vic acme-ltd birch-llp"], ANA, "select emma --like vic", 5, &["acme-ltd   granted", "birch-llp  needs Xero access first"]),
    Case("bulk: a staff move", &["select vic acme-ltd"], ANA, "select emma --from vic --end", 0, &["acme-ltd  granted"]),
    Case("bulk: what-if shows and does not do", &[], ANA, "what-if --person emma --add acme-ltd", 0, &["emma@harbour.example", "acme-ltd"]),
];

#[rustfmt::skip]
const XBERT: &[Case] = &[
    Case("a new person has nothing", &["people add new@harbour.example --first New --last One"], ANA, "access --person new", 0, &["!Acme", "!Elm"]),
    Case("and mode ledger+selected", &["people add new@harbour.example --first New --last One"], ANA, "people", 0, &["new@harbour.example", "ledger+selected"]),
    Case("1 all: every client", &["people mode emma all"], ANA, "access --person emma", 0, &["Acme Ltd", "Birch LLP", "Cove Inc", "Dune Ltd", "Elm Co"]),
    Case("1 all: and future ones", &["people mode emma all", "clients add 'Fir Farm'"], ANA, "access --person emma", 0, &["Fir Farm"]),
    Case("1 all: the ledger is not asked", &["people mode emma all"], ANA, "why emma birch-llp", 0, &["Emma Reed sees Birch LLP"]),
    Case("2 selected: nothing selected is nothing", &["people mode emma selected"], ANA, "access --person emma", 0, &["!Acme", "!Elm"]),
    Case("2 selected: what is selected", &["people mode emma selected", "select emma birch-llp elm-co"], ANA, "access --person emma", 0, &["Birch LLP", "Elm Co", "!Acme"]),
    Case("2 selected: the ledger is not asked", &["people mode emma selected"], ANA, "select emma birch-llp", 0, &["birch-llp  granted"]),
    Case("3 ledger: what the ledger grants", &["people mode emma ledger"], ANA, "access --person emma", 0, &["Acme Ltd", "!Birch"]),
    Case("3 ledger: no selection is needed", &["people mode emma ledger"], ANA, "why emma acme-ltd", 0, &["Emma Reed sees Acme Ltd"]),
    Case("3 ledger: unlisted is manual, so not there", &["people mode emma ledger"], ANA, "why-not emma elm-co", 0, &["does not see"]),
    Case("4 both: granted and not selected", &[], ANA, "why-not emma acme-ltd", 0, &["does not see", "ledgerward select emma@harbour.example acme-ltd"]),
    Case("4 both: granted and selected", &["select emma acme-ltd"], ANA, "why emma acme-ltd", 0, &["Emma Reed sees Acme Ltd"]),
    Case("4 both: a client that lists nobody, selected", &[], ANA, "select emma elm-co", 0, &["elm-co  granted"]),
    Case("greyed: not granted is not selected", &[], ANA, "select emma birch-llp", 1, &["needs Xero access first", "Nothing was changed"]),
    Case("greyed: one of several refuses all", &[], ANA, "select emma acme-ltd birch-llp", 1, &["acme-ltd   not done"]),
    Case("greyed: the wish is kept", &[], ANA, "select emma birch-llp --when-granted", 0, &["pending"]),
    Case("greyed: a wish gives nothing", &["select emma birch-llp --when-granted"], ANA, "access --person emma", 0, &["!Birch"]),
    Case("greyed: a removal ends the wish", &["select emma birch-llp --when-granted", "select emma --remove birch-llp"], ANA, "firm export", 0, &["!when_granted"]),
    Case("dormant: stays in the list", &["people mode emma selected", "select emma birch-llp", "people mode emma ledger+selected"], ANA, "why-not emma birch-llp", 0, &["asleep"]),
    Case("dormant: gives nothing", &["people mode emma selected", "select emma birch-llp", "people mode emma ledger+selected"], ANA, "access --person emma", 0, &["!Birch"]),
    Case("unreadable now: held as it was", &["people mode emma ledger"], ANA, "access --person emma --client dune-ltd", 0, &["held"]),
    Case("--all-granted starts from the ledger", &[], ANA, "select emma --all-granted", 5, &["acme-ltd  granted", "!birch", "could not be judged"]),
    Case("a proposed client is nobody's", &["people mode emma all"], ANA, "select emma gorse-ltd", 1, &["proposed"]),
    Case("until it is accepted", &["people mode emma all"], ANA, "clients accept gorse-ltd", 0, &["Emma Reed"]),
    Case("mode deny for the unlisted", &["people mode emma selected", "clients unlisted elm-co deny", "people mode emma ledger+selected"], ANA, "select emma elm-co", 1, &["the ledger lists nobody, and such clients are denied"]),
];

#[rustfmt::skip]
const EXTEND: &[Case] = &[
    Case("at least one account", &[], ANA, "select emma acme-ltd --account ''", 64, &["account"]),
    Case("at least one for the client too", &[], ANA, "clients accounts acme-ltd", 64, &[]),
    Case("named accounts", &["select emma acme-ltd --account 1000"], ANA, "firm export", 0, &["account = \"1000\""]),
    Case("whole is said explicitly: all, future too", &["clients accounts acme-ltd 1000", "clients accounts acme-ltd --all"], ANA, "firm export", 0, &["accounts = \"all\"", "!\"1000\""]),
    Case("an account of another ledger is refused", &[], ANA, "select emma acme-ltd --account xero:elsewhere:1", 1, &["bound to"]),
    Case("named accounts are not the client's folder", &["select emma acme-ltd --account 1000"], ANA, "why emma acme-ltd", 0, &["selected for 1 account"]),
    Case("a client in no group of theirs is a number", &["groups add north acme-ltd", "roles define desk --may read-all --group north", "people office vic custom:desk --mode selected"], "vic", "clients", 0, &["acme-ltd", "4 more that you do not see", "!Birch"]),
    Case("access of their group, and a number", &["select emma acme-ltd elm-co", "groups add north acme-ltd", "roles define desk --may read-all --group north", "people office vic custom:desk --mode selected"], "vic", "access", 0, &["Emma Reed", "Acme Ltd", "!Elm", "more that you do not see"]),
    Case("own counts, not the firm's", &["groups add north acme-ltd", "roles define desk --may read-all --group north", "people office vic custom:desk --mode selected"], "vic", "status", 0, &["You see 1 clients"]),
    Case("a group's clients that one does not see are a number", &["groups add south birch-llp elm-co", "roles define picker --may selections", "people office emma custom:picker --mode ledger+selected"], "emma", "groups show south", 0, &["2 more that you do not see", "!irch", "!lm"]),
    Case("a group that one does not see has no name in a role", &["groups add north acme-ltd", "roles define desk --may read-all --group north"], "vic", "roles list", 0, &["custom:desk", "a group that you do not see", "!north"]),
    Case("what somebody may for their group only is not missing", &["groups add north acme-ltd", "roles define desk --may read-all --group north", "people office vic custom:desk --mode selected"], "vic", "findings", 1, &["\"read-all\" is theirs for the clients of the group north only", "!missing"]),
    Case("a guest has an end and a reason", &[], ANA, "guests add vic acme-ltd --until 2999-01-01 --reason audit", 1, &["within a year"]),
    Case("a guest needs a reason", &[], ANA, "guests add vic acme-ltd --until 8h", 64, &["--reason"]),
    Case("a guest is never wider than the ledger", &[], ANA, "guests add emma birch-llp --until 8h --reason audit", 1, &["needs Xero access"]),
    Case("a guest sees without a selection", &["guests add emma acme-ltd --until 8h --reason audit"], ANA, "why emma acme-ltd", 0, &["guest"]),
    Case("a guest's end is now", &["guests add emma acme-ltd --until 8h --reason audit", "guests end emma acme-ltd"], ANA, "access --person emma", 0, &["!Acme"]),
    Case("break-glass is wider", &["guests add emma birch-llp --until 8h --reason fire --break-glass", "oli: changes publish --all"], ANA, "access --person emma", 0, &["Birch LLP"]),
    Case("and needs two", &["guests add emma birch-llp --until 8h --reason fire --break-glass"], ANA, "access --person emma", 0, &["!Birch"]),
    Case("and a day at most", &[], ANA, "guests add emma birch-llp --until '25 hours' --reason fire --break-glass", 1, &["24 hours"]),
    Case("and somebody to be the second", &["people disable oli"], ANA, "guests add emma birch-llp --until 8h --reason fire --break-glass", 1, &["second owner, and there is none"]),
    Case("and its asker's hand to the end", &["oli: guests add emma birch-llp --until 8h --reason fire --break-glass", "ada: people mode vic all", "people disable oli"], ANA, "changes publish --all", 0, &["mode of vic", "1 change left out", "disabled or closed since", "!BREAK-GLASS"]),
    Case("which is the reason that is told", &["oli: guests add emma birch-llp --until 8h --reason fire --break-glass", "people disable oli"], ANA, "changes publish C-{last}", 1, &["oli@harbour.example, who asked for this break-glass access, is disabled or closed since"]),
    Case("a reviewer is somebody who can bring their sheet in, or whose sheet an owner does", &[], "ada", "review start Q4 --reviewer emma=acme-ltd", 1, &["emma@harbour.example cannot sign off", "\"read-all\" is missing", "Nothing was started"]),
];

#[rustfmt::skip]
const LEDGER_SYNC: &[Case] = &[
    Case("an admin keeps their own books", &[], "ada", "private add Boat", 0, &["boat"]),
    Case("an employee does not", &[], "emma", "private add Boat", 1, &["permission \"private\" is missing"]),
    Case("they belong to a person", &[], "", "private add Boat", 1, &["Say who acts"]),
    Case("the primary owner does not see them", &["ada: private add Boat"], ANA, "clients list --all", 0, &["!boat"]),
    Case("not even as a number", &["ada: private add Boat"], "emma", "clients", 0, &["5 more that you do not see"]),
    Case("nor by name", &["ada: private add Boat"], ANA, "clients rename boat Ship", 1, &["there is no client"]),
    Case("nor in what to do next", &["ada: private add Boat"], ANA, "clients rename boatt Ship", 1, &["!boat."]),
    Case("nor in access", &["ada: private add Boat"], ANA, "access", 0, &["!boat", "!Boat"]),
    Case("nor in the file", &["ada: private add Boat"], ANA, "firm export", 0, &["!boat", "!Boat"]),
    Case("nor in what was changed", &["ada: private add Boat"], ANA, "changes", 0, &["!add private"]),
    Case("their own person does", &["ada: private add Boat"], "ada", "access", 0, &["boat"]),
    Case("mode all does not include them", &["ada: private add Boat", "people mode emma all"], ANA, "access --person emma", 0, &["Acme", "!Boat"]),
    Case("nobody selects them", &["ada: private add Boat"], "ada", "select emma boat", 1, &["private"]),
    Case("no wildcard", &["ada: private add Boat", "people mode emma selected"], "ada", "select emma --connection xero", 0, &["!boat"]),
    Case("no colleague's list", &["ada: private add Boat"], "ada", "select emma --like ada", 0, &["!boat"]),
    Case("no group", &["ada: private add Boat"], "ada", "groups add north boat", 1, &["ordinary"]),
    Case("no guest", &["ada: private add Boat"], "ada", "guests add emma boat --until 8h --reason x", 1, &["private"]),
    Case("no file takes its name", &["ada: private add Boat"], ANA, "clients add Boat", 0, &["(boat)"]),
    Case("shared with named people on one target", &["ada: private add Boat", "ada: private share boat --target drive --with emma --reason tax"], "emma", "access", 0, &["Boat", "drive"]),
    Case("and with nobody else", &["ada: private add Boat", "ada: private share boat --target drive --with emma --reason tax"], ANA, "access", 0, &["!Boat"]),
    Case("the share says what opens to whom", &["ada: private add Boat"], "ada", "private share boat --target drive --with emma --reason tax", 0, &["now open to emma@harbour.example on drive"]),
    Case("and is recorded with who and why", &["ada: private add Boat", "ada: private share boat --target drive --with emma --reason tax"], "", "audit export", 0, &["private.opened", "tax", "ada@harbour.example"]),
    Case("of which an owner learns who and when", &["ada: private add Boat", "ada: private share boat --target drive --with emma --reason tax"], ANA, "audit export", 0, &["private.opened", "ada@harbour.example", "!tax", "!boat", "!Boat"]),
    Case("and an admin nothing", &[], "ada", "audit export", 1, &["permission \"operate\" is missing"]),
    Case("only its person shares", &["ada: private add Boat"], ANA, "private share boat --target drive --with emma", 1, &["there is no client"]),
    Case("only its person converts", &["ada: private add Boat"], "oli", "private convert boat --reason x", 1, &["there is no client"]),
    Case("an admin alone converts nothing", &["ada: private add Boat", "ada: private convert boat --reason sold"], ANA, "clients", 0, &["!boat"]),
    Case("converted it is an ordinary client", &["ada: private add Boat", "ada: private convert boat --reason sold", "oli: changes publish --all"], ANA, "clients", 0, &["boat"]),
    Case("an admin alone takes no ledger of the firm's", &["ada: private add Boat", "ada: clients bind boat xero 'id-Gorse Ltd'"], ANA, "clients", 0, &["gorse-ltd", "proposed"]),
    Case("a share ends with who gave it", &["ada: private add Boat", "ada: private share boat --target drive --with emma", "people disable ada"], "emma", "access", 0, &["!Boat"]),
];

#[test]
fn ledgy_an_owner_an_admin_and_who_publishes() {
    run(LEDGY);
}

#[test]
fn accounts_portal_roles_their_own_clients_and_many_at_once() {
    run(ACCOUNTS_PORTAL);
}

#[test]
fn xbert_four_options_and_greyed_clients() {
    run(XBERT);
}

#[test]
fn extend_accounts_groups_and_access_for_a_time() {
    run(EXTEND);
}

#[test]
fn ledger_sync_a_private_account() {
    run(LEDGER_SYNC);
}

/// Who sees only some clients learns of no other, whatever they ask: no name of a client, no colleague behind it, and for one
/// that they name themselves the same as for one that is not there.
#[test]
fn who_sees_some_clients_learns_of_no_other() {
    const LIMITED: [&str; 4] = ["emma", "vic", "desk", "op"];
    #[rustfmt::skip]
    const ANSWERS: [&str; 44] = [
        "access", "access --json", "access --format csv", "access --at 2026-11-20", "access --person {me}", "access --client {other}",
        "access --person ada", "access --client {other} --at 2026-11-20", "why {me} {other}", "why-not {me} {other}", "why ada {other}",
        "gaps --offline", "status", "status --json", "findings", "runs", "plan --offline", "hold", "audit export", "clients list --all",
        "clients --json", "people --json", "people list --all", "groups", "groups show south", "roles list", "guests --json", "changes --json",
        "changes show --all", "private list", "firm export", "statements --json", "statements --client {other}", "roles table --json",
        "leaver --all", "forecast --offline", "plan --offline --json", "plan --offline --client {other}", "pull", "pull --json", "sync --yes",
        "sync --yes --json", "status --check", "apply 00000000",
    ];
    #[rustfmt::skip]
    const ASKED: [&str; 11] = [
        "select {me} --all-granted --dry-run", "select {me} --connection xero --dry-run", "select {me} --like ada --dry-run",
        "select {me} {other} --dry-run", "clients rename {other} X", "clients archive {other}",
        "guests add {me} {other} --until 8h --reason x", "holders --client {other}", "what-if --person {me} --add {other}",
        "select {me} @south --dry-run", "review",
    ];
    let place = Place::copy();
    for line in [
        "select emma acme-ltd",
        "select vic acme-ltd",
        "people mode vic ledger+selected",
        "groups add north acme-ltd",
        "groups add south birch-llp elm-co",
        "roles define desk --may read-all,selections,guests,clients --group north",
        "people add desk@harbour.example --first Dee --last Kay --office custom:desk",
        "roles define operator --may run",
        "roles define keeper --may clients",
        "people add kit@harbour.example --first Kit --last Kay --office custom:keeper",
        "people add op@harbour.example --first Opal --last Kay --office custom:operator",
        "people mode ada all",
        "guests add vic birch-llp --until 8h --reason audit",
        "guests end vic birch-llp",
    ] {
        let (code, text) = place.say(ANA, line);
        assert_eq!(code, 0, "{line}: {text}");
    }
    assert_eq!(place.say("oli", "private add Boat").0, 0);
    for who in LIMITED {
        for line in ANSWERS.iter().chain(&ASKED) {
            let me = format!("{who}@harbour.example");
            let ask = |other: &str| {
                let (code, text) = place.say(who, &line.replace("{me}", &me).replace("{other}", other));
                (code, text.replace(other, "OTHER"))
            };
            let (code, text) = ask("birch-llp");
            for name in ["irch", "ove Inc", "cove", "une Ltd", "dune", "lm Co", "elm-co", "orse", "oat"] {
                assert!(!text.contains(name), "{who} typed {line} and reads \"{name}\":\n{text}");
            }
            if who != "desk" {
                assert!(!text.contains("Ada Reed"), "{who} typed {line} and reads of a colleague:\n{text}");
            }
            if line.contains("{other}") {
                assert_eq!((code, text), ask("nowhere-llp"), "{who} typed {line}: there is a client, and that shows");
            }
        }
    }
    let (code, text) = place.say("op", "plan --offline --json");
    assert!(code != 1 && text.contains("own-plan/1") && text.contains("\"others\":5"), "{code} {text}");
    let (_, text) = place.say("kit", "clients accept gorse-ltd --json");
    assert!(
        text.contains("accept/1") && !text.contains("emma") && !text.contains("ada@"),
        "who gains it is nobody's whom they may not see: {text}"
    );
    let (_, text) = place.say("desk", "access");
    assert!(
        text.contains("Emma Reed") && text.contains("Ada Reed") && text.contains("4 clients more that you do not see"),
        "{text}"
    );
    let (code, text) = place.say("desk", "why ada acme-ltd");
    assert!(code == 0 && text.contains("Ada Reed sees Acme Ltd"), "{text}");
}

/// Whoever sees only themselves is told the same of everybody else, whether they work here or not, and of every change.
#[test]
fn who_sees_only_themselves_learns_of_no_colleague() {
    let place = Place::copy();
    for line in ["roles define picker --may selections", "people office emma custom:picker --mode ledger+selected"] {
        assert_eq!(place.say(ANA, line).0, 0, "{line}");
    }
    assert_eq!(place.say("ada", "people mode vic all").0, 0);
    let staged = place.last_staged();
    for who in ["vic", "emma"] {
        for line in [
            "why {other} acme-ltd",
            "why-not {other} acme-ltd",
            "access --person {other}",
            "access --person {other} --at 2026-11-20",
            "people edit {other} --first X",
            "people disable {other}",
            "people enable {other}",
            "people mode {other} all",
            "people office {other} viewer --mode all",
            "people hand-over {other}",
            "people accept-domain {other}",
            "people lift {other}",
            "guests add {other} acme-ltd --until 8h --reason x",
            "guests end {other} acme-ltd",
            "private share boat --target drive --with {other}",
            "api token add t --person {other}",
            "revoke {other} --now",
            "leaver {other}",
        ] {
            let ask = |other: &str| {
                let (code, text) = place.say(who, &line.replace("{other}", other));
                (code, text.replace(other, "OTHER"))
            };
            let there = ask("oli@harbour.example");
            assert_eq!(there.0, 1, "{who} typed {line}: {}", there.1);
            assert_eq!(there, ask("zed@harbour.example"), "{who} typed {line}");
        }
        let reject = |id: &str| place.say(who, &format!("changes reject C-{id} --reason no"));
        assert_eq!(reject(&staged), reject("9999"), "{who}");
    }
    let (code, text) = place.say("emma", "access --person emma");
    assert_eq!(code, 0, "{text}");
    let (code, text) = place.say("emma", "people edit emma --first Emmeline");
    assert!(code == 1 && text.contains("permission"), "their own record is theirs to name: {text}");
    let (code, text) = place.say("emma", "select vic acme-ltd --dry-run");
    assert!(code == 0 && text.contains("acme-ltd"), "whom a role selects for it can name: {text}");
}

/// What was found about private books is their person's, and theirs whom they are shared with; whoever calls their books like
/// something else hides nothing.
#[test]
fn a_finding_about_private_books_is_not_there_for_others() {
    let place = Place::copy();
    for (who, line) in [
        ("ada", "private add Boat"),
        ("ada", "private share boat --target drive --with emma --with oli --reason tax"),
        ("ada", "private add Drive"),
        ("ada", "private add Acme"),
    ] {
        let (code, text) = place.say(who, line);
        assert_eq!(code, 0, "{line}: {text}");
    }
    let books = place.db().firm().unwrap().clients.into_values().find(|c| c.name == "Boat").unwrap().slug;
    let (step, statement, other) = (
        format!("drive/{books}/emma@harbour.example"),
        format!("{books}/L1/bank-statement"),
        format!("somewhere/{books}"),
    );
    let found = [
        ("step.refused", step.as_str(), "emma could not be let into the folder of boat."),
        ("statement.not_available", statement.as_str(), "Boat has no bank statement."),
        ("heard.never_of", other.as_str(), "Something of boat."),
        ("folder.link_on", "drive/acme-ltd", "A link is on."),
        ("state.damaged", "drive", "The state is damaged."),
    ];
    let now = Timestamp::now();
    let findings: Vec<Finding> = found
        .into_iter()
        .map(|(code, subject, text)| Finding::new(Severity::Urgent, code, subject, text, "Look."))
        .collect();
    let mut db = place.db();
    let run = db.run_start("sync", now).unwrap();
    db.sync_findings(run, "lanes", &findings, now).unwrap();
    drop(db);
    for (line, all, rest) in [
        ("findings", "5 open findings: 5 urgent", "2 open findings: 2 urgent"),
        ("findings --all --json", "\"urgent\":5", "\"urgent\":2"),
        ("status", "5 urgent findings; a target refuses something", "2 urgent findings"),
        ("status --json", "\"urgent\":5", "\"urgent\":2"),
        ("status --check", "5 urgent findings; a target refuses something", "2 urgent findings"),
    ] {
        for who in ["ada", "oli", ""] {
            let (_, text) = place.say(who, line);
            assert!(text.contains(all), "{who} typed {line}:\n{text}");
        }
        let (_, text) = place.say(ANA, line);
        assert!(text.contains(rest), "{line}:\n{text}");
        assert!(!text.contains("refuses something") && !text.contains("oat"), "{line}:\n{text}");
    }
}

/// Runs all and tells all that differ, so that a table is read as one.
fn run(cases: &[Case]) {
    let mut wrong = Vec::new();
    for Case(what, before, who, line, exit, parts) in cases {
        let place = Place::copy();
        for done in *before {
            let (who, line) = done.split_once(": ").filter(|(who, _)| !who.contains(' ')).unwrap_or((ANA, done));
            let (code, text) = place.say(who, line);
            if ![0, 5].contains(&code) {
                wrong.push(format!("{what}: before it, {who} typed {line}, exit {code}:\n{text}"));
            }
        }
        let line = line.replace("{last}", &place.last_staged());
        let (code, text) = place.say(who, &line);
        let missing = |part: &&&str| match part.strip_prefix('!') {
            Some(not) => text.contains(not),
            None => !text.contains(**part),
        };
        let missing: Vec<&&str> = parts.iter().filter(missing).collect();
        if code != *exit || !missing.is_empty() {
            wrong.push(format!("{what}: {who} typed {line}, exit {code} (not {exit}), but {missing:?}:\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

struct Place {
    dir: tempfile::TempDir,
}

static HARBOUR: LazyLock<Place> = LazyLock::new(Place::harbour);

impl Place {
    fn copy() -> Self {
        let dir = folder();
        let from = format!("{}/.", HARBOUR.dir.path().display());
        assert!(Command::new("cp").arg("-a").arg(from).arg(dir.path()).status().unwrap().success());
        Self { dir }
    }

    fn harbour() -> Self {
        let place = Self { dir: folder() };
        let must = |line: &str| {
            let (code, text) = place.say("", line);
            assert_eq!(code, 0, "{line}: {text}");
        };
        must("init --owner ana@harbour.example --name Harbour --first Ana --last Reed");
        let config = place.dir.path().join("etc/config.toml");
        let filled = std::fs::read_to_string(&config).unwrap().replace("YOUR-CLIENT-ID", "an-app");
        std::fs::write(&config, filled).unwrap();
        for name in ["xero-secret", "drive-secret"] {
            let file = place.dir.path().join("etc").join(name);
            std::fs::write(&file, "not-a-secret").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o400)).unwrap();
        }
        for (first, office) in [("Oli", "owner"), ("Ada", "admin"), ("Emma", "employee"), ("Vic", "viewer")] {
            let email = first.to_lowercase();
            must(&format!("people add {email}@harbour.example --first {first} --last Reed --office {office}"));
        }
        let grants = |who: &[&str]| who.iter().map(|w| ((*w).to_owned(), "reader")).collect::<Vec<_>>();
        place.pulled("Acme Ltd", "never_listed", &grants(&["emma", "vic"]));
        place.pulled("Birch LLP", "never_listed", &[grants(&["vic"]), vec![("emma".to_owned(), "gone")]].concat());
        place.pulled("Cove Inc", "unlisted", &[]);
        place.pulled("Dune Ltd", "unreadable", &[]);
        must("clients accept --all");
        must("clients add 'Elm Co'");
        place.pulled("Gorse Ltd", "never_listed", &grants(&["emma"]));
        place
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn db(&self) -> Db {
        Db::open(Options::new(self.state(), Timestamp::now())).unwrap()
    }

    /// The number of the newest change that waits.
    fn last_staged(&self) -> String {
        self.db().staged_changes().unwrap().iter().map(|c| c.id).max().unwrap_or_default().to_string()
    }

    /// What somebody types, as a shell reads it. `who` is empty for root.
    fn say(&self, who: &str, line: &str) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ledgerward"));
        command.arg("--config").arg(self.dir.path().join("etc/config.toml")).arg("--state").arg(self.state());
        if !who.is_empty() {
            command.args(["--as", &format!("{who}@harbour.example")]);
        }
        let Output { status, stdout, stderr } =
            command.args(words(line)).env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout) + &text(stderr))
    }

    /// What a pull would have left: a ledger that is proposed as a client, and what it says about people.
    fn pulled(&self, name: &str, rest: &str, says: &[(String, &str)]) {
        let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        let mut db = Db::open(Options::new(self.state(), now)).unwrap();
        let before: Firm = db.firm().unwrap();
        let source = SourceRef { connection: "xero".into(), kind: SourceKind::Ledger, id: format!("id-{name}") };
        let op =
            ChangeOp::ProposeClient { id: ClientId(uuid::Uuid::now_v7()), name: name.into(), source: source.clone() };
        let (after, _) = change::apply(&before, &op, By { actor: Actor::Daemon, at: now }).unwrap();
        db.save_firm_diff(&before, &after).unwrap();
        let facts: Vec<Value> = says
            .iter()
            .map(|(who, why)| {
                let person = after.people.values().find(|p| p.email.key().starts_with(who.as_str())).unwrap();
                json!([person.id, {"why": why, "role": "STANDARD", "user": who, "since": null}])
            })
            .collect();
        let kept = json!({
            "source": source, "name": name, "grade": "A", "memory": {"users": {}},
            "last": {"facts": facts, "rest": rest, "unknown_since": null, "trouble": null},
        });
        db.doc_put("source", &format!("xero/ledger/id-{name}"), &kept).unwrap();
    }
}

/// In memory where there is such a place: a table takes hundreds of small commands.
fn folder() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() { tempfile::tempdir_in(shm).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Words, where '…' keeps blanks together.
fn words(line: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (n, part) in line.split('\'').enumerate() {
        if n % 2 == 1 {
            all.push(part.to_owned());
        } else {
            all.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    all
}
