//! What an alias may be: safe as a folder name and in a URL, and never mistaken for a stream's name.

use cid::Cid;

/// Length limit of an alias.
pub const MAX_ALIAS_BYTES: usize = 64;
/// Words that stand where an alias would stand in a URL (`/api/v1/streams/watch`).
const RESERVED: [&str; 1] = ["watch"];
/// A longer name is not repeated whole in a message.
const SHOWN_CHARACTERS: usize = 32;

/// Why an alias is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AliasError {
    /// No character at all.
    #[error("an alias cannot be empty: give a short name such as `studio`")]
    Empty,
    /// More than [`MAX_ALIAS_BYTES`].
    #[error("alias {shown} has {length} bytes: at most {MAX_ALIAS_BYTES} are possible")]
    Long {
        /// Its beginning.
        shown: String,
        /// All of it, in bytes.
        length: usize,
    },
    /// A character that is not allowed.
    #[error(
        "alias {shown} holds {character:?} (U+{:04X}): only a to z, 0 to 9 and, from the second character on, - are possible",
        *character as u32
    )]
    Character {
        /// Its beginning.
        shown: String,
        /// The first offender.
        character: char,
    },
    /// It would be taken for a stream's name.
    #[error("alias {shown} reads as a stream's name or CID: choose a short name such as `studio`")]
    StreamName {
        /// Its beginning.
        shown: String,
    },
    /// The gateway uses the word itself.
    #[error("alias {0:?} is used by the gateway itself: choose another")]
    Reserved(String),
}

/// Whether `alias` can be one: `[a-z0-9][a-z0-9-]{0,63}`, not a CID, not a word of the gateway's own.
///
/// # Errors
/// Names the first rule it breaks; a long or odd alias is repeated shortened and escaped.
pub fn check_alias(alias: &str) -> Result<(), AliasError> {
    if alias.is_empty() {
        return Err(AliasError::Empty);
    }
    if alias.len() > MAX_ALIAS_BYTES {
        return Err(AliasError::Long {
            shown: shorten(alias),
            length: alias.len(),
        });
    }
    let allowed = |at, c| matches!(c, 'a'..='z' | '0'..='9') || (c == '-' && at > 0);
    if let Some((_, character)) = alias.char_indices().find(|&(at, c)| !allowed(at, c)) {
        return Err(AliasError::Character {
            shown: shorten(alias),
            character,
        });
    }
    if Cid::try_from(alias).is_ok() {
        return Err(AliasError::StreamName {
            shown: shorten(alias),
        });
    }
    if RESERVED.contains(&alias) {
        return Err(AliasError::Reserved(alias.into()));
    }
    Ok(())
}

fn shorten(alias: &str) -> String {
    let mut shown: String = alias.chars().take(SHOWN_CHARACTERS).collect();
    if shown.len() < alias.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}
