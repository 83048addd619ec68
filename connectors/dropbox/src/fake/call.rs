//! What every request has to have: a token, headers, an argument of the right kind.

use ledgerward_kit::fake::FakeRequest;
use serde_json::{Value, json};

use super::{Answer, Body, Call, DropboxFake, Refuse, plain, refuse};

impl DropboxFake {
    /// Sign-in, headers and argument.
    pub(super) fn call(&mut self, request: &FakeRequest, route: &str, content: bool, nothing: bool) -> Answer<Call> {
        let bearer = request.header("authorization").and_then(|h| h.strip_prefix("Bearer "));
        let mut who = match bearer.map(|token| self.oauth.bearer(token, self.now)) {
            None => return plain("Error in call: missing authorization header"),
            Some(Err(word)) => return refuse(401, json!({ ".tag": word })),
            Some(Ok(who)) => who,
        };
        let member = request.header("dropbox-api-select-user");
        match (who.team, member) {
            (true, None) => {
                return plain(
                    "This API function operates on a single Dropbox account, but the OAuth 2 access token you provided is for an entire Dropbox Business team. Missing header Dropbox-API-Select-User",
                );
            }
            (false, Some(_)) => return plain("Error in call: Dropbox-API-Select-User with a user's token"),
            (true, Some(id)) => match self.st.member(id) {
                Some(email) => who.email = email,
                None => return refuse(401, json!({ ".tag": "invalid_select_user" })),
            },
            _ => {}
        }
        let rooted = self.path_root(request, &who.email)?;
        let text = match (content, request.headers.get("dropbox-api-arg")) {
            (true, None) => return plain("Error in call: missing header Dropbox-API-Arg"),
            (true, Some(header)) => match header.to_str() {
                Ok(text) if text.bytes().all(|b| b < 0x7f) => text.to_owned(),
                _ => return plain("Error in call: HTTP header \"Dropbox-API-Arg\": not ASCII"),
            },
            (false, _) => String::from_utf8_lossy(&request.body).into_owned(),
        };
        let kind = request.header("content-type").unwrap_or_default();
        let right = match (content, route) {
            (true, "files/download") => kind.is_empty() || kind == "application/octet-stream",
            (true, _) => kind == "application/octet-stream",
            (false, _) => kind == "application/json" || text.is_empty(),
        };
        if !right {
            return plain(format!("Error in call: Bad HTTP \"Content-Type\" header: \"{kind}\""));
        }
        let arg: Value = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(json!(0)) };
        if nothing != arg.is_null() || !(arg.is_null() || arg.is_object()) {
            return plain("Error in call: request body: could not decode input as JSON of this route");
        }
        Ok(Call { who, rooted, arg })
    }

    fn path_root(&self, request: &FakeRequest, email: &str) -> Answer<bool> {
        let Some(header) = request.header("dropbox-api-path-root") else { return Ok(false) };
        let root: Value = serde_json::from_str(header).unwrap_or_default();
        match root[".tag"].as_str() {
            Some("home") => Ok(false),
            Some("root") if root["root"] == json!(self.st.root_ns(email)) => Ok(self.st.team_root(email).is_some()),
            Some("root") => {
                let mut error = self.st.root_info(email);
                error[".tag"] = json!("invalid_root");
                Err(Refuse { status: 422, body: Body::Union(error), retry_after: None })
            }
            _ => plain("Error in call: HTTP header \"Dropbox-API-Path-Root\": not understood"),
        }
    }
}

/// The scope that a route needs, and whether it takes no argument. `None`: not known here, or on the other host.
pub(super) fn needs(route: &str, content: bool) -> Option<(&'static str, bool)> {
    let found = match route {
        "users/get_current_account" | "users/get_space_usage" => ("account_info.read", true, false),
        "auth/token/revoke" => ("", true, false),
        "files/get_metadata"
        | "files/list_folder"
        | "files/list_folder/continue"
        | "files/list_folder/get_latest_cursor" => ("files.metadata.read", false, false),
        "files/create_folder_v2" | "files/move_v2" | "files/delete_v2" | "files/upload_session/finish_batch_v2" => {
            ("files.content.write", false, false)
        }
        "files/download" => ("files.content.read", false, true),
        "files/upload"
        | "files/upload_session/start"
        | "files/upload_session/append_v2"
        | "files/upload_session/finish" => ("files.content.write", false, true),
        "sharing/list_folders"
        | "sharing/get_folder_metadata"
        | "sharing/list_folder_members"
        | "sharing/list_folder_members/continue"
        | "sharing/list_file_members"
        | "sharing/list_file_members/continue"
        | "sharing/list_shared_links" => ("sharing.read", false, false),
        "sharing/share_folder"
        | "sharing/check_share_job_status"
        | "sharing/add_folder_member"
        | "sharing/update_folder_member"
        | "sharing/remove_folder_member"
        | "sharing/check_remove_member_job_status"
        | "sharing/update_folder_policy"
        | "sharing/set_access_inheritance"
        | "sharing/revoke_shared_link" => ("sharing.write", false, false),
        _ => return None,
    };
    (found.2 == content).then_some((found.0, found.1))
}
