//! A viewer's or mirror's hold on one stream: the newest window that the stream's key has signed (README §6).

use super::{Manifest, Opened, Rejected, open};
use crate::name::StreamName;

/// Takes envelopes of one stream as they come, from whomever, and holds what they add up to.
#[derive(Clone, Debug)]
pub struct Follower {
    stream: StreamName,
    manifest: Option<Manifest>,
    gap: bool,
}

impl Follower {
    /// Follows `stream`, of which nothing is known yet.
    pub fn new(stream: StreamName) -> Self {
        Self {
            stream,
            manifest: None,
            gap: false,
        }
    }

    /// Verifies an envelope and takes it in. `Ok(false)`: it is genuine but tells nothing new (a duplicate, a
    /// replay, an older manifest). After any error all is as before.
    pub fn accept(&mut self, envelope: &[u8]) -> Result<bool, Rejected> {
        match open(&self.stream, envelope)? {
            Opened::Manifest(manifest) => {
                let newer = |known: &Manifest| {
                    (manifest.epoch(), manifest.sequence()) > (known.epoch(), known.sequence())
                };
                if self.manifest.as_ref().is_some_and(|known| !newer(known)) {
                    return Ok(false);
                }
                self.manifest = Some(manifest);
                self.gap = false;
                Ok(true)
            }
            Opened::Announcement(announcement) => {
                let got = (announcement.epoch, announcement.sequence);
                let Some(manifest) = &mut self.manifest else {
                    self.gap = true;
                    return Err(Rejected::Gap { got, known: (0, 0) });
                };
                match manifest.apply(&announcement) {
                    Ok(()) => Ok(true),
                    Err(Rejected::Old { .. }) => Ok(false),
                    Err(error) => {
                        self.gap |= matches!(error, Rejected::Gap { .. });
                        Err(error)
                    }
                }
            }
        }
    }

    /// The newest window; `None` before the first manifest.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Whether only a manifest helps: none came yet, or something was lost since.
    pub fn needs_manifest(&self) -> bool {
        self.gap || self.manifest.is_none()
    }
}
