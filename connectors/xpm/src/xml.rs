//! The few elements of an XML answer that we want, and nothing else of it.
//!
//! An answer is somebody else's text: a document type is refused (and with it every entity of their own making), depth is
//! bounded, and what is not on the list of wanted names is passed over without being kept. So tax numbers, birthdays and
//! notes, which the same answers hold, never enter the program's memory as values.

use ledgerward_contract::{Error, Result};
use quick_xml::{Reader, escape::resolve_predefined_entity, events::Event};

/// Deeper than any answer of the vendor, shallow enough for any stack.
const DEPTH_MAX: usize = 32;

/// One wanted element.
#[derive(Debug, PartialEq, Eq)]
pub struct Element {
    pub name: &'static str,
    /// Its own text, without blanks around it. `<Phone />` and `<Phone></Phone>` are both "".
    pub text: String,
    pub children: Vec<Element>,
    /// How many elements right below it were not wanted.
    pub others: usize,
}

impl Element {
    /// The child of this name, where there is at most one: two are a `Contract` error, for which would be the true one?
    pub fn one(&self, op: &'static str, name: &'static str) -> Result<Option<&Self>> {
        let mut all = self.children.iter().filter(|c| c.name == name);
        match (all.next(), all.next()) {
            (found, None) => Ok(found),
            _ => Err(Error::contract(op, format!("the answer has the element {name} twice in one {}", self.name))),
        }
    }

    /// The child of this name, which has to be there.
    pub fn need(&self, op: &'static str, name: &'static str) -> Result<&Self> {
        let missing = || Error::contract(op, format!("the answer lacks the element {name} in {}", self.name));
        self.one(op, name)?.ok_or_else(missing)
    }

    /// The text of a child, `None` where the child is absent or empty: the vendor writes "nothing" both ways.
    pub fn text(&self, op: &'static str, name: &'static str) -> Result<Option<&str>> {
        Ok(self.one(op, name)?.map(|e| e.text.as_str()).filter(|t| !t.is_empty()))
    }

    /// The items of a list element. One that holds anything else is not a list that we can read: `Contract`.
    pub fn items(&self, op: &'static str, item: &'static str) -> Result<&[Self]> {
        if self.others > 0 || !self.text.is_empty() || self.children.iter().any(|c| c.name != item) {
            return Err(Error::contract(op, format!("the list {} holds something else than {item}", self.name)));
        }
        Ok(&self.children)
    }
}

/// Reads a whole document and keeps the elements named in `wanted`, as long as all above them are wanted too.
///
/// Errors: `Contract` for anything that is not one whole XML document in UTF-8, for a document type, for entities that
/// XML itself does not define in what is wanted, and for more than 32 levels. No error quotes the text.
pub fn read(op: &'static str, body: &[u8], wanted: &'static [&'static str]) -> Result<Element> {
    let wrong = |what: &str, at: u64| Error::contract(op, format!("the answer {what}")).with("byte", at.to_string());
    let text = std::str::from_utf8(body).map_err(|e| wrong("is not UTF-8", e.valid_up_to() as u64))?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    // Xero's own example of the link to a next page has a bare `&` in it. It is text, and never an entity.
    reader.config_mut().allow_dangling_amp = true;
    // `None` is an element that is not wanted.
    let mut open: Vec<Option<Element>> = Vec::new();
    let mut root = None;
    loop {
        let event = reader.read_event();
        let at = reader.buffer_position();
        match event.map_err(|_| wrong("is not valid XML", at))? {
            Event::Eof => break,
            Event::Start(tag) | Event::Empty(tag) if root.is_some() || open.len() >= DEPTH_MAX => {
                let _ = tag;
                return Err(wrong("has a second document in it, or more levels than any known one", at));
            }
            Event::Start(tag) => {
                let element = begin(&mut open, tag.name().0, wanted);
                open.push(element);
            }
            Event::Empty(tag) => {
                let element = begin(&mut open, tag.name().0, wanted);
                end(&mut open, element, &mut root);
            }
            Event::End(_) => {
                let closed = open.pop().ok_or_else(|| wrong("is not valid XML", at))?;
                end(&mut open, closed, &mut root);
            }
            Event::Text(t) => say(&mut open, &t.xml10_content()).map_err(|()| wrong("has text outside", at))?,
            Event::CData(t) => say(&mut open, &t.xml10_content()).map_err(|()| wrong("has text outside", at))?,
            // What is not wanted is not kept, whatever its author pasted into it.
            Event::GeneralRef(_) if matches!(open.last(), Some(None)) => {}
            Event::GeneralRef(r) => {
                let unknown = || wrong("uses an entity that XML does not define", at);
                let said = match r.resolve_char_ref().map_err(|_| unknown())? {
                    Some(c) => c.to_string(),
                    None => resolve_predefined_entity(&r).ok_or_else(unknown)?.to_owned(),
                };
                say(&mut open, &said).map_err(|()| wrong("has text outside", at))?;
            }
            Event::DocType(_) => return Err(wrong("brings a document type, which is never read", at)),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    match root {
        Some(Some(root)) if open.is_empty() => Ok(root),
        Some(None) => Err(wrong("is XML of a kind that this connector does not know", 0)),
        _ => Err(wrong("ends too early", text.len() as u64)),
    }
}

fn begin(open: &mut [Option<Element>], name: &str, wanted: &'static [&'static str]) -> Option<Element> {
    let known = wanted.iter().find(|w| **w == name);
    match open.last_mut() {
        Some(None) => return None,
        Some(Some(parent)) if known.is_none() => parent.others += 1,
        _ => {}
    }
    known.map(|name| Element { name, text: String::new(), children: Vec::new(), others: 0 })
}

/// Closes an element. The first `Some` in `root` is that the document has had its root.
fn end(open: &mut [Option<Element>], closed: Option<Element>, root: &mut Option<Option<Element>>) {
    let closed = closed.map(|mut e| {
        e.text = e.text.trim().to_owned();
        e
    });
    match open.last_mut() {
        None => *root = Some(closed),
        Some(Some(parent)) => parent.children.extend(closed),
        Some(None) => {}
    }
}

/// Text of the innermost element. Outside of the root only blanks may stand.
fn say(open: &mut [Option<Element>], text: &str) -> Result<(), ()> {
    match open.last_mut() {
        Some(Some(element)) => element.text.push_str(text),
        Some(None) => {}
        None if text.trim().is_empty() => {}
        None => return Err(()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ledgerward_contract::ErrorKind;
    use proptest::prelude::*;

    use super::*;

    const WANTED: &[&str] = &["Response", "Staff", "Name"];

    fn parse(text: &str) -> Result<Element> {
        read("test.read", text.as_bytes(), WANTED)
    }

    #[test]
    fn text_is_whole_and_unwanted_parts_are_not_kept() {
        let r = parse(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response api-method=\"List\"><Notes><Name>secret</Name></Notes>\
             <Name> A &amp; B &lt;&#233;&#x1F600;> <![CDATA[<raw>]]> </Name><Staff /></Response>\n",
        )
        .unwrap();
        assert_eq!(r.text("x.y", "Name").unwrap(), Some("A & B <é😀> <raw>"));
        assert_eq!((r.others, r.children.len()), (1, 2), "the notes are counted and not kept: {r:?}");
        assert_eq!(r.text("x.y", "Staff").unwrap(), None);
    }

    #[test]
    fn p22_entities_of_their_own_are_refused() {
        for text in [
            "<!DOCTYPE r [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]><Response><Name>&b;</Name></Response>",
            "<!DOCTYPE r SYSTEM \"file:///etc/passwd\"><Response/>",
            "<Response><Name>&b;</Name></Response>",
            "<Response><Name>&nbsp;</Name></Response>",
            "<Response><Name>&#xD800;</Name></Response>",
            "<Response><Name>&#99999999999;</Name></Response>",
        ] {
            let e = parse(text).unwrap_err();
            assert_eq!(e.kind, ErrorKind::Contract, "{text}");
            assert!(e.source.is_none() && !format!("{e:?}").contains("passwd"), "{e:?}");
        }
    }

    #[test]
    fn an_entity_of_nobodys_in_what_is_not_wanted_is_passed_over() {
        for odd in ["&nbsp;", "&b;", "&#xD800;", "<Name>&nbsp;</Name>", "a&nbsp;b<Deep>&eacute;</Deep>"] {
            let r = parse(&format!("<Response><Notes>{odd}</Notes><Name>Ann &amp; Co</Name></Response>")).unwrap();
            assert_eq!((r.text("x.y", "Name").unwrap(), r.others), (Some("Ann & Co"), 1), "{odd}");
        }
        assert!(parse("<Response/>&nbsp;").is_err(), "outside of everything");
    }

    #[test]
    fn a_bare_ampersand_is_text() {
        let r = parse("<Response><Name>https://x.example/?a=1&b=2 &amp; 3&4</Name></Response>").unwrap();
        assert_eq!(r.text("x.y", "Name").unwrap(), Some("https://x.example/?a=1&b=2 & 3&4"));
    }

    #[test]
    fn p22_depth_is_bounded() {
        for tag in ["Name", "Other"] {
            let deep = format!("<Response>{}", format!("<{tag}>").repeat(100_000));
            assert_eq!(parse(&deep).unwrap_err().kind, ErrorKind::Contract);
        }
    }

    #[test]
    fn p04_a_cut_document_is_no_document() {
        let whole = "<Response><Staff><Name>A &amp; B</Name></Staff></Response>";
        assert!(parse(whole).is_ok());
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut]).is_err(), "{}", &whole[..cut]);
        }
        for junk in ["", " ", "x", "{}", "<Response/><Response/>", "<Response></Name>", "<Response/>x", "<Clients/>"] {
            assert!(parse(junk).is_err(), "{junk}");
        }
        assert!(read("x.y", b"<Response><Name>\xff</Name></Response>", WANTED).is_err());
    }

    #[test]
    fn a_list_with_something_else_in_it_is_no_list() {
        let list = |inner: &str| {
            let root = parse(&format!("<Response>{inner}</Response>")).unwrap();
            root.items("x.y", "Staff").map(<[Element]>::len)
        };
        assert_eq!(list("<Staff/><Staff>\n</Staff>").unwrap(), 2);
        assert_eq!(list("").unwrap(), 0);
        for bad in ["<Stuff/>", "<Staff/><Name/>", "words"] {
            assert!(list(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_error_or_an_element(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read("x.y", &body, WANTED);
        }

        #[test]
        fn any_tags_give_an_error_or_an_element(parts in proptest::collection::vec(
            proptest::sample::select(vec!["<Response>", "</Response>", "<Name>", "</Name>", "<x a='1'/>", "&amp;", "&#0;",
                "<!--", "-->", "<![CDATA[", "]]>", "<?", "?>", "<!DOCTYPE", "t", ">"]), 0..20)) {
            let _ = parse(&parts.concat());
        }
    }
}
