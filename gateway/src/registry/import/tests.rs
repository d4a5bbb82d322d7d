//! What an import accepts, what it refuses, and that it is whole or nothing.

use proptest::prelude::*;

use super::*;

const HEADER: &str = "device_id,alg,public_key,label,owner,batch,lat,lon\n";
/// The base point of Ed25519.
const EDDSA: &str = "5866666666666666666666666666666666666666666666666666666666666666";
/// The generator of P-256, compressed.
const ES256: &str = "036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";

fn id(number: u32) -> String {
    format!("{number:032x}")
}

fn open() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

fn import(store: &mut Store, rows: &str, skip_bad: bool) -> ImportReport {
    let options = ImportOptions { skip_bad, ..ImportOptions::default() };
    store.import(format!("{HEADER}{rows}").as_bytes(), options, Time(0)).unwrap()
}

fn good_rows(count: u32) -> String {
    let row = |number| {
        let (alg, key) = if number % 3 == 0 { ("ES256", ES256) } else { ("eddsa", EDDSA) };
        format!(
            "{},{alg},{key},Button {number},,b{},-7.96{number:04},112.6\n",
            id(number),
            number % 7
        )
    };
    (0..count).map(row).collect()
}

#[test]
fn good_rows_are_enrolled_and_the_same_file_again_changes_nothing() {
    let (_folder, mut store) = open();
    let rows = good_rows(3_000);
    let report = import(&mut store, &rows, false);
    let expected =
        ImportReport { rows: 3_000, added: 3_000, committed: true, ..ImportReport::default() };
    assert_eq!(report, expected);
    let again = import(&mut store, &rows, false);
    assert_eq!(again, ImportReport { rows: 3_000, unchanged: 3_000, ..ImportReport::default() });
    assert_eq!(store.device_count().unwrap(), 3_000);
}

#[test]
fn columns_may_be_missing_or_stand_in_another_order() {
    let (_folder, mut store) = open();
    let file = format!("public_key,device_id,alg,lon,lat\n{EDDSA},{},eddsa,112.5,-7.25\n", id(1));
    let report = store.import(file.as_bytes(), ImportOptions::default(), Time(0)).unwrap();
    assert_eq!(report.added, 1);
    let file = format!("\u{feff}device_id, alg ,public_key\r\n{},eddsa,{EDDSA}\r\n", id(2));
    assert_eq!(store.import(file.as_bytes(), ImportOptions::default(), Time(0)).unwrap().added, 1);
    let mut sites = vec![];
    let each = |device: super::super::Listed| -> Result<(), StoreError> {
        sites.push(device.site);
        Ok(())
    };
    store.list(None, None, each).unwrap();
    assert_eq!(sites, [site_at(-72_500_000, 1_125_000_000), None]);
}

#[test]
fn a_header_that_does_not_name_the_columns_is_refused() {
    let (_folder, mut store) = open();
    for (header, expected) in [
        ("", "column \"device_id\" is missing"),
        ("device_id,alg", "column \"public_key\" is missing"),
        ("device_id,alg,public_key,lattitude", "column \"lattitude\" is not known"),
        ("device_id,alg,public_key,alg", "column \"alg\" stands twice"),
    ] {
        let error = store
            .import(header.as_bytes(), ImportOptions { skip_bad: true, vouched: false }, Time(0))
            .unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[test]
fn every_bad_row_is_reported_with_its_line_and_nothing_is_imported() {
    let (_folder, mut store) = open();
    import(&mut store, &format!("{},eddsa,{EDDSA},,,,,\n", id(0xee)), false);
    let weak = format!("01{}", "00".repeat(31));
    let bad: [(String, RowError); 12] = [
        (format!("{},eddsa,{EDDSA}", id(1)), RowError::Cells { found: 3, expected: 8 }),
        (format!("xyz,eddsa,{EDDSA},,,,,"), RowError::Id),
        (format!("{},rsa,{EDDSA},,,,,", id(2)), RowError::Algorithm),
        (format!("{},eddsa,{}zz,,,,,", id(3), &EDDSA[2..]), RowError::KeyHex),
        (
            format!("{},es256,{EDDSA},,,,,", id(4)),
            RowError::Key(KeyError::Length { algorithm: Algorithm::Es256, len: 32 }),
        ),
        (format!("{},eddsa,{weak},,,,,", id(5)), RowError::Key(KeyError::Weak)),
        (format!("{},eddsa,{EDDSA},,{},,,", id(6), "o".repeat(201)), RowError::TooLong("owner")),
        (format!("{},eddsa,{EDDSA},\"a\nb\",,,,", id(7)), RowError::Control("label")),
        (format!("{},eddsa,{EDDSA},,,,-7.9,", id(8)), RowError::Place),
        (format!("{},eddsa,{EDDSA},,,,90.0000001,112.6", id(9)), RowError::Place),
        (format!("{},eddsa,{EDDSA},,,,,", id(100)), RowError::Repeated(2)),
        (format!("{},es256,{ES256},,,,,", id(0xee)), RowError::OtherKey),
    ];
    let mut rows = format!("{},eddsa,{EDDSA},,,,,\n", id(100));
    let mut expected = vec![];
    // Line 1 is the header and line 2 the good row; the label with a line break takes two lines.
    let mut line = 3;
    for (row, what) in bad {
        expected.push(RowProblem { line, what });
        line += 1 + row.matches('\n').count() as u64;
        rows += &(row + "\n");
    }
    let report = import(&mut store, &rows, false);
    assert_eq!(report.problems, expected);
    assert_eq!((report.rows, report.bad, report.committed), (13, 12, false));
    assert_eq!(store.device_count().unwrap(), 1);

    let report = import(&mut store, &rows, true);
    assert_eq!((report.added, report.bad, report.committed), (1, 12, true));
    assert_eq!(store.device_count().unwrap(), 2);
}

#[test]
fn bytes_that_are_no_text_are_a_bad_row_and_the_report_is_bounded() {
    let (_folder, mut store) = open();
    let mut file = HEADER.as_bytes().to_vec();
    for number in 0..150 {
        file.extend_from_slice(format!("{},eddsa,{EDDSA},", id(number)).as_bytes());
        file.extend_from_slice(b"\xff,,,,\n");
    }
    let report = store
        .import(file.as_slice(), ImportOptions { skip_bad: true, vouched: false }, Time(0))
        .unwrap();
    assert_eq!((report.bad, report.problems.len()), (150, PROBLEMS_MAX));
    assert_eq!(report.problems[0], RowProblem { line: 2, what: RowError::NotText("label") });
}

#[test]
fn a_report_repeats_no_place() {
    let (_folder, mut store) = open();
    let row = format!("{},eddsa,{EDDSA},,,,-97.1234567,112.7654321\n", id(1));
    let report = import(&mut store, &row, false);
    let text = format!("{report:?} {}", report.problems[0].what);
    assert!(!text.contains("1234567") && !text.contains("7654321"), "{text}");
}

#[test]
fn degrees_are_read_exactly() {
    for (text, e7) in [
        ("-7.9666200", -79_666_200),
        ("112.6326321", 1_126_326_321),
        ("0", 0),
        ("-0.00000005", -1),
        ("+90", 900_000_000),
        ("179.99999996", 1_800_000_000),
    ] {
        assert_eq!(parse_degrees(text), Some(e7), "{text}");
    }
    for text in ["", "-", ".5", "5.", "1e2", "7,9", "NaN", "inf", "1000", " 7", "--7", "999.9"] {
        assert_eq!(parse_degrees(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn degrees_written_with_seven_digits_come_back(e7 in -1_800_000_000i32..=1_800_000_000) {
        let sign = if e7 < 0 { "-" } else { "" };
        let text = format!("{sign}{}.{:07}", e7.unsigned_abs() / 10_000_000, e7.unsigned_abs() % 10_000_000);
        prop_assert_eq!(parse_degrees(&text), Some(e7));
    }
}

proptest! {
    // Each case makes a registry on disk.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_file_stops_the_import(file in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_folder, mut store) = open();
        let whole = [HEADER.as_bytes(), &file].concat();
        let report = store.import(whole.as_slice(), ImportOptions { skip_bad: true, vouched: false }, Time(0)).unwrap();
        prop_assert_eq!(report.added, 0);
    }
}
