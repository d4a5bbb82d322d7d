//! A message: what a device says, before it is signed.
//!
//! Decoding borrows from the received bytes and sorts every defect into one of two: a mandatory part that is wrong is
//! an error, an optional part that is wrong is dropped with a [`Label`]. An optional field never costs the press.

use alloc::vec::Vec;

use minicbor::data::Type;
use minicbor::decode::Error as DecodeError;
use minicbor::{Decoder, Encoder};

use crate::envelope::encode;
use crate::{
    AlertId, CanonicalError, Counters, Label, Labels, Method, Position, Reason, UnixMillis,
    canonical::item_end, check_canonical,
};

/// Longest note, in bytes of UTF-8.
pub const NOTE_LEN_MAX: usize = 280;
/// Longest model and firmware text, in bytes of UTF-8.
pub const FIRMWARE_LEN_MAX: usize = 32;
/// The version of this protocol.
const VERSION: u64 = 1;
const FLAG_SILENT: u64 = 1;
const FLAG_EXERCISE: u64 = 2;

/// What a message is for. The numbers are the wire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A press: opens an alert.
    Raise = 1,
    /// More about an open alert: a later position, a category, a note.
    Update = 2,
    /// The sender takes the press back.
    Cancel = 3,
    /// A button reports that it is alive.
    Heartbeat = 4,
}

impl Kind {
    /// Every kind, in order of its number.
    pub const ALL: [Self; 4] = [Self::Raise, Self::Update, Self::Cancel, Self::Heartbeat];

    /// The kind with this wire number.
    #[must_use]
    pub fn from_wire(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u64 == number)
    }

    /// The name that feeds, metrics and tables use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raise => "raise",
            Self::Update => "update",
            Self::Cancel => "cancel",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// What kind of help is needed. The numbers are the wire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Category {
    /// The sender did not say.
    #[default]
    Unspecified = 0,
    /// A crime.
    Crime = 1,
    /// Violence at home.
    ViolenceAtHome = 2,
    /// Somebody needs a doctor.
    Medical = 3,
    /// Fire.
    Fire = 4,
    /// A traffic accident.
    Traffic = 5,
    /// Earthquake, flood, eruption.
    Disaster = 6,
    /// Unrest.
    Unrest = 7,
    /// A bomb, or what looks like one.
    Explosive = 8,
}

impl Category {
    /// Every category, in order of its number.
    pub const ALL: [Self; 9] = [
        Self::Unspecified,
        Self::Crime,
        Self::ViolenceAtHome,
        Self::Medical,
        Self::Fire,
        Self::Traffic,
        Self::Disaster,
        Self::Unrest,
        Self::Explosive,
    ];

    /// The category with this wire number.
    #[must_use]
    pub fn from_wire(number: u64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number).copied())
    }

    /// The name that feeds, files and command lines use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Crime => "crime",
            Self::ViolenceAtHome => "violence_at_home",
            Self::Medical => "medical",
            Self::Fire => "fire",
            Self::Traffic => "traffic",
            Self::Disaster => "disaster",
            Self::Unrest => "unrest",
            Self::Explosive => "explosive",
        }
    }

    /// The category with this [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.name() == name)
    }
}

/// Eight random bytes that make two presses of one device two presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nonce(pub [u8; 8]);

/// A share of a hundred, as batteries report it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u8);

impl Percent {
    /// `value`, if it is at most 100.
    #[must_use]
    pub fn new(value: u8) -> Option<Self> {
        (value <= 100).then_some(Self(value))
    }

    /// 0 to 100.
    #[must_use]
    pub fn value(self) -> u8 {
        self.0
    }
}

/// What a device says. Field numbers are those of `docs/protocol.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Key 2.
    pub kind: Kind,
    /// Keys 3 and 4.
    pub counters: Counters,
    /// Key 5: the alert that an update or cancel belongs to.
    pub alert: Option<AlertId>,
    /// Key 6.
    pub category: Option<Category>,
    /// Key 7.
    pub position: Option<Position>,
    /// Key 8: evidence, never a reason to refuse.
    pub device_clock: Option<UnixMillis>,
    /// Key 9.
    pub battery: Option<Percent>,
    /// Key 10, bit 1: answer discreetly.
    pub silent: bool,
    /// Key 10, bit 2: a drill, if the zone has declared one.
    pub exercise: bool,
    /// Key 11.
    pub note: Option<&'a str>,
    /// Key 12: mandatory in a raise.
    pub nonce: Option<Nonce>,
    /// Key 13: model and firmware.
    pub firmware: Option<&'a str>,
}

/// Why bytes are not a message. The number is the key at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not one deterministic CBOR item.
    #[error(transparent)]
    Encoding(#[from] CanonicalError),
    /// Not a map, or a mandatory key has a value of the wrong type or size.
    #[error("message key {0} is ill-formed")]
    Field(u64),
    /// A mandatory key is absent.
    #[error("message key {0} is missing")]
    Missing(u64),
    /// Key 1 is not a version that is spoken here.
    #[error("message version {0} is not spoken here")]
    Version(u64),
    /// Key 2 is not a kind that is known here.
    #[error("message kind {0} is not known here")]
    Kind(u64),
}

impl MessageError {
    /// What the sender is told.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Encoding(error) if error.is_spelling() => Reason::NonCanonical,
            Self::Encoding(_) | Self::Field(_) | Self::Missing(_) => Reason::Malformed,
            Self::Version(_) => Reason::UnsupportedVersion,
            Self::Kind(_) => Reason::UnknownKind,
        }
    }
}

impl<'a> Message<'a> {
    /// A message with its mandatory parts and nothing else.
    #[must_use]
    pub fn new(kind: Kind, counters: Counters) -> Self {
        Self {
            kind,
            counters,
            alert: None,
            category: None,
            position: None,
            device_clock: None,
            battery: None,
            silent: false,
            exercise: false,
            note: None,
            nonce: None,
            firmware: None,
        }
    }

    /// A raise.
    #[must_use]
    pub fn raise(counters: Counters, nonce: Nonce) -> Self {
        Self { nonce: Some(nonce), ..Self::new(Kind::Raise, counters) }
    }

    /// Reads a message and what was odd about it.
    ///
    /// # Errors
    /// When a mandatory part is absent or wrong. Optional parts never are an error.
    pub fn decode(bytes: &'a [u8]) -> Result<(Self, Labels), MessageError> {
        check_canonical(bytes)?;
        let mut decoder = Decoder::new(bytes);
        let Ok(Some(entries)) = decoder.map() else { return Err(MessageError::Field(0)) };
        let mut fields = Fields::default();
        for _ in 0..entries {
            fields.read_entry(&mut decoder)?;
        }
        fields.finish()
    }

    /// The one deterministic spelling of this message.
    ///
    /// A note or firmware text that is too long is cut at a character boundary.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let flags = u64::from(self.silent) * FLAG_SILENT + u64::from(self.exercise) * FLAG_EXERCISE;
        let entries = 4
            + u64::from(self.alert.is_some())
            + u64::from(self.category.is_some())
            + u64::from(self.position.is_some())
            + u64::from(self.device_clock.is_some())
            + u64::from(self.battery.is_some())
            + u64::from(flags != 0)
            + u64::from(self.note.is_some())
            + u64::from(self.nonce.is_some())
            + u64::from(self.firmware.is_some());
        encode(96, |encoder| {
            encoder.map(entries)?.u8(1)?.u64(VERSION)?.u8(2)?.u64(self.kind as u64)?;
            encoder.u8(3)?.u32(self.counters.boot.0)?.u8(4)?.u32(self.counters.sequence.0)?;
            if let Some(alert) = &self.alert {
                encoder.u8(5)?.bytes(alert.as_bytes())?;
            }
            if let Some(category) = self.category {
                encoder.u8(6)?.u64(category as u64)?;
            }
            if let Some(position) = &self.position {
                encode_position(encoder.u8(7)?, position)?;
            }
            if let Some(clock) = self.device_clock {
                encoder.u8(8)?.u64(clock.0)?;
            }
            if let Some(battery) = self.battery {
                encoder.u8(9)?.u8(battery.value())?;
            }
            if flags != 0 {
                encoder.u8(10)?.u64(flags)?;
            }
            if let Some(note) = self.note {
                encoder.u8(11)?.str(cut(note, NOTE_LEN_MAX))?;
            }
            if let Some(nonce) = &self.nonce {
                encoder.u8(12)?.bytes(&nonce.0)?;
            }
            if let Some(firmware) = self.firmware {
                encoder.u8(13)?.str(cut(firmware, FIRMWARE_LEN_MAX))?;
            }
            Ok(())
        })
    }
}

fn encode_position<W: minicbor::encode::Write>(
    encoder: &mut Encoder<W>,
    position: &Position,
) -> Result<(), minicbor::encode::Error<W::Error>> {
    encoder.array(5)?.i32(position.lat_e7())?.i32(position.lon_e7())?;
    encoder.u32(position.radius_m)?.u64(position.method as u64)?.u32(position.age_s)?;
    Ok(())
}

/// The longest prefix of `text` that has at most `len_max` bytes.
fn cut(text: &str, len_max: usize) -> &str {
    let end = text.floor_char_boundary(len_max);
    text.get(..end).unwrap_or(text)
}

/// The bytes of the next item, whatever it is. Fails only behind the end of the message, which was checked as a whole.
fn take_item<'a>(decoder: &mut Decoder<'a>) -> Result<&'a [u8], MessageError> {
    let (bytes, start) = (decoder.input(), decoder.position());
    let end = item_end(bytes, start)?;
    decoder.set_position(end);
    Ok(bytes.get(start..end).unwrap_or_default())
}

/// The next member of an array as `read` understands it. The member is passed over whole even when it is something
/// else, so that an odd one never lends its bytes to the next.
fn read_member<'a, T>(
    members: &mut Decoder<'a>,
    read: impl FnOnce(&mut Decoder<'a>) -> Result<T, DecodeError>,
) -> Option<T> {
    let member = take_item(members).ok()?;
    read(&mut Decoder::new(member)).ok()
}

/// What has been read of a message so far.
#[derive(Default)]
struct Fields<'a> {
    has_version: bool,
    kind: Option<u64>,
    boot: Option<u32>,
    sequence: Option<u32>,
    alert: Option<AlertId>,
    category: Option<Category>,
    position: Option<Position>,
    device_clock: Option<UnixMillis>,
    battery: Option<Percent>,
    flags: u64,
    note: Option<&'a str>,
    nonce: Option<Nonce>,
    firmware: Option<&'a str>,
    labels: Labels,
}

impl<'a> Fields<'a> {
    /// Reads one key and its value.
    fn read_entry(&mut self, decoder: &mut Decoder<'a>) -> Result<(), MessageError> {
        let key = match decoder.datatype() {
            Ok(Type::U8 | Type::U16 | Type::U32 | Type::U64) => {
                decoder.u64().map_err(|_| MessageError::Field(0))?
            }
            _ => {
                take_item(decoder)?;
                u64::MAX
            }
        };
        let value = take_item(decoder)?;
        self.read_value(key, value)
    }

    fn read_value(&mut self, key: u64, value: &'a [u8]) -> Result<(), MessageError> {
        let mut value = Decoder::new(value);
        let ill_formed = |_| MessageError::Field(key);
        match key {
            1 => self.read_version(value.u64().map_err(ill_formed)?)?,
            2 => self.kind = Some(value.u64().map_err(ill_formed)?),
            3 => self.boot = Some(value.u32().map_err(ill_formed)?),
            4 => self.sequence = Some(value.u32().map_err(ill_formed)?),
            5 => self.alert = self.keep(value.bytes(), AlertId::from_slice, Label::StrayField),
            6 => {
                self.category = self.keep(value.u64(), Category::from_wire, Label::CategoryDropped);
            }
            7 => self.read_position(value),
            8 => {
                self.device_clock =
                    self.keep(value.u64(), |ms| Some(UnixMillis(ms)), Label::ClockDropped)
            }
            9 => self.battery = self.keep(value.u8(), Percent::new, Label::BatteryDropped),
            10 => self.read_flags(value),
            11 => {
                let fits = |text: &'a str| (text.len() <= NOTE_LEN_MAX).then_some(text);
                self.note = self.keep(value.str(), fits, Label::NoteDropped);
            }
            12 => {
                let nonce = |bytes: &[u8]| bytes.try_into().ok().map(Nonce);
                self.nonce = self.keep(value.bytes(), nonce, Label::StrayField);
            }
            13 => {
                let fits = |text: &'a str| (text.len() <= FIRMWARE_LEN_MAX).then_some(text);
                self.firmware = self.keep(value.str(), fits, Label::FirmwareDropped);
            }
            _ => self.labels.insert(Label::UnknownKeys),
        }
        Ok(())
    }

    /// Keys are in order, so this one is read before all others: what another version means by them is not guessed.
    fn read_version(&mut self, version: u64) -> Result<(), MessageError> {
        self.has_version = version == VERSION;
        if self.has_version { Ok(()) } else { Err(MessageError::Version(version)) }
    }

    /// An optional value if it is well-formed and in range; otherwise nothing, and `label`.
    fn keep<R, T>(
        &mut self,
        read: Result<R, DecodeError>,
        check: impl FnOnce(R) -> Option<T>,
        label: Label,
    ) -> Option<T> {
        let value = read.ok().and_then(check);
        if value.is_none() {
            self.labels.insert(label);
        }
        value
    }

    /// A place whose radius, method or age is odd is still a place.
    fn read_position(&mut self, mut value: Decoder<'a>) {
        let coordinates = value.array().ok().flatten().and_then(|members| {
            let (lat, lon) = (value.i64().ok()?, value.i64().ok()?);
            (members >= 2).then_some((lat, lon, members))
        });
        let place =
            coordinates.and_then(|(lat, lon, members)| Some((Position::new(lat, lon)?, members)));
        let Some((mut position, members)) = place else {
            self.labels.insert(Label::PositionDropped);
            return;
        };
        let radius_m = read_member(&mut value, Decoder::u32);
        let method = read_member(&mut value, Decoder::u64).and_then(Method::from_wire);
        let age_s = read_member(&mut value, Decoder::u32);
        if members != 5 || radius_m.is_none() || method.is_none() || age_s.is_none() {
            self.labels.insert(Label::PositionAmended);
        }
        position.radius_m = radius_m.unwrap_or_default();
        position.method = method.unwrap_or_default();
        position.age_s = age_s.unwrap_or_default();
        self.position = Some(position);
    }

    fn read_flags(&mut self, mut value: Decoder<'a>) {
        match value.u64() {
            Ok(flags) => {
                self.flags = flags & (FLAG_SILENT | FLAG_EXERCISE);
                if self.flags != flags {
                    self.labels.insert(Label::FlagsAmended);
                }
            }
            Err(_) => self.labels.insert(Label::FlagsAmended),
        }
    }

    /// The message, once all its keys were read.
    fn finish(mut self) -> Result<(Message<'a>, Labels), MessageError> {
        if !self.has_version {
            return Err(MessageError::Missing(1));
        }
        let kind = self.kind.ok_or(MessageError::Missing(2))?;
        let kind = Kind::from_wire(kind).ok_or(MessageError::Kind(kind))?;
        let boot = self.boot.ok_or(MessageError::Missing(3))?;
        let sequence = self.sequence.ok_or(MessageError::Missing(4))?;
        match kind {
            Kind::Raise if self.nonce.is_none() => return Err(MessageError::Missing(12)),
            Kind::Update | Kind::Cancel if self.alert.is_none() => {
                return Err(MessageError::Missing(5));
            }
            Kind::Raise | Kind::Heartbeat if self.alert.take().is_some() => {
                self.labels.insert(Label::StrayField);
            }
            _ => {}
        }
        let silent = self.flags & FLAG_SILENT != 0;
        let exercise = self.flags & FLAG_EXERCISE != 0;
        if silent {
            self.labels.insert(Label::Silent);
        }
        if exercise {
            self.labels.insert(Label::Exercise);
        }
        let message = Message {
            kind,
            counters: Counters::new(boot, sequence),
            alert: self.alert,
            category: self.category,
            position: self.position,
            device_clock: self.device_clock,
            battery: self.battery,
            silent,
            exercise,
            note: self.note,
            nonce: self.nonce,
            firmware: self.firmware,
        };
        Ok((message, self.labels))
    }
}
