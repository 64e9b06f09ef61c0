//! Writes, for every message that a field mask can reach, its fields by name and how those not asked for are cleared.
//!
//! Made from the descriptors, so that a mask knows every field as soon as the `.proto` file has it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
};

use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet, field_descriptor_proto::Label};

/// The package whose messages masks are for.
const PACKAGE: &str = "farthing.v1";
/// Where masks of requests begin.
const ROOTS: &[&str] = &["BlockView", "GetTransactionResponse", "MempoolEntry", "AccountEntry"];

/// The code to stand beside the messages of the package.
///
/// # Errors
/// If a root is not there, or a field is of a kind that no mask can go through yet.
pub(super) fn generate(set: &FileDescriptorSet) -> Result<String, fmt::Error> {
    let files = set.file.iter().filter(|file| file.package() == PACKAGE);
    let messages: BTreeMap<&str, &DescriptorProto> =
        files.flat_map(|file| &file.message_type).map(|message| (message.name(), message)).collect();
    let (mut code, mut made, mut left) = (String::new(), BTreeSet::new(), ROOTS.to_vec());
    while let Some(name) = left.pop() {
        if !made.insert(name) {
            continue;
        }
        let message = messages.get(name).ok_or(fmt::Error)?;
        left.extend(message.field.iter().filter_map(|field| submessage(field, &messages)));
        write_message(&mut code, message, &messages)?;
    }
    Ok(code)
}

/// The message that a field holds, if it holds one of the package. Enums have a type name too, but are no messages.
fn submessage<'a>(field: &'a FieldDescriptorProto, messages: &BTreeMap<&str, &DescriptorProto>) -> Option<&'a str> {
    let name = field.type_name().strip_prefix('.')?.strip_prefix(PACKAGE)?.strip_prefix('.')?;
    messages.contains_key(name).then_some(name)
}

fn write_message(
    code: &mut String,
    message: &DescriptorProto,
    messages: &BTreeMap<&str, &DescriptorProto>,
) -> fmt::Result {
    let name = message.name();
    writeln!(code, "impl crate::wire::mask::Masked for {name} {{")?;
    writeln!(code, "const SHAPE: crate::wire::mask::Shape = crate::wire::mask::Shape {{ name: {name:?}, fields: &[")?;
    for field in &message.field {
        let of = match submessage(field, messages) {
            Some(of) => format!("Some(&<{of} as crate::wire::mask::Masked>::SHAPE)"),
            None => "None".to_owned(),
        };
        writeln!(code, "crate::wire::mask::Field {{ name: {:?}, of: {of} }},", field.name())?;
    }
    writeln!(code, "] }};\nfn retain(&mut self, kept: &crate::wire::mask::Kept) {{")?;
    for (at, field) in message.field.iter().enumerate().filter(|(_, field)| choice(field).is_none()) {
        let method = match (submessage(field, messages), field.label() == Label::Repeated) {
            (Some(_), true) => "list",
            (Some(_), false) => "message",
            (None, _) => "value",
        };
        writeln!(code, "kept.{method}({at}, &mut self.{});", field.name())?;
    }
    for (index, oneof) in message.oneof_decl.iter().enumerate() {
        let members = message.field.iter().enumerate().filter(|(_, field)| choice(field) == Some(index));
        let members: Vec<_> = members.collect();
        if members.is_empty() {
            // It was made up for a field that is `optional`.
            continue;
        }
        let kind = format!("{}::{}", snake(name), camel(oneof.name()));
        writeln!(code, "let keeps = match &mut self.{} {{ None => true,", oneof.name())?;
        for (at, field) in members {
            let variant = camel(field.name());
            match submessage(field, messages) {
                Some(_) => writeln!(code, "Some({kind}::{variant}(message)) => kept.within({at}, message),")?,
                None => writeln!(code, "Some({kind}::{variant}(_)) => kept.has({at}),")?,
            }
        }
        writeln!(code, "}};\nif !keeps {{ self.{} = None; }}", oneof.name())?;
    }
    writeln!(code, "}}\n}}")
}

/// The choice that a field is one of, if it is.
fn choice(field: &FieldDescriptorProto) -> Option<usize> {
    let index = field.oneof_index.filter(|_| !field.proto3_optional())?;
    usize::try_from(index).ok()
}

/// As the compiler of messages names the module of a message.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (at, character) in name.char_indices() {
        if character.is_ascii_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

/// As the compiler of messages names the variant of a choice.
fn camel(name: &str) -> String {
    let mut upper = true;
    let mut camel = String::new();
    for character in name.chars() {
        match (character, upper) {
            ('_', _) => upper = true,
            (other, true) => {
                camel.push(other.to_ascii_uppercase());
                upper = false;
            }
            (other, false) => camel.push(other),
        }
    }
    camel
}
