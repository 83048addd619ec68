//! Any name that somebody typed → one safe folder or file name, stable and injective (faults N01–N11).
//!
//! A name is data, never a path. What comes out is one component that every target takes (a disk, Drive, OneDrive,
//! Dropbox, S3), looks like what went in, and stays the same for ever, because folders in the world carry it. Two clients
//! never share a folder: [`assign`] compares by [`unique_key`], as a case-insensitive target does, and adds ` ~id8`.

use std::collections::BTreeSet;

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_segmentation::UnicodeSegmentation;
use uuid::Uuid;

/// Most graphemes in a component (N07).
pub const GRAPHEMES_MAX: usize = 120;
/// Most bytes in a component. Targets take 255; the rest is room for a suffix and an extension.
pub const BYTES_MAX: usize = 200;

/// Eight hex digits for people. The *last* ones: a UUIDv7 begins with the time, so clients made in the same minute share
/// their first eight.
pub fn id8(id: &Uuid) -> String {
    let hex = id.simple().to_string();
    hex.get(24..).unwrap_or(&hex).to_owned()
}

/// One safe component for a client's name. Idempotent. A name with nothing visible in it becomes `client-<id8>` (N11).
pub fn component(name: &str, id: &Uuid) -> String {
    safe(name, &id8(id), "client")
}

/// As [`component`], for names that are not a client's: `tag` is a short stable text of `[0-9a-z]` that tells two things
/// apart, `fallback` is what an empty name becomes (`<fallback>-<tag>`).
pub fn safe(name: &str, tag: &str, fallback: &str) -> String {
    let visible: String = name.chars().filter(|c| !invisible(*c)).nfc().collect();
    if !visible.chars().any(says_something) {
        return format!("{fallback}-{tag}");
    }
    let cut = shorten(&escape_reserved(trimmed(&replaced(&visible))), GRAPHEMES_MAX, BYTES_MAX, tag);
    if cut.is_empty() { format!("{fallback}-{tag}") } else { cut }
}

/// A text that may stand *inside* a component (an account's name in a file name): no separators, nothing invisible, no
/// outer blanks, at most 60 graphemes and 90 bytes. May be empty.
pub fn part(text: &str, tag: &str) -> String {
    let visible: String = text.chars().filter(|c| !invisible(*c)).nfc().collect();
    shorten(trimmed(&replaced(&visible)), 60, 90, tag)
}

/// Letters that decompose into nothing plainer, and how people write them where there is ASCII only.
const PLAIN: [(char, &str); 17] = [
    ('ø', "o"),
    ('ß', "ss"),
    ('æ', "ae"),
    ('œ', "oe"),
    ('ł', "l"),
    ('đ', "d"),
    ('ð', "d"),
    ('þ', "th"),
    ('ħ', "h"),
    ('ŧ', "t"),
    ('ŋ', "ng"),
    ('ı', "i"),
    ('ĸ', "k"),
    ('ƒ', "f"),
    ('ɨ', "i"),
    ('ə', "e"),
    ('ʻ', ""),
];

/// A text in small letters, its Latin ones without marks: `Søns & Łódź` becomes `sons & lodz`. Letters of other scripts
/// stay as they are. For people to type; never to compare by, because different names become equal.
pub fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase) {
        match PLAIN.iter().find(|(letter, _)| *letter == c) {
            Some((_, plain)) => out.push_str(plain),
            None => out.push(c),
        }
    }
    out
}

/// What two names must differ in to be two names on every target: case-folded and normalised. Compatibility forms are
/// folded too, which is coarser than any target is and therefore safe (N09).
pub fn unique_key(name: &str) -> String {
    // Upper-casing first folds what lower-casing alone leaves apart: ß and SS, ς and σ, ſ and s.
    let folded = name.nfkc().collect::<String>().to_uppercase().to_lowercase();
    folded.nfkc().collect()
}

/// The name for a client's folder among names that are taken already (as [`unique_key`]s): the plain one, or with
/// ` ~id8`, or with more of the id. The caller stores the answer; it is not asked again for a folder that exists (N01).
pub fn assign(taken: &BTreeSet<String>, wanted: &str, id: &Uuid) -> String {
    let plain = component(wanted, id);
    if !taken.contains(&unique_key(&plain)) {
        return plain;
    }
    let hex = id.simple().to_string();
    let tags = [id8(id), hex.get(16..).unwrap_or(&hex).to_owned(), hex.clone()];
    // Past the whole id only a name made to look like ours can be in the way; there are finitely many of those.
    let numbered = (2..=taken.len() + 2).map(|n| format!("{hex}-{n}"));
    tags.into_iter()
        .chain(numbered)
        .map(|tag| suffixed(&plain, &tag))
        .find(|name| !taken.contains(&unique_key(name)))
        .unwrap_or_else(|| suffixed(&plain, &hex))
}

/// `name ~tag`, within the limits of a component.
pub fn suffixed(name: &str, tag: &str) -> String {
    let room = tag.len() + 2;
    let head = cut_to(name, GRAPHEMES_MAX.saturating_sub(room), BYTES_MAX.saturating_sub(room));
    format!("{} ~{tag}", trimmed(head))
}

/// Characters that nobody sees: controls, bidi controls, zero-width, variation selectors, blanks that are letters to
/// Unicode, non-characters (N06). Tab and line breaks stay here and become a blank.
fn invisible(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}'
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffc}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        | '\u{fdd0}'..='\u{fdef}')
        || (c as u32 & 0xfffe) == 0xfffe
}

/// Whether a character can be what makes a name a name: not a blank, not a dot, not one that gets replaced or is our own
/// replacement.
fn says_something(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, '.' | '_' | '~') && stand_in(c).is_none() && !STAND_INS.contains(&c)
}

/// Full-width twins: visible, allowed everywhere, and the same choice as rclone's, so that people know them.
const STAND_INS: [char; 9] = ['／', '＼', '：', '＊', '？', '＂', '＜', '＞', '｜'];

fn stand_in(c: char) -> Option<char> {
    Some(match c {
        '/' => '／',
        '\\' => '＼',
        ':' => '：',
        '*' => '＊',
        '?' => '？',
        '"' => '＂',
        '<' => '＜',
        '>' => '＞',
        '|' => '｜',
        _ => return None,
    })
}

/// Forbidden characters replaced, runs of blanks made one blank (N05).
fn replaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_whitespace() {
            if !out.ends_with(' ') {
                out.push(' ');
            }
        } else {
            out.push(stand_in(c).unwrap_or(c));
        }
    }
    out
}

/// Without outer blanks and trailing dots, which Windows drops by itself and so makes two names one.
fn trimmed(text: &str) -> &str {
    text.trim_end_matches([' ', '.']).trim_start_matches(' ')
}

/// Names that some target or system treats as its own get a leading `_` (N08): on all targets, since folders move.
fn escape_reserved(name: &str) -> String {
    const DEVICES: [&str; 8] = ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$", "config$"];
    const WHOLE: [&str; 6] = ["desktop.ini", "thumbs.db", "forms", "icon", "lost+found", "$recycle.bin"];
    // SharePoint refuses `_vti_` anywhere in a name.
    let name = replace_ignoring_case(name, "_vti_", "-vti-");
    let lower = name.to_lowercase();
    let stem = lower.split('.').next().unwrap_or("").trim_end();
    let numbered = ["com", "lpt"].iter().any(|port| {
        stem.strip_prefix(port).is_some_and(|rest| {
            let mut rest = rest.chars();
            matches!((rest.next(), rest.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        })
    });
    let reserved = DEVICES.contains(&stem)
        || numbered
        || WHOLE.contains(&lower.as_str())
        // Hidden files, our own marker, Office's lock files, SharePoint's leading tilde.
        || lower.starts_with(['.', '~']);
    if reserved { format!("_{name}") } else { name }
}

fn replace_ignoring_case(text: &str, what: &str, with: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(head) = rest.get(..what.len())
            && head.eq_ignore_ascii_case(what)
        {
            out.push_str(with);
            rest = rest.get(what.len()..).unwrap_or("");
        } else {
            out.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or("");
        }
    }
    out
}

/// Cut at a grapheme, with `~tag` to say so. A text within the limits stays as it is.
fn shorten(text: &str, graphemes: usize, bytes: usize, tag: &str) -> String {
    if text.len() <= bytes && text.graphemes(true).count() <= graphemes {
        return text.to_owned();
    }
    let room = tag.len() + 1;
    let head = cut_to(text, graphemes.saturating_sub(room), bytes.saturating_sub(room));
    format!("{}~{tag}", trimmed(head))
}

fn cut_to(text: &str, graphemes: usize, bytes: usize) -> &str {
    let ends = text.grapheme_indices(true).map(|(at, g)| at + g.len());
    let end = ends.take(graphemes).take_while(|end| *end <= bytes).last();
    // One grapheme can be longer than a name (a letter under a thousand accents): that one is cut between characters.
    let end = end.unwrap_or_else(|| text.floor_char_boundary(bytes));
    text.get(..end).unwrap_or("")
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
