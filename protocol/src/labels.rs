//! Remarks that a message collects on its way: what was dropped from it, what was odd about it.
//!
//! A label never refuses anything. The set is closed, so that it can stand in a metric, and has one bit each, so that
//! it costs four bytes in the journal. Bits are part of the journal format: they are never reused.

use core::fmt;

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $text:literal;)*) => {
        /// One remark about a message.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Label {
            $($(#[$doc])* $name = 1 << $bit,)*
        }

        impl Label {
            /// Every label, in order of its bit.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name that feeds, metrics and logs use.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

labels! {
    /// The sender asks to be answered discreetly (message key 10, bit 1).
    Silent = 0, "silent";
    /// The sender says that this is a drill (message key 10, bit 2).
    Exercise = 1, "exercise";
    /// The category was out of range and was dropped.
    CategoryDropped = 2, "category_dropped";
    /// The position was out of range or ill-formed and was dropped.
    PositionDropped = 3, "position_dropped";
    /// Radius, method or age of the position was out of range; latitude and longitude were kept.
    PositionAmended = 4, "position_amended";
    /// The device's clock was ill-formed and was dropped.
    ClockDropped = 5, "clock_dropped";
    /// The battery level was out of range and was dropped.
    BatteryDropped = 6, "battery_dropped";
    /// Unknown flag bits were ignored, or the flags were ill-formed.
    FlagsAmended = 7, "flags_amended";
    /// The note was too long or not text and was dropped.
    NoteDropped = 8, "note_dropped";
    /// Model and firmware were too long or not text and were dropped.
    FirmwareDropped = 9, "firmware_dropped";
    /// The message carries keys that this gateway does not know; they remain in the signed bytes.
    UnknownKeys = 10, "unknown_keys";
    /// An alert id or nonce stood where it has no meaning, or was ill-formed there, and was dropped.
    StrayField = 11, "stray_field";
    /// The message has no usable position; it is routed to the root zone.
    NoPosition = 12, "no_position";
    /// The position lies in no zone; it is routed to the root zone.
    OutsideZones = 13, "outside_zones";
    /// The device's counters did not advance: it was reset, restored, copied, or its messages crossed.
    CountersBehind = 14, "counters_behind";
    /// An update or cancel belongs to an alert that this gateway has not seen.
    AlertUnknown = 15, "alert_unknown";
    /// The message has no position; the place that the device was enrolled with stands in for it.
    EnrolledSite = 16, "enrolled_site";
    /// The device raises more often than its quota says. A raise is never refused for it.
    OverQuota = 17, "over_quota";
    /// By the device's own clock the message was made long before it arrived: an outage's backlog, or a wrong clock.
    Late = 18, "late";
    /// The device was on probation.
    OnProbation = 19, "on_probation";
    /// The sender says that this is a drill, and the zone has declared one.
    Drill = 20, "drill";
}

/// A set of [`Label`]s.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Labels(u32);

impl Labels {
    /// No label.
    pub const NONE: Self = Self(0);

    /// Adds `label`.
    pub fn insert(&mut self, label: Label) {
        self.0 |= label as u32;
    }

    /// This set and `label`.
    #[must_use]
    pub fn with(mut self, label: Label) -> Self {
        self.insert(label);
        self
    }

    /// Whether `label` is in the set.
    #[must_use]
    pub fn contains(self, label: Label) -> bool {
        self.0 & label as u32 != 0
    }

    /// Both sets together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The labels in the set, in order of their bits.
    pub fn iter(self) -> impl Iterator<Item = Label> {
        Label::ALL.iter().copied().filter(move |label| self.contains(*label))
    }

    /// The set as it is stored.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The set that was stored as `bits`; bits without a label are kept.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Label::name)).finish()
    }
}

impl FromIterator<Label> for Labels {
    fn from_iter<I: IntoIterator<Item = Label>>(labels: I) -> Self {
        labels.into_iter().fold(Self::NONE, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn every_label_has_its_own_bit_and_name() {
        let all: Labels = Label::ALL.iter().copied().collect();
        assert_eq!(all.iter().count(), Label::ALL.len());
        assert_eq!(all.bits().count_ones() as usize, Label::ALL.len());
        let mut names: Vec<_> = Label::ALL.iter().map(|label| label.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Label::ALL.len());
    }
}
