//! A swarm in one process: the same [`Scheduler`](crate::scheduler::Scheduler) for a gateway and its viewers, discrete
//! events, virtual time. A seed replays a run.
//!
//! - `world`: nodes and the clock; `world::members`: who comes and goes; `world::links`: what connects them;
//!   `world::drive`: the driver's part of the contract, and what it must never see
//! - `world::shard`: events of nodes, in their order; `world::windows`: shards in threads of their own; `world::common`: what
//!   all of them see
//! - `wire`: serial uplinks and downlinks, delay, loss; `network`: sites, HTTP; `queue`: what happens when
//! - `sctp`: what two browsers do about loss, packet by packet; `world::association`: that between nodes; `hop`: alone
//! - `publisher`: a stream with real keys, announcements and CIDs
//! - `player`: what hls.js asks for, and when it stalls
//! - `checks`: signatures and digests, made once for all
//! - `swarm`: many viewers, drawn and measured, and an oracle beside them; `trace`: which part came when to whom
//! - `liar`: what comes out of a node that lies

mod checks;
pub mod hop;
mod liar;
pub mod network;
mod player;
mod publisher;
mod queue;
#[cfg(test)]
mod scenes;
mod sctp;
pub mod swarm;
mod trace;
mod wire;
mod world;

pub use liar::Lie;
pub use player::Player;
#[cfg(test)]
pub(crate) use publisher::{PART, Publisher, START};
pub use world::{Line, Report, Scene, World};
