//! One exchange of session descriptions and candidates that makes a connection, from either side. Pure: what happened
//! goes in, what is to be done comes out, in this order.
//!
//! The initiator sends its offer before its own description is set, so that no candidate precedes it; the responder
//! does the same with its answer. js-libp2p relies on both.

use std::{collections::VecDeque, time::Duration};

use super::codec::Message;

/// Time from the first message to a connection.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Time for the connection to come up after the signalling stream ended.
const LAST_PATIENCE: Duration = Duration::from_secs(5);
/// Most candidates that are taken, and given, in one session.
pub const MAX_CANDIDATES: usize = 64;

/// Who speaks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Initiator,
    Responder,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The other side said this.
    Message(Message),
    /// The description asked for by [`Output::Describe`], SDP.
    Described(String),
    /// [`Output::SetRemote`] is done.
    RemoteSet,
    /// A candidate of ours, JSON.
    Candidate(String),
    /// The connection stands.
    Connected,
    /// The other side ended the signalling stream, or the stream failed.
    StreamEnded,
    /// The connection failed or was closed.
    Lost,
    /// The time given by [`Output::Within`] is over.
    Late,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Make an offer (initiator) or an answer (responder); [`Input::Described`] follows.
    Describe,
    Send(Message),
    /// Make this ours.
    SetLocal(String),
    /// Make this the other side's; [`Input::RemoteSet`] follows.
    SetRemote(String),
    /// A candidate of the other side, JSON. One that is not understood is passed over.
    AddCandidate(String),
    /// [`Input::Late`] is due after this time; replaces what was said before.
    Within(Duration),
    /// The end: the connection stands and nothing else uses it yet.
    Done,
    /// The end: there will be no connection.
    Fail(&'static str),
}

/// The session.
#[derive(Debug)]
pub struct Session {
    role: Role,
    described: bool,
    remote: Remote,
    stream_ended: bool,
    over: bool,
    sent: usize,
    early: VecDeque<String>,
    taken: usize,
}

/// The other side's description.
#[derive(Debug, PartialEq, Eq)]
enum Remote {
    Awaited,
    Coming,
    Set,
}

impl Session {
    /// With what is to be done first.
    pub fn new(role: Role) -> (Self, Vec<Output>) {
        let session = Self {
            role,
            described: false,
            remote: Remote::Awaited,
            stream_ended: false,
            over: false,
            sent: 0,
            early: VecDeque::new(),
            taken: 0,
        };
        let mut outputs = vec![Output::Within(PATIENCE)];
        if role == Role::Initiator {
            outputs.push(Output::Describe);
        }
        (session, outputs)
    }

    /// Takes in what happened. Nothing is to be done after [`Output::Done`] or [`Output::Fail`].
    pub fn handle(&mut self, input: Input) -> Vec<Output> {
        if self.over {
            return Vec::new();
        }
        match input {
            Input::Message(message) => self.message(message),
            Input::Described(description) => self.describe(description),
            Input::RemoteSet => self.remote_set(),
            Input::Candidate(candidate) => self.candidate(candidate),
            Input::Connected => {
                self.over = true;
                vec![Output::Done]
            }
            Input::StreamEnded if self.stream_ended => Vec::new(),
            Input::StreamEnded => {
                self.stream_ended = true;
                match self.remote {
                    Remote::Awaited => {
                        self.fail("the other side ended the signalling before its description")
                    }
                    Remote::Coming | Remote::Set => vec![Output::Within(LAST_PATIENCE)],
                }
            }
            Input::Lost => self.fail("the connection failed"),
            Input::Late => self.fail("no connection in time"),
        }
    }

    fn message(&mut self, message: Message) -> Vec<Output> {
        match (message, self.role) {
            (Message::Offer(description), Role::Responder)
            | (Message::Answer(description), Role::Initiator)
                if self.remote == Remote::Awaited =>
            {
                if self.role == Role::Initiator && !self.described {
                    return self.fail("an answer before the offer");
                }
                self.remote = Remote::Coming;
                vec![Output::SetRemote(description)]
            }
            (Message::Candidate(_), _) if self.remote == Remote::Awaited => {
                self.fail("a candidate before the description")
            }
            (Message::Candidate(candidate), _) => {
                // What says "that was the last" is of no use here.
                if candidate.is_empty() || candidate == "null" || self.taken == MAX_CANDIDATES {
                    return Vec::new();
                }
                self.taken += 1;
                if self.remote == Remote::Set {
                    return vec![Output::AddCandidate(candidate)];
                }
                self.early.push_back(candidate);
                Vec::new()
            }
            (Message::Offer(_) | Message::Answer(_), _) => self.fail("a description out of turn"),
        }
    }

    fn describe(&mut self, description: String) -> Vec<Output> {
        self.described = true;
        let message = match self.role {
            Role::Initiator => Message::Offer(description.clone()),
            Role::Responder => Message::Answer(description.clone()),
        };
        vec![Output::Send(message), Output::SetLocal(description)]
    }

    fn remote_set(&mut self) -> Vec<Output> {
        self.remote = Remote::Set;
        let mut outputs: Vec<_> = self.early.drain(..).map(Output::AddCandidate).collect();
        if self.role == Role::Responder {
            outputs.push(Output::Describe);
        }
        outputs
    }

    fn candidate(&mut self, candidate: String) -> Vec<Output> {
        if self.stream_ended || self.sent == MAX_CANDIDATES {
            return Vec::new();
        }
        self.sent += 1;
        vec![Output::Send(Message::Candidate(candidate))]
    }

    fn fail(&mut self, why: &'static str) -> Vec<Output> {
        self.over = true;
        vec![Output::Fail(why)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Output = Output::Within(PATIENCE);

    fn offer() -> Message {
        Message::Offer("offer".into())
    }
    fn answer() -> Message {
        Message::Answer("answer".into())
    }
    fn candidate(text: &str) -> Message {
        Message::Candidate(text.into())
    }

    /// An initiator that has sent its offer.
    fn initiator() -> Session {
        let (mut session, first) = Session::new(Role::Initiator);
        assert_eq!(first, [WITHIN, Output::Describe]);
        let sent = session.handle(Input::Described("offer".into()));
        assert_eq!(
            sent,
            [Output::Send(offer()), Output::SetLocal("offer".into())]
        );
        session
    }

    /// A responder that has sent its answer.
    fn responder() -> Session {
        let (mut session, first) = Session::new(Role::Responder);
        assert_eq!(first, [WITHIN]);
        let set = session.handle(Input::Message(offer()));
        assert_eq!(set, [Output::SetRemote("offer".into())]);
        assert_eq!(session.handle(Input::RemoteSet), [Output::Describe]);
        let sent = session.handle(Input::Described("answer".into()));
        assert_eq!(
            sent,
            [Output::Send(answer()), Output::SetLocal("answer".into())]
        );
        session
    }

    #[test]
    fn the_initiator_is_done_when_connected_and_waits_for_no_channel() {
        let mut session = initiator();
        let sent = session.handle(Input::Candidate("c".into()));
        assert_eq!(sent, [Output::Send(candidate("c"))]);
        let set = session.handle(Input::Message(answer()));
        assert_eq!(set, [Output::SetRemote("answer".into())]);
        assert_eq!(session.handle(Input::RemoteSet), []);
        assert_eq!(session.handle(Input::Connected), [Output::Done]);
        assert_eq!(session.handle(Input::Candidate("late".into())), []);
        assert_eq!(session.handle(Input::Lost), []);
    }

    #[test]
    fn the_responder_is_done_when_connected_also_when_the_stream_ended_just_before() {
        assert_eq!(responder().handle(Input::Connected), [Output::Done]);
        let mut session = responder();
        assert_eq!(
            session.handle(Input::StreamEnded),
            [Output::Within(LAST_PATIENCE)]
        );
        assert_eq!(session.handle(Input::StreamEnded), []);
        assert_eq!(session.handle(Input::Connected), [Output::Done]);
    }

    #[test]
    fn candidates_wait_until_the_description_is_set() {
        let (mut session, _) = Session::new(Role::Responder);
        session.handle(Input::Message(offer()));
        assert_eq!(session.handle(Input::Message(candidate("a"))), []);
        assert_eq!(session.handle(Input::Message(candidate("b"))), []);
        let add = |text: &str| Output::AddCandidate(text.into());
        assert_eq!(
            session.handle(Input::RemoteSet),
            [add("a"), add("b"), Output::Describe]
        );
        assert_eq!(session.handle(Input::Message(candidate("c"))), [add("c")]);
    }

    #[test]
    fn the_end_of_candidates_is_passed_over() {
        let mut session = responder();
        assert_eq!(session.handle(Input::Message(candidate(""))), []);
        assert_eq!(session.handle(Input::Message(candidate("null"))), []);
    }

    #[test]
    fn no_more_candidates_than_the_limit_are_taken_or_given() {
        let mut session = responder();
        let mut counts = (0, 0);
        for _ in 0..2 * MAX_CANDIDATES {
            counts.0 += session.handle(Input::Message(candidate("x"))).len();
            counts.1 += session.handle(Input::Candidate("y".into())).len();
        }
        assert_eq!(counts, (MAX_CANDIDATES, MAX_CANDIDATES));
    }

    #[test]
    fn whoever_speaks_out_of_turn_fails_the_session() {
        let failed = |mut session: Session, message| {
            matches!(
                session.handle(Input::Message(message))[..],
                [Output::Fail(_)]
            )
        };
        let fresh = |role| Session::new(role).0;
        for message in [answer(), candidate("c")] {
            assert!(failed(fresh(Role::Responder), message));
        }
        assert!(failed(fresh(Role::Initiator), answer()));
        for message in [offer(), candidate("c")] {
            assert!(failed(initiator(), message));
        }
        for message in [offer(), answer()] {
            assert!(failed(responder(), message));
        }
    }

    #[test]
    fn a_stream_that_ends_early_a_lost_connection_and_time_end_the_session_once() {
        for input in [Input::StreamEnded, Input::Lost, Input::Late] {
            let mut session = initiator();
            assert!(matches!(session.handle(input)[..], [Output::Fail(_)]));
            assert_eq!(session.handle(Input::Connected), []);
            assert_eq!(session.handle(Input::Late), []);
        }
    }
}
