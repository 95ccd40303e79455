//! Runs a [`Session`]: carries its outputs out on a connection and a signalling stream.

use std::{collections::VecDeque, future::poll_fn, pin::Pin, task::Poll};

use bytes::BytesMut;
use futures::{AsyncRead, AsyncWriteExt, FutureExt};
use futures_timer::Delay;
use libp2p_swarm::Stream;
use web_sys::RtcSdpType;

use super::{
    codec::{self, Message},
    session::{Input, Output, PATIENCE, Role, Session},
};
use crate::webrtc::{
    Error,
    connection::{Connection, Event},
};

/// Makes a connection to whoever is at the other end of `stream`. Whatever fails, nothing is left behind.
pub(super) async fn run(stream: Stream, role: Role, ice: &[String]) -> Result<Connection, Error> {
    let connection = Connection::new(ice)?;
    let (session, outputs) = Session::new(role);
    let mut driver = Driver {
        stream,
        connection,
        received: BytesMut::new(),
        ended: false,
        patience: Delay::new(PATIENCE),
    };
    if role == Role::Initiator {
        driver.connection.open_init();
    }
    driver.drive(role, session, outputs.into()).await?;
    let Driver {
        mut stream,
        mut connection,
        ..
    } = driver;
    connection.made();
    let _ = stream.close().await; // the other side may have closed the circuit
    Ok(connection)
}

struct Driver {
    stream: Stream,
    connection: Connection,
    received: BytesMut,
    ended: bool,
    patience: Delay,
}

impl Driver {
    async fn drive(
        &mut self,
        role: Role,
        mut session: Session,
        mut outputs: VecDeque<Output>,
    ) -> Result<(), Error> {
        let (ours, theirs) = match role {
            Role::Initiator => (RtcSdpType::Offer, RtcSdpType::Answer),
            Role::Responder => (RtcSdpType::Answer, RtcSdpType::Offer),
        };
        loop {
            let Some(output) = outputs.pop_front() else {
                let input = self.next().await?;
                outputs.extend(session.handle(input));
                continue;
            };
            match output {
                Output::Describe => {
                    let sdp = match role {
                        Role::Initiator => self.connection.offer().await?,
                        Role::Responder => self.connection.answer().await?,
                    };
                    outputs.extend(session.handle(Input::Described(sdp)));
                }
                Output::Send(message) => {
                    if self.send(&message).await.is_err() {
                        self.ended = true;
                        outputs.extend(session.handle(Input::StreamEnded));
                    }
                }
                Output::SetLocal(sdp) => self.connection.set_local(ours, &sdp).await?,
                Output::SetRemote(sdp) => {
                    self.connection.set_remote(theirs, &sdp).await?;
                    outputs.extend(session.handle(Input::RemoteSet));
                }
                // One that is not understood, or of an address family we lack, is no reason to give up.
                Output::AddCandidate(json) => drop(self.connection.add_candidate(&json).await),
                Output::Within(time) => self.patience.reset(time),
                Output::Done => return Ok(()),
                Output::Fail(why) => return Err(Error::Session(why)),
            }
        }
    }

    async fn send(&mut self, message: &Message) -> std::io::Result<()> {
        self.stream.write_all(&codec::encode(message)).await?;
        self.stream.flush().await
    }

    async fn next(&mut self) -> Result<Input, Error> {
        poll_fn(|cx| {
            if let Poll::Ready(event) = self.connection.poll_event(cx) {
                return Poll::Ready(Ok(match event {
                    Ok(Event::Candidate(json)) => Input::Candidate(json),
                    Ok(Event::Connected) => Input::Connected,
                    Err(_) => Input::Lost,
                }));
            }
            while !self.ended {
                match codec::decode(&mut self.received) {
                    Ok(Some(message)) => return Poll::Ready(Ok(Input::Message(message))),
                    Ok(None) => {}
                    Err(malformed) => {
                        return Poll::Ready(Err(Error::Signalling(malformed.to_string())));
                    }
                }
                let mut buffer = [0; 2048];
                match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(read)) if read > 0 => {
                        self.received.extend_from_slice(&buffer[..read])
                    }
                    Poll::Ready(_) => {
                        self.ended = true;
                        return Poll::Ready(Ok(Input::StreamEnded));
                    }
                }
            }
            self.patience.poll_unpin(cx).map(|()| Ok(Input::Late))
        })
        .await
    }
}
