//! The two libp2p protocols, as libp2p-swarm negotiates them.

use std::{convert::Infallible, future::Ready, future::ready};

use libp2p_core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p_swarm::{Stream, StreamProtocol};

use crate::message::{CONTROL_PROTOCOL, PARTS_PROTOCOL};

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// [`CONTROL_PROTOCOL`]
    Control,
    /// [`PARTS_PROTOCOL`]
    Parts,
}

impl Protocol {
    fn name(self) -> StreamProtocol {
        StreamProtocol::new(match self {
            Self::Control => CONTROL_PROTOCOL,
            Self::Parts => PARTS_PROTOCOL,
        })
    }
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug)]
pub enum Protocols {
    /// Inbound: both.
    Both,
    /// Inbound: neither, on a relayed connection.
    Neither,
    /// Outbound.
    One(Protocol),
}

impl UpgradeInfo for Protocols {
    type Info = StreamProtocol;
    type InfoIter = Vec<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        match self {
            Self::Both => vec![Protocol::Control.name(), Protocol::Parts.name()],
            Self::Neither => Vec::new(),
            Self::One(protocol) => vec![protocol.name()],
        }
    }
}

impl InboundUpgrade<Stream> for Protocols {
    type Output = (Protocol, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, name: StreamProtocol) -> Self::Future {
        let protocol = if name == CONTROL_PROTOCOL {
            Protocol::Control
        } else {
            Protocol::Parts
        };
        ready(Ok((protocol, stream)))
    }
}

impl OutboundUpgrade<Stream> for Protocols {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}
