//! The pin store.
