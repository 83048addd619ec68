//! Changing who is on a folder: one entry at a time. A 200 proves nothing here, so every change is read back.

use std::time::Duration;

use ledgerward_contract::{
    Email, Error, ErrorKind, FolderRole, Gone, Granted, Holder, PermissionId, ReadCx, Result, Retry, SeenPermission,
    SeenRole, Timestamp, Via, WriteCx,
};

use crate::{
    GraphTarget,
    map::{self, Permission, Place},
    place::Lists,
    refusal,
};

/// How often a change is looked for, and how long between: SharePoint shows it after 1 to 3 s.
const LOOKS: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);

impl GraphTarget {
    pub(crate) async fn grant_person(
        &self,
        cx: &WriteCx,
        folder: &Place,
        who: &Email,
        role: FolderRole,
        until: Option<Timestamp>,
    ) -> Result<Granted> {
        const OP: &str = "permission.create";
        if until.is_some() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                OP,
                "a person's access at OneDrive and SharePoint has no end of its own",
            )
            .next("Give access without an end; ledgerward takes it away when its time is over."));
        }
        let me = self.me(cx.read()).await?;
        let lists = self.lists(cx.read(), OP, folder).await?;
        if let Some(has) = direct(&lists, &me, who)
            && map::gives(&has.role, role)
        {
            return Ok(granted(&has));
        }
        let answer = cx.send(self.api.invite(folder, who.as_given(), map::role_word(role))?).await?;
        refusal::classify(OP, &answer)?;
        // The answer names an entry, but neither it nor its errors (which are about mails) prove anything.
        let named = ids_in(&answer.body);
        for look in 0..LOOKS {
            self.pause(look).await;
            let now = self.entries(cx.read(), OP, folder).await?;
            let all: Vec<_> =
                now.iter().filter(|p| p.link_scope().is_none()).flat_map(|p| map::seen(p, &me, &Via::Direct)).collect();
            let theirs = all.iter().find(|p| p.holder == Holder::Person(who.clone()));
            // The tenant may know the person under another address.
            let renamed = all.iter().find(|p| named.contains(&p.id.0) && matches!(p.holder, Holder::Person(_)));
            if let Some(p) = theirs.or(renamed).filter(|p| map::gives(&p.role, role)) {
                return Ok(granted(p));
            }
            let group = |p: &&SeenPermission| {
                named.contains(&p.id.0) && matches!(p.holder, Holder::Group(_) | Holder::Everyone(_))
            };
            if let Some(group) = all.iter().find(group) {
                self.undo(cx, folder, group, &lists, &me).await?;
                let says = "this address is a group's, and access is given to persons only";
                return Err(Error::new(ErrorKind::Unsupported, OP, says)
                    .next("Give this person an address of their own on this target, or none."));
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            OP,
            "Microsoft accepted the invitation, and the person is not on the list",
        )
        .next("It is tried again; if it stays so, the tenant's rules for sharing swallow it.")
        .retry(Retry::No))
    }

    /// Whoever is in a group would get in by it. What was made goes again; what was on the list before stays as it was.
    async fn undo(
        &self,
        cx: &WriteCx,
        folder: &Place,
        made: &SeenPermission,
        before: &Lists,
        me: &map::Me,
    ) -> Result<()> {
        let was = before.own.iter().flat_map(|p| map::on_folder(p, me, &before.above)).find(|s| s.id == made.id);
        match was {
            Some(was) if was.role == made.role => Ok(()),
            // The invitation made a reading group a writing one.
            Some(was) if was.via == Via::Direct => {
                let word = map::role_word(FolderRole::Reader);
                let answer = cx.send(self.api.set_role(folder, made.id.as_str(), word)?).await?;
                refusal::classify("permission.update", &answer)
            }
            _ => {
                let answer = cx.send(self.api.revoke("permission.delete", folder, made.id.as_str())?).await?;
                if answer.status == 404 { Ok(()) } else { refusal::classify("permission.delete", &answer) }
            }
        }
    }

    pub(crate) async fn change_role(
        &self,
        cx: &WriteCx,
        folder: &Place,
        permission: &PermissionId,
        role: FolderRole,
    ) -> Result<()> {
        const OP: &str = "permission.update";
        let me = self.me(cx.read()).await?;
        let lists = self.lists(cx.read(), OP, folder).await?;
        let entry = find(&lists.own, permission).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, OP, "this entry is not on the list any more").next("It is read again.")
        })?;
        may_touch(OP, &me, entry, &lists)?;
        if entry.link_scope().is_some() {
            return Err(Error::new(ErrorKind::Unsupported, OP, "what a link gives cannot be changed")
                .next("Remove the link; the person is then given access directly."));
        }
        let wanted = match role {
            FolderRole::Reader => SeenRole::Reader,
            FolderRole::Writer => SeenRole::Writer,
        };
        // Graph refuses a change to what is already so.
        let is = |p: &Permission| map::seen(p, &me, &Via::Direct).iter().all(|s| s.role == wanted);
        if is(entry) {
            return Ok(());
        }
        refusal::classify(OP, &cx.send(self.api.set_role(folder, &entry.id, map::role_word(role))?).await?)?;
        for look in 0..LOOKS {
            self.pause(look).await;
            let now = self.entries(cx.read(), OP, folder).await?;
            if find(&now, permission).is_some_and(is) {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Unavailable, OP, "Microsoft accepted the role and shows another")
            .next("It is read again in the next run.")
            .retry(Retry::No))
    }

    /// Takes an entry away. A link for certain people goes as a whole or not at all: its list cannot be changed, and whoever
    /// else is on it is not to lose access by what was decided about one.
    pub(crate) async fn take_away(&self, cx: &WriteCx, folder: &Place, permission: &PermissionId) -> Result<Gone> {
        const OP: &str = "permission.delete";
        if permission.as_str().starts_with("hidden-") {
            let says = "this is something whose sharing list Microsoft does not show to ledgerward's account";
            return Err(Error::new(ErrorKind::Forbidden, OP, says));
        }
        let me = self.me(cx.read()).await?;
        let lists = self.lists(cx.read(), OP, folder).await?;
        let Some(entry) = find(&lists.own, permission).filter(|p| !lists.above.only_limited(p)) else {
            return Ok(Gone::Already);
        };
        may_touch(OP, &me, entry, &lists)?;
        if entry.id != permission.as_str() {
            let says = "this person gets in by a link for certain people, which nobody can be taken off alone";
            return Err(Error::new(ErrorKind::Forbidden, OP, says)
                .next("Take away the link itself, which `ledgerward holders list` shows; the planned ones of its people have access of their own."));
        }
        // Of a link: nobody. Its people may have other ways in by right.
        let whom = map::seen(entry, &me, &Via::Direct).into_iter().find(|s| s.id == *permission).map(|s| s.holder);
        let answer = cx.send(self.api.revoke(OP, folder, &entry.id)?).await?;
        let already = answer.status == 404;
        if !already {
            refusal::classify(OP, &answer)?;
        }
        if let Some(still) = self.still_listed(cx.read(), OP, folder, &entry.id).await? {
            // Neither refused nor done: what comes back is inherited, whatever it said of itself.
            return Ok(Gone::StillVia(if still.says_inherited() { Via::Inherited } else { Via::Direct }));
        }
        // With its last entry a folder may lose the list of its own.
        let now = self.lists(cx.read(), OP, folder).await?;
        let other = now.own.iter().flat_map(|p| map::on_folder(p, &me, &now.above));
        if let Some(other) = other.into_iter().find(|s| !s.role.lets_nobody_in() && whom.as_ref() == Some(&s.holder)) {
            return Ok(Gone::StillVia(other.via));
        }
        Ok(if already { Gone::Already } else { Gone::Done })
    }

    /// The entry, if it is on the list still after some looks. What is left of one without a role is not it.
    pub(crate) async fn still_listed(
        &self,
        cx: &ReadCx,
        op: &'static str,
        folder: &Place,
        id: &str,
    ) -> Result<Option<Permission>> {
        let mut still = None;
        for look in 0..LOOKS {
            self.pause(look).await;
            still = self.entries(cx, op, folder).await?.into_iter().find(|p| p.id == id && p.names_a_role());
            if still.is_none() {
                break;
            }
        }
        Ok(still)
    }

    /// Before every look but the first.
    pub(crate) async fn pause(&self, look: u32) {
        if look > 0 {
            ledgerward_kit::pause(PAUSE).await;
        }
    }
}

fn find<'a>(list: &'a [Permission], id: &PermissionId) -> Option<&'a Permission> {
    list.iter().find(|p| p.id == map::raw_id(id))
}

/// The person's own entry on the folder, links left out.
fn direct(lists: &Lists, me: &map::Me, who: &Email) -> Option<SeenPermission> {
    let own = lists.own.iter().filter(|p| p.link_scope().is_none());
    own.flat_map(|p| map::on_folder(p, me, &lists.above))
        .find(|s| s.via == Via::Direct && s.holder == Holder::Person(who.clone()))
}

fn granted(p: &SeenPermission) -> Granted {
    if p.pending { Granted::Invited(p.id.clone()) } else { Granted::Now(p.id.clone()) }
}

/// The ids that the answer to an invitation names.
fn ids_in(body: &[u8]) -> Vec<String> {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let list = body.get("value").and_then(|v| v.as_array()).cloned().unwrap_or_default();
    list.iter().filter_map(|p| p.get("id")?.as_str().map(str::to_owned)).collect()
}

/// The owner, ourselves and what comes from above are never touched.
fn may_touch(op: &'static str, me: &map::Me, entry: &Permission, lists: &Lists) -> Result<()> {
    let no = |says: &str| Error::new(ErrorKind::Forbidden, op, says.to_owned());
    let via = map::via(entry, &lists.above);
    for s in map::seen(entry, me, &via) {
        if s.role == SeenRole::Owner {
            return Err(no("this is the owner, whose access is never changed"));
        }
        if s.ourselves && entry.link_scope().is_none() {
            return Err(no("this is the account that ledgerward itself acts as"));
        }
    }
    if via == Via::Inherited {
        return Err(no("this access comes from the folder above and cannot be changed here")
            .next("Remove it from the folder above or the site: access there reaches every client's folder."));
    }
    Ok(())
}
