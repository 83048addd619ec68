//! What answers look like, in a notation that is read once and printed as JSON Schema.
//!
//! `s` text, `t` time, `d` day, `i` whole number, `b` true or false, `any`, `null`, `'word'`, `[x]` a list, `<x>` an object of
//! `x` by name, `x|y` either, `#Name` another shape, `{name:x, name?:x}` an object of exactly these, `…` if others may come.
//! A name with a version is an answer of its own, which says so in `schema`.

use serde_json::{Map, Value, json};

/// All of them, by name.
#[rustfmt::skip]
pub const SHAPES: &[(&str, &str)] = &[
    ("Counts", "{urgent:i, warning:i, notice:i}"),
    ("Run", "{id:s, kind:s, actor:s, started:t, ended:s, exit:i|'unknown', complete:b, part:b, message:s}"),
    ("RunOrUnknown", "#Run|'unknown'"),
    ("Effect", "{summary:s, changed:b}"),
    ("Source", "{connection:s, kind:s, id:s}"),
    ("ClientWords", "{id:s, name:s, slug:s}"),
    ("PersonWords", "{id:s, name:s, email:s}"),
    ("Target", "{name:s, sharing:s, audience?:s}"),
    ("Answer", "'yes'|'no'|'held'"),
    ("Check", "{answer:#Answer, role:'reader'|'writer'|'none', scope:'whole'|'accounts'|'none', reasons:[s], \
        person:#PersonWords, client:#ClientWords, target:s|null}"),
    ("Delivery", "{files:[any], waiting:[any], not_available:[s], failed:[s]}"),
    ("Lane", "{lane:any, client:s, end:'done'|'drifted'|'failed', steps:[{step:any, ok:b, error:s|null}], trouble:any}"),

    ("File", "{path:s, sha256:s, base64?:s}"),
    ("Review", "{schema:'ledgerward/review/1', review:s, started:t, by:s, lines:s, undecided:s, reviewers:[s], chain:s, seal:s}"),
    ("List", "{connection:s, title:s, kind:s, state:'believed'|'held'|'not_read', why:s|null, next:s|null, clients:i|null, people:i|null, \
        pairs:i|null, last_believed:null|{clients:i, pairs:i, at:t}, file:any}"),
    ("OwnStep", "{client:s, target:s, does:s, state:'planned'|'held'|'done'|'failed', because:s, error:s|null}"),

    ("status/1", "{ok:b, problems:[s], firm:s, people:s, clients:s, \
        runs:[{kind:s, last_attempt:#Run, last_complete:#RunOrUnknown, last_part:#RunOrUnknown}], last_complete_cycle:#RunOrUnknown, \
        sign_ins:[{name:s, account:s, state:s, text:s}], holds:[{digest:s, since:t, approved:b}], findings:#Counts, \
        freeze:'off'|{since:t, by:s, reason:s}, restored:'no'|{since:t, why:s}, unreadable:[{source:s, since:s, why:s}], \
        exposure:'unknown'|{days:s, removals:s, minutes_p50:s, minutes_p95:s, minutes_max:s}}"),
    ("connectors/1", "{connectors:[{name:s, title:s, is:s, sign_in:s, access:s, grade:s, statements:[s], limits:[{name:s, limit:s}], \
        roles:[{role:s, gives:s}], settings:[{key:s, help:s}], unverified:[s], …}], markdown:s}"),
    ("doctor/1", "{offline:b, lines:[{about:s, level:s, text:s, next:s}], assumptions:[{connector:s, text:s, checked:s}]}"),
    ("firm/1", "{file:s}"),
    ("roles/1", "{roles:[{connection:s, role:s, gives:s, from:s, users:i}]}"),
    ("tokens/1", "{tokens:[{name:s, person:s, made:t, by:s, expires:t|null, ended:b}]}"),
    ("token/1", "{name:s, person:s, token:s, expires:t|null}"),
    ("token-revoked/1", "{name:s}"),
    ("people/1", "{people:[{id:s, email:s, first:s, last:s, office:s, mode:s, enabled:b, closed:null|{…}, domain_accepted:b, \
        in_firm_domains:b, aliases:<[s]>, addresses:<s>, selected:i, when_granted:i}], others:i}"),
    ("change/1", "{changes:[#Effect], staged:[s], opened?:[any], access?:[any]}"),
    ("revoke/1", "{person:s, closed:i, still_open:[s]}"),
    ("clients/1", "{clients:[{id:s, slug:s, name:s, state:s, private:b, sources?:[#Source], authority?:any, unlisted:s, \
        targets:'all'|[s], accounts?:'all'|[any], year_end:s, since:s, selected?:i}], others:i}"),
    ("accept/1", "{clients:[{client:s, id:s, changed:b, gain:[s], unknown:i}], staged:[s]}"),
    ("new-folder/1", "{client:s, target:s, folders:[s]}"),
    ("rename-folder/1", "{folders:[{target:s, name:s, can_rename:b}]}"),
    ("select/1", "{person:{id:s, email:s}, clients:[{client:s, id:s, answer:s, text:s, because:s}], staged:[s], dry_run:b}"),
    ("groups/1", "{groups:[{name:s, clients:i, by_name:i, connections:[s]}], offered:[{connection:s, name:s, lines:i, clients:i}]}"),
    ("group/1", "{name:s, connections:[s], clients:[{id:s, slug:s, name:s, how:s}], others:i}"),
    ("offices/1", "{roles:[{role:s, may:[s], group:s}]}"),
    ("guests/1", "{guests:[{person:{id:s, email:s}, client:{id:s, slug:s}, until:t, reason:s, break_glass:b, \
        state:'over'|'sees'|'gives_nothing'|'unknown', because:s}]}"),
    ("changes-show/1", "{changes:[{id:s, author:s, reason:s, does:s, change:any}], access:[any], digest:s}"),
    ("what-if/1", "{changes:s, clients:[any], effects:[any], held:[any]}"),
    ("gaps/1", "{gaps:[{client:s, target:s, who:s, gap:any, because:s}], troubles:[s]}"),
    ("leavers/1", "{leavers:[{person:{id:s, email:s}, since:t, ledgers_open:s, folders_open:s, ledgers:[any]}]}"),
    ("leaver/1", "{person:{id:s, email:s}, since:t, by:s, reason:s, we_can_close:[s], only_the_client_can:[s], ledgers:[any], \
        pack?:{seal:s, directory?:s, files?:[#File]}}"),
    ("reviews/1", "{reviews:[#Review]}"),
    ("review/1", "{review:s, started:t, by:s, lines:s, undecided:s, reviewers:[s], chain:s, seal:s, staged?:[s], by_hand?:[s]}"),
    ("review-export/1", "{review:s, files:[#File]}"),
    ("sealed/1", "{kind:s, subject:s, seal:s, files:[#File]}"),
    ("firm-apply/1", "{changes:[#Effect], applied:b, staged:[s]}"),
    ("adopt/1", "{target:s, candidates:[{client:s, folder:s, name:s, why:s, certain:b, holders?:[s], outside?:[s], holders_unread?:s}], \
        folders?:[{id:s, name:s, marker:s|null}], clients?:[s], \
        adopted:[{client:s, folder:s, name:s, error?:s, accepted?:[s], entitled?:[s], open?:[s], outside?:[s]}]}"),
    ("roster/1", "{lists?:[#List], list?:#List, clients?:[any], bind?:[s], notes?:any, accepted?:b, connection?:s, why?:s|null, \
        pairs?:i, before?:i, believed?:b, next?:s|null, file?:any, settings?:{…}}"),
    ("move/1", "{client:s, from:s, to:s, enter:[s], leave:[s], files:i, old_list_stays:s|null, change:s|null, filled:t|null, \
        closed:t|null, waits_for?:s|null}"),
    ("own-status/1", "{clients:i, held:i, selected:i}"),
    ("own-pull/1", "{whole:b}"),
    ("own-plan/1", "{digest:s, steps:[#OwnStep], others:i}"),
    ("own-sync/1", "{applied:b, steps:[#OwnStep], others:i}"),
    ("private/1", "{clients:[{id:s, slug:s, name:s, state:s, targets:[s]|null, shared_with:[s]}]}"),
    ("holders/1", "{holders:[{client:s, target:s, account:any, folder:any, holder:s, role:s, via:any, pending:any, state:s}], troubles:[s]}"),
    ("release/1", "{target:s, folders:i, grants:i}"),
    ("holder/1", "{act:s, holders:[{client:s, target:s, holder:s}], failed?:[s]}"),
    ("changes/1", "{changes:[{id:s, state:'staged'|'published'|'rejected', at:t, author:s, reason:s|null, change:any}]}"),
    ("rejected/1", "{changes:[s]}"),
    ("holds/1", "{holds:[{digest:s, since:t, approved:null|{by:s, at:t, reason:s, expires:t}, hold:any}]}"),
    ("approval/1", "{digest:s, expires:t}"),
    ("freeze/1", "{freeze:null|{since:t, by:s, reason:s}}"),
    ("access/1", "{at:t, last_read:s, rows:[{client:#ClientWords, person:#PersonWords, target:s, account?:s, account_name?:s, answer:#Answer, role:s, \
        state:s, source?:s, because:s, since?:t, until?:t}], targets:[#Target], nobody:[#ClientWords], proposed:i, private:[#ClientWords], others:i}"),
    ("access-at/1", "{day?:d, end:t, rows:[{client:#ClientWords, person:#PersonWords, ledger?:<s>, known?:<s>, applied?:[any]}], \
        targets:[#Target], others:i, names_of:s, clock:s}"),
    ("access-check/1", "{answer:#Answer, role:'reader'|'writer'|'none', scope:'whole'|'accounts'|'none', reasons:[s], \
        person:#PersonWords, client:#ClientWords, target:s|null, as_of:t, age_ms:i, last_read:s}"),
    ("access-checks/1", "{checks:[#Check|#Problem], as_of:t, age_ms:i, last_read:s}"),
    ("why/1", "{person:s, client:s, verdict:#Answer, text:s, role:s, mode:s, selection:any, \
        sources:[{source:#Source, name:s, grade:s, fact:s, why:s, role:s, since:s, text:s, decides:b}], \
        applied:[s], would_change:[s], targets:[#Target]}"),
    ("findings/1", "{findings:[{number:s, code:s, subject:s, severity:s, text:s, next:s, since:t, opened:t, state:s, resolved?:t, how?:s}], \
        open:#Counts}"),
    ("forecast/1", "{offline:b, limits:[{target:s, limit:s, what:s, counts:s, firmness:'hard'|'advised', used:s, of:s, percent:s, \
        used_by:'target'|'state', a_month:s, fills:'full'|'soon_or_later'|'not_in_sight'|'unknown', days:s, source:s, verified:b, \
        next:s, finding:b}], troubles:[s]}"),
    ("runs/1", "{runs:[#Run]}"),
    ("plan/1", "{digest:s, plan:any, held:any, troubles:[s], unconfirmed:i, unreadable:i}"),
    ("pull/1", "{ledgers:i, unreadable:i, troubles:[s], rereads:i}"),
    ("sync/1", "{applied:b, lanes?:[#Lane], delivery?:#Delivery, held?:any, troubles?:[s], unconfirmed?:i, unreadable?:i}"),
    ("statements/1", "{statements:[{client:s, ledger:s, kind:s, period:s, account?:s, state:any, version:s, files:[any]}], not_known:[s]}"),
    ("statements-accept/1", "{client:s, files:[{path:s, is:s}]}"),
    ("statements-push/1", "{delivery:#Delivery}"),
    ("audit/1", "{rows:[{seq:i, at:t, actor:s, act:s, subject:s, before:any, after:any, reason:s|null, hash:s}], next:i|null}"),
    ("audit-verify/1", "{whole:b, rows?:s, head?:s, row?:s, why?:s}"),
    // Not of the API: these commands are about this machine, or make the state.
    ("error/1", "{exit:i, message:s, causes:[s], next:s|null}"),
    ("check/1", "{ok:b, problems:[s], last_complete_sync:s}"),
    ("init/1", "{config:s, config_kept:b, state:s, owner:{id:s, email:s, first:s, last:s}}"),
    ("connect/1", "{connection:s, sign_ins:[{sign_in:s, account:s, company:s|null, not_granted:[s]}]}"),
    ("backup/1", "{file:s}"),
    ("restore/1", "{file:s, state:s, restored:b, keys:'shut'|'open'}"),
    ("restore-confirm/1", "{confirmed:b, was?:s}"),
    ("key-rotate/1", "{key:s}"),
    ("key-replace/1", "{replaced:b, key?:s, sign_ins?:[s]}"),
    ("statements-render/1", "{files:[s], skipped:[s]}"),
    ("pack-verify/1", "{whole:b, kind:s, subject:s, made:s, seal:s, files:s, faults:[s], audit:{seq:s, hash:s}}"),
    ("connector-check/1", "{ok:b, checks:[any], notes:[s]}"),
    ("demo/1", "{dir:s, checks:i}"),
    ("sandbox/1", "{stopped:b}"),
    ("run/1", "{}"),
    ("completions/1", "{shell:s, script:s}"),
    ("man/1", "{roff:s}"),
    ("health/1", "{version:s, since:t, stopping:b, busy:b, resident_bytes:any}"),

    ("openapi", "{openapi:s, info:{…}, paths:{…}, components:{…}, …}"),
    ("Problem", "{type:s, title:s, status:i, detail:s, next:s|null, causes:[s], at:null|{in:'path'|'query'|'body', name:s}, permission:s|null}"),
];

/// A name as it may stand in a reference: `access/1` is `access-1`.
pub fn component(name: &str) -> String {
    name.replace('/', "-")
}

/// All shapes as JSON Schema, by their component's name.
pub fn schemas() -> Map<String, Value> {
    let one = |(name, text): &(&str, &str)| {
        let mut schema = read(text).unwrap_or(Value::Bool(true));
        if name.contains('/')
            && let Some(map) = schema.as_object_mut()
        {
            if let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) {
                properties.insert("schema".to_owned(), json!({"const": format!("ledgerward/{name}")}));
            }
            if let Some(required) = map.get_mut("required").and_then(Value::as_array_mut) {
                required.insert(0, json!("schema"));
            }
        }
        (component(name), schema)
    };
    SHAPES.iter().map(one).collect()
}

/// The answers that say in `schema` what they are, each as a JSON Schema of its own with all that it needs.
pub fn published() -> Vec<(String, Value)> {
    let all = schemas();
    let answers = SHAPES.iter().filter(|(name, _)| name.contains('/'));
    answers.map(|(name, _)| ((*name).to_owned(), alone(name, &all))).collect()
}

fn alone(name: &str, all: &Map<String, Value>) -> Value {
    let mut schema = all.get(&component(name)).cloned().unwrap_or_default();
    let (mut defs, mut open) = (Map::new(), Vec::new());
    point(&mut schema, &mut open);
    while let Some(one) = open.pop() {
        if !defs.contains_key(&one) {
            let mut def = all.get(&one).cloned().unwrap_or_default();
            point(&mut def, &mut open);
            defs.insert(one, def);
        }
    }
    if let Some(map) = schema.as_object_mut() {
        map.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        map.insert("title".to_owned(), json!(format!("ledgerward/{name}")));
        if !defs.is_empty() {
            map.insert("$defs".to_owned(), Value::Object(defs));
        }
    }
    schema
}

/// References that stand by themselves, and what they name.
fn point(schema: &mut Value, named: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(to)) = map.get_mut("$ref") {
                let name = to.rsplit('/').next().unwrap_or_default().to_owned();
                *to = format!("#/$defs/{name}");
                named.push(name);
            }
            map.values_mut().for_each(|v| point(v, named));
        }
        Value::Array(items) => items.iter_mut().for_each(|v| point(v, named)),
        _ => {}
    }
}

/// One text of the notation. `None`: it is not in it.
fn read(text: &str) -> Option<Value> {
    let mut rest = Reader { text };
    let schema = rest.either()?;
    rest.text.trim().is_empty().then_some(schema)
}

struct Reader<'t> {
    text: &'t str,
}

impl<'t> Reader<'t> {
    fn take(&mut self, word: &str) -> bool {
        let rest = self.text.trim_start();
        let Some(after) = rest.strip_prefix(word) else { return false };
        self.text = after;
        true
    }

    fn name(&mut self) -> Option<&'t str> {
        let rest = self.text.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(end)?;
        self.text = after;
        (!name.is_empty()).then_some(name)
    }

    fn either(&mut self) -> Option<Value> {
        let mut all = vec![self.one()?];
        while self.take("|") {
            all.push(self.one()?);
        }
        if all.len() == 1 { all.pop() } else { Some(json!({"anyOf": all})) }
    }

    fn one(&mut self) -> Option<Value> {
        if self.take("[") {
            let items = self.either()?;
            return self.take("]").then(|| json!({"type": "array", "items": items}));
        }
        if self.take("<") {
            let each = self.either()?;
            return self.take(">").then(|| json!({"type": "object", "additionalProperties": each}));
        }
        if self.take("{") {
            return self.object();
        }
        if self.take("#") {
            let name = self.name()?;
            return Some(json!({"$ref": format!("#/components/schemas/{name}")}));
        }
        if self.take("'") {
            let (word, after) = self.text.split_once('\'')?;
            self.text = after;
            return Some(json!({"const": word}));
        }
        match self.name()? {
            "s" => Some(json!({"type": "string"})),
            "t" => Some(json!({"type": "string", "format": "date-time"})),
            "d" => Some(json!({"type": "string", "format": "date"})),
            "i" => Some(json!({"type": "integer"})),
            "b" => Some(json!({"type": "boolean"})),
            "null" => Some(json!({"type": "null"})),
            "any" => Some(json!({})),
            _ => None,
        }
    }

    fn object(&mut self) -> Option<Value> {
        let (mut properties, mut required, mut open) = (Map::new(), Vec::new(), false);
        while !self.take("}") {
            if self.take("…") {
                open = true;
            } else {
                let name = self.name()?;
                if !self.take("?") {
                    required.push(json!(name));
                }
                if !self.take(":") {
                    return None;
                }
                properties.insert(name.to_owned(), self.either()?);
            }
            self.take(",");
        }
        Some(json!({"type": "object", "properties": properties, "required": required, "additionalProperties": open}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_can_be_read_and_names_shapes_that_are_there() {
        for (name, text) in SHAPES {
            assert!(read(text).is_some(), "{name}: {text}");
            for other in text.split('#').skip(1) {
                let other: String = other.chars().take_while(char::is_ascii_alphanumeric).collect();
                assert!(SHAPES.iter().any(|(n, _)| *n == other), "{name}: there is no #{other}");
            }
        }
        assert_eq!(read("{a:s"), None);
        assert_eq!(read("x"), None);
    }
}
