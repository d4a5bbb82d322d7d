//! The queries that docs/operations.md shows, asked with `sqlite3` of a running gateway's files. Each has to find something.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{INDEX_LIMIT, STRANGER_LIMIT};
use crate::stage::Ready;
use crate::tally::Outcome;
use crate::{process, root};

/// Asks them all, those for the index once it has caught up.
pub(super) fn all(ready: &Ready) -> Result<Outcome> {
    let text = fs::read_to_string(root().join("docs/operations.md"))?;
    let queries = documented(&text);
    ensure!(!queries.is_empty(), "docs/operations.md shows no query");
    indexed(ready)?;
    for query in &queries {
        let file = match query.database {
            "search.db" => &ready.search,
            _ => &ready.journal,
        };
        let said = ask("-box", file, query.text)?;
        ensure!(!said.trim().is_empty(), "found nothing: {}", query.text);
    }
    Ok(Outcome::Passed(u64::try_from(queries.len())?))
}

/// Waits until the index holds what the journal holds at this moment.
fn indexed(ready: &Ready) -> Result<()> {
    let number = |file: &str, query| -> Result<u64> {
        let said = ask("-list", file, query)?;
        said.trim().parse().with_context(|| format!("{query} says {said:?}"))
    };
    let ends =
        "SELECT max(cursor) FROM (SELECT cursor FROM records UNION ALL SELECT cursor FROM audit)";
    let end = number(&ready.journal, ends)?;
    process::until("the index", INDEX_LIMIT, || {
        Ok((number(&ready.search, "SELECT cursor FROM position")? >= end).then_some(()))
    })
}

fn ask(mode: &str, file: &str, query: &str) -> Result<String> {
    let mut sqlite = Command::new("sqlite3");
    // A query that opens with a comment would be taken for an option.
    sqlite.args(["-readonly", "-bail", mode, file]).arg(format!("\n{query}"));
    process::capture("sqlite3", &mut sqlite, STRANGER_LIMIT)?.success(query)
}

struct Query<'a> {
    database: &'static str,
    text: &'a str,
}

/// The `sql` blocks of a document. A block says in its first line, a comment, which file it is for.
fn documented(text: &str) -> Vec<Query<'_>> {
    text.split("```sql\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .filter_map(|text| {
            let database = match text.lines().next()?.trim() {
                "-- journal.db" => "journal.db",
                "-- search.db" => "search.db",
                _ => return None,
            };
            Some(Query { database, text })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_queries_of_a_document() {
        let text = "```sql\n-- journal.db\nSELECT 1;\n```\n```sh\nls\n```\n```sql\n-- search.db\nSELECT 2;\n```\n";
        let found: Vec<_> = documented(text)
            .iter()
            .map(|query| (query.database, query.text.lines().count()))
            .collect();
        assert_eq!(found, [("journal.db", 2), ("search.db", 2)]);
    }
}
