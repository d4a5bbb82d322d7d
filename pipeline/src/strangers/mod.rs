//! What is decided about a packet that proves nothing yet: how much its address has cost.
//!
//! [`CostTable`] keeps what each address has cost without proof, in memory that never grows. An address that has cost
//! too much loses priority, never service, and no address is ever blocked: a carrier puts a thousand phones behind one.
//! Time and key are arguments. A packet from an address that is not validated makes nothing here grow.

mod address;
mod crowd;
mod table;
#[cfg(test)]
mod tests;

pub use address::Neighbourhood;
pub use table::{AddressStanding, Cost, CostConfig, CostTable};
