//! What the API promises, held against the code: its reference, its errors, what its pages show.

mod reference;
mod reference_page;
mod transcripts;
