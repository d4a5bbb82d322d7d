//! The packets of a flood, made from a seed.
//!
//! A valid first packet (RFC 9001 section 5.2) is protected with keys that anybody can work out from its connection id,
//! and holds the first message of a real TLS handshake: the gateway has to open it, and to answer with certificate and
//! signature, before it can know that nobody will go on. Making that message costs a key agreement, so there is a small
//! stock of them; connection ids are chosen anew for every packet.

use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng as _, SeedableRng as _};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::quic::{ClientConnection, Suite, Version};
use rustls::{ClientConfig, RootCertStore, Side};

use super::{FloodError, Kind};

/// A client's first datagram has at least so many bytes (RFC 9000 section 14.1).
pub const INITIAL_LEN: usize = 1_200;
/// First messages in stock.
const HELLOS: u64 = 64;
const CONNECTION_ID_LEN: usize = 8;
const PACKET_NUMBER_LEN: usize = 4;
const TAG_LEN: usize = 16;
/// The fields of a first packet before its packet number: flags, version, two connection ids, token length, length.
const HEADER_LEN: usize = 1 + 4 + 2 * (1 + CONNECTION_ID_LEN) + 1 + 2;
/// A long header, a first packet, a packet number of four bytes.
const INITIAL_FLAGS: u8 = 0b1100_0011;
const QUIC_V1: [u8; 4] = [0, 0, 0, 1];
/// The frame that carries TLS (RFC 9000 section 19.6).
const CRYPTO_FRAME: u8 = 6;
/// The transport parameter that repeats the client's connection id (RFC 9000 section 18.2).
const INITIAL_SOURCE_CONNECTION_ID: u8 = 0x0f;

type ConnectionId = [u8; CONNECTION_ID_LEN];

/// Makes packets, the same ones from the same seed (but for the key shares in their first messages).
pub struct Packets {
    kind: Kind,
    rng: ChaCha12Rng,
    suite: Suite,
    hellos: Vec<(ConnectionId, Vec<u8>)>,
}

impl Packets {
    /// A stock of first messages, and a source of choices.
    ///
    /// # Errors
    /// When the TLS library makes no first message.
    pub fn new(kind: Kind, seed: u64) -> Result<Self, FloodError> {
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13();
        let suite = suite.and_then(|suite| suite.quic_suite());
        let none = || rustls::Error::General("the suite of first packets is missing".to_owned());
        let tls = Arc::new(tls()?);
        let hellos = (0..HELLOS).map(|_| hello(&tls, connection_id(&mut rng)));
        let hellos = hellos.collect::<Result<_, _>>()?;
        Ok(Self { kind, rng, suite: suite.ok_or_else(none)?, hellos })
    }

    /// The next packet, in place of what `packet` holds.
    pub fn next(&mut self, packet: &mut Vec<u8>) {
        packet.clear();
        match self.kind {
            Kind::Initials => self.initial(packet),
            Kind::Malformed => self.malformed(packet),
            Kind::Garbage | Kind::BadSignatures => {
                let len = 1 + self.below(INITIAL_LEN);
                self.random(packet, len);
            }
        }
    }

    /// A valid first packet, up to its last byte.
    fn initial(&mut self, packet: &mut Vec<u8>) {
        let number = self.below(self.hellos.len());
        let destination = connection_id(&mut self.rng);
        let Some((source, hello)) = self.hellos.get(number) else { return };
        header(packet, destination, *source);
        packet.extend([0; PACKET_NUMBER_LEN]);
        packet.extend([CRYPTO_FRAME, 0]);
        packet.extend(varint(hello.len()));
        packet.extend(hello);
        // Padding frames are zeros.
        packet.resize(INITIAL_LEN - TAG_LEN, 0);
        protect(&self.suite, destination, packet);
    }

    /// A first packet with one thing wrong.
    fn malformed(&mut self, packet: &mut Vec<u8>) {
        self.initial(packet);
        let len = packet.len();
        match self.below(6) {
            // The tag does not fit.
            0 => packet.iter_mut().rev().take(1).for_each(|byte| *byte ^= 1),
            // A version that nobody speaks.
            1 => packet.iter_mut().skip(1).take(4).for_each(|byte| *byte = 0x1a),
            // A connection id longer than the version allows.
            2 => packet.iter_mut().skip(5).take(1).for_each(|byte| *byte = 0xff),
            // One too short for a client's first choice.
            3 => packet.iter_mut().skip(5).take(1).for_each(|byte| *byte = 1),
            // A datagram that is too short.
            4 => packet.truncate(1 + self.below(len - 1)),
            // A length beyond the datagram.
            _ => packet.iter_mut().skip(HEADER_LEN - 2).take(1).for_each(|byte| *byte = 0x7f),
        }
    }

    fn random(&mut self, packet: &mut Vec<u8>, len: usize) {
        packet.resize(len, 0);
        self.rng.fill_bytes(packet);
    }

    fn below(&mut self, bound: usize) -> usize {
        let draw = usize::try_from(self.rng.next_u64() >> 32).unwrap_or_default();
        draw.checked_rem(bound).unwrap_or_default()
    }
}

fn connection_id(rng: &mut ChaCha12Rng) -> ConnectionId {
    let mut id = ConnectionId::default();
    rng.fill_bytes(&mut id);
    id
}

/// A client that would trust nobody; it never gets as far.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let mut tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    tls.alpn_protocols = vec![device::ALPN.to_vec()];
    Ok(tls)
}

/// The first message of a handshake by a client with this connection id.
fn hello(tls: &Arc<ClientConfig>, id: ConnectionId) -> Result<(ConnectionId, Vec<u8>), FloodError> {
    let name = ServerName::from(std::net::IpAddr::from([127, 0, 0, 1]));
    let len = u8::try_from(CONNECTION_ID_LEN).unwrap_or_default();
    let parameters = [&[INITIAL_SOURCE_CONNECTION_ID, len][..], &id].concat();
    let mut client = ClientConnection::new(Arc::clone(tls), Version::V1, name, parameters)?;
    let mut hello = Vec::new();
    client.write_hs(&mut hello);
    Ok((id, hello))
}

/// The fields of a first packet that are not encrypted (RFC 9000 section 17.2.2).
fn header(packet: &mut Vec<u8>, destination: ConnectionId, source: ConnectionId) {
    packet.push(INITIAL_FLAGS);
    packet.extend(QUIC_V1);
    for id in [destination, source] {
        packet.push(u8::try_from(id.len()).unwrap_or_default());
        packet.extend(id);
    }
    // No token.
    packet.push(0);
    packet.extend(varint(INITIAL_LEN - HEADER_LEN));
}

/// Encrypts payload and header (RFC 9001 sections 5.3 and 5.4).
fn protect(suite: &Suite, destination: ConnectionId, packet: &mut Vec<u8>) {
    let keys = suite.keys(&destination, Side::Client, Version::V1);
    let Some((header, payload)) = packet.split_at_mut_checked(HEADER_LEN + PACKET_NUMBER_LEN)
    else {
        return;
    };
    let Ok(tag) = keys.local.packet.encrypt_in_place(0, header, payload) else { return };
    // The sample starts where a packet number of four bytes would end, which is where it does.
    let sample = payload.get(..keys.local.header.sample_len()).unwrap_or_default().to_vec();
    if let Some((first, rest)) = header.split_first_mut()
        && let Some(number) = rest.last_chunk_mut::<PACKET_NUMBER_LEN>()
    {
        // It fails only for a sample of another length.
        keys.local.header.encrypt_in_place(&sample, first, number).ok();
    }
    packet.extend(tag.as_ref());
}

/// A length of less than 16,384 in two bytes (RFC 9000 section 16).
fn varint(len: usize) -> [u8; 2] {
    (0x4000 | u16::try_from(len).unwrap_or_default()).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(kind: Kind, count: usize) -> Vec<Vec<u8>> {
        let mut packets = Packets::new(kind, 7).unwrap();
        let mut packet = vec![];
        let next = |_| {
            packets.next(&mut packet);
            packet.clone()
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn first_packets_open_with_the_keys_of_their_connection_id() {
        let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().unwrap();
        let suite = suite.quic_suite().unwrap();
        let mut ids = std::collections::BTreeSet::new();
        for mut packet in packets(Kind::Initials, 200) {
            assert_eq!(packet.len(), INITIAL_LEN);
            ids.insert(packet[6..14].to_vec());
            let keys = suite.keys(&packet[6..14], Side::Server, Version::V1);
            let (header, payload) = packet.split_at_mut(HEADER_LEN + PACKET_NUMBER_LEN);
            let sample = payload[..16].to_vec();
            let (first, rest) = header.split_first_mut().unwrap();
            let number = rest.last_chunk_mut::<4>().unwrap();
            keys.remote.header.decrypt_in_place(&sample, first, number).unwrap();
            assert_eq!((*first, *number), (INITIAL_FLAGS, [0; 4]));
            let opened = keys.remote.packet.decrypt_in_place(0, header, payload).unwrap();
            assert_eq!(opened[..2], [CRYPTO_FRAME, 0]);
        }
        assert_eq!(ids.len(), 200, "every packet asks for a connection of its own");
    }

    #[test]
    fn garbage_repeats_from_its_seed() {
        let garbage = packets(Kind::Garbage, 100);
        assert_eq!(garbage, packets(Kind::Garbage, 100));
        assert!(garbage.iter().all(|packet| (1..=INITIAL_LEN).contains(&packet.len())));
    }

    #[test]
    fn malformed_packets_come_in_every_kind() {
        let malformed = packets(Kind::Malformed, 200);
        let short = malformed.iter().filter(|packet| packet.len() < INITIAL_LEN).count();
        assert!((10..80).contains(&short), "{short}");
        let versions = malformed.iter().filter(|packet| packet[1..].starts_with(&[0x1a; 4]));
        assert!(versions.count() > 10);
    }
}
