//! Field masks: which parts of an answer its reader wants.
//!
//! What there is to choose from is written by the build from the descriptors (`proto/build/masks.rs`); a mask is read
//! against that before any work is done, and applied to what is sent.

use std::marker::PhantomData;

use prost_types::FieldMask;

use super::{WireError, WireFault};

/// Most paths of one mask.
pub const MAX_MASK_PATHS: usize = 64;
/// Longest path, in bytes; the longest that names a field has 45.
pub const MAX_MASK_PATH_BYTES: usize = 64;
/// The field of requests that holds a mask.
const FIELD: &str = "read_mask";

/// A message that a mask can be applied to.
pub trait Masked: Sized {
    /// What it consists of.
    const SHAPE: Shape;

    /// Clears what is not kept.
    fn retain(&mut self, kept: &Kept);
}

/// What a message consists of.
#[derive(Debug)]
pub struct Shape {
    /// The message's name.
    pub(super) name: &'static str,
    /// Its fields, in the order of the `.proto` file.
    pub(super) fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    /// Its name.
    pub(super) name: &'static str,
    /// The message that it holds, or each of its items is; none if it holds something else.
    pub(super) of: Option<&'static Shape>,
}

impl Shape {
    fn find(&self, name: &str) -> Option<(Place, &'static Field)> {
        let (at, field) = self.fields.iter().enumerate().find(|(_, field)| field.name == name)?;
        Some((Place { at, fields: self.fields.len() }, field))
    }

    /// The places of the fields that lead to what a path names.
    fn resolve(&'static self, path: &str) -> Result<Vec<Place>, WireFault> {
        let mut places = Vec::new();
        let mut shape = Some(self);
        let mut of = self.name;
        for name in path.split('.') {
            let Some((place, field)) = shape.and_then(|shape| shape.find(name)) else {
                let known =
                    shape.map(|shape| shape.fields.iter().map(|field| field.name).collect()).unwrap_or_default();
                return Err(WireFault::UnknownPath { path: path.to_owned(), of, known });
            };
            places.push(place);
            (shape, of) = (field.of, field.of.map_or(field.name, |shape| shape.name));
        }
        Ok(places)
    }
}

/// Where a field stands in its message.
#[derive(Debug, Clone, Copy)]
struct Place {
    at: usize,
    /// How many fields the message has.
    fields: usize,
}

/// What is kept of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Keep {
    Nothing,
    All,
    /// Of the message that it holds, or of each, so much.
    Some(Kept),
}

/// What is kept of each field of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept(Vec<Keep>);

impl Kept {
    fn of(&self, at: usize) -> &Keep {
        self.0.get(at).unwrap_or(&Keep::Nothing)
    }

    /// Whether anything of the field at this place is kept.
    pub(super) fn has(&self, at: usize) -> bool {
        *self.of(at) != Keep::Nothing
    }

    /// Clears the field at this place unless it is kept.
    pub(super) fn value<T: Default>(&self, at: usize, field: &mut T) {
        if !self.has(at) {
            *field = T::default();
        }
    }

    /// Leaves of the message in the field at this place what is kept.
    pub(super) fn message<M: Masked>(&self, at: usize, field: &mut Option<M>) {
        if !field.as_mut().is_none_or(|message| self.within(at, message)) {
            *field = None;
        }
    }

    /// The same of each message of a list.
    pub(super) fn list<M: Masked>(&self, at: usize, field: &mut Vec<M>) {
        match self.of(at) {
            Keep::Nothing => *field = Vec::new(),
            Keep::All => {}
            Keep::Some(kept) => field.iter_mut().for_each(|message| message.retain(kept)),
        }
    }

    /// The same of a message that is there. False if nothing of it is kept.
    pub(super) fn within<M: Masked>(&self, at: usize, message: &mut M) -> bool {
        if let Keep::Some(kept) = self.of(at) {
            message.retain(kept);
        }
        self.has(at)
    }

    fn none_of(fields: usize) -> Self {
        Self(vec![Keep::Nothing; fields])
    }

    fn insert(&mut self, places: &[Place]) {
        let [place, rest @ ..] = places else { return };
        let Some(keep) = self.0.get_mut(place.at) else { return };
        match (rest.first(), &mut *keep) {
            (_, Keep::All) => {}
            (None, _) => *keep = Keep::All,
            (Some(_), Keep::Some(kept)) => kept.insert(rest),
            (Some(next), Keep::Nothing) => {
                let mut kept = Self::none_of(next.fields);
                kept.insert(rest);
                *keep = Keep::Some(kept);
            }
        }
    }
}

/// Which parts of a message its reader wants.
#[derive(Debug)]
pub struct ReadMask<M> {
    /// None: all of it.
    kept: Option<Kept>,
    message: PhantomData<fn(M)>,
}

impl<M> Clone for ReadMask<M> {
    fn clone(&self) -> Self {
        Self { kept: self.kept.clone(), message: PhantomData }
    }
}

impl<M: Masked> ReadMask<M> {
    /// Everything is wanted.
    #[must_use]
    pub const fn all() -> Self {
        Self { kept: None, message: PhantomData }
    }

    /// Reads the mask of a request; none, or one without paths, wants everything. A path leads through the names of fields,
    /// parted by dots, also through lists, and stands for all that is below it.
    ///
    /// # Errors
    /// If there are too many paths, or one is too long or names nothing.
    pub fn read(mask: Option<&FieldMask>) -> Result<Self, WireError> {
        let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
        if paths.is_empty() {
            return Ok(Self::all());
        }
        let (max, found) = (MAX_MASK_PATHS, paths.len());
        if found > max {
            return Err(WireError::new(FIELD, WireFault::Count { unit: "paths", min: 0, max, found }));
        }
        let shape = const { &M::SHAPE };
        let mut kept = Kept::none_of(shape.fields.len());
        for path in paths {
            let (max, found) = (MAX_MASK_PATH_BYTES, path.len());
            if found > max {
                return Err(WireError::new(FIELD, WireFault::Count { unit: "bytes in a path", min: 1, max, found }));
            }
            kept.insert(&shape.resolve(path).map_err(|fault| WireError::new(FIELD, fault))?);
        }
        Ok(Self { kept: Some(kept), message: PhantomData })
    }

    /// Whether any part of the field with this name is wanted; a name that the message does not have is not.
    #[must_use]
    pub fn wants(&self, field: &str) -> bool {
        let found = M::SHAPE.find(field);
        found.is_some_and(|(place, _)| self.kept.as_ref().is_none_or(|kept| kept.has(place.at)))
    }

    /// Clears what is not wanted.
    pub fn apply(&self, message: &mut M) {
        if let Some(kept) = &self.kept {
            message.retain(kept);
        }
    }
}

#[cfg(test)]
#[path = "mask_tests.rs"]
mod tests;
