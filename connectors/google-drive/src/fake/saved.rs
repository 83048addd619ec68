//! The content of a file in a saved state: base64, or nothing for what has no content.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

pub fn serialize<S: Serializer>(content: &Option<Bytes>, to: S) -> Result<S::Ok, S::Error> {
    content.as_ref().map(|c| STANDARD.encode(c)).serialize(to)
}

pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Bytes>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|t| STANDARD.decode(t).map(Bytes::from).map_err(D::Error::custom)).transpose()
}
