//! The configuration that `init` writes.

/// What stands where only the firm knows what must: refused as a value.
pub const PLACEHOLDER: &str = "YOUR-CLIENT-ID";

/// A commented configuration that is whole but for the client ids: Xero as the source, Google Drive as the target, in
/// `report` mode, so that the first run shows everything and changes no sharing list.
pub fn template(owner_email: &str, firm_name: &str) -> String {
    let domain = owner_email.rsplit_once('@').map_or("harbour.example", |(_, d)| d).trim();
    let (name, domain) = (quoted(firm_name), quoted(&domain.to_lowercase()));
    TEMPLATE.replace("{{name}}", &name).replace("{{domain}}", &domain)
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

const TEMPLATE: &str = r##"# ledgerward's configuration. People, clients and selections are not in here: see `ledgerward people`, `clients`
# and `select`, or `firm export`. After a change: ledgerward doctor
version = 1

[firm]
name = {{name}}
domains = [{{domain}}]                # addresses elsewhere are held until approved, once per person
timezone = "UTC"                        # an IANA name such as "Pacific/Auckland"; schedules are meant in it
# letterhead = ["1 Quay Street", "Auckland 1010"]

[schedule]
access = "every 5 minutes"              # or a cron expression of five fields
statements = "30 6 * * *"

# --- where access is read from ---------------------------------------------------------------------------------------
[connections.xero]
connector = "xero"
client_id = "YOUR-CLIENT-ID"            # from developer.xero.com
client_secret = { file = "xero-secret" }  # beside this file, chmod 0400; or { credential = "xero-secret" } of systemd
scopes = "granular"                     # "broad" for apps made before March 2026, or a list

# What each role of the ledger gives: reader, writer, none or unknown. `ledgerward roles table` shows all of them.
# [connections.xero.roles]
# INVOICEONLY = "none"

# --- where the folders are -------------------------------------------------------------------------------------------
[targets.drive]
connector = "google-drive"
client_id = "YOUR-CLIENT-ID"            # from console.cloud.google.com
client_secret = { file = "drive-secret" }
# root = "0AFolderId"                   # leave out, and ledgerward makes a folder of its own
# "mirror": sharing lists are kept equal to the access computed.
# "report": no sharing list is changed and differences are shown; folders are made, and files go where no stranger is.
# "off": files go there whoever can read the place; needs audience = "who that is".
sharing = "report"
# always_allowed = ["it@harbour.example"] # break-glass administrators: in no plan, and no strangers

# --- what is delivered -----------------------------------------------------------------------------------------------
[statements]
kinds = ["profit-and-loss", "balance-sheet", "bank-register"]
formats = ["pdf", "xlsx"]
periods = ["month"]                     # month, quarter, year
after_days = 5                          # days after a period's end
basis = "accrual"                       # or "cash"
# template = "{year}/{period} {kind}[ {ledger}][ {account}][ (v{n})].{ext}"
# How PDFs look. It sends nothing again by itself: ledgerward statements push --rerender
# fonts = ["/usr/share/fonts/NAME.ttf"] # for letters that the built-in one (Latin, Greek, Cyrillic) lacks
# paper = "a4"                          # or "letter"
# accent = "#1f3a5f"                    # the colour of rules and of the firm's name

# --- what decides ----------------------------------------------------------------------------------------------------
[policy]
unlisted = "manual"                     # a client whose ledger lists nobody: manual, deny or roster
confirm_after = "5 minutes"             # between the two readings that make a removal
authority = "all"                       # of a client's several ledgers: all, or any
additive_only = false                   # true: never take anything away
# four_eyes = true                      # what admins change waits for an owner; on by itself once there are two owners

# A guard holds what is more than max(floor, percent) in 24 hours. These are the defaults.
# [guards]
# leavers = { floor = 1, percent = 10 }
# pairs_removed = { floor = 3, percent = 10 }
# client_loses = { floor = 2, percent = 50 }
# overall = { floor = 8, percent = 10 }
# pairs_added = { floor = 10, percent = 20 }
# person_gains = { floor = 5, percent = 25 }
# churn = { floor = 2, percent = 10 }     # clients of a connection that vanished or have another name or id
# touched = { floor = 12, percent = 30 }  # pairs added and removed together

# Which local user is which person: `id -u NAME` prints the number.
# [operators]
# 1000 = "ana@harbour.example"

# [state]
# The key that seals the tokens; without this line, a file beside the state. Exactly 32 bytes: head -c 32 /dev/urandom
# key = { credential = "ledgerward-key" } # or { file = "/etc/ledgerward/ledgerward-key" }, before `init` makes the state

# [metrics]
# metrics_listen = "127.0.0.1:9464"     # loopback only

# The local API is on the daemon's socket; on TCP only with this line, for who has a token: ledgerward api token add
# [api]
# listen = "127.0.0.1:8790"             # loopback only

# [log]
# format = "journald"                   # text, json or journald
# level = "info"                        # error, warn, info or debug
"##;
