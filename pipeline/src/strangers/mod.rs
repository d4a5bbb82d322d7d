//! What is decided about a packet that proves nothing yet: how much its address has cost, and what it is answered.
//!
//! [`CostTable`] keeps what each address has cost without proof, in memory that never grows; [`Ladder`] chooses between
//! accepting, asking for an address, waiting and silence; [`FairQueue`] gives each address its turn. An address that
//! has cost too much loses priority, never service, and no address is ever blocked: a carrier puts a thousand phones
//! behind one. Time, key and load are arguments. A packet from an address that is not validated makes nothing here grow.

mod address;
mod crowd;
mod fair;
#[cfg(test)]
mod flood;
mod ladder;
mod table;
#[cfg(test)]
mod tests;

pub use address::Neighbourhood;
pub use fair::{FairQueue, Pushed};
pub use ladder::{Asking, Ladder, LadderConfig, Load, Step};
pub use table::{AddressStanding, Cost, CostConfig, CostTable};
