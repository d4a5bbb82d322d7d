//! Whom a press beside a border pages.

use protocol::Position;

use super::town::*;
use crate::*;

/// A place in the east, so many metres from the border with the west.
fn beside(metres: i64, radius_m: u32) -> Option<Position> {
    let mut place = Position::new(5_000_000, 100_000_000 + metres * 90)?;
    place.radius_m = radius_m;
    Some(place)
}

fn raised(town: &mut Town, place: Option<Position>) -> Record {
    town.send(1, Sent { place, ..Sent::raise() }).0
}

#[test]
fn a_press_beside_a_border_pages_the_neighbour_from_the_first_moment() {
    let mut town = Town::new();
    let mut paged = |place| {
        let record = raised(&mut town, place);
        let also: Vec<_> = record.also.iter().map(ToString::to_string).collect();
        (record.zone.to_string(), also)
    };
    let (east, west) = ("east".to_owned(), "west".to_owned());
    assert_eq!(paged(beside(50, 0)), (east.clone(), vec![west.clone()]));
    assert_eq!(paged(beside(-50, 0)), (west.clone(), vec![east.clone()]));
    assert_eq!(paged(beside(150, 0)), (east.clone(), vec![]));
    assert_eq!(paged(beside(150, 60)), (east.clone(), vec![west]), "it may be on either side");
    assert_eq!(paged(beside(2_000, u32::MAX)), (east.clone(), vec![]), "up to a bound");
    let outside = Position::new(5_000_000, 110_004_500);
    assert_eq!(paged(outside), ("city".to_owned(), vec![east]), "outside every zone");
    assert_eq!(paged(None), ("city".to_owned(), vec![]));
}

#[test]
fn whom_the_neighbour_would_ask_is_asked_too() {
    let mut town = Town::new();
    let case = Case { zone: Some(ZoneId::new("west")), ..Case::default() };
    let fire = Agencies::NONE.with(Agency::Fire);
    let police = Agencies::NONE.with(Agency::Police);
    town.route(Routing {
        agencies: police,
        agency_rules: vec![AgencyRule { case, agencies: fire }],
        ..Routing::default()
    });
    assert_eq!(raised(&mut town, beside(150, 0)).agencies, police);
    assert_eq!(raised(&mut town, beside(50, 0)).agencies, police.union(fire));
}

#[test]
fn neighbour_is_told_of_a_press_outside_every_zone_and_of_what_follows() {
    let mut town = Town::new();
    let neighbours = vec![Neighbour::new("batu")];
    town.route(Routing { neighbours, ..Routing::default() });
    let batu = [ZoneId::new("neighbour:batu")];
    let outside = Position::new(5_000_000, 120_000_000);
    let raise = raised(&mut town, outside);
    assert_eq!((raise.zone.as_str(), raise.also.as_slice()), ("city", &batu[..]));
    assert!(raise.labels.contains(protocol::Label::OutsideZones));
    for _ in 0..2 {
        let alert = raise.message_id.alert();
        town.pass(SECOND);
        let (update, _) = town.send(1, Sent { place: beside(500, 0), ..Sent::update(alert) });
        assert_eq!((update.kind, update.also.as_slice()), (protocol::Kind::Update, &batu[..]));
        town.restart();
    }
    assert_eq!(raised(&mut town, beside(500, 0)).also, [], "inside");
    assert_eq!(raised(&mut town, None).also, [], "nowhere");
}

#[test]
fn neighbour_of_two_areas_is_told_once_where_both_hold_a_press() {
    let mut town = Town::new();
    let neighbours = vec![Neighbour::new("batu"), Neighbour::new("kab"), Neighbour::new("batu")];
    town.route(Routing { neighbours, ..Routing::default() });
    let also = raised(&mut town, Position::new(5_000_000, 120_000_000)).also;
    assert_eq!(also, ["neighbour:batu", "neighbour:kab"].map(ZoneId::new));
}
