//! Whom we act as, and from where paths are counted: asked once in a while, and again when Dropbox says it has changed.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use jiff::SignedDuration;
use ledgerward_contract::{Error, ErrorKind, ReadCx, Request, Response, Result, WriteCx};
use serde_json::json;
use tokio::sync::MutexGuard;

use crate::{
    Dropbox,
    api::{PATH_ROOT, decode},
    map::Account,
};

/// How long an answer about the account is believed.
const BELIEVED: SignedDuration = SignedDuration::from_mins(10);
/// Looks at a job before it is left to the caller, with growing pauses: about ten seconds.
pub const LOOKS: u32 = 10;

/// The account, and what follows from its namespaces.
#[derive(Clone, Debug)]
pub(crate) struct Me {
    pub account: Arc<Account>,
    /// The root namespace, where it is another than the home: goes with every request.
    pub path_root: Option<String>,
    /// Path of the folder that holds the client folders.
    pub root: String,
}

impl Dropbox {
    pub(crate) async fn me(&self, cx: &ReadCx) -> Result<Me> {
        let known = self.me.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, me)) = known
            && cx.now().duration_since(at).abs() < BELIEVED
        {
            return Ok(me);
        }
        let account: Account = decode("account.get", &cx.send(self.api.account()?).await?)?;
        let at = &account.root_info;
        let path_root = (at.root_namespace_id != at.home_namespace_id).then(|| at.root_namespace_id.clone());
        let home = match (&path_root, self.settings.team_space) {
            (Some(_), false) => at.home_path.clone().ok_or_else(|| {
                Error::contract("account.get", "Dropbox does not say where the account's home lies in the team space")
            })?,
            (None, true) => {
                return Err(Error::new(ErrorKind::Config, "account.get", "the account has no team space")
                    .next("Take `team_space` out of the settings, or sign in with a member of a team that has one."));
            }
            _ => String::new(),
        };
        let me = Me { root: format!("{home}{}", self.settings.root), path_root, account: Arc::new(account) };
        *self.me.lock().unwrap_or_else(PoisonError::into_inner) = Some((cx.now(), me.clone()));
        Ok(me)
    }

    pub(crate) fn forget_me(&self) {
        *self.me.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// After a 422: whom we act as by now, if paths still mean what they meant. Never falls back to the home.
    async fn me_again(&self, cx: &ReadCx, op: &'static str, before: &Me) -> Result<Me> {
        self.forget_me();
        let now = self.me(cx).await?;
        if now.root == before.root {
            return Ok(now);
        }
        Err(Error::new(ErrorKind::Unavailable, op, "the team space was rearranged while it was in use")
            .next("The next run reads everything again."))
    }

    /// Sends a reading request with the path root.
    pub(crate) async fn ask(&self, cx: &ReadCx, request: Request) -> Result<Response> {
        let me = self.me(cx).await?;
        let answer = cx.send(rooted(request.clone(), &me)?).await?;
        if answer.status != 422 {
            return Ok(answer);
        }
        let now = self.me_again(cx, request.op, &me).await?;
        cx.send(rooted(request, &now)?).await
    }

    /// Sends a writing request with the path root, one at a time.
    pub(crate) async fn tell(&self, cx: &WriteCx, request: Request) -> Result<Response> {
        let held = self.writes.lock().await;
        self.tell_held(cx, request, &held).await
    }

    /// The same for whoever has the turn to write already.
    pub(crate) async fn tell_held(&self, cx: &WriteCx, request: Request, _: &MutexGuard<'_, ()>) -> Result<Response> {
        self.tell_beside(cx, request).await
    }

    /// Sends what changes no namespace, beside a write that is under way: bytes that no file has yet.
    pub(crate) async fn tell_beside(&self, cx: &WriteCx, request: Request) -> Result<Response> {
        let me = self.me(cx.read()).await?;
        let answer = cx.send(rooted(request.clone(), &me)?).await?;
        if answer.status != 422 {
            return Ok(answer);
        }
        let now = self.me_again(cx.read(), request.op, &me).await?;
        cx.send(rooted(request, &now)?).await
    }
}

fn rooted(mut request: Request, me: &Me) -> Result<Request> {
    if let Some(root) = &me.path_root {
        let text = json!({ ".tag": "root", "root": root }).to_string();
        let value = HeaderValue::from_str(&text)
            .map_err(|_| Error::contract(request.op, "the id of the team space is no plain text"))?;
        request.headers.insert(PATH_ROOT, value);
    }
    Ok(request)
}

/// The pause before the nth look at a job.
pub(crate) async fn pause(nth: u32) {
    ledgerward_kit::pause(Duration::from_millis(200 * u64::from(nth + 1))).await;
}
