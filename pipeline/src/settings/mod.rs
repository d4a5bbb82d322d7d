//! How a file of settings is read: TOML text and variables in, a value that cannot be wrong or every problem out.
//!
//! A [`Reader`] is asked for one key after another, each with its codec, its default and its rule; whatever is left in
//! the file was misspelled. [`sections!`](crate::sections) makes of a table of keys the structs that hold them. Files
//! and the environment are read by the caller.

mod problem;
mod reader;
mod units;
mod value;

pub use problem::{ConfigProblems, Place, Problem};
pub(crate) use reader::meant;
pub use reader::{Reader, Table};
pub use units::{UnitError, parse_size, parse_span, show_size, show_span};
pub use value::{Any, Between, Checked, Codec, Count, Flag, Raw, Rule, Size, Span, Text};

/// Makes of each section a plain struct, the reading of it, the showing of it and its defaults.
///
/// `field: type as codec, default, rule;` within `pub Struct in "section"`, one line a key.
#[macro_export]
macro_rules! sections {
    ($($(#[$doc:meta])* $vis:vis $name:ident in $section:literal {
        $($(#[$field_doc:meta])* $field:ident: $type:ty as $codec:ty, $default:expr, $rule:expr;)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            pub(super) fn read(reader: &mut $crate::settings::Reader<'_>) -> Self {
                Self {
                    $($field: reader.field::<$codec>($section, stringify!($field), $default, &$rule),)*
                }
            }

            /// Key and value as they would be written; no value where the key is not set.
            pub(super) fn show(&self) -> Vec<(&'static str, &'static str, Option<String>)> {
                use $crate::settings::Codec as _;
                vec![$(($section, stringify!($field), <$codec>::show(&self.$field)),)*]
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    )*};
}
