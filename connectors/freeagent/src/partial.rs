//! The list of clients, and the trap in it: FreeAgent answers a junior account manager with that manager's own clients
//! and 200, without a word that there are more. Such a list must never be read as "the others are gone".
//!
//! No field says who is senior. What can be seen is whose clients are in the list: a client of another account manager
//! shows that the list is not a junior's. Where there is none, and the practice has other account managers, the list is
//! refused, unless the firm said in its settings that one person is the account manager of all.

use ledgerward_contract::{Cursor, Error, ErrorKind, LedgerRow, Page, ReadCx, Result};
use ledgerward_kit::{cursor, state};
use serde::{Deserialize, Serialize};

use crate::{
    Settings,
    api::Api,
    ask, ask_page,
    map::{self, ClientRow},
};

const OP: &str = "clients.list";

/// The `reason` in the context of the error for a list that may be a junior's.
pub const PARTIAL: &str = "partial_list";

/// Where the listing stands, and what it has shown so far. Our own cursor: the caller only carries it.
#[derive(Serialize, Deserialize)]
struct At {
    page: u32,
    /// Who signed in.
    me: String,
    /// The practice has account managers besides.
    others: bool,
    /// A client of somebody else was in the list.
    senior: bool,
    seen: u64,
}

impl At {
    async fn start(api: &Api, cx: &ReadCx) -> Result<Self> {
        let (me, _) = me(api, cx).await?;
        let first = ask_page(cx, None, api.account_managers()?, |body| map::account_managers(api, body)).await?;
        // Only whether there is anybody else is asked, so the first page is enough.
        let others = first.next.is_some() || first.items.iter().any(|id| *id != me);
        Ok(Self { page: 1, me, others, senior: false, seen: 0 })
    }

    /// After the last page: whether what was listed can be all.
    fn complete(&self, settings: &Settings) -> Result<()> {
        if self.seen < settings.clients_at_least {
            return Err(partial(self, "the list of clients is shorter than the setting clients_at_least allows")
                .with("listed", self.seen.to_string())
                .with("at_least", settings.clients_at_least.to_string())
                .next(
                    "Sign in as a senior account manager of the practice. If clients have left, lower clients_at_least.",
                ));
        }
        let stated = settings.manager_of_all.as_ref() == Some(&self.me);
        if self.senior || !self.others || stated {
            return Ok(());
        }
        Err(partial(self, "the list holds no client of another account manager, as a junior account manager's does")
            .next(format!(
                "Sign in as a senior account manager of the practice. If the one who signed in is senior and is the account \
                 manager of every client, set manager_of_all = \"{}\". Until then nothing is read and nothing is changed.",
                self.me
            )))
    }
}

fn partial(at: &At, what: &str) -> Error {
    // The cure is another sign-in or a setting, and no client need be asked about lost access, as for `Forbidden`.
    Error::new(ErrorKind::Config, OP, what).with("reason", PARTIAL).with("account_manager", at.me.clone())
}

/// The id and the address of the account manager who signed in.
pub async fn me(api: &Api, cx: &ReadCx) -> Result<(String, Option<String>)> {
    map::me(api, &ask(cx, None, api.me()?).await.map_err(not_a_practice)?.body)
}

fn not_a_practice(e: Error) -> Error {
    match e.kind {
        ErrorKind::Forbidden | ErrorKind::NotFound => e.next(
            "Make the app with \"Enable Accountancy Practice API\", and sign in as an account manager of the practice.",
        ),
        _ => e,
    }
}

/// One page of the clients that this sign-in reaches, the last one only where the list can be all of them.
pub async fn clients(api: &Api, settings: &Settings, cx: &ReadCx, at: Cursor) -> Result<Page<LedgerRow>> {
    let mut state = match state::<Option<At>>(OP, &at)? {
        None => At::start(api, cx).await?,
        Some(at) => at,
    };
    let page = ask_page(cx, None, api.clients(state.page)?, |body| map::clients(api, body)).await?;
    let foreign = |c: &ClientRow| c.account_manager.as_ref().is_some_and(|m| *m != state.me);
    state.senior |= page.items.iter().any(foreign);
    state.seen += page.items.len() as u64;
    let next = match page.next {
        None => {
            state.complete(settings)?;
            None
        }
        Some(_) => {
            state.page = state.page.saturating_add(1);
            Some(cursor(OP, &state)?)
        }
    };
    Ok(Page { items: page.items.into_iter().map(|c| c.row).collect(), next, total: page.total })
}
