//! Documents from the ledger: passed on byte for byte, never unpacked, never trusted (N13).

use ledgerward_contract::{Document, StatementItem};

/// Why a document is not passed on, or passed on with a remark.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentFault {
    /// A failed export at the source: what was delivered before stays.
    #[error("the document “{0}” came empty; the one delivered before stays")]
    Empty(String),
    #[error("the document “{name}” came with {got} bytes and should have {stated}; it will be read again")]
    Size { name: String, stated: u64, got: u64 },
    /// The file is still what the client put there, so this one is delivered; a person should know.
    #[error("the document “{name}” calls itself {said} and is not")]
    Type { name: String, said: &'static str },
}

impl DocumentFault {
    /// Whether the bytes may go into the client's folder all the same.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Type { .. })
    }
}

/// Looks at size and first bytes only.
pub fn inspect(document: &Document, item: Option<&StatementItem>) -> Result<(), DocumentFault> {
    let Document { name, mime, bytes } = document;
    let got = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if got == 0 {
        return Err(DocumentFault::Empty(name.clone()));
    }
    if let Some(stated) = item.and_then(|i| i.size)
        && stated != got
    {
        return Err(DocumentFault::Size { name: name.clone(), stated, got });
    }
    const MAGIC: [(&str, &str, &[u8]); 6] = [
        ("pdf", "application/pdf", b"%PDF-"),
        ("png", "image/png", b"\x89PNG"),
        ("jpg", "image/jpeg", b"\xff\xd8\xff"),
        ("gif", "image/gif", b"GIF8"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", b"PK"),
        ("zip", "application/zip", b"PK"),
    ];
    let ext = name.rsplit_once('.').map_or(String::new(), |(_, ext)| ext.to_ascii_lowercase());
    let media = mime.split(';').next().unwrap_or("").trim();
    let head = bytes.get(..bytes.len().min(1024)).unwrap_or(bytes);
    for (word, full, magic) in MAGIC {
        let says = ext == word || media.eq_ignore_ascii_case(full);
        // A PDF may begin with up to a kilobyte of something else; readers look for the mark.
        let is = if word == "pdf" { head.windows(magic.len()).any(|w| w == magic) } else { head.starts_with(magic) };
        if says && !is {
            return Err(DocumentFault::Type { name: name.clone(), said: word });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(name: &str, mime: &str, bytes: &'static [u8]) -> Document {
        Document { name: name.to_owned(), mime: mime.to_owned(), bytes: bytes.into() }
    }

    #[test]
    fn n13_empty_short_and_mislabelled_documents_are_told_apart() {
        let pdf = document("a.pdf", "application/pdf", b"\n%PDF-1.7 ...");
        assert_eq!(inspect(&pdf, None), Ok(()));
        assert!(!inspect(&document("a.pdf", "application/pdf", b""), None).unwrap_err().may_pass());
        let item = |size| StatementItem {
            id: "1".to_owned(),
            name: "a.pdf".to_owned(),
            mime: String::new(),
            size: Some(size),
            updated: None,
            account: None,
        };
        assert_eq!(inspect(&pdf, Some(&item(13))), Ok(()));
        assert!(matches!(inspect(&pdf, Some(&item(14))), Err(DocumentFault::Size { stated: 14, got: 13, .. })));
        let html = document("a.pdf", "application/pdf", b"<html>sign in</html>");
        assert!(inspect(&html, None).unwrap_err().may_pass());
        assert_eq!(inspect(&document("notes.txt", "text/plain", b"<html>"), None), Ok(()));
        assert!(inspect(&document("book", "application/zip; x=1", b"no"), None).is_err());
    }
}
