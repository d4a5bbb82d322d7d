//! Where a press happened, as the device knows it. Integers only: 1e-7 degrees is about a centimetre.
//!
//! A [`Position`] is always on the globe; whoever has one need not check it again. It never prints itself, so that a
//! place cannot reach a log by accident (promise 8).

use core::fmt;

/// How a device knows where it is. The numbers are the wire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Method {
    /// The device does not say.
    #[default]
    Unknown = 0,
    /// A satellite receiver.
    Gnss = 1,
    /// Wireless networks in reach.
    Wifi = 2,
    /// The mobile network's cell.
    Cell = 3,
    /// Where the button was mounted.
    FixedSite = 4,
    /// The sender typed it.
    TypedIn = 5,
}

impl Method {
    /// Every method, in order of its number.
    pub const ALL: [Self; 6] =
        [Self::Unknown, Self::Gnss, Self::Wifi, Self::Cell, Self::FixedSite, Self::TypedIn];

    /// The method with this wire number.
    #[must_use]
    pub fn from_wire(number: u64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number).copied())
    }

    /// The name that feeds use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Gnss => "gnss",
            Self::Wifi => "wifi",
            Self::Cell => "cell",
            Self::FixedSite => "fixed_site",
            Self::TypedIn => "typed_in",
        }
    }
}

/// A place on the globe, how well it is known and since when.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    lat_e7: i32,
    lon_e7: i32,
    /// Radius of the circle that holds the device, in metres.
    pub radius_m: u32,
    /// How the device knows.
    pub method: Method,
    /// Age of the fix when the message was made, in seconds.
    pub age_s: u32,
}

impl Position {
    /// Highest latitude, in 1e-7 degrees.
    pub const LAT_E7_MAX: i32 = 900_000_000;
    /// Highest longitude, in 1e-7 degrees.
    pub const LON_E7_MAX: i32 = 1_800_000_000;

    /// A position at these coordinates (1e-7 degrees), if they are on the globe. Radius, method and age start at 0.
    #[must_use]
    pub fn new(lat_e7: i64, lon_e7: i64) -> Option<Self> {
        let lat_e7 = i32::try_from(lat_e7).ok()?;
        let lon_e7 = i32::try_from(lon_e7).ok()?;
        let on_globe = lat_e7.unsigned_abs() <= Self::LAT_E7_MAX.unsigned_abs()
            && lon_e7.unsigned_abs() <= Self::LON_E7_MAX.unsigned_abs();
        on_globe.then_some(Self { lat_e7, lon_e7, radius_m: 0, method: Method::Unknown, age_s: 0 })
    }

    /// This place, known by `method`.
    #[must_use]
    pub fn by(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// Latitude in 1e-7 degrees, north positive.
    #[must_use]
    pub fn lat_e7(&self) -> i32 {
        self.lat_e7
    }

    /// Longitude in 1e-7 degrees, east positive.
    #[must_use]
    pub fn lon_e7(&self) -> i32 {
        self.lon_e7
    }

    /// Latitude in degrees.
    #[must_use]
    pub fn lat(&self) -> f64 {
        f64::from(self.lat_e7) / 1e7
    }

    /// Longitude in degrees.
    #[must_use]
    pub fn lon(&self) -> f64 {
        f64::from(self.lon_e7) / 1e7
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Position(..)")
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn accepts_the_edges_of_the_globe_and_nothing_beyond() {
        assert!(Position::new(900_000_000, -1_800_000_000).is_some());
        assert!(Position::new(900_000_001, 0).is_none());
        assert!(Position::new(0, -1_800_000_001).is_none());
        assert!(Position::new(i64::MIN, i64::MAX).is_none());
    }

    #[test]
    fn debug_text_holds_no_place() {
        assert_eq!(
            format!("{:?}", Position::new(-79_666_200, 1_126_326_000)),
            "Some(Position(..))"
        );
    }
}
