//! The page docs/api/reference.md, made from the descriptors that reflection serves: they carry the comments of the
//! `.proto` files.

use std::{collections::BTreeMap, fmt::Write as _};

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

/// The package that strangers call.
pub(crate) const PACKAGE: &str = "farthing.v1";
/// The page of it in the repository.
pub(crate) const PATH: &str = "docs/api/reference.md";

/// Numbers of the fields of `descriptor.proto` from which the paths of comments are made.
mod at {
    pub(super) const SYNTAX: i32 = 12;
    pub(super) const MESSAGE: i32 = 4;
    pub(super) const ENUM: i32 = 5;
    pub(super) const SERVICE: i32 = 6;
    pub(super) const METHOD: i32 = 2;
    pub(super) const FIELD: i32 = 2;
    pub(super) const NESTED: i32 = 3;
    pub(super) const NESTED_ENUM: i32 = 4;
    pub(super) const ONEOF: i32 = 8;
    pub(super) const VALUE: i32 = 2;
}

/// What the names of numbers end with, and what they count then.
const UNITS: &[(&str, &str)] = &[
    ("mites", "mites"),
    ("mites_per_byte", "mites a byte"),
    ("ms", "milliseconds"),
    ("seconds", "seconds"),
    ("bytes", "bytes"),
    ("blocks", "blocks"),
    ("height", "blocks above genesis"),
    ("confirmations", "blocks"),
];

/// The page of one package of a descriptor set.
///
/// # Errors
/// If the bytes are no descriptor set.
pub(crate) fn page(descriptors: &[u8], package: &str) -> Result<String, prost::DecodeError> {
    let set = FileDescriptorSet::decode(descriptors)?;
    let mut files: Vec<_> = set.file.iter().filter(|file| file.package() == package).map(File::new).collect();
    // Services first: their file is what one reads from.
    files.sort_by_key(|file| (file.proto.service.is_empty(), file.proto.name().to_owned()));
    let mut page = Page { package, text: String::new() };
    page.line(&format!("# `{package}`, method by method and field by field"));
    page.line(
        "Made from the `.proto` files by `cargo run --example api_reference`; do not change it by hand: a test fails if it is \
         not what that prints. [api.md](../api.md) is the guide, [errors.md](errors.md) says what each error means.",
    );
    page.line(
        "Numbers of 64 bits are texts in JSON, and `bytes` are base64 there. A field that is not set is zero, empty or absent. \
         Where the unit of a number is not in its own column, its meaning says what it counts.",
    );
    for file in &files {
        for (number, service) in (0..).zip(&file.proto.service) {
            page.service(file, &[at::SERVICE, number], service);
        }
    }
    for file in &files {
        let name = file.proto.name();
        page.line(&format!("## {}", name.rsplit('/').next().unwrap_or(name)));
        page.line(&file.comment(&[at::SYNTAX]));
        for (number, message) in (0..).zip(&file.proto.message_type) {
            page.message(file, &[at::MESSAGE, number], message, "");
        }
        for (number, of) in (0..).zip(&file.proto.enum_type) {
            page.enumeration(file, &[at::ENUM, number], of, "");
        }
    }
    Ok(page.text.trim_end().to_owned() + "\n")
}

/// A file with its comments by path.
struct File<'a> {
    proto: &'a FileDescriptorProto,
    comments: BTreeMap<&'a [i32], &'a str>,
}

impl<'a> File<'a> {
    fn new(proto: &'a FileDescriptorProto) -> Self {
        let locations = proto.source_code_info.iter().flat_map(|info| &info.location);
        let comments = locations.map(|location| (location.path.as_slice(), location.leading_comments())).collect();
        Self { proto, comments }
    }

    /// Its paragraphs, each on one line.
    fn comment(&self, path: &[i32]) -> String {
        let text = self.comments.get(path).copied().unwrap_or_default();
        let paragraphs = text.split("\n\n").map(|paragraph| {
            let words: Vec<&str> = paragraph.split_whitespace().collect();
            words.join(" ").replace('<', "&lt;")
        });
        paragraphs.collect::<Vec<_>>().join("\n\n")
    }

    /// As a cell of a table.
    fn cell(&self, path: &[i32]) -> String {
        self.comment(path).replace("\n\n", " ").replace('|', "\\|")
    }
}

fn join(path: &[i32], more: [i32; 2]) -> Vec<i32> {
    [path, &more].concat()
}

/// The page as far as it is written.
struct Page<'a> {
    package: &'a str,
    text: String,
}

impl Page<'_> {
    /// A paragraph.
    fn line(&mut self, text: &str) {
        if !text.is_empty() {
            self.text.push_str(text);
            self.text.push_str("\n\n");
        }
    }

    fn table<const N: usize>(&mut self, head: [&str; N], rows: impl Iterator<Item = [String; N]>) {
        let mut row = |cells: &[String]| writeln!(self.text, "| {} |", cells.join(" | ")).expect("a text takes all");
        row(&head.map(str::to_owned));
        row(&head.map(|_| "---".to_owned()));
        rows.for_each(|cells| row(&cells));
        self.text.push('\n');
    }

    /// The name of a type of any package; a link if it is on this page.
    fn link(&self, full: &str) -> String {
        let full = full.trim_start_matches('.');
        match full.strip_prefix(self.package).and_then(|rest| rest.strip_prefix('.')) {
            Some(name) => format!("[{name}](#{})", anchor(name)),
            None => format!("`{full}`"),
        }
    }

    fn service(&mut self, file: &File<'_>, path: &[i32], service: &ServiceDescriptorProto) {
        self.line(&format!("## {}", service.name()));
        self.line(&file.comment(path));
        for (number, method) in (0..).zip(&service.method) {
            let stream = |is_stream: bool| if is_stream { "**stream** of " } else { "" };
            let (input, output) = (self.link(method.input_type()), self.link(method.output_type()));
            self.line(&format!("### {}", method.name()));
            self.line(&file.comment(&join(path, [at::METHOD, number])));
            let (sent, answered) = (stream(method.client_streaming()), stream(method.server_streaming()));
            self.line(&format!("{sent}{input} → {answered}{output}"));
        }
    }

    fn message(&mut self, file: &File<'_>, path: &[i32], message: &DescriptorProto, outer: &str) {
        if message.options.as_ref().is_some_and(prost_types::MessageOptions::map_entry) {
            return;
        }
        let name = format!("{outer}{}", message.name());
        self.line(&format!("### {name}"));
        self.line(&file.comment(path));
        for (number, group) in (0..).zip(&message.oneof_decl) {
            let members = message.field.iter().filter(|field| field.oneof_index == Some(number));
            if members.clone().any(FieldDescriptorProto::proto3_optional) {
                continue;
            }
            let members: Vec<_> = members.map(|field| format!("`{}`", field.name())).collect();
            let comment = file.comment(&join(path, [at::ONEOF, number]));
            self.line(&format!("One of {} (`{}`): {comment}", members.join(", "), group.name()));
        }
        if !message.field.is_empty() {
            let fields: Vec<_> = (0..).zip(&message.field).collect();
            let rows: Vec<_> = fields
                .into_iter()
                .map(|(number, field)| {
                    let meaning = file.cell(&join(path, [at::FIELD, number]));
                    let (name, number) = (format!("`{}`", field.name()), field.number().to_string());
                    [name, number, self.kind(message, field), unit(field).to_owned(), meaning]
                })
                .collect();
            self.table(["field", "number", "type", "unit", "meaning"], rows.into_iter());
        }
        let outer = format!("{name}.");
        for (number, nested) in (0..).zip(&message.nested_type) {
            self.message(file, &join(path, [at::NESTED, number]), nested, &outer);
        }
        for (number, nested) in (0..).zip(&message.enum_type) {
            self.enumeration(file, &join(path, [at::NESTED_ENUM, number]), nested, &outer);
        }
    }

    fn enumeration(&mut self, file: &File<'_>, path: &[i32], of: &EnumDescriptorProto, outer: &str) {
        self.line(&format!("### {outer}{}", of.name()));
        self.line(&file.comment(path));
        let values = (0..).zip(&of.value).map(|(number, value)| {
            let meaning = file.cell(&join(path, [at::VALUE, number]));
            [format!("`{}`", value.name()), value.number().to_string(), meaning]
        });
        self.table(["value", "number", "meaning"], values);
    }

    /// The type of a field, as one says it.
    fn kind(&self, message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
        let one = match field.r#type() {
            Type::Message | Type::Enum => {
                let short = field.type_name().rsplit('.').next();
                let is_map = |nested: &&DescriptorProto| {
                    Some(nested.name()) == short && nested.options.as_ref().is_some_and(|of| of.map_entry())
                };
                if let Some([key, value]) = message.nested_type.iter().find(is_map).map(|map| map.field.as_slice()) {
                    return format!("map of {} to {}", self.kind(message, key), self.kind(message, value));
                }
                self.link(field.type_name())
            }
            scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
        };
        match field.label() {
            Label::Repeated => format!("list of {one}"),
            _ if field.proto3_optional() => format!("{one}, optional"),
            _ => one,
        }
    }
}

/// What a number counts, as its name says.
fn unit(field: &FieldDescriptorProto) -> &'static str {
    let is_number = matches!(field.r#type(), Type::Uint32 | Type::Uint64 | Type::Int32 | Type::Int64 | Type::Double);
    let ends = |unit: &str| field.name().strip_suffix(unit).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'));
    UNITS.iter().find(|(name, _)| is_number && ends(name)).map_or("", |(_, unit)| unit)
}

/// Of a heading, as GitHub makes it.
pub(crate) fn anchor(heading: &str) -> String {
    heading.chars().filter(|c| c.is_alphanumeric() || "_- ".contains(*c)).collect::<String>().to_lowercase()
}
