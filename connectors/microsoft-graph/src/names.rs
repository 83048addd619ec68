//! Names and hashes. Pure.
//!
//! SharePoint refuses some characters and some names. They are written with look-alike characters, so that every name
//! that the firm gives can be written, and read back as it was given.

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest;

/// What SharePoint refuses in names, and what is written in its place.
const SWAPPED: [(char, char); 9] = [
    ('"', '＂'),
    ('*', '＊'),
    (':', '：'),
    ('<', '＜'),
    ('>', '＞'),
    ('?', '？'),
    ('/', '／'),
    ('\\', '＼'),
    ('|', '｜'),
];
/// Before a character that stands for itself.
const PLAIN: char = '‛';
const RESERVED: [&str; 4] = ["con", "prn", "aux", "nul"];

/// A name as SharePoint takes it. [`decode`] gives the name back.
pub fn encode(name: &str) -> String {
    let mut out = String::new();
    let low = name.to_lowercase();
    let stem = low.split('.').next().unwrap_or_default();
    let device =
        |kind: &str| stem.strip_prefix(kind).is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()));
    let whole = RESERVED.contains(&stem)
        || device("com")
        || device("lpt")
        || [".lock", "desktop.ini", "forms"].contains(&low.as_str())
        || low.starts_with("~$")
        || name.starts_with(' ');
    if whole {
        out.push(PLAIN);
    }
    for (at, c) in name.char_indices() {
        match SWAPPED.iter().find(|(from, _)| *from == c) {
            Some((_, to)) => out.push(*to),
            None => {
                if c == PLAIN || SWAPPED.iter().any(|(_, to)| *to == c) {
                    out.push(PLAIN);
                }
                out.push(c);
            }
        }
        // `_vti_` is refused anywhere in a name.
        if name.get(at..at + 5).is_some_and(|t| t.eq_ignore_ascii_case("_vti_")) {
            out.push(PLAIN);
        }
    }
    if out.ends_with([' ', '.']) {
        // A name must not end so; the sign at the end stands for nothing.
        out.push(PLAIN);
    }
    out
}

/// What [`encode`] was given.
pub fn decode(name: &str) -> String {
    let mut out = String::new();
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        if c == PLAIN {
            out.extend(chars.next());
        } else {
            out.push(SWAPPED.iter().find(|(_, to)| *to == c).map_or(c, |(from, _)| *from));
        }
    }
    out
}

/// Names are one name if they differ by case only: what they have in common then.
pub fn key(name: &str) -> String {
    name.to_lowercase()
}

pub fn same_name(a: &str, b: &str) -> bool {
    key(a) == key(b)
}

/// The name under which a folder is made before it has its mark and gets its own name. Nobody else picks it, so a folder
/// of this name is our own unfinished work.
pub fn working_name(mark: &str) -> String {
    let hash = digest::digest(&digest::SHA256, mark.as_bytes());
    let hex: String = hash.as_ref().iter().take(16).map(|b| format!("{b:02x}")).collect();
    format!("{WORKING}{hex}")
}

/// What stands before it.
pub const WORKING: &str = "ledgerward-new-";

/// What stands before the mark in the name of the file that carries it.
const MARK: &str = ".ledgerward-";

/// The name of the file that carries a mark.
pub fn mark_file(mark: &str) -> String {
    format!("{MARK}{}", encode(mark))
}

/// The mark that a file of this name carries.
pub fn mark_in(file: &str) -> Option<String> {
    file.strip_prefix(MARK).map(decode)
}

/// Microsoft's quickXorHash in base64: each byte is turned 11 bits further than the one before it in a circle of 160
/// bits, and the length is mixed into the end. Not for security: against damage on the way.
pub fn quick_xor(bytes: &[u8]) -> String {
    // After 160 bytes the turn is whole, so bytes that far apart meet in one place.
    let mut folded = [0_u8; 160];
    for some in bytes.chunks(folded.len()) {
        for (cell, byte) in folded.iter_mut().zip(some) {
            *cell ^= byte;
        }
    }
    let mut circle = [0_u8; 20];
    let mut mix = |bit: usize, byte: u8| {
        let wide = u16::from(byte) << (bit % 8);
        let [low, high] = wide.to_le_bytes();
        for (at, part) in [(bit / 8 % 20, low), ((bit / 8 + 1) % 20, high)] {
            if let Some(cell) = circle.get_mut(at) {
                *cell ^= part;
            }
        }
    };
    for (n, byte) in folded.into_iter().enumerate() {
        mix(n * 11 % 160, byte);
    }
    for (n, byte) in (bytes.len() as u64).to_le_bytes().into_iter().enumerate() {
        mix((12 + n) * 8, byte);
    }
    STANDARD.encode(circle)
}

/// Formats into which SharePoint writes properties of its own, so that size and hash differ from what was sent.
pub fn rewritten_by_server(name: &str) -> bool {
    const OFFICE: [&str; 12] =
        ["docx", "docm", "dotx", "dotm", "xlsx", "xlsm", "xltx", "xlsb", "pptx", "pptm", "potx", "vsdx"];
    name.rsplit_once('.').is_some_and(|(_, ext)| OFFICE.contains(&ext.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_microsofts() {
        let bytes: Vec<u8> = (0..100).flat_map(|_| 0..=255_u8).collect();
        assert_eq!(quick_xor(b"hello"), "aCgDG9jwBgAAAAAABQAAAAAAAAA=");
        assert_eq!(quick_xor(b"ledgerward"), "bCgDGc5QBjncIQxyKgMAAAAAAAA=");
        assert_eq!(quick_xor(&bytes), "AAAAAAAAAAAAAAAAAGQAAAAAAAA=");
    }

    #[test]
    fn n06_every_name_comes_back() {
        let names = [
            "CON",
            "con.pdf",
            "COM1",
            "com1.x",
            "console",
            "lpt9",
            ".lock",
            "desktop.ini",
            "~$d",
            "a_vti_b",
            "_VTI__vti_",
            "o'Neil \"quoted\"",
            "a:b*c",
            "‛",
            "‛CON",
            "a‛b：c",
            "：",
            "Forms",
            "Müller & Söhne #1 100%25",
            "株式会社",
            "a.",
            " a ",
        ];
        for name in names {
            let sent = encode(name);
            assert_eq!(decode(&sent), name, "{sent}");
            assert!(!sent.contains(['"', '*', ':', '<', '>', '?', '/', '\\', '|']), "{sent}");
            assert!(!sent.to_lowercase().contains("_vti_") && !sent.ends_with(['.', ' ']), "{sent}");
        }
        assert_eq!(encode("Acme Ltd"), "Acme Ltd");
    }
}
