//! Who receives: what is whole, and when that is said.

use super::{ACKNOWLEDGES, Sack, Sctp};
use crate::scheduler::{Micros, random::Random};

impl Sctp {
    pub(super) fn arrives(&mut self, number: u64, at_once: bool, now: Micros, random: &mut Random) {
        self.whole = self.whole.max(self.first);
        let packet = number.checked_sub(self.first);
        let packet = packet.and_then(|at| self.packets.get_mut(at as usize));
        let Some(packet) = packet.filter(|packet| !packet.here) else {
            return self.acknowledge(now, random); // it came before
        };
        packet.here = true;
        let stream = packet.stream;
        self.beyond += 1;
        while let Some(packet) = self.packets.get((self.whole - self.first) as usize)
            && packet.here
        {
            self.whole += 1;
            self.beyond -= 1;
        }
        self.tell(stream);
        self.unsaid += 1;
        if at_once || self.beyond > 0 || self.unsaid >= 2 {
            self.acknowledge(now, random);
        } else {
            let late = ACKNOWLEDGES.min(self.timeout / 2);
            self.says.get_or_insert(now + late);
        }
    }

    /// What of a stream is whole now: all up to the next packet that is missing.
    fn tell(&mut self, stream: usize) {
        let of_stream = self.packets.iter_mut();
        for packet in of_stream.filter(|packet| packet.stream == stream) {
            if !packet.here {
                break;
            }
            self.whole_here[stream] += usize::from(std::mem::take(&mut packet.ends));
        }
    }

    pub(super) fn acknowledge(&mut self, now: Micros, random: &mut Random) {
        self.unsaid = 0;
        self.says = None;
        if random.unit() < self.loss {
            return;
        }
        let others = match self.beyond {
            0 => Vec::new(),
            _ => self.behind().collect(),
        };
        self.sacks.push_back(Sack {
            at: now + self.way,
            before: self.whole,
            others,
        });
    }

    /// Packets that came behind one that is missing.
    fn behind(&self) -> impl Iterator<Item = u64> {
        let skip = (self.whole - self.first) as usize;
        let behind = self.packets.iter().enumerate().skip(skip);
        let here = behind.filter(|(_, packet)| packet.here);
        here.map(|(at, _)| self.first + at as u64)
    }
}
