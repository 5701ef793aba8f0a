//! One-time codes by which the owner claims an unclaimed bot in a direct chat.

use sha2::{Digest, Sha256};

use crate::domain::gate::hex;

/// Characters that nobody confuses on a phone.
const ALPHABET: &[u8; 31] = b"ABCDEFGHJKMNPQRSTUVWXYZ23456789";
/// About 40 bits: with five tries and ten minutes nobody guesses it.
pub const LENGTH: usize = 8;
pub const VALID_MS: i64 = 10 * 60 * 1000;
pub const TRIES: u32 = 5;

/// Makes a fresh code.
pub fn fresh() -> String {
    let mut bytes = [0u8; LENGTH * 4];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    // Rejection keeps every character equally likely.
    let fair = bytes.iter().filter(|byte| usize::from(**byte) < 256 - 256 % ALPHABET.len());
    let code: String =
        fair.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).take(LENGTH).collect();
    if code.len() == LENGTH { code } else { fresh() }
}

/// Whether a text can be a code at all: only then is a try counted.
pub fn looks_like_code(text: &str) -> bool {
    let text = text.trim();
    text.len() == LENGTH && text.bytes().all(|byte| ALPHABET.contains(&byte.to_ascii_uppercase()))
}

/// What is stored of a code.
pub fn hash(text: &str) -> String {
    hex(&Sha256::digest(text.trim().to_ascii_uppercase().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_typed_by_people() {
        let code = fresh();
        assert!(looks_like_code(&code), "{code}");
        assert!(looks_like_code(&format!(" {} ", code.to_lowercase())));
        assert_eq!(hash(&code), hash(&code.to_lowercase()));
        assert!(!looks_like_code("hello"));
        assert!(!looks_like_code("hello, w"));
    }
}
