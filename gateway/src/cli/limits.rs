//! What commands have in common that limit somebody to some alerts: the arguments, and how limits are printed.

use std::fmt;

use pipeline::{Agencies, Agency, Categories};
use protocol::Category;
use serde::Serialize;

use crate::registry::{Limits, Sight};

/// What is not named is not limited.
#[derive(Debug, clap::Args)]
pub(super) struct LimitArguments {
    /// Only alerts that one of these answers, with commas: police, fire, medical, disaster, counter_terrorism
    #[arg(long, alias = "agency", value_delimiter = ',', num_args = 1, value_parser = agency)]
    agencies: Vec<Agency>,
    /// Only alerts of these categories, with commas, such as medical,fire
    #[arg(long, alias = "category", value_delimiter = ',', num_args = 1, value_parser = category)]
    categories: Vec<Category>,
    /// Places as cells of a hundredth of a degree, and nobody's words
    #[arg(long)]
    coarse: bool,
}

fn agency(name: &str) -> Result<Agency, String> {
    Agency::from_name(name).ok_or_else(|| one_of(Agency::ALL.iter().map(|known| known.name())))
}

fn category(name: &str) -> Result<Category, String> {
    Category::from_name(name).ok_or_else(|| one_of(Category::ALL.iter().map(|known| known.name())))
}

fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("write one of {}", names.collect::<Vec<_>>().join(", "))
}

impl From<&LimitArguments> for Limits {
    fn from(arguments: &LimitArguments) -> Self {
        let mut limits = Self::default();
        if !arguments.agencies.is_empty() {
            limits.agencies = arguments.agencies.iter().copied().collect();
        }
        if !arguments.categories.is_empty() {
            limits.categories = arguments.categories.iter().copied().collect();
        }
        if arguments.coarse {
            limits.sight = Sight::Coarse;
        }
        limits
    }
}

/// Limits as they are printed: what is not limited is left out.
#[derive(Serialize)]
pub(super) struct LimitsAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    agencies: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    categories: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    coarse: bool,
}

impl From<&Limits> for LimitsAnswer {
    fn from(limits: &Limits) -> Self {
        let agencies = || limits.agencies.iter().map(Agency::name).collect();
        let categories = || limits.categories.iter().map(Category::name).collect();
        Self {
            agencies: (limits.agencies != Agencies::ALL).then(agencies),
            categories: (limits.categories != Categories::ALL).then(categories),
            coarse: limits.sight == Sight::Coarse,
        }
    }
}

impl fmt::Display for LimitsAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, limit) in [("agencies", &self.agencies), ("categories", &self.categories)] {
            if let Some(limit) = limit {
                write!(f, " {name}={}", limit.join(","))?;
            }
        }
        f.write_str(if self.coarse { " coarse" } else { "" })
    }
}
