//! `kpr statistics`: released tables published, listed and pulled.

use std::path::PathBuf;

use clap::Subcommand;
use comfy_table::Table;
use kpr::domain::ids::{RunId, TableId};
use kpr::statistics::Format;

use super::connection::{self, Connection};

/// Arguments of `kpr statistics`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Publish the released result of a run (as a steward): from then on anyone may read it
    Publish {
        /// The run
        #[arg(long, value_parser = |text: &str| RunId::new(text))]
        run: RunId,
        /// The id to publish it under, for example gp-followup-2024
        #[arg(long, value_parser = |text: &str| TableId::new(text))]
        table: TableId,
        #[command(flatten)]
        connection: Connection,
    },
    /// List the published tables
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Get a published table
    Get {
        /// The table
        #[arg(value_parser = |text: &str| TableId::new(text))]
        table: TableId,
        /// csv, json-stat2, arrow or parquet
        #[arg(long, default_value = "csv")]
        format: Format,
        /// The file to write; the standard output if left out
        #[arg(long)]
        out: Option<PathBuf>,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Runs `kpr statistics`.
///
/// # Errors
/// Says what went wrong.
pub async fn run(args: Args) -> anyhow::Result<()> {
    match args.command {
        Command::Publish { run, table, connection } => {
            let published = connection.connect().await?.publish(&run, &table).await?;
            println!("table   {}", published.table);
            println!("title   {}", published.title);
            println!("digest  {}", published.result_digest);
        }
        Command::List { connection } => {
            let mut list = Table::new();
            list.set_header(["table", "title", "published", "digest"]);
            for published in connection.connect().await?.list_tables().await? {
                list.add_row([
                    published.table.to_string(),
                    published.title,
                    published.published.to_rfc3339(),
                    published.result_digest.to_string(),
                ]);
            }
            println!("{list}");
        }
        Command::Get { table, format, out, connection } => {
            let bytes = connection.connect().await?.table(&table, format).await?;
            connection::write(out.as_deref(), &bytes)?;
        }
    }
    Ok(())
}
