//! A peer that lies, for tests alone (feature `liar`): everything else about it is the real peer. What it does to what
//! its engine says is done here and nowhere else.

use std::{collections::VecDeque, str::FromStr};

use bytes::Bytes;
use libp2p_identity::PeerId;

use super::Behaviour;
use crate::{
    key::SigningKey,
    manifest::{self, Opened},
    message::{Message, Place},
    name::StreamName,
};

/// Announcements that are kept to be told again.
const KEPT: usize = 64;

/// A way to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// One byte of each part that it gives is another.
    Altered,
    /// With each announcement it gives parts that no window can have.
    Unknown,
    /// It tells announcements that the stream's key did not sign: changed in one byte.
    Forged,
    /// It tells the announcements with a signature of its own.
    Foreign,
    /// It tells old announcements again and again.
    Replayed,
}

impl FromStr for Lie {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "altered" => Self::Altered,
            "unknown" => Self::Unknown,
            "forged" => Self::Forged,
            "foreign" => Self::Foreign,
            "replayed" => Self::Replayed,
            _ => return Err(format!("{text:?} is no way to lie")),
        })
    }
}

/// How it lies, and what it needs for that.
#[derive(Default)]
pub(super) struct Liar {
    pub(super) lies: Vec<Lie>,
    heard: VecDeque<Bytes>,
    told: u64,
}

impl Liar {
    /// A part on its way to a peer.
    pub(super) fn give(&self, part: Bytes) -> Bytes {
        if !self.lies.contains(&Lie::Altered) || part.is_empty() {
            return part;
        }
        let mut altered = part.to_vec();
        altered[part.len() / 2] ^= 1;
        altered.into()
    }

    fn tell(&mut self, stream: &StreamName, envelope: &Bytes) -> (Vec<Message>, Vec<Place>) {
        let news = match manifest::open(stream, envelope) {
            Ok(Opened::Announcement(news)) => news,
            _ => return Default::default(),
        };
        self.told += 1;
        self.heard.push_back(envelope.clone());
        if self.heard.len() > KEPT {
            self.heard.pop_front();
        }
        let (mut messages, mut places) = (Vec::new(), Vec::new());
        let mut announce = |envelope: Bytes| {
            let seeds = Vec::new();
            messages.push(Message::Announcement {
                envelope,
                seeds,
                by: 0,
            });
        };
        for lie in &self.lies {
            match lie {
                Lie::Altered => {}
                Lie::Unknown => places.push(Place {
                    msn: 1_000_000 + self.told,
                    part: 0,
                    rendition: 0,
                }),
                Lie::Forged => {
                    let mut forged = envelope.to_vec();
                    let middle = forged.len() / 2;
                    forged[middle] ^= 1;
                    announce(forged.into());
                }
                Lie::Foreign => {
                    let key = SigningKey::from_secret([9; 32]);
                    let mut ahead = news.clone();
                    ahead.sequence += 1;
                    announce(manifest::sign_announcement(&key, &ahead).into());
                }
                Lie::Replayed => self.heard.iter().cloned().for_each(&mut announce),
            }
        }
        (messages, places)
    }
}

impl Behaviour {
    /// From now on it lies like this, and otherwise says the truth.
    pub fn lie(&mut self, lies: &[Lie]) {
        self.liar.lies = lies.to_vec();
    }

    /// A message came: the occasion to lie to all viewers that are linked.
    pub(super) fn tell_lies(&mut self, stream: &StreamName, message: &Message) {
        let Message::Announcement { envelope, .. } = message else {
            return;
        };
        let (messages, places) = self.liar.tell(stream, envelope);
        let viewers: Vec<PeerId> = self.peers.keys().copied().collect();
        for peer in viewers {
            if self.gateways.contains(&peer) {
                continue;
            }
            let Some(queue) = self.queue(peer, stream) else {
                continue;
            };
            // Whoever does not take its lies is not pressed.
            for message in &messages {
                let _ = queue.push_message(message.encode());
            }
            for place in &places {
                let _ = queue.push_part(*place, Bytes::from_static(b"a part of nothing"));
            }
        }
    }
}
