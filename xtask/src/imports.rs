//! Who may import whom. The rules stand in ARCHITECTURE.md; here cargo itself is asked whether they hold.
//!
//! Two questions: which of our packages does each of our packages name (from `cargo metadata`), and what does a package
//! that promises to be pure pull in by way of others (from `cargo tree`, with that package's own features only).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::check::CARGO_LIMIT;
use crate::tally::Outcome;
use crate::{cargo, process};

/// What one package of this house may name: in its product, and beyond that in its tests and benches.
struct Rule {
    package: &'static str,
    product: &'static [&'static str],
    tests: &'static [&'static str],
}

/// `gateway`'s tests press with the reference client, and both over the simulator's networks; `benches` is nothing but tests.
const RULES: &[Rule] = &[
    Rule { package: "protocol", product: &[], tests: &[] },
    Rule { package: "seal", product: &["protocol"], tests: &[] },
    Rule { package: "pipeline", product: &["protocol"], tests: &[] },
    Rule {
        package: "gateway",
        product: &["protocol", "seal", "pipeline"],
        tests: &["device", "simulator"],
    },
    Rule { package: "device", product: &["protocol", "seal"], tests: &["simulator"] },
    Rule { package: "simulator", product: &["protocol", "seal", "pipeline"], tests: &[] },
    Rule { package: "loadtest", product: &["protocol", "seal", "device", "simulator"], tests: &[] },
    Rule {
        package: "benches",
        product: &["protocol", "pipeline", "simulator"],
        tests: &["protocol", "seal", "pipeline", "simulator"],
    },
    Rule { package: "xtask", product: &[], tests: &[] },
];

/// What a pure package must not reach, whoever leads there: runtimes, sockets, files. (`geo` brings `rand` along and the
/// lints keep clocks out, so neither is listed.)
const IMPURE: &[&str] = &[
    "tokio",
    "quinn",
    "quinn-proto",
    "quinn-udp",
    "rusqlite",
    "libsqlite3-sys",
    "rustls",
    "hyper",
    "reqwest",
    "axum",
    "socket2",
    "mio",
    "rustix",
    "nix",
];

/// All that `protocol` is made of, whoever leads there: it has to build for a button without an operating system.
const PROTOCOL_TREE: &[&str] = &[
    "protocol",
    "minicbor",
    "sha2",
    "thiserror",
    "thiserror-impl",
    "cfg-if",
    "cpufeatures",
    "digest",
    "block-buffer",
    "crypto-common",
    "hybrid-array",
    "typenum",
    "generic-array",
    "libc",
    "proc-macro2",
    "quote",
    "syn",
    "unicode-ident",
    "const-oid",
];

/// What `seal` is made of beyond [`PROTOCOL_TREE`]: it goes into the same button.
const SEAL_TREE: &[&str] = &[
    "seal",
    "aead",
    "aes",
    "aes-gcm",
    "cipher",
    "cmov",
    "cpubits",
    "ctr",
    "ctutils",
    "ghash",
    "hmac",
    "inout",
    "polyval",
    "universal-hash",
    "zeroize",
    "zeroize_derive",
];

/// A second provider beside `ring` makes rustls' choice ambiguous at run time; a second TLS doubles what must be trusted.
const NEVER: &[&str] =
    &["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls", "boring"];

/// Proves every rule, or names every breach at once.
pub(crate) fn prove() -> Result<Outcome> {
    let mut breaches = direct()?;
    let pipeline = tree("pipeline", "normal,build")?;
    breaches.extend(reached("pipeline", &pipeline, IMPURE));
    breaches.extend(unlisted("protocol", &[PROTOCOL_TREE])?);
    breaches.extend(unlisted("seal", &[PROTOCOL_TREE, SEAL_TREE])?);
    // Without its feature `relay`, which has the sockets.
    let simulator = tree("simulator", "normal,build")?;
    breaches.extend(reached("simulator", &simulator, &["tokio", "quinn", "rusqlite"]));
    for package in ["gateway", "loadtest", "device"] {
        breaches.extend(reached(package, &tree(package, "normal,build,dev")?, NEVER));
    }
    ensure!(breaches.is_empty(), "{}", breaches.join("; "));
    Ok(Outcome::Passed(1))
}

/// What `package` pulls in that stands on none of `lists`.
fn unlisted(package: &str, lists: &[&[&str]]) -> Result<Vec<String>> {
    let tree = tree(package, "normal,build")?;
    let is_listed = |name: &String| lists.iter().any(|list| list.contains(&name.as_str()));
    let strays = tree.iter().filter(|name| !is_listed(name));
    Ok(strays.map(|name| format!("{package} pulls in {name}, which is not on its list")).collect())
}

fn reached(package: &str, tree: &BTreeSet<String>, forbidden: &[&str]) -> Vec<String> {
    let found = forbidden.iter().filter(|name| tree.contains(**name));
    found
        .map(|name| format!("{package} pulls in {name} (cargo tree -p {package} -i {name})"))
        .collect()
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

/// Breaches among what our packages name themselves.
fn direct() -> Result<Vec<String>> {
    let mut metadata = cargo();
    metadata.args(["metadata", "--no-deps", "--format-version", "1", "--locked"]);
    let text = process::capture("cargo metadata", &mut metadata, CARGO_LIMIT)?
        .success("cargo metadata")?;
    let metadata: Metadata =
        serde_json::from_str(&text).context("cargo metadata changed its form")?;
    Ok(breaches(&metadata))
}

fn breaches(metadata: &Metadata) -> Vec<String> {
    let house: BTreeSet<&str> =
        metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let rules: BTreeMap<&str, &Rule> = RULES.iter().map(|rule| (rule.package, rule)).collect();
    let mut breaches = Vec::new();
    for package in &metadata.packages {
        let Some(rule) = rules.get(package.name.as_str()) else {
            breaches.push(format!("{} has no import rule", package.name));
            continue;
        };
        for import in package.dependencies.iter().filter(|import| house.contains(&*import.name)) {
            let in_tests = import.kind.as_deref() == Some("dev");
            let name = import.name.as_str();
            if !(rule.product.contains(&name) || in_tests && rule.tests.contains(&name)) {
                let kind = if in_tests { "tests of " } else { "" };
                breaches.push(format!("{kind}{} may not import {name}", package.name));
            }
        }
    }
    breaches
}

/// The names of everything `package` pulls in by edges of these kinds, itself included.
fn tree(package: &str, edges: &str) -> Result<BTreeSet<String>> {
    let mut tree = cargo();
    tree.args(["tree", "--package", package, "--edges", edges, "--target", "all"]);
    tree.args(["--prefix", "none", "--format", "{p}", "--locked"]);
    let text = process::capture("cargo tree", &mut tree, CARGO_LIMIT)?.success("cargo tree")?;
    let names: BTreeSet<String> =
        text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    if !names.contains(package) {
        bail!("cargo tree does not name {package} itself: {text}");
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, imports: &[(&str, Option<&str>)]) -> Package {
        let dependencies = imports.iter().map(|(name, kind)| Dependency {
            name: (*name).to_owned(),
            kind: kind.map(str::to_owned),
        });
        Package { name: name.to_owned(), dependencies: dependencies.collect() }
    }

    #[test]
    fn refuses_an_import_of_the_gateway() {
        let metadata = Metadata {
            packages: vec![package("gateway", &[]), package("loadtest", &[("gateway", None)])],
        };
        assert_eq!(breaches(&metadata), ["loadtest may not import gateway"]);
    }

    #[test]
    fn allows_the_device_only_in_tests_of_the_gateway() {
        let imports = |kind| Metadata {
            packages: vec![package("device", &[]), package("gateway", &[("device", kind)])],
        };
        assert!(breaches(&imports(Some("dev"))).is_empty());
        assert_eq!(breaches(&imports(None)), ["gateway may not import device"]);
        assert_eq!(breaches(&imports(Some("build"))), ["gateway may not import device"]);
    }

    #[test]
    fn refuses_a_package_without_a_rule() {
        let metadata = Metadata { packages: vec![package("stray", &[])] };
        assert_eq!(breaches(&metadata), ["stray has no import rule"]);
    }
}
