//! Cursors of a connector's own: where a listing stands, as JSON. The caller only carries them.

use ledgerward_contract::{Cursor, Error, Result};
use serde::{Serialize, de::DeserializeOwned};

use crate::from_json;

/// What a cursor of ours carries; the default on the first page.
///
/// Errors: `Contract` for a cursor that is none of ours.
pub fn state<T: DeserializeOwned + Default>(op: &'static str, at: &Cursor) -> Result<T> {
    at.text().map_or_else(|| Ok(T::default()), |text| from_json(op, text.as_bytes()))
}

/// The cursor that carries this.
pub fn cursor<T: Serialize>(op: &'static str, state: &T) -> Result<Cursor> {
    let text = serde_json::to_string(state);
    text.map(Cursor::At).map_err(|e| Error::contract(op, "a cursor cannot be written").source(e))
}
