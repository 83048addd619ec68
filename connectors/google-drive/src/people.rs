//! Letting a person in to a folder.

use jiff::{SignedDuration, Timestamp};
use ledgerward_contract::{Email, Error, ErrorKind, FolderRole, Granted, PermissionId, Result, WriteCx};

use crate::{
    Drive,
    api::decode,
    map::{self, Permission},
    refusal,
};

/// Google ends access by itself at most a year ahead; a day is left for clocks.
const EXPIRY_MAX: SignedDuration = SignedDuration::from_hours(364 * 24);

impl Drive {
    /// The folder's gate is held.
    pub(crate) async fn let_in(
        &self,
        cx: &WriteCx,
        folder: &str,
        who: &Email,
        role: FolderRole,
        until: Option<Timestamp>,
    ) -> Result<Granted> {
        const OP: &str = "permission.create";
        if until.is_some() && role != FolderRole::Reader {
            return Err(Error::new(
                ErrorKind::Unsupported,
                OP,
                "Google Drive ends access to a folder by itself only for readers",
            )
            .next("Give the role reader, or give access without an end."));
        }
        // Ending earlier than asked is safe; a later end is given when the year is over.
        let until = until.map(|t| t.min(cx.now().saturating_add(EXPIRY_MAX).unwrap_or(t)).to_string());
        // A create answers alike for what it made and for what was there.
        let before = self.own_entries(cx.read(), folder).await?;
        let request = self.api.grant(folder, who.as_given(), map::role_word(role), until)?;
        let answer = self.invite(cx, request).await?;
        let made: Permission = if refusal::shared_but_no_mail(&answer) {
            let theirs = |p: &Permission| {
                matches!(p.kind.as_str(), "user" | "group")
                    && p.is_direct()
                    && p.email_address.as_deref().and_then(|e| Email::parse(e).ok()).as_ref() == Some(who)
            };
            self.own_entries(cx.read(), folder).await?.into_iter().find(theirs).ok_or_else(|| {
                Error::new(
                    ErrorKind::Unavailable,
                    OP,
                    "Google says that it shared the folder and does not list the person yet",
                )
                .next("It is read again in the next run.")
            })?
        } else {
            decode(OP, &answer)?
        };
        if made.kind == "user" {
            return Ok(Granted::Now(PermissionId(made.id)));
        }
        let before = before.iter().find(|p| p.id == made.id && p.is_direct());
        self.undo(cx, folder, &made, before).await?;
        Err(Error::new(ErrorKind::Unsupported, OP, "this address is a group's, and access is given to persons only")
            .next("Give this person an address of their own on this target, or none."))
    }

    /// Whoever is in a group would get in by it. What was made goes again; what was there stays as it was.
    async fn undo(&self, cx: &WriteCx, folder: &str, made: &Permission, before: Option<&Permission>) -> Result<()> {
        match before {
            Some(p) if p.role == made.role => Ok(()),
            Some(p) => {
                let answer = cx.send(self.api.set_role(folder, &p.id, &p.role, false)?).await?;
                refusal::classify("permission.update", &answer)
            }
            None => {
                let answer = cx.send(self.api.revoke(folder, &made.id)?).await?;
                if answer.status == 404 { Ok(()) } else { refusal::classify("permission.delete", &answer) }
            }
        }
    }
}
