//! What drivers and engine say to each other.

use bytes::Bytes;
use libp2p_identity::PeerId;

use crate::{
    manifest::Manifest,
    message::{Message, Place},
};

/// Microseconds of a clock that never goes back; its zero is the driver's.
pub type Micros = u64;

/// Who a peer is to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everyone else.
    Viewer,
    /// Known by its peer id, from the gateway's `/api/v1/peer`.
    Gateway,
}

/// What this peer is.
#[derive(Clone, Debug)]
pub enum Role {
    /// Publishes: gets its parts by [`Input::Published`], pushes them to seeds, introduces viewers to each other.
    Gateway,
    /// Plays: fetches over HTTP what no peer gives in time.
    Viewer,
}

/// How an engine behaves; every value has a unit and a reason.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of parts that are kept for others.
    pub cache_bytes: usize,
    /// Links to other viewers that are sought; at most twice as many are accepted.
    pub neighbours: usize,
    /// Bytes per second given to others at most; 0: sharing is off.
    pub upload: u32,
    /// Parts are fetched over HTTP this long before they are needed, microseconds, or earlier on a slow link.
    pub reserve: Micros,
    /// Whether neighbours may tell it what is new in a gateway's stead; not a mirror, for whom its own viewers wait.
    pub hushes: bool,
}

/// What happened.
#[derive(Debug)]
#[expect(missing_docs, reason = "what a variant says tells of its fields")]
pub enum Input<'a> {
    /// A direct connection to a peer stands and it speaks our protocols.
    Linked { peer: PeerId, kind: Kind },
    /// The last connection is gone, or could not be made.
    Unlinked { peer: PeerId },
    /// A message came.
    Message { peer: PeerId, message: Message },
    /// A part came. Its bytes are checked here and nowhere else.
    Part {
        peer: PeerId,
        place: Place,
        bytes: Bytes,
    },
    /// A part is coming: `bytes` of it are here, from its first on. Nothing is believed of it but that bytes flow.
    Progress {
        peer: PeerId,
        place: Place,
        bytes: usize,
    },
    /// What was given by [`Output::SendPart`] has left; not for what was taken back or dropped with its link.
    Sent {
        peer: PeerId,
        place: Place,
        bytes: usize,
    },
    /// Round-trip time to a peer, measured by the driver.
    RoundTrip { peer: PeerId, micros: Micros },
    /// An envelope from elsewhere (the page's own socket, or what [`Output::Sign`] asked for); verified like any other.
    Envelope(&'a [u8]),
    /// What [`Output::Fetch`] asked for; `None`: the gateway does not have it or cannot be reached.
    Fetched {
        place: Place,
        bytes: Option<Bytes>,
        took: Micros,
    },
    /// Mirror only: a part that is wanted and stored here, from an earlier run or by another way.
    Held { place: Place, bytes: Bytes },
    /// Gateway only: a new part, already stored and announced by the next [`Input::Announced`].
    Published { place: Place, bytes: Bytes },
    /// Gateway only: what was just announced.
    Announced {
        envelope: Bytes,
        manifest: &'a Manifest,
    },
    /// Viewer only: the player wants this part, and gets it by [`Output::Ready`] (again, if it is there already). It is
    /// given together with those of its segment from part `first` on, and so is due with that.
    Demand { place: Place, first: u32 },
    /// Viewer only: where playback is: program date time in microseconds, and whether it moves.
    Playhead { micros: u64, moving: bool },
    /// Viewer only: the renditions that are wanted, a bit each; 0 when the player is paused for long.
    Select { renditions: u16 },
    /// Where this peer is, and where the gateway is whose HTTP it uses: all of one site have one number; 0: not known.
    Site { mine: u32, gateway: u32 },
    /// The viewer's or operator's limit changed.
    Upload { bytes_per_second: u32 },
    /// Nothing but time passed ([`Scheduler::wake_at`](super::Scheduler::wake_at)).
    Wake,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
#[expect(missing_docs, reason = "what a variant says tells of its fields")]
pub enum Output {
    /// Say this. Never dropped silently: a link whose queue is full is closed by the driver.
    Send { peer: PeerId, message: Message },
    /// Give this part; [`Input::Sent`] follows.
    SendPart {
        peer: PeerId,
        place: Place,
        bytes: Bytes,
    },
    /// Stop giving it, if it has not begun to leave.
    Unsend { peer: PeerId, place: Place },
    /// Make a connection to this viewer.
    Dial { peer: PeerId },
    /// End the link. `ban`: it lied, and is not taken back.
    Drop {
        peer: PeerId,
        ban: bool,
        why: &'static str,
    },
    /// Get this part over HTTP.
    Fetch { place: Place },
    /// No longer.
    Abort { place: Place },
    /// Verified, in the cache: [`Scheduler::part`](super::Scheduler::part) has it. Said once for each part that comes, and for each demand.
    Ready { place: Place },
    /// A demand that cannot be met: the window does not hold it any more.
    Gone { place: Place },
    /// The verified window moved on; `anew`: it does not continue the one before.
    News { anew: bool },
    /// Viewer only: the link became too narrow for what is selected; the estimate says so from now on.
    Narrowed,
    /// Gateway only: sign the window as it is now, and give it by [`Input::Envelope`]. Asked once a second at most.
    Sign,
}

/// Media payload of the whole visit, verified bytes only. "Gateway": pushed by it or fetched over HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// From other viewers.
    pub bytes_from_peers: u64,
    /// From gateways, over whatever way.
    pub bytes_from_gateway: u64,
    /// Given to other viewers; parts that left whole.
    pub bytes_uploaded: u64,
    /// As [`bytes_from_peers`](Self::bytes_from_peers).
    pub parts_from_peers: u64,
    /// As [`bytes_from_gateway`](Self::bytes_from_gateway).
    pub parts_from_gateway: u64,
    /// Whose bytes were not what their CID names.
    pub parts_rejected: u64,
    /// That were here already; not counted above.
    pub parts_duplicate: u64,
    /// Gateway: of its parts that viewers said they hold, whoever gave them.
    pub bytes_held: u64,
}

/// One linked peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCounters {
    /// Its libp2p name.
    pub peer: PeerId,
    /// What it is to the stream.
    pub kind: Kind,
    /// As last measured; `None` until then.
    pub round_trip: Option<Micros>,
    /// Verified payload of parts that it gave.
    pub bytes_in: u64,
    /// Payload of parts that it was given.
    pub bytes_out: u64,
}
