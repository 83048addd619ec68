//! Files that somebody names. `-` is what was given along (standard input, or a request's own text) and, for what is written,
//! the `--json` answer itself.

use std::{io::Read as _, path::Path};

use super::{
    console::Console,
    outcome::{Exit, Failure},
};

/// No file that comes in is larger; a wrong path to something large stops here. A firm of 10,000 people and 15,000 clients
/// writes a tenth of this.
pub const BYTES_MAX: u64 = 64 << 20;

/// Whether it is no file but what was given along.
pub fn given(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A file's name, for words.
pub fn shown(path: &Path) -> String {
    if given(path) { "the answer".to_owned() } else { path.display().to_string() }
}

/// Its bytes. Errors: it cannot be read, or is larger than [`BYTES_MAX`].
pub fn read(path: &Path, console: &mut dyn Console) -> Result<Vec<u8>, Failure> {
    let name = if given(path) { "standard input".to_owned() } else { path.display().to_string() };
    let cannot = |why: String| {
        Failure::new(Exit::Refused, format!("{name} cannot be read: {why}"))
            .next("Name a file that is there, or - for standard input. Nothing was changed.")
    };
    let bytes = if given(path) {
        console.input().ok_or_else(|| cannot("nothing was given".to_owned()))?
    } else {
        let file = std::fs::File::open(path).map_err(|e| cannot(e.to_string()))?;
        limited(file).map_err(|e| cannot(e.to_string()))?
    };
    if bytes.len() as u64 > BYTES_MAX {
        return Err(cannot("it is larger than 64 MiB".to_owned()));
    }
    Ok(bytes)
}

/// At most one byte more than there may be.
pub fn limited(from: impl std::io::Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// As [`read`], for what must be text.
pub fn text(path: &Path, console: &mut dyn Console) -> Result<String, Failure> {
    String::from_utf8(read(path, console)?).map_err(|e| {
        Failure::new(Exit::Refused, format!("{} is no text in UTF-8", path.display()))
            .cause(&e)
            .next("Save it as UTF-8. Nothing was changed.")
    })
}
