//! What the registry says about a device, as far as decisions depend on it: whose it is, with which others it was
//! enrolled, since when, and what model it calls itself.

use protocol::ShortText;

use crate::Time;

/// A device's place in the registry: dense, stable for the life of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceIndex(pub u32);

impl DeviceIndex {
    /// The device's place in tables that grow with the registry.
    pub(crate) fn slot(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// An owner's place in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerIndex(pub u32);

/// The place in the registry of an enrolment batch: devices that came in together, so that one hand can have chosen
/// them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchIndex(pub u32);

/// How a device came to be enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Enrolment {
    /// Whose it is. Without one it is its own owner.
    pub owner: Option<OwnerIndex>,
    /// The batch that it came in with.
    pub batch: Option<BatchIndex>,
    /// When it was enrolled: from here its time on probation counts. [`Time`] 0: it was vouched for, there is none.
    pub trusted_from: Time,
}

/// Model and firmware as a device states them.
pub type Model = ShortText;
