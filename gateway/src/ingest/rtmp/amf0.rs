//! AMF0, the encoding of RTMP's commands and metadata (Adobe AMF 0, December 2007).
//!
//! A value takes at most 40 times its encoded bytes in memory; the caller bounds those ([`super::chunk`]).

/// How deep objects and arrays may stand in each other; publishers use two.
const MAX_DEPTH: usize = 8;

/// One value. What no publisher sends (references, XML, typed objects) is not read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Number(f64),
    Boolean(bool),
    String(String),
    Object(Vec<(String, Value)>),
    Array(Vec<Value>),
    Null,
    Undefined,
}

/// Why bytes are not AMF0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmfError {
    /// They end within a value.
    #[error("an AMF0 value is cut off")]
    Truncated,
    /// A type we do not read.
    #[error("AMF0 type {0} is not known")]
    Marker(u8),
    /// A text that is none.
    #[error("an AMF0 string is not UTF-8")]
    Utf8,
    /// Nested too deep.
    #[error("AMF0 objects nested deeper than {MAX_DEPTH}")]
    Depth,
}

mod marker {
    pub(super) const NUMBER: u8 = 0;
    pub(super) const BOOLEAN: u8 = 1;
    pub(super) const STRING: u8 = 2;
    pub(super) const OBJECT: u8 = 3;
    pub(super) const NULL: u8 = 5;
    pub(super) const UNDEFINED: u8 = 6;
    pub(super) const ECMA_ARRAY: u8 = 8;
    pub(super) const OBJECT_END: u8 = 9;
    pub(super) const STRICT_ARRAY: u8 = 10;
    pub(super) const DATE: u8 = 11;
    pub(super) const LONG_STRING: u8 = 12;
}

impl Value {
    pub(super) fn text(text: &str) -> Value {
        Value::String(text.into())
    }

    /// An object from names and values.
    pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
        Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).into())
    }

    /// The field `name` of an object.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Object(fields) => Some(&fields.iter().find(|(field, _)| field == name)?.1),
            _ => None,
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::Number(number) => {
                out.push(marker::NUMBER);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Value::Boolean(boolean) => out.extend_from_slice(&[marker::BOOLEAN, (*boolean).into()]),
            Value::String(text) => {
                out.push(marker::STRING);
                write_text(text, out);
            }
            Value::Object(fields) => {
                out.push(marker::OBJECT);
                for (name, value) in fields {
                    write_text(name, out);
                    value.write(out);
                }
                out.extend_from_slice(&[0, 0, marker::OBJECT_END]);
            }
            Value::Array(values) => {
                out.push(marker::STRICT_ARRAY);
                out.extend_from_slice(&(values.len() as u32).to_be_bytes());
                values.iter().for_each(|value| value.write(out));
            }
            Value::Null => out.push(marker::NULL),
            Value::Undefined => out.push(marker::UNDEFINED),
        }
    }
}

/// Texts are cut to what fits their length field, at a character.
fn write_text(text: &str, out: &mut Vec<u8>) {
    let text = &text[..text.floor_char_boundary(u16::MAX.into())];
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Values one after the other, as a command's payload is.
pub(super) fn write(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    values.iter().for_each(|value| value.write(&mut out));
    out
}

/// All values in `bytes`.
pub(super) fn read(mut bytes: &[u8]) -> Result<Vec<Value>, AmfError> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        values.push(read_value(&mut bytes, 0)?);
    }
    Ok(values)
}

fn read_value(bytes: &mut &[u8], depth: usize) -> Result<Value, AmfError> {
    if depth > MAX_DEPTH {
        return Err(AmfError::Depth);
    }
    Ok(match take::<1>(bytes)?[0] {
        marker::NUMBER => Value::Number(f64::from_be_bytes(take(bytes)?)),
        marker::BOOLEAN => Value::Boolean(take::<1>(bytes)?[0] != 0),
        marker::STRING => Value::String(read_text(bytes)?),
        marker::OBJECT => Value::Object(read_fields(bytes, depth)?),
        marker::NULL => Value::Null,
        marker::UNDEFINED => Value::Undefined,
        marker::ECMA_ARRAY => {
            take::<4>(bytes)?; // the number of fields, which publishers get wrong; the end marker counts
            Value::Object(read_fields(bytes, depth)?)
        }
        marker::STRICT_ARRAY => {
            let count = u32::from_be_bytes(take(bytes)?);
            let mut values = Vec::new();
            for _ in 0..count {
                values.push(read_value(bytes, depth + 1)?);
            }
            Value::Array(values)
        }
        marker::DATE => {
            let milliseconds = f64::from_be_bytes(take(bytes)?);
            take::<2>(bytes)?; // the time zone, reserved
            Value::Number(milliseconds)
        }
        marker::LONG_STRING => {
            let length = u32::from_be_bytes(take(bytes)?);
            Value::String(read_utf8(bytes, length as usize)?)
        }
        other => return Err(AmfError::Marker(other)),
    })
}

fn read_fields(bytes: &mut &[u8], depth: usize) -> Result<Vec<(String, Value)>, AmfError> {
    let mut fields = Vec::new();
    loop {
        let name = read_text(bytes)?;
        if name.is_empty() && bytes.first() == Some(&marker::OBJECT_END) {
            take::<1>(bytes)?;
            return Ok(fields);
        }
        fields.push((name, read_value(bytes, depth + 1)?));
    }
}

fn read_text(bytes: &mut &[u8]) -> Result<String, AmfError> {
    let length = u16::from_be_bytes(take(bytes)?);
    read_utf8(bytes, length.into())
}

fn read_utf8(bytes: &mut &[u8], length: usize) -> Result<String, AmfError> {
    let (text, rest) = bytes.split_at_checked(length).ok_or(AmfError::Truncated)?;
    *bytes = rest;
    String::from_utf8(text.into()).map_err(|_| AmfError::Utf8)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], AmfError> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(AmfError::Truncated)?;
    *bytes = rest;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<f64>()
                .prop_filter("NaN is not equal to itself", |n| !n.is_nan())
                .prop_map(Value::Number),
            any::<bool>().prop_map(Value::Boolean),
            ".{0,8}".prop_map(Value::String),
            Just(Value::Null),
            Just(Value::Undefined),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec((".{1,4}", inner.clone()), 0..4).prop_map(Value::Object),
                prop::collection::vec(inner, 0..4).prop_map(Value::Array),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(values in prop::collection::vec(values(), 0..4)) {
            prop_assert_eq!(read(&write(&values)), Ok(values));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(0u8..14, 0..200)) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn nesting_and_counts_beyond_the_bytes_are_refused() {
        let nested = [marker::STRICT_ARRAY, 0, 0, 0, 1].repeat(1000);
        assert_eq!(read(&nested), Err(AmfError::Depth));
        let counted = [marker::STRICT_ARRAY, 255, 255, 255, 255, marker::NULL];
        assert_eq!(read(&counted), Err(AmfError::Truncated));
        let long = [marker::LONG_STRING, 255, 255, 255, 255, b'a'];
        assert_eq!(read(&long), Err(AmfError::Truncated));
    }
}
