//! What a month came to under one policy, in numbers.

/// What a month came to under one policy. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Trial {
    /// Presses, by whoever made them.
    pub presses: u32,
    /// Alerts that people were paged for, at once or later.
    pub pages: u32,
    /// Pranks.
    pub pranks: u32,
    /// Pranks that people were paged for.
    pub prank_pages: u32,
    /// Pranks held, or told by a notice, that nobody was ever paged for; without those that would have joined an open
    /// press, because no page was spared by them.
    pub prank_pages_avoided: u32,
    /// Of the pages, those by devices with three strikes or more against them.
    pub prank_pages_after_third_strike: u32,
    /// Of those avoided, the same.
    pub prank_pages_avoided_after_third_strike: u32,
    /// Genuine presses.
    pub genuine: u32,
    /// Genuine presses that were shown on the device's open press.
    pub genuine_joined: u32,
    /// Genuine presses that nobody was ever paged for.
    pub genuine_held: u32,
    /// Genuine presses that people were paged for later.
    pub genuine_delayed: u32,
    /// Half of those waited no longer than this.
    pub genuine_delay_median_s: u64,
    /// The longest wait.
    pub genuine_delay_max_s: u64,
    /// Genuine presses not paged though no block of their device was in force. Anything but 0 breaks a promise.
    pub genuine_good_held: u32,
    /// Presses of devices on probation.
    pub on_probation: u32,
    /// Genuine ones of them.
    pub genuine_on_probation: u32,
    /// How often a rule put a device on probation.
    pub probations: u32,
    /// How often strikes blocked a device.
    pub blocks: u32,
    /// Blocks that would not have come about if every verdict were right.
    pub wrong_blocks: u32,
    /// Notices to operators.
    pub notices: u32,
    /// Verdicts given.
    pub verdicts: u32,
    /// Messages sent, copies included.
    pub messages: u32,
    /// Answered `received`.
    pub received: u32,
    /// Answered `duplicate`.
    pub duplicate: u32,
    /// Answered `held`.
    pub held: u32,
    /// Answered `refused`.
    pub refused: u32,
    /// Names every line that the desk journaled.
    pub journal_sha256: String,
}

impl Trial {
    /// Prank pages avoided, in thousandths of what they would have been.
    #[must_use]
    pub fn avoided_permille(&self) -> u32 {
        permille(self.prank_pages_avoided, self.prank_pages)
    }

    /// The same from each device's third strike on.
    #[must_use]
    pub fn avoided_after_third_strike_permille(&self) -> u32 {
        permille(self.prank_pages_avoided_after_third_strike, self.prank_pages_after_third_strike)
    }

    /// Genuine presses that people were not paged for at once.
    #[must_use]
    pub fn genuine_unpaged(&self) -> u32 {
        self.genuine_held + self.genuine_delayed
    }
}

fn permille(avoided: u32, paged: u32) -> u32 {
    let all = u64::from(avoided) + u64::from(paged);
    u32::try_from((u64::from(avoided) * 1_000).checked_div(all).unwrap_or(0)).unwrap_or(0)
}
