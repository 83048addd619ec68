//! Addresses of things: by id, by a path from the top, and by a path from a thing.

use super::state::{Refuse, State, refuse};

/// What an address means.
#[derive(Debug)]
pub enum Found {
    Thing(String),
    /// Nothing of this name in that folder yet.
    Free {
        parent: String,
        name: String,
    },
}

pub fn decoded(part: &str) -> String {
    let (mut out, mut bytes) = (Vec::new(), part.bytes());
    while let Some(b) = bytes.next() {
        let hex = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        if b == b'%' {
            if let (Some(high), Some(low)) = (hex(bytes.next()), hex(bytes.next())) {
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
            }
        } else {
            out.push(b);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The thing that an address names, and what follows it. `below` is what stands after the drive's id.
pub fn find<'a>(st: &State, drive: &str, below: &'a [&'a str]) -> Result<(Found, Vec<&'a str>), Refuse> {
    let (start, mut rest) = match below {
        ["root", rest @ ..] => (st.drives.get(drive).map(|d| (d.top.clone(), false)), rest),
        ["root:", rest @ ..] => (st.drives.get(drive).map(|d| (d.top.clone(), true)), rest),
        ["items", id, rest @ ..] => {
            let plain = id.trim_end_matches(':');
            (Some((decoded(plain), id.ends_with(':'))), rest)
        }
        _ => (None, below),
    };
    let Some((mut at, by_path)) = start else { return refuse(404, "itemNotFound", "The resource could not be found.") };
    if st.nodes.get(&at).is_none_or(|n| n.drive != drive || st.is_away(&n.id)) {
        return refuse(404, "itemNotFound", "The resource could not be found.");
    }
    let (mut last, mut free) = (!by_path, None);
    while !last {
        let Some((part, more)) = rest.split_first() else { break };
        rest = more;
        last = part.ends_with(':');
        let name = decoded(part.trim_end_matches(':'));
        if free.is_some() {
            return refuse(404, "itemNotFound", "The resource could not be found.");
        }
        match st.child(&at, &name) {
            Some(node) => at = node.id.clone(),
            None => free = Some(Found::Free { parent: at.clone(), name }),
        }
    }
    Ok((free.unwrap_or(Found::Thing(at)), rest.to_vec()))
}
