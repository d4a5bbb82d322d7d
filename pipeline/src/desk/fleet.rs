//! How many devices are enrolled, by batch and by model: what makes a surge of one of them strange or ordinary.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{BatchIndex, Model};

/// The enrolled devices, counted. Empty: nothing is known, and nothing is ever taken for a minority.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fleet {
    /// Devices in all.
    pub devices: u32,
    /// By [`BatchIndex`].
    pub batches: Vec<Batch>,
    /// Devices of each model, as far as that is known; one that is not counted here is never taken for a minority.
    pub models: BTreeMap<Model, u32>,
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
