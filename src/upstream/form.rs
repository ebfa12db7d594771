//! A form for ClickHouse: the statement, values of its parameters that are too long for an address, uploaded tables.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::record::RequestId;
use crate::statement::{Columns, Upload};

/// A body of `multipart/form-data` (RFC 7578), and what stands between its parts.
pub(super) struct Form {
    boundary: String,
    pieces: VecDeque<Bytes>,
}

impl Form {
    /// What describes a table stands before it: ClickHouse reads a table when its part comes.
    pub(super) fn new(id: &RequestId, query: Bytes, values: &[(String, &str)], uploads: &[Upload]) -> Self {
        // 128 random bits, which no caller knows before the content is here.
        let mut form = Self { boundary: format!("keyhouse-{}", id.as_str()), pieces: VecDeque::new() };
        form.field("query", query);
        for (name, value) in values {
            form.field(name, Bytes::copy_from_slice(value.as_bytes()));
        }
        for Upload { name, format, columns, content } in uploads {
            form.field(&format!("{name}_format"), Bytes::from_static(format.as_bytes()));
            match columns {
                Columns::Named(structure) => form.field(&format!("{name}_structure"), Bytes::copy_from_slice(structure.as_bytes())),
                Columns::Unnamed(types) => form.field(&format!("{name}_types"), Bytes::copy_from_slice(types.as_bytes())),
            }
            form.part(&format!("Content-Disposition: form-data; name=\"{name}\"; filename=\"{name}\""), content.clone());
        }
        form.pieces.push_back(Bytes::from(format!("--{}--\r\n", form.boundary)));
        form
    }

    /// `Content-Type` of a request with this body.
    pub(super) fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    pub(super) fn into_pieces(self) -> VecDeque<Bytes> {
        self.pieces
    }

    fn field(&mut self, name: &str, value: Bytes) {
        self.part(&format!("Content-Disposition: form-data; name=\"{name}\""), value);
    }

    fn part(&mut self, disposition: &str, content: Bytes) {
        self.pieces.push_back(Bytes::from(format!("--{}\r\n{disposition}\r\n\r\n", self.boundary)));
        self.pieces.extend((!content.is_empty()).then_some(content));
        self.pieces.push_back(Bytes::from_static(b"\r\n"));
    }
}
