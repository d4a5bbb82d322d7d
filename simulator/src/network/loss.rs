//! Which packets are lost: two states, a good one and a bad one, as Gilbert (1960) and Elliott (1963) describe radio.
//!
//! A link moves between the states from packet to packet, so that losses come in bursts; in each state a packet is lost
//! with that state's chance.

use super::codecs::Share;

/// The four chances.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Loss {
    /// Of going from good to bad behind a packet.
    pub enter_bad: Share,
    /// Of going from bad to good behind a packet.
    pub leave_bad: Share,
    /// Of losing a packet while it is good.
    pub in_good: Share,
    /// Of losing a packet while it is bad.
    pub in_bad: Share,
}

impl Loss {
    /// The share of packets that meet the bad state.
    #[must_use]
    pub fn bad(&self) -> f64 {
        let (enter, leave) = (self.enter_bad.get(), self.leave_bad.get());
        if enter == 0.0 { 0.0 } else { enter / (enter + leave) }
    }

    /// The share of packets that are lost.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let bad = self.bad();
        bad * self.in_bad.get() + (1.0 - bad) * self.in_good.get()
    }

    /// Takes a link one packet further: whether this one is lost. Both draws lie between 0 and 1.
    pub(super) fn step(&self, is_bad: &mut bool, loss_draw: f64, move_draw: f64) -> bool {
        let (loss, change) =
            if *is_bad { (self.in_bad, self.leave_bad) } else { (self.in_good, self.enter_bad) };
        *is_bad ^= move_draw < change.get();
        loss_draw < loss.get()
    }
}
