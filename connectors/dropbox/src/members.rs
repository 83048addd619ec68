//! Changing who is on a folder. Always looks first: Dropbox says little about what a repeat does.

use std::sync::PoisonError;

use ledgerward_contract::{
    Email, Error, ErrorKind, FolderRole, Gone, Granted, Holder, Job, JobId, PermissionId, ReadCx, Result, Retry,
    SeenPermission, SeenRole, Via, WriteCx,
};
use serde_json::{Value, json};

use crate::{
    Dropbox,
    account::{LOOKS, pause},
    api::decode,
    map::{self, Links, Members},
    refusal,
};

const PAGES_MAX: u32 = 1_000;

impl Dropbox {
    /// Everybody on the folder, from above included.
    pub(crate) async fn everybody(&self, cx: &ReadCx, folder: &str) -> Result<Vec<SeenPermission>> {
        const OP: &str = "members.list";
        let me = self.me(cx).await?;
        let f = self.folder(cx, OP, folder).await?;
        let mut answer = self.ask(cx, self.api.members(folder, f.nested_path())?).await?;
        let mut all = Vec::new();
        for _ in 0..PAGES_MAX {
            let page: Members = decode(OP, &answer)?;
            all.extend(map::seen(&page, &me.account.account_id, &Via::Direct));
            match page.cursor.filter(|c| !c.is_empty()) {
                Some(cursor) => answer = self.ask(cx, self.api.members_more(&cursor)?).await?,
                None if all.is_empty() => return Err(nobody(OP)),
                None => return Ok(all),
            }
        }
        Err(Error::contract(OP, "the member list did not end"))
    }

    pub(crate) async fn let_in(&self, cx: &WriteCx, folder: &str, who: &Email, role: FolderRole) -> Result<Granted> {
        const OP: &str = "member.add";
        let before = self.everybody(cx.read(), folder).await?;
        let theirs = |p: &&SeenPermission| p.via == Via::Direct && p.holder == Holder::Person(who.clone());
        if let Some(there) = before.iter().find(theirs) {
            if map::gives(&there.role, role) {
                return Ok(granted(there));
            }
            match (&there.role, there.pending) {
                (SeenRole::Reader, false) => {
                    self.update(cx, folder, there, role).await?;
                    return Ok(granted(there));
                }
                (SeenRole::Reader, true) => self.invite_anew(cx, folder, there, who.as_given(), role).await?,
                // Listed and no member: who gets into something below only, or into nothing.
                _ => self.invite(cx, folder, who.as_given(), role).await?,
            }
        } else {
            self.invite(cx, folder, who.as_given(), role).await?;
        }
        let after = self.everybody(cx.read(), folder).await?;
        match after.iter().find(theirs) {
            Some(there) if map::gives(&there.role, role) => return Ok(granted(there)),
            Some(there) => return Err(not_that(OP, &there.role)),
            None => {}
        }
        // An account can show another address than the one it was invited by: then the one new entry is theirs.
        let known = |p: &SeenPermission| before.iter().any(|b| b.id == p.id);
        let fresh: Vec<_> = after.iter().filter(|p| p.via == Via::Direct && !known(p)).collect();
        match fresh.as_slice() {
            // Whoever is in a group would get in by it.
            [one] if matches!(one.holder, Holder::Group(_)) => {
                self.take_out(cx, folder, one).await?;
                let says = "this address is a group's, and access is given to persons only";
                Err(Error::new(ErrorKind::Unsupported, OP, says)
                    .next("Give this person an address of their own on this target, or none."))
            }
            [one] => Ok(granted(one)),
            _ => Err(Error::new(
                ErrorKind::Unavailable,
                OP,
                "Dropbox says that it added the person and does not list them yet",
            )
            .next("It is read again in the next run.")),
        }
    }

    /// Takes an invitation back and sends another; not while none can be sent.
    async fn invite_anew(
        &self,
        cx: &WriteCx,
        folder: &str,
        old: &SeenPermission,
        email: &str,
        role: FolderRole,
    ) -> Result<()> {
        self.may_invite(cx)?;
        if let Gone::Pending(_) = self.take_out(cx, folder, old).await? {
            // Another invitation now would be ended by this removal.
            let text = "Dropbox is still taking the invitation back, to send it with another role";
            return Err(
                Error::new(ErrorKind::Unavailable, "member.add", text).next("Nothing to do: a later run sends it.")
            );
        }
        self.invite(cx, folder, email, role).await.map_err(|e| {
            let message = format!("the invitation was taken back to be sent with another role, and then {}", e.message);
            Error { message, ..e }
        })
    }

    /// Errors: the day's invitations are used up.
    fn may_invite(&self, cx: &WriteCx) -> Result<()> {
        const OP: &str = "member.add";
        let rests = *self.adding_rests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = rests.map(|until| until.duration_since(cx.now())).filter(|left| left.is_positive()) {
            let wait = left.unsigned_abs();
            return Err(Error::new(ErrorKind::RateLimited, OP, "the day's invitations of this account are used up")
                .next("Nothing to do: this process adds people again after 24 hours.")
                .retry(Retry::After(wait)));
        }
        Ok(())
    }

    /// Adds one person, unless the day's invitations are used up.
    async fn invite(&self, cx: &WriteCx, folder: &str, email: &str, role: FolderRole) -> Result<()> {
        const OP: &str = "member.add";
        self.may_invite(cx)?;
        let answer = self.tell(cx, self.api.add(folder, email, map::level(role))?).await?;
        if answer.status == 409 && refusal::tags(&answer) == "rate_limit" {
            let until = cx.now().saturating_add(refusal::ADDING_PAUSE).ok();
            *self.adding_rests.lock().unwrap_or_else(PoisonError::into_inner) = until;
        }
        decode::<()>(OP, &answer)
    }

    async fn update(&self, cx: &WriteCx, folder: &str, p: &SeenPermission, role: FolderRole) -> Result<()> {
        const OP: &str = "member.update";
        let answer = self.tell(cx, self.api.set_level(folder, p.id.as_str(), map::level(role))?).await?;
        decode::<serde_json::Map<String, Value>>(OP, &answer).map(drop)
    }

    pub(crate) async fn change(
        &self,
        cx: &WriteCx,
        folder: &str,
        permission: &PermissionId,
        role: FolderRole,
    ) -> Result<()> {
        const OP: &str = "member.update";
        let list = self.everybody(cx.read(), folder).await?;
        let Some(now) = list.iter().find(|p| p.id == *permission) else {
            return Err(Error::new(ErrorKind::NotFound, OP, "this member is not on the folder any more")
                .next("It is read again in the next run."));
        };
        touchable(OP, now)?;
        let wanted = if role == FolderRole::Writer { SeenRole::Writer } else { SeenRole::Reader };
        if now.role == wanted {
            return Ok(());
        }
        match (&now.holder, now.pending) {
            // Dropbox changes no invitation: it is taken back and made anew, without a mail.
            (Holder::Person(email), true) => {
                self.invite_anew(cx, folder, now, email.as_given(), role).await?;
            }
            _ => self.update(cx, folder, now, role).await?,
        }
        let after = self.everybody(cx.read(), folder).await?;
        let same = |p: &&SeenPermission| p.id == *permission || (now.pending && p.holder == now.holder);
        match after.iter().find(same) {
            Some(p) if p.role == wanted => Ok(()),
            _ => Err(Error::contract(OP, "Dropbox accepted the role and shows another")),
        }
    }

    pub(crate) async fn put_out(&self, cx: &WriteCx, folder: &str, permission: &PermissionId) -> Result<Gone> {
        const OP: &str = "member.remove";
        if permission.as_str().starts_with("link-") {
            return self.drop_link(cx, folder, permission).await;
        }
        let list = self.everybody(cx.read(), folder).await?;
        let rows: Vec<_> = list.iter().filter(|p| p.id == *permission).collect();
        let Some(now) = rows.iter().find(|p| p.via == Via::Direct).or(rows.first()) else { return Ok(Gone::Already) };
        touchable(OP, now)?;
        self.take_out(cx, folder, now).await
    }

    /// Removes a direct entry and waits for the job, as far as that is short.
    async fn take_out(&self, cx: &WriteCx, folder: &str, p: &SeenPermission) -> Result<Gone> {
        const OP: &str = "member.remove";
        let member = match &p.holder {
            Holder::Person(email) if p.pending => json!({ ".tag": "email", "email": email.as_given() }),
            _ => json!({ ".tag": "dropbox_id", "dropbox_id": p.id.as_str() }),
        };
        let answer = self.tell(cx, self.api.remove(folder, member)?).await?;
        if answer.status == 409 {
            match refusal::tags(&answer).as_str() {
                "member_error/not_a_member" => return Ok(Gone::Already),
                "group_access" => return Ok(Gone::StillVia(Via::Inherited)),
                _ => {}
            }
        }
        let told: Value = decode(OP, &answer)?;
        let job = told
            .get("async_job_id")
            .and_then(Value::as_str)
            .ok_or_else(|| Error::contract(OP, "Dropbox gave no job for a removal"))?;
        for nth in 0..LOOKS {
            match self.removal(cx.read(), job).await? {
                Removal::Running => pause(nth).await,
                Removal::Done => return Ok(Gone::Done),
                Removal::StillIn => return Ok(Gone::StillVia(Via::Inherited)),
                Removal::Failed(e) => return Err(*e),
            }
        }
        Ok(Gone::Pending(JobId(format!("remove:{job}"))))
    }

    async fn removal(&self, cx: &ReadCx, job: &str) -> Result<Removal> {
        const OP: &str = "job.poll";
        let told: Value = decode(OP, &self.ask(cx, self.api.remove_job(job)?).await?)?;
        match told.get(".tag").and_then(Value::as_str) {
            Some("in_progress") => Ok(Removal::Running),
            // Whoever keeps a level of access gets in another way.
            Some("complete") if told.get("access_level").is_some_and(|l| !l.is_null()) => Ok(Removal::StillIn),
            Some("complete") => Ok(Removal::Done),
            Some("failed") => {
                let why = told.get("failed").unwrap_or(&Value::Null);
                Ok(match refusal::chain(why).as_str() {
                    // An earlier job, whose answer was lost, came first.
                    "member_error/not_a_member" => Removal::Done,
                    "group_access" => Removal::StillIn,
                    _ => Removal::Failed(Box::new(refusal::of_union("member.remove", why))),
                })
            }
            _ => Err(Error::contract(OP, "the answer is no state of a job that we know")),
        }
    }

    pub(crate) async fn job(&self, cx: &ReadCx, job: &JobId) -> Result<Job> {
        let Some(id) = job.as_str().strip_prefix("remove:") else {
            return Err(Error::new(ErrorKind::Config, "job.poll", "this is no job of this target"));
        };
        Ok(match self.removal(cx, id).await? {
            Removal::Running => Job::Running,
            Removal::Done => Job::Done,
            Removal::StillIn => Job::Failed("the person still gets in through a folder above".to_owned()),
            Removal::Failed(e) => Job::Failed(e.message),
        })
    }

    /// Every link of ours, page by page.
    pub(crate) async fn links(&self, cx: &ReadCx, cursor: Option<&str>) -> Result<Links> {
        decode("links.list", &self.ask(cx, self.api.links(cursor)?).await?)
    }

    /// Ends links on the folder itself: all of them, or the one of this id.
    pub(crate) async fn cut_links(&self, cx: &WriteCx, folder: &str, only: Option<&PermissionId>) -> Result<usize> {
        let f = self.folder(cx.read(), "link.close", folder).await?;
        let (mut cursor, mut ended) = (None::<String>, Vec::new());
        for _ in 0..PAGES_MAX {
            let page = self.links(cx.read(), cursor.as_deref()).await?;
            for link in page.links.iter().filter(|l| l.path_lower.is_some() && l.path_lower == f.path_lower) {
                let Some(kind) = link.kind() else { continue };
                if only.is_none_or(|id| link.seen(kind, Via::Direct).id == *id) {
                    ended.push(link.url.clone());
                }
            }
            cursor = page.cursor.filter(|_| page.has_more);
            if cursor.is_none() {
                break;
            }
        }
        for url in &ended {
            let answer = self.tell(cx, self.api.revoke_link(url)?).await?;
            if !(answer.status == 409 && refusal::tags(&answer).starts_with("shared_link_not_found")) {
                decode::<()>("link.close", &answer)?;
            }
        }
        Ok(ended.len())
    }

    async fn drop_link(&self, cx: &WriteCx, folder: &str, permission: &PermissionId) -> Result<Gone> {
        Ok(match self.cut_links(cx, folder, Some(permission)).await? {
            0 => Gone::Already,
            _ => Gone::Done,
        })
    }
}

enum Removal {
    Running,
    Done,
    StillIn,
    Failed(Box<Error>),
}

fn granted(p: &SeenPermission) -> Granted {
    if p.pending { Granted::Invited(p.id.clone()) } else { Granted::Now(p.id.clone()) }
}

/// Somebody was added and has something else than was asked for.
fn not_that(op: &'static str, has: &SeenRole) -> Error {
    match has {
        SeenRole::Other(word) => Error::new(
            ErrorKind::Unsupported,
            op,
            format!("the person is on the folder with \"{word}\", an access that ledgerward does not know"),
        )
        .next("Take the person off the folder in Dropbox; the next run adds them as planned."),
        _ => Error::new(
            ErrorKind::Unavailable,
            op,
            "Dropbox says that it added the person, and lists them with less than that",
        )
        .next("It is read again in the next run."),
    }
}

pub(crate) fn nobody(op: &'static str) -> Error {
    Error::contract(op, "Dropbox gave an empty member list; every shared folder has at least an owner")
}

/// Owners and ourselves are never touched; what comes from above cannot be.
fn touchable(op: &'static str, p: &SeenPermission) -> Result<()> {
    if p.role == SeenRole::Owner || p.ourselves {
        return Err(Error::new(
            ErrorKind::Forbidden,
            op,
            "this is the folder's owner or ledgerward's own account, whose access is never changed",
        ));
    }
    if p.via != Via::Direct {
        return Err(Error::new(
            ErrorKind::Forbidden,
            op,
            "this access comes from a folder above and cannot be changed here",
        )
        .next("Remove the person there, or cut the folder's inheritance."));
    }
    Ok(())
}
