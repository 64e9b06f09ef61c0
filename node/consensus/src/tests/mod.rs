//! The ledger as a whole against a second, naive one; and the rule table against the code.

mod histories;
mod model;
mod reorgs;
mod rule_table;
mod small_blocks;
