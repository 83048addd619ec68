//! Changing who is on a folder: one collaboration at a time, and never one that belongs to another folder.

use jiff::Timestamp;
use ledgerward_contract::{
    Email, Error, ErrorKind, FolderRole, Gone, Granted, PermissionId, ReadCx, Result, Via, WriteCx,
};
use serde_json::json;

use crate::{
    BoxTarget,
    api::decode,
    map::{self, Collaboration, Item},
    refusal,
};

impl BoxTarget {
    pub(crate) fn role_word(&self, role: FolderRole) -> &str {
        match role {
            FolderRole::Reader => &self.settings.reader_role,
            FolderRole::Writer => "editor",
        }
    }

    pub(crate) async fn grant_person(
        &self,
        cx: &WriteCx,
        folder: &str,
        who: &Email,
        role: FolderRole,
        until: Option<Timestamp>,
    ) -> Result<Granted> {
        const OP: &str = "collaboration.create";
        if until.is_some() && !self.settings.expiry {
            return Err(Error::new(ErrorKind::Unsupported, OP, "this Box is not set up to end access by itself")
                .next("Give access without an end; or have an administrator allow owners to extend the expiry of collaborations, and set `expiry = true`."));
        }
        let expires = until.map(|t| t.to_string());
        let answer = cx.send(self.api.grant(folder, who.as_given(), self.role_word(role), expires)?).await?;
        if refusal::code(&answer) == "user_already_collaborator" {
            return self.already_there(cx, folder, who, role).await;
        }
        let made: Collaboration = decode(OP, &answer)?;
        // Another address of the same account may come back; something that is no person may not. It was not there before:
        // Box refuses to make what is there.
        if made.accessible_by.as_ref().is_some_and(|g| g.kind != "user") {
            let answer = cx.send(self.api.revoke(&made.id)?).await?;
            if answer.status != 404 {
                refusal::classify("collaboration.delete", &answer)?;
            }
            let says = "this address is a group's, and access is given to persons only";
            return Err(Error::new(ErrorKind::Unsupported, OP, says)
                .next("Give this person an address of their own on this target, or none."));
        }
        if until.is_some() && made.expires_at.is_none() {
            // Access for ever was not what the firm asked for.
            refusal::classify("collaboration.delete", &cx.send(self.api.revoke(&made.id)?).await?)?;
            return Err(Error::new(ErrorKind::Unsupported, OP, "Box did not take the end of the access, so it was taken back")
                .next("An administrator can allow owners to extend the expiry of collaborations; or give access without an end."));
        }
        granted(OP, made)
    }

    /// The person has an entry. It is raised where it gives too little, and never lowered.
    async fn already_there(&self, cx: &WriteCx, folder: &str, who: &Email, role: FolderRole) -> Result<Granted> {
        const OP: &str = "collaboration.create";
        let mut theirs = None;
        for entry in self.entries(cx.read(), folder).await?.into_iter().filter(|c| c.is_for(who)) {
            if self.is_direct(cx.read(), folder, &entry).await? {
                theirs = Some(entry);
            }
        }
        let Some(entry) = theirs else {
            let text = "Box says that the person is on the folder already, and its own list does not show them";
            return Err(Error::new(ErrorKind::Conflict, OP, text)
                .next("They may get in through a folder above, as the owner, or under another address; see the folder in Box."));
        };
        if !entry.is_open() {
            return Err(Error::new(ErrorKind::Conflict, OP, "the person declined the invitation to this folder")
                .next("Remove the declined invitation in Box after asking the person; it is then sent again."));
        }
        if map::gives(&entry.role, role) {
            return granted(OP, entry);
        }
        let answer = cx.send(self.api.set_role(&entry.id, self.role_word(role))?).await?;
        granted(OP, decode("collaboration.update", &answer)?)
    }

    pub(crate) async fn change_role(
        &self,
        cx: &WriteCx,
        folder: &str,
        permission: &PermissionId,
        role: FolderRole,
    ) -> Result<()> {
        const OP: &str = "collaboration.update";
        touchable(OP, permission)?;
        let answer = cx.read().send(self.api.collaboration(permission.as_str())?).await?;
        let now: Collaboration = decode(OP, &answer)?;
        self.may_touch(cx.read(), OP, folder, &now).await?;
        let word = self.role_word(role);
        if now.role == word {
            return Ok(());
        }
        let after: Collaboration = decode(OP, &cx.send(self.api.set_role(&now.id, word)?).await?)?;
        if after.role == word { Ok(()) } else { Err(Error::contract(OP, "Box accepted the role and shows another")) }
    }

    pub(crate) async fn take_away(&self, cx: &WriteCx, folder: &str, permission: &PermissionId) -> Result<Gone> {
        const OP: &str = "collaboration.delete";
        if let Some(item) = permission.as_str().strip_prefix("link-") {
            return self.cut_link(cx, folder, item).await;
        }
        touchable(OP, permission)?;
        let answer = cx.read().send(self.api.collaboration(permission.as_str())?).await?;
        let now: Collaboration = match decode(OP, &answer) {
            Err(e) if e.kind == ErrorKind::NotFound => {
                // 404 has two causes. Only with the folder in view does it mean that the person is gone.
                self.live_folder(cx.read(), "folder.stat", folder).await?;
                return Ok(Gone::Already);
            }
            other => other?,
        };
        self.may_touch(cx.read(), OP, folder, &now).await?;
        let answer = cx.send(self.api.revoke(&now.id)?).await?;
        let already = answer.status == 404;
        if !already {
            refusal::classify(OP, &answer)?;
        }
        // Whoever is on a folder above gets in as before.
        if self.above_of(cx.read(), folder).await?.iter().any(|c| c.is_open() && c.same_holder(&now)) {
            return Ok(Gone::StillVia(Via::Inherited));
        }
        Ok(if already { Gone::Already } else { Gone::Done })
    }

    async fn cut_link(&self, cx: &WriteCx, folder: &str, item: &str) -> Result<Gone> {
        const OP: &str = "link.delete";
        if item != folder {
            return Err(Error::new(ErrorKind::Forbidden, OP, "this link is on something in the folder, or above it")
                .next("Take it away in Box, where it is."));
        }
        if self.live_folder(cx.read(), OP, folder).await?.link(OP)?.is_none() {
            return Ok(Gone::Already);
        }
        let answer = cx.send(self.api.update_folder(OP, folder, json!({ "shared_link": null }))?).await?;
        match decode::<Item>(OP, &answer)?.link(OP)? {
            None => Ok(Gone::Done),
            Some(_) => Err(Error::contract(OP, "Box accepted the end of the link and still shows one")),
        }
    }

    /// Everybody on the lists of the folders above.
    async fn above_of(&self, cx: &ReadCx, folder: &str) -> Result<Vec<Collaboration>> {
        const OP: &str = "folder.place";
        let mut all = Vec::new();
        for id in self.live_folder(cx, OP, folder).await?.above(OP)? {
            all.extend(self.entries(cx, &id).await?);
        }
        Ok(all)
    }

    /// Whether an entry belongs to this very folder. A pending one may hide its folder: then it must be on this folder's
    /// list and on none above.
    async fn is_direct(&self, cx: &ReadCx, folder: &str, c: &Collaboration) -> Result<bool> {
        if let Some(item) = &c.item {
            return Ok(item.id == folder);
        }
        Ok(self.entries(cx, folder).await?.iter().any(|e| e.id == c.id)
            && !self.above_of(cx, folder).await?.iter().any(|e| e.id == c.id))
    }

    /// Ourselves and what belongs to another folder are never touched: a change there would reach all its folders.
    async fn may_touch(&self, cx: &ReadCx, op: &'static str, folder: &str, c: &Collaboration) -> Result<()> {
        if c.role == "owner" {
            return Err(Error::new(
                ErrorKind::Forbidden,
                op,
                "this is the folder's owner, whose access is never changed",
            ));
        }
        let me = self.me(cx).await?;
        if c.accessible_by.as_ref().is_some_and(|g| g.kind == "user" && g.id == me.id) {
            return Err(Error::new(ErrorKind::Forbidden, op, "this is the account that ledgerward itself acts as"));
        }
        if self.is_direct(cx, folder, c).await? {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Forbidden, op, "this access comes from another folder and cannot be changed here")
            .next("Remove the person from the folder above in Box: access there reaches every client's folder."))
    }
}

/// Owners and links are in our list under ids of our own.
fn touchable(op: &'static str, permission: &PermissionId) -> Result<()> {
    let says = match permission.as_str().split_once('-') {
        Some(("owner", _)) => "this is the folder's owner, whose access is never changed",
        Some(("link", _)) => "this is a link and not a person",
        Some(("hidden", _)) => "this is something that Box does not show to ledgerward's account",
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::Forbidden, op, says))
}

fn granted(op: &'static str, c: Collaboration) -> Result<Granted> {
    match c.status.as_str() {
        "accepted" => Ok(Granted::Now(PermissionId(c.id))),
        "pending" => Ok(Granted::Invited(PermissionId(c.id))),
        _ => Err(Error::contract(op, "Box made an entry in a state that is not known")),
    }
}
