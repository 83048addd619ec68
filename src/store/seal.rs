//! XChaCha20-Poly1305 with a random nonce in front. What a value belongs to is its associated data, so that no value can be
//! moved to another row, column or generation.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use zeroize::Zeroizing;

use super::{
    error::{Kind, Result, StoreError},
    keys::KeyBytes,
};

const NONCE: usize = 24;

/// `nonce24 | ciphertext and tag`
pub(crate) fn seal(key: &KeyBytes, aad: &str, plain: &[u8]) -> Result<Vec<u8>> {
    use rand::TryRngCore;
    let mut nonce = [0; NONCE];
    rand::rngs::OsRng
        .try_fill_bytes(&mut nonce)
        .map_err(|e| StoreError::new(Kind::Secret, "the system gives no random numbers").source(e.to_string()))?;
    let sealed = cipher(key)?
        .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: aad.as_bytes() })
        .map_err(|_| StoreError::new(Kind::Secret, "a value could not be sealed"))?;
    let mut out = nonce.to_vec();
    out.extend_from_slice(&sealed);
    Ok(out)
}

pub(crate) fn open(key: &KeyBytes, aad: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let wrong = || StoreError::new(Kind::Secret, "a sealed value does not open with this key in this place");
    let (nonce, ct) = sealed.split_at_checked(NONCE).ok_or_else(wrong)?;
    let nonce = <[u8; NONCE]>::try_from(nonce).map_err(|_| wrong())?;
    let plain =
        cipher(key)?.decrypt(&XNonce::from(nonce), Payload { msg: ct, aad: aad.as_bytes() }).map_err(|_| wrong())?;
    Ok(Zeroizing::new(plain))
}

fn cipher(key: &KeyBytes) -> Result<XChaCha20Poly1305> {
    XChaCha20Poly1305::new_from_slice(key.as_slice())
        .map_err(|_| StoreError::new(Kind::Secret, "a key has a wrong length"))
}
