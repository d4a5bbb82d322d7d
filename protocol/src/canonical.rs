//! Decides whether bytes are exactly one item of deterministic CBOR (RFC 8949 section 4.2.1).
//!
//! It is given bytes and gives back nothing but yes, or the first offence and where it lies. Identity is a hash of the
//! message bytes, so two spellings of one value would be two alerts; that is why every length, integer and key order
//! must be the only possible one. It never allocates and never follows more than [`DEPTH_MAX`] levels. Whether a text
//! string is UTF-8 is not asked here: it has one spelling either way, and a note that was cut in the middle of a
//! character must cost the note, not the press.

/// Nesting that is still followed. A message needs three; the rest is room for keys that are not known yet.
const DEPTH_MAX: u8 = 8;

/// Why bytes are not one deterministic CBOR item. The number is the offset of the offending byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// The bytes end inside an item: send the whole item.
    #[error("item is cut off at byte {0}")]
    Truncated(usize),
    /// Bytes follow the item: send exactly one.
    #[error("bytes follow the item, from byte {0}")]
    Trailing(usize),
    /// A reserved additional-information value or a misplaced break: this is not CBOR.
    #[error("no CBOR item starts at byte {0}")]
    Malformed(usize),
    /// An integer, length or float has a shorter spelling, or a length is indefinite.
    #[error("item at byte {0} is not in its shortest form")]
    NotShortest(usize),
    /// Map keys are out of order or repeated.
    #[error("map key at byte {0} is out of order or repeated")]
    KeyOrder(usize),
    /// Nesting deeper than this protocol ever uses.
    #[error("nesting at byte {0} is too deep")]
    TooDeep(usize),
}

impl CanonicalError {
    /// Whether the bytes are well-formed CBOR, only not in their one permitted spelling.
    #[must_use]
    pub fn is_spelling(&self) -> bool {
        matches!(self, Self::NotShortest(_) | Self::KeyOrder(_))
    }
}

/// Checks that `bytes` are exactly one deterministic CBOR item.
///
/// # Errors
/// The first offence found, from the left.
pub fn check_canonical(bytes: &[u8]) -> Result<(), CanonicalError> {
    let end = item_end(bytes, 0)?;
    if end == bytes.len() { Ok(()) } else { Err(CanonicalError::Trailing(end)) }
}

/// Checks the item that starts at `start` and returns the offset behind it. What follows is not looked at.
pub(crate) fn item_end(bytes: &[u8], start: usize) -> Result<usize, CanonicalError> {
    item(bytes, start, 0)
}

/// Checks the item that starts at `start` and returns the offset behind it.
fn item(bytes: &[u8], start: usize, depth: u8) -> Result<usize, CanonicalError> {
    if depth > DEPTH_MAX {
        return Err(CanonicalError::TooDeep(start));
    }
    let head = Head::read(bytes, start)?;
    match head.major {
        0 | 1 => Ok(head.end),
        2 | 3 => string_end(bytes, &head),
        4 => (0..head.value).try_fold(head.end, |at, _| item(bytes, at, depth + 1)),
        5 => map(bytes, &head, depth),
        6 => item(bytes, head.end, depth + 1),
        _ => Ok(head.end),
    }
}

fn map(bytes: &[u8], head: &Head, depth: u8) -> Result<usize, CanonicalError> {
    let mut at = head.end;
    let mut previous: Option<&[u8]> = None;
    for _ in 0..head.value {
        let key_end = item(bytes, at, depth + 1)?;
        let key = bytes.get(at..key_end).ok_or(CanonicalError::Truncated(at))?;
        if previous.is_some_and(|previous| previous >= key) {
            return Err(CanonicalError::KeyOrder(at));
        }
        previous = Some(key);
        at = item(bytes, key_end, depth + 1)?;
    }
    Ok(at)
}

/// The offset behind a byte or text string.
fn string_end(bytes: &[u8], head: &Head) -> Result<usize, CanonicalError> {
    let len = usize::try_from(head.value).ok();
    let end = len.and_then(|len| head.end.checked_add(len)).filter(|end| *end <= bytes.len());
    end.ok_or(CanonicalError::Truncated(bytes.len()))
}

/// The first bytes of an item: its major type and its argument.
struct Head {
    major: u8,
    value: u64,
    end: usize,
}

impl Head {
    fn read(bytes: &[u8], start: usize) -> Result<Self, CanonicalError> {
        let first = *bytes.get(start).ok_or(CanonicalError::Truncated(start))?;
        let (major, info) = (first >> 5, first & 0x1f);
        let width = match info {
            0..=23 => 0,
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            31 if matches!(major, 2..=5) => return Err(CanonicalError::NotShortest(start)),
            _ => return Err(CanonicalError::Malformed(start)),
        };
        let end = start + 1 + width;
        let argument = bytes.get(start + 1..end).ok_or(CanonicalError::Truncated(bytes.len()))?;
        let value = match width {
            0 => u64::from(info),
            _ => argument.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)),
        };
        let shortest = if major == 7 {
            simple_is_shortest(info, value)
        } else {
            argument_is_shortest(width, value)
        };
        if shortest {
            Ok(Self { major, value, end })
        } else {
            Err(CanonicalError::NotShortest(start))
        }
    }
}

fn argument_is_shortest(width: usize, value: u64) -> bool {
    match width {
        0 => true,
        1 => value > 23,
        2 => value > 0xff,
        4 => value > 0xffff,
        _ => value > 0xffff_ffff,
    }
}

/// Simple values below 32 have one byte; a float must not survive being halved (RFC 8949 section 4.2.2).
fn simple_is_shortest(info: u8, value: u64) -> bool {
    match info {
        0..=23 => true,
        24 => value >= 32,
        25 => true,
        26 => !f32_fits_half(value),
        _ => !f64_fits_single(value),
    }
}

fn f64_fits_single(bits: u64) -> bool {
    let exponent = (bits >> 52) & 0x7ff;
    let fraction = bits & ((1 << 52) - 1);
    fits_narrower(
        exponent,
        fraction,
        &Narrowing {
            bias: 1023,
            max: 0x7ff,
            fraction_bits: 52,
            to_bias: 127,
            to_fraction_bits: 23,
        },
    )
}

fn f32_fits_half(bits: u64) -> bool {
    let exponent = (bits >> 23) & 0xff;
    let fraction = bits & ((1 << 23) - 1);
    fits_narrower(
        exponent,
        fraction,
        &Narrowing { bias: 127, max: 0xff, fraction_bits: 23, to_bias: 15, to_fraction_bits: 10 },
    )
}

/// From one IEEE 754 binary format to the next narrower one.
struct Narrowing {
    bias: i64,
    max: u64,
    fraction_bits: u32,
    to_bias: i64,
    to_fraction_bits: u32,
}

/// Whether a float keeps its value in the narrower format, by its exponent and fraction fields.
fn fits_narrower(exponent: u64, fraction: u64, format: &Narrowing) -> bool {
    let dropped = format.fraction_bits - format.to_fraction_bits;
    if exponent == format.max {
        return fraction.trailing_zeros() >= dropped;
    }
    if exponent == 0 {
        return fraction == 0;
    }
    let power = exponent.cast_signed() - format.bias;
    let spare = i64::from(fraction.trailing_zeros().min(format.fraction_bits));
    let least_normal = 1 - format.to_bias;
    if power > format.to_bias {
        false
    } else if power >= least_normal {
        spare >= i64::from(dropped)
    } else {
        let needed = i64::from(format.fraction_bits) - spare;
        needed + (least_normal - power) <= i64::from(format.to_fraction_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_one_deterministic_item() {
        for hex in ["00", "1818", "1901f4", "820102", "a201020304", "f4", "f97e00", "fa47c35000"] {
            assert_eq!(check_canonical(&hex::decode(hex).unwrap()), Ok(()), "{hex}");
        }
    }

    #[test]
    fn refuses_a_longer_spelling() {
        for hex in [
            "1800",
            "190018",
            "5801aa",
            "9f00ff",
            "5f4100ff",
            "f814",
            "fb3ff8000000000000",
            "fa3fc00000",
        ] {
            assert_eq!(
                check_canonical(&hex::decode(hex).unwrap()),
                Err(CanonicalError::NotShortest(0)),
                "{hex}"
            );
        }
    }

    #[test]
    fn refuses_keys_out_of_order_or_repeated() {
        for hex in ["a203040102", "a201020103"] {
            let bytes = hex::decode(hex).unwrap();
            assert_eq!(check_canonical(&bytes), Err(CanonicalError::KeyOrder(3)), "{hex}");
        }
    }

    #[test]
    fn refuses_what_is_cut_off_or_followed() {
        assert_eq!(check_canonical(&[]), Err(CanonicalError::Truncated(0)));
        assert_eq!(check_canonical(&[0x42, 1]), Err(CanonicalError::Truncated(2)));
        assert_eq!(check_canonical(&[0x00, 0x00]), Err(CanonicalError::Trailing(1)));
        assert_eq!(check_canonical(&[0xff]), Err(CanonicalError::Malformed(0)));
    }

    #[test]
    fn leaves_it_to_the_reader_whether_text_is_utf_8() {
        assert_eq!(check_canonical(&[0x61, 0xff]), Ok(()));
    }

    #[test]
    fn refuses_nesting_beyond_its_bound_and_huge_lengths() {
        assert_eq!(check_canonical(&[0x81; 64]), Err(CanonicalError::TooDeep(9)));
        let huge = [0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(check_canonical(&huge), Err(CanonicalError::Truncated(9)));
    }
}
