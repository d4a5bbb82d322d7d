//! Who presses and why, what operators make of it, and how devices came to be enrolled: what a policy is tried on.
//!
//! Four tables that a scenario has all of or none of. Shares are of one; every number is stated in the file, so that a
//! result names its assumptions.

use pipeline::Span;

use super::reader::Section;

/// Who makes a press: the truth, which operators do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Caller {
    /// Somebody needs help.
    Genuine,
    /// Somebody means to mislead.
    Prank,
    /// Nobody meant to press.
    Accidental,
    /// Nobody ever learns what it was.
    Silent,
}

impl Caller {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Genuine, Self::Prank, Self::Accidental, Self::Silent];

    /// The name that files use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Genuine => "genuine",
            Self::Prank => "prank",
            Self::Accidental => "accidental",
            Self::Silent => "silent",
        }
    }
}

/// How people and operators act.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conduct {
    pub(crate) shares: ByCaller,
    pub(crate) pranksters: Pranksters,
    pub(crate) emergencies: Emergencies,
    pub(crate) resent: f64,
    pub(crate) repeated: f64,
    pub(crate) cancelled: ByCaller,
    pub(crate) operators: Operators,
    pub(crate) enrolment: EnrolmentPlan,
}

/// A share for each kind of caller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ByCaller([f64; 4]);

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pranksters {
    pub(crate) devices: u32,
    pub(crate) spread: f64,
    pub(crate) evading: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Emergencies {
    pub(crate) by_pranksters: f64,
    pub(crate) seen: f64,
    pub(crate) others_max: u32,
    pub(crate) others_within: Span,
    pub(crate) reach_m: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Operators {
    pub(crate) judged: f64,
    pub(crate) judged_held: f64,
    pub(crate) delay_median: Span,
    pub(crate) delay_sigma: f64,
    pub(crate) wrong_prank: f64,
    pub(crate) wrong_genuine: f64,
    pub(crate) silent_judged: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EnrolmentPlan {
    pub(crate) batch_devices: u32,
    pub(crate) shared_owner: f64,
    pub(crate) during: f64,
}

impl ByCaller {
    pub(crate) fn of(&self, caller: Caller) -> f64 {
        let [genuine, prank, accidental, silent] = self.0;
        match caller {
            Caller::Genuine => genuine,
            Caller::Prank => prank,
            Caller::Accidental => accidental,
            Caller::Silent => silent,
        }
    }

    fn read(section: &mut Section<'_>) -> Option<Self> {
        let [genuine, prank, accidental, silent] =
            Caller::ALL.map(|caller| section.number(caller.name(), 0.0, 1.0));
        Some(Self([genuine?, prank?, accidental?, silent?]))
    }
}

impl Emergencies {
    /// How many others press for an emergency, on average.
    pub(crate) fn others_mean(&self) -> f64 {
        self.seen * f64::from(self.others_max + 1) / 2.0
    }
}

/// The tables that belong together.
const TABLES: [&str; 3] = ["callers", "operators", "enrolment"];
/// How far the shares of callers may be from one together.
const ROUNDING: f64 = 1e-6;

/// The conduct that a file states; `None` inside if it states none.
#[expect(clippy::option_option, reason = "the outer one says whether the file can be read")]
pub(super) fn read(file: &mut Section<'_>, devices: Option<u32>) -> Option<Option<Conduct>> {
    if !TABLES.iter().any(|table| file.has(table)) {
        return Some(None);
    }
    let callers = file.section("callers").map(|section| read_callers(section, devices));
    let operators = file.section("operators").map(read_operators);
    let enrolment = file.section("enrolment").map(read_enrolment);
    let Callers { shares, pranksters, emergencies, resent, repeated, cancelled } = callers??;
    let (operators, enrolment) = (operators??, enrolment??);
    let conduct = Conduct {
        shares,
        pranksters,
        emergencies,
        resent,
        repeated,
        cancelled,
        operators,
        enrolment,
    };
    Some(Some(conduct))
}

struct Callers {
    shares: ByCaller,
    pranksters: Pranksters,
    emergencies: Emergencies,
    resent: f64,
    repeated: f64,
    cancelled: ByCaller,
}

fn read_callers(mut section: Section<'_>, devices: Option<u32>) -> Option<Callers> {
    let shares = ByCaller::read(&mut section);
    if shares.is_some_and(|ByCaller(shares)| (shares.iter().sum::<f64>() - 1.0).abs() > ROUNDING) {
        section.problem("genuine", "and the shares of all other callers must be 1 together");
    }
    let pranksters =
        section.section("pranksters").and_then(|table| read_pranksters(table, devices));
    let emergencies = section.section("emergencies").and_then(read_emergencies);
    let resent = section.section("resends").and_then(read_share);
    let repeated = section.section("repeats").and_then(read_share);
    let cancelled = section.section("cancelled").and_then(|mut section| {
        let cancelled = ByCaller::read(&mut section);
        section.finish();
        cancelled
    });
    section.finish();
    Some(Callers {
        shares: shares?,
        pranksters: pranksters?,
        emergencies: emergencies?,
        resent: resent?,
        repeated: repeated?,
        cancelled: cancelled?,
    })
}

fn read_share(mut section: Section<'_>) -> Option<f64> {
    let share = section.number("share", 0.0, 1.0);
    section.finish();
    share
}

fn read_pranksters(mut section: Section<'_>, devices: Option<u32>) -> Option<Pranksters> {
    let pranksters = section.count("devices", 1);
    if let (Some(pranksters), Some(devices)) = (pranksters, devices)
        && pranksters > devices / 2
    {
        section.problem("devices", "is more than half of all devices: have fewer");
    }
    let spread = section.number("spread", 0.0, 4.0);
    let evading = section.number("evading", 0.0, 1.0);
    section.finish();
    Some(Pranksters { devices: pranksters?, spread: spread?, evading: evading? })
}

fn read_emergencies(mut section: Section<'_>) -> Option<Emergencies> {
    let by_pranksters = section.number("by_pranksters", 0.0, 1.0);
    let seen = section.number("seen", 0.0, 1.0);
    let others_max = section.count("others_max", 1);
    let others_within = section.duration_us("others_within");
    let reach_m = section.number("reach_m", 1.0, 50_000.0);
    section.finish();
    Some(Emergencies {
        by_pranksters: by_pranksters?,
        seen: seen?,
        others_max: others_max?,
        others_within: Span(others_within?),
        reach_m: reach_m?,
    })
}

fn read_operators(mut section: Section<'_>) -> Option<Operators> {
    let [judged, judged_held, wrong_prank, wrong_genuine, silent_judged] =
        ["judged", "judged_held", "wrong_prank", "wrong_genuine", "silent_judged"]
            .map(|key| section.number(key, 0.0, 1.0));
    let delay_median = section.duration_us("delay_median");
    let delay_sigma = section.number("delay_sigma", 0.0, 4.0);
    section.finish();
    Some(Operators {
        judged: judged?,
        judged_held: judged_held?,
        delay_median: Span(delay_median?),
        delay_sigma: delay_sigma?,
        wrong_prank: wrong_prank?,
        wrong_genuine: wrong_genuine?,
        silent_judged: silent_judged?,
    })
}

fn read_enrolment(mut section: Section<'_>) -> Option<EnrolmentPlan> {
    let batch_devices = section.count("batch_devices", 1);
    let shared_owner = section.number("shared_owner", 0.0, 1.0);
    let during = section.number("during", 0.0, 0.9);
    section.finish();
    Some(EnrolmentPlan {
        batch_devices: batch_devices?,
        shared_owner: shared_owner?,
        during: during?,
    })
}
