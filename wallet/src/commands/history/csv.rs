//! A history as a table with commas (RFC 4180).

use std::fmt;

use serde::Serialize;

use super::view::{Change, EntryView, PendingView};

/// Prints nothing but the table.
#[derive(Serialize)]
pub(super) struct Table<'a> {
    pub(super) pending: &'a [PendingView],
    pub(super) entries: &'a [EntryView],
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "entry,height,time,kind,received_far,spent_far,fee_far,with,memo,id,label")?;
        for pending in self.pending {
            line(f, ["", "", ""], &pending.change, "unverified")?;
        }
        for entry in self.entries {
            let made = std::time::UNIX_EPOCH + std::time::Duration::from_millis(entry.time_ms);
            let made = humantime::format_rfc3339_seconds(made).to_string();
            line(f, [&entry.entry.to_string(), &entry.height.to_string(), &made], &entry.change, "verified")?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, place: [&str; 3], change: &Change, label: &str) -> fmt::Result {
    let [entry, height, time] = place;
    let with = change.with.join(" ");
    let memo = field(change.memo.as_deref().unwrap_or_default());
    let Change { kind, received, spent, fee, id, .. } = change;
    writeln!(f, "{entry},{height},{time},{kind},{received},{spent},{fee},{},{memo},{id},{label}", field(&with))
}

/// A field that a spreadsheet takes for text: strangers write memos, and what begins like a formula would be run.
fn field(text: &str) -> String {
    let begins_like_a_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if begins_like_a_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn what_would_end_a_field_is_quoted_and_what_would_be_run_is_not() {
        for (text, shown) in [
            ("rent", "rent"),
            ("a, b", "\"a, b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=1+1", "'=1+1"),
            ("-2", "'-2"),
            ("@a,b", "\"'@a,b\""),
        ] {
            assert_eq!(field(text), shown);
        }
    }
}
