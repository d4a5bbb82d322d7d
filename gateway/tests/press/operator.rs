//! Somebody with a token, on the command line: `gateway ctl` against a site's gateway.

use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use super::site::{PATIENCE, Site};

/// The zone above all others, of which a new operator is.
pub(crate) const ROOT: &str = "polres-malang-kota";

pub(crate) struct Operator<'a> {
    pub(crate) site: &'a Site,
    pub(crate) token: String,
    /// Whose certificate is believed; nothing where the gateway serves operators without TLS.
    pub(crate) ca: Option<&'a str>,
}

impl<'a> Operator<'a> {
    /// An operator of everything, who counts a moment from now on.
    pub(crate) fn add(site: &'a Site, name: &str, role: &str) -> Self {
        let add = ["operator", "add", "--name", name, "--role", role, "--zones", ROOT];
        let token = site.run(&add)["token"].as_str().unwrap().to_owned();
        Self { site, token, ca: None }
    }

    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", self.site.ready("operator_addr"));
        let mut ctl = vec!["ctl", "--operator", &url, "--token", &self.token, "--json"];
        ctl.extend(self.ca.iter().flat_map(|ca| ["--ca", ca]));
        self.site.command(&[&ctl, arguments].concat()).output().unwrap()
    }

    /// The answer, or what is said instead.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> Result<Value, String> {
        let output = self.output(arguments);
        if output.status.success() {
            return Ok(serde_json::from_slice(&output.stdout).unwrap());
        }
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        Err(String::from_utf8(output.stderr).unwrap())
    }

    /// Asks until the answer will do: tokens and the index are a moment behind.
    pub(crate) async fn wait(&self, arguments: &[&str], will_do: impl Fn(&Value) -> bool) -> Value {
        let mut said = None;
        let asked = async {
            loop {
                match self.ctl(arguments) {
                    Ok(answer) if will_do(&answer) => return answer,
                    other => said = Some(other),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        answer.unwrap_or_else(|_| panic!("{arguments:?} never will do: {said:?}"))
    }
}
