//! Datagrams: what is read of CoAP, what is met with which silence, and that a library that is not ours agrees.

use coap_lite::{CoapOption, MessageClass, MessageType, Packet, RequestType, ResponseType};
use proptest::prelude::*;
use protocol::{
    CoapReply, CoapRequest, DATAGRAM_LEN_MAX, RECEIPT_LEN_MAX, SEALED_LEN_MAX, Silence, Token,
};

/// What a CoAP library sends when it is asked to post.
fn posted(token: &[u8], payload: &[u8]) -> Packet {
    let mut packet = Packet::new();
    packet.header.set_type(MessageType::Confirmable);
    packet.header.code = MessageClass::Request(RequestType::Post);
    packet.header.message_id = 0x1234;
    packet.set_token(token.to_vec());
    packet.add_option(CoapOption::UriPath, b"a".to_vec());
    packet.payload = payload.to_vec();
    packet
}

fn bytes(packet: &Packet) -> Vec<u8> {
    packet.to_bytes_unlimited().unwrap()
}

fn parse(packet: &Packet) -> Result<Vec<u8>, Silence> {
    CoapRequest::parse(&bytes(packet)).map(|request| request.payload.to_vec())
}

/// A post with one option more.
fn with(option: CoapOption, value: &[u8]) -> Packet {
    let mut packet = posted(b"tk", b"sealed");
    packet.add_option(option, value.to_vec());
    packet
}

#[test]
fn request_and_reply_are_what_another_implementation_writes_and_reads() {
    for token in [&b""[..], b"t", b"12345678"] {
        let request =
            CoapRequest { message_id: 0x1234, token: Token::new(token).unwrap(), payload: b"up" };
        assert_eq!(request.encode(), bytes(&posted(token, b"up")));
        assert_eq!(CoapRequest::parse(&request.encode()), Ok(request));
        let reply = request.reply(b"down");
        let theirs = Packet::from_bytes(&reply.encode()).unwrap();
        assert_eq!(theirs.header.get_type(), MessageType::Acknowledgement);
        assert_eq!(theirs.header.code, MessageClass::Response(ResponseType::Changed));
        assert_eq!((theirs.header.message_id, theirs.get_token()), (0x1234, token));
        assert_eq!(theirs.payload, b"down");
        assert_eq!(CoapReply::parse(&reply.encode()), Ok(reply));
    }
    assert_eq!(Token::new(b"123456789"), None);
}

#[test]
fn whatever_a_library_adds_to_a_post_is_read() {
    let kind = with(CoapOption::ContentFormat, &[16]);
    let size = with(CoapOption::Size1, &[200]);
    let host = with(CoapOption::UriHost, b"gateway.example");
    let port = with(CoapOption::UriPort, &[0x16, 0x33]);
    let unknown = with(CoapOption::Unknown(65_000), &[0; 300]);
    for packet in [kind, size, host, port, unknown] {
        assert_eq!(parse(&packet), Ok(b"sealed".to_vec()), "{packet:?}");
    }
}

#[test]
fn everything_else_is_met_with_its_silence() {
    let changed = |change: fn(&mut Packet)| {
        let mut packet = posted(b"tk", b"sealed");
        change(&mut packet);
        packet
    };
    let without_path = changed(|packet| packet.clear_option(CoapOption::UriPath));
    let other_path = changed(|packet| {
        packet.clear_option(CoapOption::UriPath);
        packet.add_option(CoapOption::UriPath, b"b".to_vec());
    });
    let of_type = |kind| {
        let mut packet = posted(b"tk", b"sealed");
        packet.header.set_type(kind);
        packet
    };
    let get = changed(|p| p.header.code = MessageClass::Request(RequestType::Get));
    let answer = changed(|p| p.header.code = MessageClass::Response(ResponseType::Content));
    let cases = [
        (without_path, Silence::Path),
        (other_path, Silence::Path),
        (with(CoapOption::UriPath, b""), Silence::Path),
        (with(CoapOption::UriPath, b"a"), Silence::Path),
        (of_type(MessageType::NonConfirmable), Silence::NotConfirmable),
        (of_type(MessageType::Acknowledgement), Silence::Unasked),
        (of_type(MessageType::Reset), Silence::Unasked),
        (get, Silence::Method),
        (answer, Silence::Unasked),
        (changed(|packet| packet.payload.clear()), Silence::NoPayload),
        (with(CoapOption::Observe, b""), Silence::Observe),
        (with(CoapOption::Block1, &[0x0e]), Silence::Blockwise),
        (with(CoapOption::Block2, &[0x06]), Silence::Blockwise),
        (with(CoapOption::ProxyUri, b"coap://victim/"), Silence::Proxy),
        (with(CoapOption::ProxyScheme, b"http"), Silence::Proxy),
        (with(CoapOption::UriQuery, b"x=1"), Silence::Critical),
        (with(CoapOption::Accept, &[16]), Silence::Critical),
        (with(CoapOption::IfMatch, b"1"), Silence::Critical),
        (with(CoapOption::Unknown(9), b""), Silence::Critical),
        (with(CoapOption::Unknown(65_001), b""), Silence::Critical),
        (changed(|packet| packet.header.set_version(2)), Silence::Malformed),
    ];
    for (packet, silence) in cases {
        assert_eq!(parse(&packet), Err(silence), "{packet:?}");
    }
}

#[test]
fn what_a_lenient_library_lets_pass_is_malformed() {
    let ping = [0x40, 0, 0x12, 0x34];
    let cases = [
        (&ping[..], Silence::Ping),
        (&[0x70, 0, 0x12, 0x34], Silence::Unasked),
        (&[], Silence::Malformed),
        (&[0x40, 2, 0x12], Silence::Malformed),
        // An empty message with more than a header.
        (&[0x41, 0, 0x12, 0x34, 0x01], Silence::Malformed),
        // Nine bytes of token.
        (&[0x49, 2, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xb1, b'a', 0xff, 1], Silence::Malformed),
        (&[0x44, 2, 0, 1, 1, 2, 3], Silence::Malformed),
        // A marker and nothing behind it.
        (&[0x40, 2, 0, 1, 0xb1, b'a', 0xff], Silence::Malformed),
        // A delta and a length that are reserved, a value that is cut off, a number beyond 65,535.
        (&[0x40, 2, 0, 1, 0xf1, b'a', 0xff, 1], Silence::Malformed),
        (&[0x40, 2, 0, 1, 0xbf, b'a', 0xff, 1], Silence::Malformed),
        (&[0x40, 2, 0, 1, 0xb2, b'a'], Silence::Malformed),
        (&[0x40, 2, 0, 1, 0xd0], Silence::Malformed),
        (&[0x40, 2, 0, 1, 0xe0, 0xff], Silence::Malformed),
        (&[0x40, 2, 0, 1, 0xe0, 0xff, 0xff, 0xff, 1], Silence::Malformed),
    ];
    for (datagram, silence) in cases {
        assert_eq!(CoapRequest::parse(datagram), Err(silence), "{datagram:02x?}");
    }
}

#[test]
fn options_and_length_have_their_bounds() {
    let mut packet = posted(b"", b"sealed");
    for _ in 0..7 {
        packet.add_option(CoapOption::Size1, vec![1]);
    }
    assert_eq!(parse(&packet), Ok(b"sealed".to_vec()));
    packet.add_option(CoapOption::Size1, vec![1]);
    assert_eq!(parse(&packet), Err(Silence::Options));
    let longest = posted(b"12345678", &[0; SEALED_LEN_MAX]);
    assert_eq!(bytes(&longest).len(), DATAGRAM_LEN_MAX);
    assert_eq!(parse(&longest), Ok(longest.payload.clone()));
    let longer = posted(b"12345678", &[0; SEALED_LEN_MAX + 1]);
    assert_eq!(parse(&longer), Err(Silence::TooLarge));
}

#[test]
fn replies_that_answer_nothing_are_not_taken() {
    let request = CoapRequest { message_id: 1, token: Token::EMPTY, payload: b"up" };
    assert_eq!(CoapReply::parse(&request.encode()), Err(Silence::Unasked));
    let reply = request.reply(b"down").encode();
    let critical = [&reply[..4], &[0x10], &reply[4..]].concat();
    assert_eq!(CoapReply::parse(&critical), Err(Silence::Critical));
    let elective = [&reply[..4], &[0xc0], &reply[4..]].concat();
    assert_eq!(CoapReply::parse(&elective), Ok(request.reply(b"down")));
    assert_eq!(CoapReply::parse(&reply[..4]), Err(Silence::NoPayload));
    assert_eq!(CoapReply::parse(&reply[..5]), Err(Silence::Malformed));
}

#[test]
fn every_silence_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> = Silence::ALL.map(Silence::name).into();
    assert_eq!(names.len(), Silence::ALL.len());
}

proptest! {
    #[test]
    fn a_request_reads_back_and_its_reply_is_smaller(
        message_id in any::<u16>(),
        token in prop::collection::vec(any::<u8>(), 0..=8),
        payload in prop::collection::vec(any::<u8>(), 159..=SEALED_LEN_MAX),
        receipt in prop::collection::vec(any::<u8>(), 1..=RECEIPT_LEN_MAX + 39),
    ) {
        let token = Token::new(&token).unwrap();
        let request = CoapRequest { message_id, token, payload: &payload };
        let datagram = request.encode();
        prop_assert_eq!(CoapRequest::parse(&datagram), Ok(request));
        let reply = request.reply(&receipt);
        let answer = reply.encode();
        prop_assert!(answer.len() < datagram.len());
        prop_assert_eq!(CoapReply::parse(&answer), Ok(reply));
    }

    /// Whatever is read here means the same to a library that shares no code with it.
    #[test]
    fn another_implementation_reads_the_same(
        token in prop::collection::vec(any::<u8>(), 0..=8),
        options in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..20)), 0..4),
        payload in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut packet = posted(&token, &payload);
        for (number, value) in options {
            packet.add_option(CoapOption::from(number), value);
        }
        if let Ok(request) = CoapRequest::parse(&bytes(&packet)) {
            prop_assert_eq!(request.payload, &packet.payload[..]);
            prop_assert_eq!(request.token.as_bytes(), packet.get_token());
            prop_assert_eq!(request.message_id, packet.header.message_id);
            let paths = packet.get_option(CoapOption::UriPath).unwrap();
            prop_assert_eq!(paths.iter().collect::<Vec<_>>(), [b"a"]);
        }
    }
}
