//! A short text that is kept in place: no allocation, no borrow, copied like a number.

use core::fmt;

/// Longest short text, in bytes of UTF-8.
pub const SHORT_TEXT_LEN_MAX: usize = 32;

/// Up to [`SHORT_TEXT_LEN_MAX`] bytes of text, never none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortText {
    // Before the length, so that the derived order is that of the bytes.
    bytes: [u8; SHORT_TEXT_LEN_MAX],
    len: u8,
}

impl ShortText {
    /// This text; nothing if it is empty or too long.
    #[must_use]
    pub const fn new(text: &str) -> Option<Self> {
        let (from, mut bytes) = (text.as_bytes(), [0; SHORT_TEXT_LEN_MAX]);
        let mut len = 0;
        if from.is_empty() || from.len() > SHORT_TEXT_LEN_MAX {
            return None;
        }
        #[expect(
            clippy::indexing_slicing,
            reason = "both are at least as long; const code has no iterators"
        )]
        while (len as usize) < from.len() {
            bytes[len as usize] = from[len as usize];
            len += 1;
        }
        Some(Self { bytes, len })
    }

    /// This text, which is known to fit: for constants. One that does not fit does not compile.
    #[must_use]
    pub const fn literal(text: &str) -> Self {
        match Self::new(text) {
            Some(short) => short,
            None => unreachable!(),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        core::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Debug for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_its_text_up_to_its_length() {
        let longest = "m".repeat(SHORT_TEXT_LEN_MAX);
        for text in ["a", "110", "SOS-1 fw 2.3", "tombol darurat ünïcode", &longest] {
            assert_eq!(ShortText::new(text).unwrap().as_str(), text);
        }
        assert_eq!(ShortText::new(""), None);
        assert_eq!(ShortText::new(&"m".repeat(SHORT_TEXT_LEN_MAX + 1)), None);
    }
}
