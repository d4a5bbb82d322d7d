//! The rules that put a device on probation by what it does: lists, so that a deployment can have several of a kind.

use protocol::ShortText;

use super::HORIZON_MAX;
use super::codecs::{Brief, Lasting};
use super::sections::{DAY, HOUR, MINUTE, SECOND, YEAR};
use crate::Span;
use crate::settings::{Between, Checked, Codec, Count, Reader, Table};

/// Rules of one kind at one time.
const RULES_MAX: usize = 16;
/// The most raises that a rule may ask for.
const RAISES_MAX: u16 = 10_000;

/// Presses taken back, again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelledRule {
    /// So many first presses of a device, each cancelled while it was open,
    pub raises: u16,
    /// within this time,
    pub window: Span,
    /// put it on probation for so long.
    pub probation: Span,
}

/// Presses that no hand makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhantomRule {
    /// A device whose model begins with this,
    pub model: ShortText,
    /// and that raises so often
    pub raises: u16,
    /// within this time,
    pub window: Span,
    /// is put on probation for so long.
    pub probation: Span,
}

/// The rules of every kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Cancelled raises.
    pub cancelled: Vec<CancelledRule>,
    /// Phantom profiles of models.
    pub phantom: Vec<PhantomRule>,
}

impl Rules {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let Self { cancelled, phantom } = Self::default();
        Self {
            cancelled: reader.tables("rules", "cancelled", cancelled, CancelledRule::read),
            phantom: reader.tables("rules", "phantom", phantom, PhantomRule::read),
        }
    }

    /// What is wrong with the lists as such.
    pub(super) fn problem(&self) -> Option<(&'static str, String)> {
        let lens =
            [("rules.cancelled", self.cancelled.len()), ("rules.phantom", self.phantom.len())];
        lens.into_iter()
            .find(|(_, len)| *len > RULES_MAX)
            .map(|(path, len)| (path, format!("has {len} rules; write {RULES_MAX} at most")))
    }

    /// The longest window of any rule.
    pub(crate) fn window_max(&self) -> Span {
        let cancelled = self.cancelled.iter().map(|rule| rule.window);
        let phantom = self.phantom.iter().map(|rule| rule.window);
        cancelled.chain(phantom).max().unwrap_or_default()
    }

    /// Key and value of each rule, as they would be written.
    pub(super) fn show(&self) -> Vec<(&'static str, &'static str, Option<String>)> {
        let cancelled: Vec<_> = self.cancelled.iter().map(CancelledRule::show).collect();
        let phantom: Vec<_> = self.phantom.iter().map(PhantomRule::show).collect();
        let list = |rules: Vec<String>| Some(format!("[{}]", rules.join(", ")));
        vec![("rules", "cancelled", list(cancelled)), ("rules", "phantom", list(phantom))]
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self { cancelled: vec![CancelledRule::example()], phantom: vec![] }
    }
}

impl CancelledRule {
    fn example() -> Self {
        Self { raises: 5, window: HOUR, probation: DAY }
    }

    fn read(table: &mut Table<'_, '_>) -> Self {
        let Self { raises, window, probation } = Self::example();
        Self {
            raises: table.field::<Count<u16>>("raises", raises, &Between(2, RAISES_MAX)),
            window: table.field::<Lasting>("window", window, &Between(SECOND, HORIZON_MAX)),
            probation: table.field::<Lasting>("probation", probation, &Between(MINUTE, YEAR)),
        }
    }

    fn show(&self) -> String {
        let Self { raises, window, probation } = self;
        format!(
            "{{ raises = {raises}, window = {}, probation = {} }}",
            span(*window),
            span(*probation)
        )
    }
}

impl PhantomRule {
    fn example() -> Self {
        let model = const { ShortText::literal("SOS-1 ") };
        Self { model, raises: 30, window: 10 * MINUTE, probation: DAY }
    }

    fn read(table: &mut Table<'_, '_>) -> Self {
        let Self { model, raises, window, probation } = Self::example();
        Self {
            model: table.field::<Brief>("model", model, &Checked(|_| Ok(()))),
            raises: table.field::<Count<u16>>("raises", raises, &Between(2, RAISES_MAX)),
            window: table.field::<Lasting>("window", window, &Between(SECOND, HORIZON_MAX)),
            probation: table.field::<Lasting>("probation", probation, &Between(MINUTE, YEAR)),
        }
    }

    fn show(&self) -> String {
        let Self { model, raises, window, probation } = self;
        format!(
            "{{ model = {:?}, raises = {raises}, window = {}, probation = {} }}",
            model.as_str(),
            span(*window),
            span(*probation)
        )
    }
}

fn span(span: Span) -> String {
    Lasting::show(&span).unwrap_or_default()
}
