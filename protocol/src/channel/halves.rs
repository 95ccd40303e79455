//! The two halves of a stream: what each flag does to them, and when the channel may be closed.
//!
//! A writer's half is closed when its FIN was acknowledged: a channel that is closed earlier may lose what is still on
//! its way (libp2p/specs #582).

use super::frame::Flag;

/// The state of a stream. Pure: what is to be sent is given back.
#[derive(Debug, Default)]
pub struct Halves {
    read: Read,
    write: Write,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Read {
    #[default]
    Open,
    /// The other side has said all.
    Finished,
    /// Nobody here reads any more; what comes is thrown away, its flags are not.
    Stopped,
    Reset,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Write {
    #[default]
    Open,
    /// FIN is sent, its acknowledgement awaited.
    Finishing,
    Finished,
    /// The other side does not read any more.
    Stopped,
    Reset,
}

impl Halves {
    /// Takes in a flag that came, after the payload of the same frame. Gives the answer that is due.
    pub fn receive(&mut self, flag: Flag) -> Option<Flag> {
        match flag {
            Flag::Fin => {
                if self.read == Read::Open {
                    self.read = Read::Finished;
                }
                return Some(Flag::FinAck);
            }
            Flag::FinAck => {
                if self.write == Write::Finishing {
                    self.write = Write::Finished;
                }
            }
            // Writing ends with an error; RESET would be wrong as an answer: what was sent may still be read.
            Flag::StopSending => match self.write {
                Write::Open => self.write = Write::Stopped,
                // FIN is out; nobody will acknowledge what nobody reads.
                Write::Finishing => self.write = Write::Finished,
                Write::Finished | Write::Stopped | Write::Reset => {}
            },
            Flag::Reset => self.lost(),
        }
        None
    }

    /// The channel is gone, or the other side gave the stream up. What came before FIN is still read.
    pub fn lost(&mut self) {
        if self.read == Read::Open {
            self.read = Read::Reset;
        }
        if self.write != Write::Finished {
            self.write = Write::Reset;
        }
    }

    /// This side has said all. Gives the flag to send, if none was sent yet.
    pub fn finish(&mut self) -> Option<Flag> {
        if self.write != Write::Open {
            return None;
        }
        self.write = Write::Finishing;
        Some(Flag::Fin)
    }

    /// Nobody here holds the stream any more. Gives the flag to send; afterwards the channel is closed once
    /// [`Halves::settled`], or when patience ends.
    pub fn abandon(&mut self) -> Option<Flag> {
        let read = std::mem::replace(&mut self.read, Read::Stopped);
        match (read, self.write) {
            (_, Write::Open | Write::Stopped) => {
                self.write = Write::Reset;
                Some(Flag::Reset)
            }
            (Read::Open, Write::Finishing | Write::Finished) => Some(Flag::StopSending),
            _ => None,
        }
    }

    /// Whether more can come.
    pub fn reads(&self) -> bool {
        self.read == Read::Open
    }

    /// Whether the other side ended its half by giving up rather than by FIN.
    pub fn read_failed(&self) -> bool {
        self.read == Read::Reset
    }

    /// Whether more can be said.
    pub fn writes(&self) -> bool {
        self.write == Write::Open
    }

    /// Whether the other side keeps the stream from ending properly: it reads no more, or gave up.
    pub fn write_failed(&self) -> bool {
        matches!(self.write, Write::Stopped | Write::Reset)
    }

    /// Whether nothing is on its way any more in either direction: closing the channel loses nothing.
    pub fn settled(&self) -> bool {
        self.read != Read::Open && !matches!(self.write, Write::Open | Write::Finishing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ends of a stream, with flags arriving at once.
    #[derive(Default)]
    struct Pair(Halves, Halves);

    impl Pair {
        fn pass(&mut self, flag: Option<Flag>) {
            let Some(flag) = flag else { return };
            let answer = self.1.receive(flag);
            std::mem::swap(&mut self.0, &mut self.1);
            self.pass(answer);
            std::mem::swap(&mut self.0, &mut self.1);
        }
        fn swap(&mut self) {
            std::mem::swap(&mut self.0, &mut self.1);
        }
    }

    #[test]
    fn each_half_is_closed_alone_and_the_channel_after_both_acknowledgements() {
        let mut pair = Pair::default();
        let fin = pair.0.finish();
        assert_eq!(fin, Some(Flag::Fin));
        assert_eq!(pair.0.finish(), None, "FIN is said once");
        pair.pass(fin);
        assert!(pair.1.writes() && !pair.1.reads() && !pair.1.read_failed());
        assert!(!pair.0.settled() && !pair.1.settled());
        pair.swap();
        let fin = pair.0.finish();
        pair.pass(fin);
        assert!(pair.0.settled() && pair.1.settled());
        assert!(!pair.0.write_failed() && !pair.1.write_failed());
    }

    #[test]
    fn a_writer_that_never_gets_its_acknowledgement_is_not_settled() {
        let mut halves = Halves::default();
        halves.finish();
        halves.receive(Flag::Fin);
        assert!(!halves.settled());
        halves.lost();
        assert!(halves.settled());
    }

    #[test]
    fn stop_sending_ends_writing_and_is_not_answered() {
        let mut halves = Halves::default();
        assert_eq!(halves.receive(Flag::StopSending), None);
        assert!(halves.reads() && !halves.writes() && halves.write_failed());
        assert_eq!(halves.receive(Flag::Fin), Some(Flag::FinAck));
    }

    #[test]
    fn a_fin_is_acknowledged_after_reading_was_stopped() {
        let mut halves = Halves::default();
        halves.finish();
        assert_eq!(halves.abandon(), Some(Flag::StopSending));
        assert_eq!(halves.receive(Flag::Fin), Some(Flag::FinAck));
        assert!(!halves.settled());
        halves.receive(Flag::FinAck);
        assert!(halves.settled());
    }

    #[test]
    fn a_stream_dropped_while_open_is_reset_on_both_sides() {
        let mut pair = Pair::default();
        let reset = pair.0.abandon();
        assert_eq!(reset, Some(Flag::Reset));
        pair.pass(reset);
        assert!(
            pair.1.read_failed() && pair.1.write_failed() && pair.1.settled() && pair.0.settled()
        );
    }

    #[test]
    fn what_was_finished_before_a_reset_stays_readable_to_its_end() {
        let mut halves = Halves::default();
        halves.receive(Flag::Fin);
        halves.receive(Flag::Reset);
        assert!(!halves.read_failed() && halves.write_failed());
    }

    #[test]
    fn no_sequence_reopens_a_half() {
        let flags = [Flag::Fin, Flag::StopSending, Flag::Reset, Flag::FinAck];
        for seed in 0..4096_usize {
            let mut halves = Halves::default();
            let (mut read, mut wrote) = (true, true);
            for step in 0..6 {
                match (seed >> (2 * step)) & 3 {
                    3 if seed & 1 == 0 => drop(halves.finish()),
                    2 if seed & 2 == 0 && step == 5 => drop(halves.abandon()),
                    flag => drop(halves.receive(flags[flag])),
                }
                assert!(read || !halves.reads());
                assert!(wrote || !halves.writes());
                (read, wrote) = (halves.reads(), halves.writes());
            }
        }
    }
}
