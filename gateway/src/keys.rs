//! Signing keys and publish secrets.
