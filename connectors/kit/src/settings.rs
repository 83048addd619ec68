//! A connector's own part of the configuration.

use ledgerward_contract::{Error, ErrorKind, Manifest, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The settings in `value`; `null` is no settings at all. Each key is read by itself, so that an error can name it.
///
/// Errors: `Config`, naming the setting, with the settings that there are if it is none of the manifest's.
pub fn read<T: DeserializeOwned + Default>(manifest: &Manifest, value: &Value) -> Result<T> {
    let map = match value {
        Value::Null => return Ok(T::default()),
        Value::Object(map) => map,
        _ => return Err(wrong("settings is not a table")),
    };
    for (key, value) in map {
        let Some((_, help)) = manifest.settings.iter().find(|(name, _)| name == key) else {
            let known: Vec<_> = manifest.settings.iter().map(|(name, _)| *name).collect();
            return Err(wrong(format!("{} has no setting \"{key}\"", manifest.title))
                .next(format!("Use one of: {}.", known.join(", "))));
        };
        let alone = Value::Object([(key.clone(), value.clone())].into_iter().collect());
        serde_json::from_value::<T>(alone)
            .map_err(|e| wrong(format!("the setting \"{key}\": {e}")).next(format!("It is: {help}.")))?;
    }
    serde_json::from_value(value.clone()).map_err(|e| wrong(e.to_string()))
}

/// What is wrong with the settings, in words that name the one.
pub fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "settings.read", message)
}
