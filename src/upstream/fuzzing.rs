//! A door for tests/fuzz: the form that is written for ClickHouse.

use bytes::Bytes;

use super::form::Form;
use crate::record::RequestId;
use crate::statement::Understood;

/// `Content-Type` and pieces of the form that says what was understood, all values of parameters in it.
pub fn form(understood: &Understood) -> (String, Vec<Bytes>) {
    let canonical = Bytes::copy_from_slice(understood.statement().canonical().as_bytes());
    let parameters = understood.address().parameters();
    let values: Vec<(String, &str)> = parameters.iter().map(|(name, value)| (format!("param_{name}"), value.as_str())).collect();
    let form = Form::new(&RequestId::new(), canonical, &values, understood.uploads());
    (form.content_type(), form.into_pieces().into())
}
