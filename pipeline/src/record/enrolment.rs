//! What the registry says about a device, as far as decisions depend on it: whose it is, with which others it was
//! enrolled, since when, and what model it calls itself.

use core::fmt;

use protocol::FIRMWARE_LEN_MAX;

use crate::Time;

/// A device's place in the registry: dense, stable for the life of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceIndex(pub u32);

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

/// Model and firmware as a device states them; its text is not longer than the message field, so it is kept in place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Model {
    len: u8,
    bytes: [u8; FIRMWARE_LEN_MAX],
}

impl Model {
    /// The model of this name; nothing if that is empty or longer than a message may state.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let len = u8::try_from(name.len()).ok().filter(|len| *len > 0)?;
        let mut bytes = [0; FIRMWARE_LEN_MAX];
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self { len, bytes })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_keeps_its_text_up_to_the_length_of_the_field() {
        for name in ["a", "SOS-1 fw 2.3", "tombol darurat ünïcode", &"m".repeat(FIRMWARE_LEN_MAX)]
        {
            assert_eq!(Model::new(name).unwrap().as_str(), name);
        }
        assert_eq!(Model::new(""), None);
        assert_eq!(Model::new(&"m".repeat(FIRMWARE_LEN_MAX + 1)), None);
    }
}
