//! What an earlier run had announced, from the stream's journal.

use meshlive_protocol::{
    manifest::{self, Manifest, Opened, Settings},
    name::StreamName,
};

/// The live window that the journal's records (signed manifests and announcements, in order) lead to. A record that
/// does not verify or does not follow is left out: what it announced is then not served, and nothing else is lost.
pub(super) fn window(name: &StreamName, records: &[Vec<u8>], settings: Settings) -> Manifest {
    let mut window = Manifest::new(settings);
    let mut damaged = 0;
    for record in records {
        let taken = match manifest::open(name, record) {
            Ok(Opened::Manifest(whole)) => {
                window = whole;
                Ok(())
            }
            Ok(Opened::Announcement(announcement)) => {
                if announcement.epoch > window.epoch() {
                    // A journal without a checkpoint since the gateway's start.
                    window.begin_epoch(announcement.epoch, announcement.clock);
                }
                window.apply(&announcement)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = taken {
            damaged += 1;
            tracing::debug!(%error, "a record of the journal was left out");
        }
    }
    if damaged > 0 {
        tracing::warn!(stream = %name, damaged, of = records.len(), "records of the journal were left out");
    }
    window.configure(settings);
    window
}
