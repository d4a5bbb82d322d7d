//! Drafts to a tree of zones: ids, parents, and whether what is drawn is an area.
//!
//! It is given drafts that were read and adds every problem that shows only between features, or between rings.

use std::collections::BTreeMap;

use geo::{MultiPolygon, Validation};

use super::parse::{Area, Draft};
use super::problem::{ZoneFault, ZonePlace, ZoneProblem};

/// Checks what can be checked of the drafts, whatever else is wrong with them.
pub(super) fn check(drafts: &[Draft], problems: &mut Vec<ZoneProblem>) {
    if drafts.is_empty() {
        return;
    }
    let numbers = check_ids(drafts, problems);
    check_tree(drafts, &numbers, problems);
    for draft in drafts {
        if let Area::Drawn(area) = &draft.area {
            let faults = area_faults(area);
            problems.extend(faults.map(|fault| ZoneProblem { place: draft.place(), fault }));
        }
    }
}

/// The first feature of each id.
pub(super) fn numbers(drafts: &[Draft]) -> BTreeMap<&str, usize> {
    // Later features are inserted first, so that the first one stays.
    let ids = drafts.iter().rev();
    ids.filter_map(|draft| draft.id.as_deref().map(|id| (id, draft.number))).collect()
}

fn check_ids<'a>(drafts: &'a [Draft], problems: &mut Vec<ZoneProblem>) -> BTreeMap<&'a str, usize> {
    let numbers = numbers(drafts);
    for draft in drafts {
        let first = draft.id.as_deref().and_then(|id| numbers.get(id));
        if let Some(first) = first.filter(|first| **first != draft.number) {
            let fault = ZoneFault::DuplicateId(*first);
            problems.push(ZoneProblem { place: draft.place(), fault });
        }
    }
    numbers
}

fn check_tree(drafts: &[Draft], numbers: &BTreeMap<&str, usize>, problems: &mut Vec<ZoneProblem>) {
    let parent = |draft: &Draft| draft.parent.as_deref().and_then(|id| numbers.get(id)).copied();
    let mut has_children = vec![false; drafts.len()];
    for draft in drafts {
        match (&draft.parent, parent(draft)) {
            (Some(id), None) => {
                let fault = ZoneFault::UnknownParent(id.clone());
                problems.push(ZoneProblem { place: draft.place(), fault });
            }
            (_, Some(number)) => {
                has_children.get_mut(number).into_iter().for_each(|has| *has = true);
            }
            (None, None) => {}
        }
        if let Some(cycle) = cycle_led_by(draft, drafts, parent) {
            let fault = ZoneFault::Cycle(cycle);
            problems.push(ZoneProblem { place: draft.place(), fault });
        }
    }
    for (draft, has_children) in drafts.iter().zip(has_children) {
        if matches!(draft.area, Area::Absent) && !has_children {
            problems.push(ZoneProblem { place: draft.place(), fault: ZoneFault::NoArea });
        }
    }
    check_root(drafts, problems);
}

fn check_root(drafts: &[Draft], problems: &mut Vec<ZoneProblem>) {
    let roots: Vec<&Draft> = drafts.iter().filter(|draft| draft.parent.is_none()).collect();
    let fault = match roots.as_slice() {
        [_] => return,
        [] => ZoneFault::NoRoot,
        roots => {
            let name = |draft: &&Draft| match &draft.id {
                Some(id) => id.clone(),
                None => format!("feature {}", draft.number),
            };
            ZoneFault::ManyRoots(roots.iter().map(name).collect::<Vec<_>>().join(", "))
        }
    };
    problems.push(ZoneProblem { place: ZonePlace::File, fault });
}

/// The chain of ids that leads from `start` back to it, if `start` has the lowest number on it: a cycle is told once.
fn cycle_led_by(
    start: &Draft,
    drafts: &[Draft],
    parent: impl Fn(&Draft) -> Option<usize>,
) -> Option<String> {
    let mut chain = vec![start.id.as_deref()?];
    let mut above = parent(start)?;
    for _ in 0..drafts.len() {
        if above < start.number {
            return None;
        }
        let draft = drafts.get(above)?;
        chain.push(draft.id.as_deref()?);
        if above == start.number {
            return Some(chain.join(" -> "));
        }
        above = parent(draft)?;
    }
    None
}

fn area_faults(area: &MultiPolygon) -> impl Iterator<Item = ZoneFault> {
    area.validation_errors().into_iter().map(|error| ZoneFault::Invalid(error.to_string()))
}
