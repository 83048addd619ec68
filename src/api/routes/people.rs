//! Routes about groups, roles, guests, many clients in one act, leavers and reviews.

use http::Method;

use super::{
    Act::Command,
    CLIENT, CONNECTION,
    Kind::{self, *},
    Line,
    May::{self, Manage},
    PERSON, REASON, body, client, must, path, person, query,
};

const CHANGE: &[&str] = &["change/1"];
const GROUP: &str = "a group's name";

#[rustfmt::skip]
pub(super) fn groups() -> Vec<Line> {
    let members = || vec![path("group", Text, GROUP), body("clients", Clients, CLIENT), body("connections", Texts, CONNECTION)];
    let role = || path("role", Text, "the role's name, without custom:");
    vec![
        (Method::GET, "/groups", "groups", "Groups of clients that one's role reaches", May::Person, vec![], Command("groups list"), &["groups/1"]),
        (Method::GET, "/groups/{group}", "group", "The clients of one group", May::Person,
            vec![path("group", Text, GROUP)], Command("groups show -- {group}"), &["group/1"]),
        (Method::POST, "/groups/{group}/add", "groupAdd", "Make a group, or put clients into one", Manage, members(),
            Command("groups add --connection={connections} -- {group} {clients}"), CHANGE),
        (Method::POST, "/groups/{group}/take", "groupTake", "Take clients out of a group", Manage, members(),
            Command("groups take --connection={connections} -- {group} {clients}"), CHANGE),
        (Method::POST, "/groups/{group}/adopt", "groupAdopt", "Put the clients of a practice manager's own group into one here", Manage,
            vec![path("group", Text, GROUP), must(body("connection", Text, CONNECTION)), must(body("theirs", Text, "the group's name there, as /groups offers it"))],
            Command("groups adopt -- {group} {connection} {theirs}"), CHANGE),
        (Method::GET, "/rosters", "rosters", "Lists of clients: practice managers and rosters, and whether they are believed; asks each", Manage,
            vec![], Command("roster"), &["roster/1"]),
        (Method::GET, "/rosters/{connection}", "roster", "One list, line by line; asks its source", Manage,
            vec![path("connection", Text, CONNECTION)], Command("roster -- {connection}"), &["roster/1"]),
        (Method::POST, "/rosters/{connection}/accept", "rosterAccept", "Believe a list that is suddenly shorter, or whose clients are suddenly others", Manage,
            vec![path("connection", Text, CONNECTION), must(body("reason", Text, REASON))],
            Command("roster accept --reason={reason} -- {connection}"), &["roster/1"]),
        (Method::DELETE, "/groups/{group}", "groupRemove", "End a group that no role is limited to", Manage,
            vec![path("group", Text, GROUP)], Command("groups remove -- {group}"), CHANGE),
        (Method::GET, "/offices", "offices", "What each role lets a person do", May::Person, vec![], Command("roles list"), &["offices/1"]),
        (Method::PUT, "/offices/{role}", "officeDefine", "Make a role of the firm's own, or change it for everybody who has it", Manage,
            vec![role(), must(body("may", Texts, "permissions, as /offices names them")), body("group", Text, "only for the clients of this group")],
            Command("roles define --may={may} --group={group} -- {role}"), CHANGE),
        (Method::DELETE, "/offices/{role}", "officeRemove", "End a role that nobody has", Manage,
            vec![role()], Command("roles remove -- {role}"), CHANGE),
    ]
}

#[rustfmt::skip]
pub(super) fn guests() -> Vec<Line> {
    let until = || must(body("until", Text, "a day, which is the last one, or hours: 2026-12-24, 8 hours"));
    vec![
        (Method::GET, "/guests", "guests", "Who is a guest where, until when, and whether it gives anything now", May::Person, vec![],
            Command("guests list"), &["guests/1"]),
        (Method::POST, "/guests", "guestAdd", "Give a person a client for a time; never more than the ledger grants", Manage,
            vec![must(body("person", Kind::Person, PERSON)), must(body("client", Kind::Client, CLIENT)), until(), must(body("reason", Text, REASON)),
                 body("break_glass", Flag, "whatever the ledger says, for a day at most; another owner must publish it")],
            Command("guests add --until={until} --reason={reason} --break-glass?break_glass -- {person} {client}"), CHANGE),
        (Method::PATCH, "/guests/{person}/{client}", "guestExtend", "Another end for a guest", Manage,
            vec![person(), client(), until(), body("reason", Text, REASON)],
            Command("guests extend --until={until} --reason={reason} -- {person} {client}"), CHANGE),
        (Method::DELETE, "/guests/{person}/{client}", "guestEnd", "End it now", Manage,
            vec![person(), client()], Command("guests end -- {person} {client}"), CHANGE),
    ]
}

#[rustfmt::skip]
pub(super) fn bulk() -> Vec<Line> {
    let whom = || must(body("person", Kind::Person, PERSON));
    let wish = || body("when_granted", Flag, "keep the wish until the ledger grants it");
    let dry = || body("dry_run", Flag, "the same lines, and nothing is changed");
    vec![
        (Method::POST, "/selections/like", "selectLike", "What this colleague has", Manage,
            vec![whom(), must(body("like", Kind::Person, PERSON)), wish(), dry()],
            Command("select --like={like} --when-granted?when_granted --dry-run?dry_run -- {person}"), &["select/1"]),
        (Method::POST, "/selections/move", "selectMove", "A staff move: what the colleague has goes over, and ends for them", Manage,
            vec![whom(), must(body("from", Kind::Person, PERSON)), wish(), dry()],
            Command("select --from={from} --end --when-granted?when_granted --dry-run?dry_run -- {person}"), &["select/1"]),
        (Method::POST, "/selections/copy", "selectCopy", "What a colleague has goes to somebody too, and stays with them", Manage,
            vec![whom(), must(body("from", Kind::Person, PERSON)), wish(), dry()],
            Command("select --from={from} --keep --when-granted?when_granted --dry-run?dry_run -- {person}"), &["select/1"]),
        (Method::POST, "/selections/change", "selectChange", "Some clients are added and others taken away, in one act", Manage,
            vec![whom(), must(body("add", Clients, CLIENT)), must(body("remove", Clients, CLIENT)), dry()],
            Command("select --add={add} --remove={remove} --dry-run?dry_run -- {person}"), &["select/1"]),
        (Method::POST, "/selections/connection", "selectConnection", "Every client with a source of this connection", Manage,
            vec![whom(), must(body("connection", Text, CONNECTION)), wish(), dry()],
            Command("select --connection={connection} --when-granted?when_granted --dry-run?dry_run -- {person}"), &["select/1"]),
        (Method::POST, "/selections/connection/remove", "selectConnectionRemove", "Take away every client with a source of this connection", Manage,
            vec![whom(), must(body("connection", Text, CONNECTION)), dry()],
            Command("select --connection={connection} --remove --dry-run?dry_run -- {person}"), &["select/1"]),
        (Method::POST, "/selections/remove", "selectRemove", "Take selections and wishes away, each answered by its own line", Manage,
            vec![whom(), must(body("clients", Clients, CLIENT)), dry()],
            Command("select --remove={clients} --dry-run?dry_run -- {person}"), &["select/1"]),
        (Method::POST, "/what-if", "whatIf", "Who would gain or lose what; changes nothing and asks no provider", Manage,
            vec![whom(), body("add", Clients, CLIENT), body("remove", Clients, CLIENT), body("connection", Text, CONNECTION),
                 body("like", Kind::Person, "what this colleague has"), body("from", Kind::Person, "a staff move from this colleague; with end or keep"),
                 body("end", Flag, "what is moved ends for the colleague"), body("keep", Flag, "the colleague keeps it too"),
                 body("all_granted", Flag, "every client that the ledgers grant this person now"), wish()],
            Command("what-if --person={person} --add={add} --remove={remove} --connection={connection} --like={like} --from={from} \
                --end?end --keep?keep --all-granted?all_granted --when-granted?when_granted"), &["what-if/1"]),
        (Method::GET, "/changes/staged", "changesStaged", "What waits for an owner, and the plan of access that would follow", Manage, vec![],
            Command("changes show --all"), &["changes-show/1"]),
    ]
}

#[rustfmt::skip]
pub(super) fn proof() -> Vec<Line> {
    let review = || path("review", Text, "its name");
    vec![
        (Method::GET, "/gaps", "gaps", "Where ledgers and folders disagree, from the last reading of each", Manage,
            vec![query("client", Kind::Client, CLIENT)], Command("gaps --offline --client={client}"), &["gaps/1"]),
        (Method::POST, "/gaps", "gapsNow", "The same after reading every provider and folder", Manage,
            vec![body("client", Kind::Client, CLIENT)], Command("gaps --client={client}"), &["gaps/1"]),
        (Method::GET, "/leavers", "leavers", "Who left and can still open something", Manage,
            vec![query("all", Flag, "those who are out of everything too")], Command("leaver --all?all"), &["leavers/1"]),
        (Method::POST, "/leavers/{person}", "leaver", "Close a leaver everywhere, and list what only the client can close", Manage,
            vec![person(), body("reason", Text, REASON), body("pack", Flag, "with the sealed evidence and the letters, file by file")],
            Command("leaver --reason={reason} --pack=-?pack -- {person}"), &["leaver/1"]),
        (Method::POST, "/leavers/{person}/confirm", "leaverConfirm", "Somebody said that the person is out of this ledger", Manage,
            vec![person(), must(body("ledger", Text, "CONNECTION:LEDGER")), must(body("note", Text, "who said so, and how"))],
            Command("leaver --confirm={ledger} --note={note} -- {person}"), &["leaver/1"]),
        (Method::GET, "/reviews", "reviews", "All reviews, and what is not decided yet", Manage, vec![], Command("review list"), &["reviews/1"]),
        (Method::POST, "/reviews", "reviewStart", "Write down who sees what now, a line each, and who signs it off", Manage,
            vec![must(body("name", Text, "letters, digits, - and _: 2026-Q4")),
                 body("reviewers", Texts, "PERSON=CLIENT,CLIENT; the rest is the primary owner's")],
            Command("review start --reviewer={reviewers} -- {name}"), &["review/1"]),
        (Method::GET, "/reviews/{review}/sheets", "reviewSheets", "A sheet for each reviewer, as CSV and XLSX", Manage,
            vec![review()], Command("review export --out=- -- {review}"), &["review-export/1"]),
        (Method::POST, "/reviews/{review}/decisions", "reviewImport", "Take the decisions of a sheet in; what is to be removed becomes a change of the firm", Manage,
            vec![review(), must(body("sheet", Document, "the text of a sheet (CSV) with its decisions"))],
            Command("review import -- {review} -"), &["review/1"]),
        (Method::POST, "/reviews/{review}/seal", "reviewSeal", "Close a review that is decided to the last line", Manage,
            vec![review()], Command("review seal -- {review}"), &["review/1"]),
        (Method::GET, "/reviews/{review}/pack", "reviewPack", "A sealed review's pack, which anybody can check offline", Manage,
            vec![review()], Command("review pack --out=- -- {review}"), &["sealed/1"]),
    ]
}
