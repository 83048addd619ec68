//! Who may open one company. Users belong to an environment; a permission set, of a user or of a group that the user is
//! in, is for one company by its name, or for all.

use std::collections::BTreeMap;

use ledgerward_contract::{AccessFact, Cursor, LedgerId, Listed, Page, ReadCx, Request, Result, Snapshot};
use ledgerward_kit::about;

use crate::{
    BusinessCentralConnector,
    api::{Api, Ledger},
    ask, ask_page,
    map::{self, Bare, Company, Grant, Group, Held, Member, Place},
};

/// Pages of a list of groups, members or permission sets before it is none any more.
const PAGES_MAX: u32 = 1_000;

/// The company itself: its name is what permission sets name, and its id is compared with the one asked for (P09).
pub async fn company(api: &Api, cx: &ReadCx, id: &LedgerId, ledger: &Ledger<'_>) -> Result<Company> {
    let answer = ask(cx, Some(id), api.company(ledger)?).await?;
    about(id, map::company(ledger, &answer.body))
}

/// All pages of a list.
async fn all<T: Listed + PartialEq + Clone + Send>(
    cx: &ReadCx,
    id: &LedgerId,
    op: &'static str,
    request: impl Fn(Option<&str>) -> Result<Request> + Sync,
    map: impl Fn(&[u8]) -> Result<Vec<T>> + Sync,
) -> Result<Vec<T>> {
    let (request, map) = (&request, &map);
    let list = Snapshot::gather(op, cx.now(), PAGES_MAX, |at| {
        Box::pin(async move { ask_page(cx, Some(id), request(at.text())?, map).await })
    });
    Ok(about(id, list.await)?.items().to_vec())
}

/// What users hold in this company through groups.
struct Groups {
    by_user: BTreeMap<String, Held>,
    /// Whether who is not in it is in no group: the members of a security group are asked of Entra at that moment, and one whom
    /// Entra does not name just now is missing without a word.
    complete: bool,
}

/// Errors: `Unavailable` where a security group has no members at all.
async fn through_groups(
    of: &BusinessCentralConnector,
    cx: &ReadCx,
    id: &LedgerId,
    ledger: &Ledger<'_>,
    company: &Company,
) -> Result<Groups> {
    let (api, old) = (&of.api, of.settings.old_groups);
    let groups: Vec<Group> =
        all(cx, id, "groups.list", |q| api.groups(ledger, old, q), |body| map::groups(old, body)).await?;
    let request = |q: Option<&str>| api.group_members(ledger, old, q);
    let members: Vec<Member> = all(cx, id, "group_members.list", request, |body| map::members(old, body)).await?;
    let nobody = |g: &&Group| !old && !members.iter().any(|m| m.group == g.code);
    if let Some(group) = groups.iter().find(nobody) {
        return about(id, Err(map::empty(group)));
    }
    // A membership for another company gives nothing here, whatever sets its group has.
    let about_us = |m: &&Member| company.place(&m.company) != Place::Elsewhere;
    let members: Vec<&Member> = members.iter().filter(about_us).collect();
    let mut sets: BTreeMap<&str, Vec<Grant>> = BTreeMap::new();
    for group in groups.iter().filter(|g| members.iter().any(|m| m.group == g.code)) {
        let grants: Vec<Grant> = all(
            cx,
            id,
            "group_permissions.list",
            |q| api.group_permissions(ledger, old, &group.id, q),
            |body| map::group_grants(old, body),
        )
        .await?;
        sets.insert(&group.code, grants);
    }
    let mut by_user: BTreeMap<String, Held> = BTreeMap::new();
    for member in members {
        // A membership in a group that is not listed is a list that moved while it was read.
        let Some(grants) = sets.get(member.group.as_str()) else {
            return about(id, Err(map::moved("a user is in a group that is not in the list of groups")));
        };
        let held = by_user.entry(member.user.clone()).or_default();
        // An old group's sets hold wherever the membership does, which names the company.
        let place = |grant: &Grant| company.place(&grant.company).max(company.place(&member.company));
        grants.iter().for_each(|g| held.add(&g.set, place(g)));
    }
    Ok(Groups { by_user, complete: old || groups.is_empty() })
}

/// One page of the users who may open this company, with those of the environment who are disabled. Where the app itself
/// signs in, none of its users is ours, so that absence would never end anything: then who has no permission set is in it too,
/// unless a security group of the environment may have given it.
pub async fn page(of: &BusinessCentralConnector, cx: &ReadCx, id: &LedgerId, at: &Cursor) -> Result<Page<AccessFact>> {
    let ledger = Ledger::read("users.list", id)?;
    let company = company(&of.api, cx, id, &ledger).await?;
    let groups = through_groups(of, cx, id, &ledger, &company).await?;
    let request = of.api.users(&ledger, at.text())?;
    let read = |body: &[u8]| map::users(of.settings.email_field, cx.now(), body);
    let users = ask_page(cx, Some(id), request, read).await?;
    let mut found = Vec::new();
    for user in users.items {
        let own = |q: Option<&str>| of.api.user_permissions(&ledger, &user.id, q);
        let grants: Vec<Grant> =
            all(cx, id, "user_permissions.list", own, |body| map::user_grants(&user.id, body)).await?;
        let mut held = groups.by_user.get(&user.id).cloned().unwrap_or_default();
        grants.iter().for_each(|g| held.add(&g.set, company.place(&g.company)));
        found.push((user, held));
    }
    // That nobody at all has a set is more often half an answer than a company that was taken away from everybody (P02).
    let anybody = found.iter().any(|(_, held)| !held.sets.is_empty());
    let told = of.settings.app_only && anybody && groups.complete;
    let bare = if told { Bare::Removed } else { Bare::LeftOut };
    let fact = |(user, held)| map::fact(id, user, &held, &of.settings.decisive_sets, bare);
    Ok(Page { items: found.into_iter().filter_map(fact).collect(), next: users.next, total: None })
}
