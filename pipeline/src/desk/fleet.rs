//! How many devices are enrolled, in all and by batch: what makes a surge of one batch or model strange or ordinary. Of
//! which model devices are, they say themselves.

use std::sync::Arc;

use crate::BatchIndex;

/// The enrolled devices, counted. Empty: nothing is known, and nothing is ever taken for a minority.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fleet {
    /// Devices in all.
    pub devices: u32,
    /// By [`BatchIndex`].
    pub batches: Vec<Batch>,
}

/// One batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its name.
    pub name: Arc<str>,
    /// Its devices.
    pub devices: u32,
}

impl Fleet {
    /// The batch at this place.
    #[must_use]
    pub fn batch(&self, index: BatchIndex) -> Option<&Batch> {
        self.batches.get(usize::try_from(index.0).ok()?)
    }
}
