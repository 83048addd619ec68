//! Who may open one company. Users belong to an environment; a permission set, of a user or of a group that the user is
//! in, is for one company by its name, or for all.

use std::collections::{BTreeMap, BTreeSet};

use ledgerward_contract::{AccessFact, Cursor, LedgerId, Listed, Page, ReadCx, Request, Result, Snapshot};
use ledgerward_kit::about;

use crate::{
    BusinessCentralConnector,
    api::{Api, Ledger},
    ask, ask_page,
    map::{self, Company, Grant, Group, Member},
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

/// By user, the permission sets in this company that come through groups.
async fn through_groups(
    of: &BusinessCentralConnector,
    cx: &ReadCx,
    id: &LedgerId,
    ledger: &Ledger<'_>,
    name: &str,
) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let (api, old) = (&of.api, of.settings.old_groups);
    let groups: Vec<Group> = all(cx, id, "groups.list", |q| api.groups(ledger, old, q), map::groups).await?;
    let members: Vec<Member> =
        all(cx, id, "group_members.list", |q| api.group_members(ledger, old, q), |body| map::members(old, name, body))
            .await?;
    let mut sets: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for group in groups.iter().filter(|g| members.iter().any(|m| m.group == g.code)) {
        let grants: Vec<Grant> = all(
            cx,
            id,
            "group_permissions.list",
            |q| api.group_permissions(ledger, old, &group.id, q),
            |body| map::group_grants(old, body),
        )
        .await?;
        // An old group's sets hold wherever the membership does, which names the company.
        sets.insert(&group.code, grants.into_iter().filter(|g| g.in_company(name)).map(|g| g.set).collect());
    }
    let mut by_user: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for member in &members {
        // A membership in a group that is not listed is a list that moved while it was read.
        let Some(sets) = sets.get(member.group.as_str()) else {
            return about(id, Err(map::moved("a user is in a group that is not in the list of groups")));
        };
        by_user.entry(member.user.clone()).or_default().extend(sets.iter().cloned());
    }
    Ok(by_user)
}

/// One page of the users who may open this company, with those of the environment who are disabled.
pub async fn page(of: &BusinessCentralConnector, cx: &ReadCx, id: &LedgerId, at: &Cursor) -> Result<Page<AccessFact>> {
    let ledger = Ledger::read("users.list", id)?;
    let company = company(&of.api, cx, id, &ledger).await?;
    let groups = through_groups(of, cx, id, &ledger, &company.name).await?;
    let request = of.api.users(&ledger, at.text())?;
    let read = |body: &[u8]| map::users(of.settings.email_field, cx.now(), body);
    let users = ask_page(cx, Some(id), request, read).await?;
    let mut items = Vec::new();
    for user in users.items {
        let own = |q: Option<&str>| of.api.user_permissions(&ledger, &user.id, q);
        let grants: Vec<Grant> =
            all(cx, id, "user_permissions.list", own, |body| map::user_grants(&user.id, body)).await?;
        let mut sets: BTreeSet<String> =
            grants.into_iter().filter(|g| g.in_company(&company.name)).map(|g| g.set).collect();
        sets.extend(groups.get(&user.id).into_iter().flatten().cloned());
        items.extend(map::fact(id, user, &sets, &of.settings.decisive_sets));
    }
    Ok(Page { items, next: users.next, total: None })
}
