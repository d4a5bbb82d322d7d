//! Server-sent events out of the bytes that hold them (HTML section 9.2.6), as far as a gateway writes them.

/// The longest line, in bytes: an event here is a few hundred.
const LINE_MAX: usize = 1 << 20;

/// One block of the stream. Without data it says only up to where the stream has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Event {
    /// Where the stream has come with it.
    pub(super) id: Option<String>,
    /// What kind of event it is.
    pub(super) name: String,
    /// Its lines.
    pub(super) data: String,
}

/// What of the stream is not whole yet.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    event: Event,
    too_long: bool,
}

impl Events {
    /// The events that `bytes` complete.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = vec![];
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + part.len() > LINE_MAX {
                self.too_long = true;
                return events;
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                events.extend(
                    self.line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r'])),
                );
            }
        }
        events
    }

    /// Why nothing more can be read, if that is so.
    pub(super) fn problem(&self) -> Option<&'static str> {
        self.too_long.then_some("the feed holds a line that is longer than any event")
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return (event != Event::default()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.event.name),
            "data" if self.event.data.is_empty() => value.clone_into(&mut self.event.data),
            "data" => {
                self.event.data.push('\n');
                self.event.data.push_str(value);
            }
            // A comment, how soon to connect again, or what a later version says.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = ": kentongan\nretry: 1000\nid: a\n\nid: b\nevent: alert\ndata: {\"a\":1}\n\n\
         : keep-alive\nid: b\n\nid: c\r\nevent: notice\r\ndata: one\r\ndata: two\r\n\r\nid: d\nevent: al";

    fn event(id: &str, name: &str, data: &str) -> Event {
        Event { id: Some(id.to_owned()), name: name.to_owned(), data: data.to_owned() }
    }

    proptest! {
        #[test]
        fn events_are_the_same_however_the_bytes_arrive(cuts in prop::collection::vec(0..STREAM.len(), 0..6)) {
            let mut cuts = [cuts, vec![0, STREAM.len()]].concat();
            cuts.sort_unstable();
            let mut events = Events::default();
            let read: Vec<_> = cuts
                .windows(2)
                .flat_map(|cut| events.read(&STREAM.as_bytes()[cut[0]..cut[1]]))
                .collect();
            let expected = [
                event("a", "", ""),
                event("b", "alert", "{\"a\":1}"),
                event("b", "", ""),
                event("c", "notice", "one\ntwo"),
            ];
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn endless_line_is_a_problem_and_not_kept() {
        let mut events = Events::default();
        assert_eq!(events.read(&vec![b'x'; LINE_MAX]), []);
        assert_eq!(events.problem(), None);
        assert_eq!(events.read(b"x"), []);
        assert!(events.problem().is_some() && events.line.len() <= LINE_MAX);
    }
}
