//! Neighbours: who is told of presses outside every zone, beside the root, and where.
//!
//! A neighbour is another city's gateway or command centre. It is named in an alert's paged zones as `neighbour:NAME`,
//! which can be no zone's id, so that it sees what it was told of and what follows, and nothing else.

use protocol::Position;
use toml::de::DeValue;

use crate::ZoneId;
use crate::settings::{Any, Codec, Raw, Rule, Table, Text};

/// What stands before the name of a neighbour.
const PREFIX: &str = "neighbour:";
/// Longest name, in bytes.
const NAME_LEN_MAX: usize = 64;
/// Units of a degree.
const E7: f64 = 1e7;

/// Who is told of presses outside every zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// What it is called among an alert's paged zones.
    pub zone: ZoneId,
    /// Of presses in this area; nothing: wherever they are.
    pub area: Option<Area>,
}

/// A rectangle of the map, edges included, in units of 1e-7 degrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    west: i32,
    south: i32,
    east: i32,
    north: i32,
}

impl Neighbour {
    /// The neighbour of this name, wherever a press is.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { zone: ZoneId::new(&format!("{PREFIX}{name}")), area: None }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.zone.as_str().strip_prefix(PREFIX).unwrap_or_default()
    }

    /// Whether it is told of a press outside every zone at `place`.
    #[must_use]
    pub fn hears_of(&self, place: &Position) -> bool {
        self.area.is_none_or(|area| area.holds(place))
    }

    pub(super) fn read(table: &mut Table<'_, '_>) -> Self {
        let name = table.field::<Text>("name", "batu".into(), &Name);
        let area = table.optional::<Area>("area", &Any);
        Self { area, ..Self::new(&name) }
    }

    pub(super) fn show(&self) -> String {
        let area = self.area.as_ref().and_then(Area::show);
        let area = area.map(|area| format!(", area = {area}")).unwrap_or_default();
        format!("{{ name = {:?}{area} }}", self.name())
    }
}

/// A name is made of what a zone's id is made of.
struct Name;

impl Rule<Text> for Name {
    fn check(&self, name: &String) -> Result<(), String> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !name.is_empty() && name.len() <= NAME_LEN_MAX && name.bytes().all(fits) {
            return Ok(());
        }
        Err(format!("is no name; write 1 to {NAME_LEN_MAX} of letters, digits, '-', '_' and '.'"))
    }
}

impl Area {
    fn holds(&self, place: &Position) -> bool {
        (self.south..=self.north).contains(&place.lat_e7())
            && (self.west..=self.east).contains(&place.lon_e7())
    }
}

impl Codec for Area {
    type Value = Self;

    fn read(raw: &Raw<'_>) -> Result<Self, String> {
        let expected = || "expected [west, south, east, north] in degrees".to_owned();
        let Raw::Toml(DeValue::Array(list)) = raw else { return Err(expected()) };
        let degrees = |item: &DeValue<'_>| match item {
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            DeValue::Integer(number) => number.as_str().parse::<f64>().ok(),
            _ => None,
        };
        let degrees: Option<Vec<f64>> = list.iter().map(|item| degrees(item.get_ref())).collect();
        let Some([west, south, east, north]) = degrees.as_deref() else { return Err(expected()) };
        let corner = |lat: f64, lon: f64| position(lat, lon).ok_or_else(expected);
        let (low, high) = (corner(*south, *west)?, corner(*north, *east)?);
        if west >= east || south >= north {
            return Err("holds nothing; write [west, south, east, north] in degrees".to_owned());
        }
        Ok(Self {
            west: low.lon_e7(),
            south: low.lat_e7(),
            east: high.lon_e7(),
            north: high.lat_e7(),
        })
    }

    fn show(value: &Self) -> Option<String> {
        let [west, south, east, north] =
            [value.west, value.south, value.east, value.north].map(|e7| f64::from(e7) / E7);
        Some(format!("[{west:?}, {south:?}, {east:?}, {north:?}]"))
    }
}

/// The place of these degrees, if it is on the globe.
fn position(lat: f64, lon: f64) -> Option<Position> {
    #[expect(clippy::cast_possible_truncation, reason = "what does not fit is not on the globe")]
    let e7 = |degrees: f64| (degrees * E7).round() as i64;
    Position::new(e7(lat), e7(lon)).filter(|_| lat.is_finite() && lon.is_finite())
}
