//! The two crates that go into a button, this one and `seal`, and everything that they are built from ask for no standard
//! library.

use std::process::Command;

#[test]
fn no_dependency_is_asked_for_its_std_feature() {
    for package in ["protocol", "seal"] {
        let output = Command::new(env!("CARGO"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["tree", "--offline", "--package", package, "--edges", "normal,features"])
            .args(["--prefix", "none", "--no-dedupe"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tree = String::from_utf8(output.stdout).unwrap();
        assert!(tree.contains("minicbor feature \"alloc\""), "{tree}");
        // Procedural macros run in the compiler; they are not part of the program.
        let macros =
            ["syn", "quote", "proc-macro2", "unicode-ident", "thiserror-impl", "zeroize_derive"];
        let asks = tree.lines().find(|line| {
            line.contains("feature \"std\"") && !macros.iter().any(|name| line.starts_with(name))
        });
        assert_eq!(asks, None, "{package}");
    }
}
